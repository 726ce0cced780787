"""Documents are read and written in the encoding that they name."""

import codecs

import pytest

from nmt.documents.encodings import decode, html_encoding
from nmt.errors import DataError


@pytest.mark.parametrize(
    ("content", "declared", "text"),
    [
        (b"caf\xc3\xa9\r\n", None, "caf\u00e9\r\n"),
        (codecs.BOM_UTF8 + b"caf\xc3\xa9", "latin-1", "caf\u00e9"),
        (codecs.BOM_UTF16_LE + "caf\u00e9".encode("utf-16-le"), None, "caf\u00e9"),
        (codecs.BOM_UTF16_BE + "caf\u00e9".encode("utf-16-be"), None, "caf\u00e9"),
        (b"caf\xe9", "cp1252", "caf\u00e9"),
        (b"", None, ""),
    ],
)
def test_bytes_become_text_and_the_same_bytes(content: bytes, declared: str | None, text: str) -> None:
    decoded = decode(content, "x", declared)
    assert (decoded.text, decoded.encode(text)) == (text, content)


@pytest.mark.parametrize(
    ("content", "declared", "message"),
    [
        (
            b"a\nb\xe9",
            None,
            "x:2: not UTF-8: byte 0xe9 (find out the encoding and convert it: iconv -f LATIN1 -t UTF-8)",
        ),
        (b"a\xe9", "klingon", "x: its encoding, klingon, is not known (convert it to UTF-8)"),
        (
            "a page of text".encode("utf-16-le"),
            None,
            "x: seems to be UTF-16LE without a byte-order mark (convert it: iconv -f UTF-16LE -t UTF-8)",
        ),
    ],
)
def test_other_bytes_are_one_line(content: bytes, declared: str | None, message: str) -> None:
    with pytest.raises(DataError) as caught:
        decode(content, "x", declared)
    assert str(caught.value) == message


def test_a_page_names_its_encoding() -> None:
    assert html_encoding(b'<html><META http-equiv=x content="text/html; charset=UTF-8">') == "utf-8"
    assert html_encoding(b"<meta charset='iso-8859-1'>") == "cp1252"
    assert html_encoding(b"<p>a</p>") is None
    assert html_encoding(b" " * 1024 + b"<meta charset=koi8-r>") is None

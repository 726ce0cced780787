"""Documents by their formats, from bytes to bytes."""

import pytest
from documents import Recorder, always, backwards, upper

from nmt.documents.filling import Setting
from nmt.documents.translating import translate_document, translate_html
from nmt.errors import DataError


def test_a_text_is_translated_line_by_line() -> None:
    content = "a  b\tc\r\n\r\n \u00a0\nd\n12".encode()
    setting = Setting()
    assert translate_document(content, "text", backwards, setting) == "C B A\r\n\r\n \u00a0\nD\n12".encode()
    assert setting.report.units == 3
    assert translate_document(b"a  b", "text", upper) == b"A  B"
    assert translate_document(b"", "text", upper) == b""


def test_a_page_is_written_in_its_encoding() -> None:
    page = "<meta charset=windows-1252><p>caf\u00e9 \u20ac</p>".encode("cp1252")
    assert translate_document(page, "html", upper) == page.replace(b"caf\xe9", b"CAF\xc9")
    page = b"<meta charset=iso-8859-2><p>x</p>"

    assert translate_document(page, "html", always("\u65e5")).endswith(b"<p>&#26085;</p>")


def test_a_document_that_cannot_be_read_is_named() -> None:
    with pytest.raises(DataError, match=r"^a\.md:2: not UTF-8: byte 0xff"):
        translate_document(b"a\n\xff", "markdown", upper, Setting(name="a.md"))


def test_the_text_of_a_unit_without_tags_is_that_of_the_line() -> None:
    recorder = Recorder()
    translate_html("<p>\n A small\n  dog. </p><h1><b>It sleeps &amp; eats.</b></h1>", recorder)
    assert recorder.asked == [(["A small dog.", "It sleeps & eats."], False)]

"""Catalogues: entries without a translation get one, marked fuzzy; everything else is kept."""

import polib
import pytest
from documents import always, backwards, upper

from nmt.documents.filling import Setting
from nmt.documents.po import po_encoding
from nmt.documents.translating import translate_document
from nmt.errors import DataError

HEADER = 'msgid ""\nmsgstr ""\n"Language: {}\\n"\n"Content-Type: text/plain; charset=UTF-8\\n"\n\n'
SETTING = ("en", "de")


def translated(source: str, language: str = "de") -> str:
    content = (HEADER.format(language) + source).encode()
    found = translate_document(content, "po", backwards, Setting(languages=SETTING)).decode()
    assert found.startswith(HEADER.format("de"))
    assert len(polib.pofile(found)) == len(polib.pofile(content.decode()))
    return found.removeprefix(HEADER.format("de"))


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ('msgid "a b"\nmsgstr ""\n', '#, fuzzy\nmsgid "a b"\nmsgstr "B A"\n'),
        ('#: x.c\n#, c-format\nmsgid "%d b"\nmsgstr ""\n', '#: x.c\n#, fuzzy, c-format\nmsgid "%d b"\nmsgstr "B %d"\n'),
        ('#, fuzzy\nmsgid "a"\nmsgstr ""\n', '#, fuzzy\nmsgid "a"\nmsgstr "A"\n'),
        (
            'msgid ""\n"a \\"b\\"\\n"\n"<b>c</b> d\\\\\\n"\nmsgstr ""\n',
            '#, fuzzy\nmsgid ""\n"a \\"b\\"\\n"\n"<b>c</b> d\\\\\\n"\nmsgstr "\\"B\\" A\\nD\\\\ <b>C</b>\\n"\n',
        ),
        (
            'msgid "a b"\nmsgid_plural "%d c"\nmsgstr[0] ""\nmsgstr[1] ""\nmsgstr[2] ""\n',
            '#, fuzzy\nmsgid "a b"\nmsgid_plural "%d c"\nmsgstr[0] "B A"\nmsgstr[1] "C %d"\nmsgstr[2] "C %d"\n',
        ),
        (
            'msgid "a b"\nmsgid_plural "%d c"\nmsgstr[0] ""\n',
            '#, fuzzy\nmsgid "a b"\nmsgid_plural "%d c"\nmsgstr[0] "C %d"\n',
        ),
        (
            'msgctxt "m"\nmsgid "a"\nmsgstr ""\nmsgid "b"\nmsgstr ""',
            '#, fuzzy\nmsgctxt "m"\nmsgid "a"\nmsgstr "A"\n#, fuzzy\nmsgid "b"\nmsgstr "B"\n',
        ),
        ('msgid "a"\r\nmsgstr ""\r\n', '#, fuzzy\r\nmsgid "a"\r\nmsgstr "A"\r\n'),
    ],
)
def test_an_entry_gets_a_translation_that_is_to_be_reviewed(entry: str, expected: str) -> None:
    assert translated(entry) == expected


@pytest.mark.parametrize(
    "entry",
    [
        'msgid "a"\nmsgstr "b"\n',
        '#, fuzzy\nmsgid "a"\nmsgstr "b"\n',
        'msgid "a"\nmsgid_plural "b"\nmsgstr[0] "c"\nmsgstr[1] ""\n',
        '#~ msgid "a"\n#~ msgstr ""\n',
        "# comment\n\n\n",
        'msgid "a \\303\\244"\nmsgstr ""\n',
    ],
)
def test_what_has_a_translation_or_is_obsolete_is_kept(entry: str) -> None:
    assert translated(entry) == entry


def test_the_header_gets_the_language() -> None:
    assert translated('msgid "a"\nmsgstr "b"\n', language="") == 'msgid "a"\nmsgstr "b"\n'


def test_the_encoding_is_that_of_the_header() -> None:
    content = b'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=iso-8859-1\\n"\n\nmsgid "caf\xe9"\nmsgstr ""\n'
    assert po_encoding(content) == "iso-8859-1"
    assert translate_document(content, "po", upper).endswith(b'msgstr "CAF\xc9"\n')
    assert po_encoding(b'"charset=CHARSET\\n"') is None


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("msgid a\n", "x.po:1: not the syntax of a PO file: 'a' (correct it, see msgfmt -c)"),
        ('msgid "a"\nmsgid "b"\n', "x.po:2: not the syntax of a PO file: 'msgid \"b\"' (correct it, see msgfmt -c)"),
        (
            'msgid ""\nmsgstr ""\n"Language: fr\\n"\n',
            "x.po: its header says Language: fr, and the target language of the model is de "
            "(take another model, or correct the document)",
        ),
    ],
)
def test_what_is_no_catalogue_is_one_line(source: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        translate_document(source.encode(), "po", upper, Setting(languages=SETTING, name="x.po"))
    assert str(caught.value) == message


def test_a_character_that_the_encoding_lacks_is_one_line() -> None:
    content = b'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=ascii\\n"\n\nmsgid "a"\nmsgstr ""\n'
    with pytest.raises(DataError) as caught:
        translate_document(content, "po", always("\u00e4"))
    message = "ASCII, the encoding of the document, has no '\u00e4' (convert the document to UTF-8)"
    assert str(caught.value) == message

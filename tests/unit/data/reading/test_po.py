import gettext
import io
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import polib
import pytest

from nmt.config.languages import LanguagesConfig
from nmt.data.pairs import Pair
from nmt.data.reading.po import read_po
from nmt.errors import DataError

HEADER = 'msgid ""\nmsgstr ""\n"Project-Id-Version: x\\n"\n"Content-Type: text/plain; charset={}\\n"\n{}\n'


def header(charset: str = "UTF-8", language: str = "de") -> str:
    return HEADER.format(charset, f'"Language: {language}\\n"\n' if language else "")


def read(
    text: str | bytes, source: str = "en", target: str = "de", *, skip_bad: bool = False
) -> tuple[list[Pair], Counter[str]]:
    anomalies = Counter[str]()
    stream: Any = io.BufferedReader(io.BytesIO(text.encode() if isinstance(text, str) else text))
    languages = LanguagesConfig(source=source, target=target)
    return list(read_po(stream, "a.po", languages, anomalies, skip_bad=skip_bad)), anomalies


def pairs_of(text: str | bytes) -> list[Pair]:
    return read(text)[0]


def error_of(text: str | bytes, **languages: str) -> str:
    with pytest.raises(DataError) as caught:
        read(text, **languages)  # type: ignore[arg-type]
    return str(caught.value)


ENTRIES = r"""
#: a.c:1
msgid "Open"
msgstr "Öffnen"

#, c-format, fuzzy
#| msgid "Shut"
msgid "Close"
msgstr "Schliessen"

msgctxt "menu"
msgid ""
"A long "
"text\n"
msgstr ""
"Ein langer "
"Text\n"

msgid "%d file"
msgid_plural "%d files"
msgstr[0] "%d Datei"
msgstr[1] "%d Dateien"

msgid "Later"
msgstr ""

#~ msgid "Old"
#~ msgstr "Alt"

#, fuzzy
#~ msgid "Older"
#~ msgid_plural "Olders"
#~ msgstr[0] "Älter"

msgid "Same" "line" # a comment
msgstr "Gleiche" "Zeile"
"""


def test_finished_entries_are_read_and_the_others_counted() -> None:
    pairs, anomalies = read(header() + ENTRIES)
    assert pairs == [("Open", "Öffnen"), ("A long text", "Ein langer Text"), ("Sameline", "GleicheZeile")]
    assert anomalies == {
        "PO headers": 1,
        "PO entries marked fuzzy": 1,
        "PO entries with a plural": 1,
        "PO entries without a translation": 1,
        "PO entries that are obsolete": 2,
    }


def test_polib_reads_the_same_of_a_plain_file(tmp_path: Path) -> None:
    text = header() + ENTRIES.replace('"Same" "line" # a comment', '"Same"').replace('"Gleiche" "Zeile"', '"Gleich"')
    (tmp_path / "a.po").write_text(text, encoding="utf-8")
    entries = [entry for entry in polib.pofile(str(tmp_path / "a.po")).translated_entries() if not entry.msgid_plural]
    assert pairs_of(text) == [(entry.msgid.strip("\n"), entry.msgstr.strip("\n")) for entry in entries]


ESCAPES = r"a\x41z\101\t\"q\"\\n\303\244\xc3\xa4\x4142"


def test_escapes_are_those_of_c_as_msgfmt_reads_them(tmp_path: Path) -> None:
    text = f'{header()}msgid "{ESCAPES}"\nmsgstr "{ESCAPES}!"\n'
    expected = 'aAzA\t"q"\\näB'.replace("ä", "ää")
    assert pairs_of(text) == [(expected, expected + "!")]
    (tmp_path / "a.po").write_text(text, encoding="utf-8")
    # polib knows no numbers, and takes \\n within a string for a line break in some places.
    assert polib.pofile(str(tmp_path / "a.po"))[0].msgid != expected
    if shutil.which("msgfmt"):
        subprocess.run(["msgfmt", "-o", tmp_path / "a.mo", tmp_path / "a.po"], check=True)
        with (tmp_path / "a.mo").open("rb") as file:
            assert gettext.GNUTranslations(file).gettext(expected) == expected + "!"


def test_control_characters_and_line_breaks_are_counted_as_in_other_formats() -> None:
    pairs, anomalies = read(header() + 'msgid "a\\nb\\r\\nc\\a"\nmsgstr "\\nx\\fy\\0\\n"\n')
    assert pairs == [("a b c\a", "x\fy\0")]
    assert anomalies == {"PO headers": 1, "line breaks within a text": 2, "odd line breaks": 1, "NUL characters": 1}


@pytest.mark.parametrize("charset", ["ISO-8859-1", "Shift_JIS", "CP1252"])
def test_the_charset_is_the_headers(charset: str) -> None:
    word = "ソ表" if charset == "Shift_JIS" else "Größe"  # the second bytes of both are backslashes
    comment = f"# {word}\n" if charset != "Shift_JIS" else ""
    text = f'{comment}{header(charset)}msgid "a"\nmsgstr "{word}"\n'
    assert pairs_of(text.encode(charset)) == [("a", word)]


def test_what_is_not_of_the_charset_is_an_error_with_its_line() -> None:
    text = header().encode() + b'msgid "a"\nmsgstr "\xe9"\n'
    assert error_of(text) == "a.po:8: not UTF-8: byte 0xe9 at position 9 (correct the charset in its header)"
    assert error_of(header("klingon")) == "a.po: its charset, klingon, is not known (convert it to UTF-8)"
    assert "its charset, undefined, is not known" in error_of(header("undefined"))
    assert pairs_of(b"\xef\xbb\xbf" + header("CHARSET").encode() + 'msgid "a"\r\nmsgstr "é"\r\n'.encode()) == [
        ("a", "é")
    ]


@pytest.mark.parametrize(
    ("language", "source", "target", "pair"),
    [
        ("de", "en", "de", ("a", "b")),
        ("de_DE", "en", "de", ("a", "b")),
        ("", "en", "de", ("a", "b")),
        ("de", "de", "en", ("b", "a")),
        ("pt_BR", "pt", "pt-BR", ("a", "b")),
        ("pt_BR", "pt-BR", "pt", ("b", "a")),
        ("nb", "en", "no", ("a", "b")),
        ("ca@valencia", "en", "ca", ("a", "b")),
    ],
)
def test_the_language_of_the_header_says_the_direction(language: str, source: str, target: str, pair: Pair) -> None:
    text = header(language=language) + 'msgid "a"\nmsgstr "b"\n'
    assert read(text, source, target)[0] == [pair]


def test_a_header_of_another_language_is_an_error() -> None:
    assert error_of(header(language="fr")) == (
        "a.po: its header says Language: fr, which is neither en nor de "
        "(name the languages that it has, or correct the header)"
    )


GOOD = 'msgid "a"\nmsgstr "b"\n'
TIP = "(correct it, see msgfmt -c; skip_bad = true, or --skip-bad, leaves such entries out)"


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ('msgid "c"\nmsgstr "d\n\n', "8: not the syntax of a PO file: '\"d'"),
        ('msgid "c" "\nmsgstr "d"\n\n', "7: not the syntax of a PO file: '\"'"),
        ('msgid "c"\nmsgid "d"\nmsgstr "d"\n\n', "8: a second msgid in an entry"),
        ('msgctxt "c"\nmsgstr "d"\n\n', "8: msgstr without a msgid before it"),
        ('msgid "c"\nmsgstr "d"\nmsgstr "e"\n\n', "9: a second msgstr in an entry"),
        ('msgid "c"\nmsgstr "d\\q"\n', "8: an unknown escape, \\q"),
        ("text\n\n", "7: not the syntax of a PO file: 'text'"),
        ('# c\n"c"\n\n', "8: a string without a keyword"),
    ],
)
def test_a_bad_entry_is_an_error_with_its_line_or_is_left_out(bad: str, said: str) -> None:
    text = header() + bad + GOOD
    assert error_of(text) == f"a.po:{said} {TIP}"
    assert read(text, skip_bad=True) == ([("a", "b")], {"PO headers": 1, "bad units left out": 1})


def test_a_file_that_ends_within_an_entry_is_cut_short() -> None:
    said = "a.po: damaged or cut short after line 8: it ends within an entry (copy or download the file again)"
    assert error_of(header() + 'msgid "c"\n"d"\n') == said
    assert pairs_of("") == []


def test_a_text_in_another_domain_is_read() -> None:
    assert pairs_of(header() + GOOD + 'domain "x"\n' + GOOD) == [("a", "b"), ("a", "b")]

"""How mark-up, tables and documents are told from lines of text, and that text is hardly ever taken for one of them."""

import gzip
import io
import zipfile
from pathlib import Path, PurePath

import pytest

from nmt.data.reading.archives import read_lines
from nmt.data.reading.markup import refuse_line, refuse_name
from nmt.data.reading.streams import plain_name
from nmt.errors import DataError


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ref.de.sgm", "SGML"),
        ("a/wmt21.en-de.xml.gz", "XML"),
        ("m.TMX", "TMX"),
        ("m.xlf", "XLIFF"),
        ("t.tsv.XZ", "a table"),
        ("t.csv", "a table"),
        ("t.jsonl", "JSON"),
        ("page.html", "HTML"),
        ("de.po", "PO"),
        ("de.xlsx", "a spreadsheet"),
        ("film.srt", "subtitles with their times"),
    ],
)
def test_names_say_what_holds_no_lines(name: str, kind: str) -> None:
    with pytest.raises(DataError) as caught:
        refuse_name(PurePath(name), plain_name(PurePath(name).name))
    said = str(caught.value)
    assert said.startswith(
        f"{name}: lines of text are wanted, but its name says that it is {kind} (`nmt data clean` reads "
    )
    assert said.endswith(
        " and writes lines; `nmt translate --format` takes documents; of others, extract the text first)"
    )


@pytest.mark.parametrize("name", ["train.en", "a.de.gz", "xml", "a.xml.en", "test.txt", "tsv.de", "a.tsv.txt", "b."])
def test_other_names_are_those_of_lines(name: str) -> None:
    refuse_name(PurePath(name), plain_name(PurePath(name).name))


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ('<srcset setid="t" srclang="any">', "SGML"),
        ("<REFSET setid='t'>", "SGML"),
        ('\ufeff  <tstset trglang="de">', "SGML"),
        ("<mteval>", "SGML"),
        ('<doc docid="d" genre="n">', "SGML"),
        ('<!DOCTYPE mteval SYSTEM "a.dtd">', "SGML"),
        ('<?xml version="1.0" encoding="utf-8"?>', "XML"),
        ("<!DOCTYPE dataset>", "XML"),
        ('<tmx version="1.4">', "TMX"),
        ('<xliff version="1.2"><file>', "XLIFF"),
        ("<!doctype html>", "HTML"),
        ('<html lang="en"><body>', "HTML"),
        ('{"en": "A dog.", "de": "Ein Hund."}', "JSON"),
        ('[{"en": "A dog."},', "JSON"),
        ('msgid ""', "PO"),
    ],
)
def test_first_lines_say_it_too(line: str, kind: str) -> None:
    with pytest.raises(DataError, match=f"^a: lines of text are wanted, but its first line is that of {kind} "):
        refuse_line(f"{line}\n".encode(), "a")


@pytest.mark.parametrize(
    "line",
    [
        "<srcset",
        "<doc> <p> are tags of SGML.".replace("<doc>", "<docs>"),
        "<b>Note:</b> close the lid.",
        "<html is where a page begins.",
        "<?php echo 1; ?>",
        "<2de> A dog.",
        "<!DOCTYPE",
        '{"quoted"} in braces',
        "{name}: nothing found",
        '{"en": "A dog."} is an example.',
        "[1] A note.",
        "msgid is a keyword.",
        "A dog.",
        "",
        "< 5 years",
    ],
)
def test_text_that_begins_alike_is_text(line: str) -> None:
    refuse_line(f"{line}\n".encode(), "a")


def test_documents_are_known_by_their_first_bytes(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("word/document.xml", "text")
    path = tmp_path / "a.en"
    path.write_bytes(packed.getvalue())
    with pytest.raises(DataError, match="but it is an archive or a document"):
        list(read_lines(path))


def test_lines_of_a_file_are_refused_compressed_too(tmp_path: Path) -> None:
    path = tmp_path / "a.en.gz"
    path.write_bytes(gzip.compress(b'<refset setid="t">\n<doc docid="d">\n'))
    with pytest.raises(DataError, match=r"a\.en\.gz: lines of text are wanted, but its first line is that of SGML"):
        list(read_lines(path))
    path.write_bytes(gzip.compress(b'A dog.\n<refset setid="t">\n'))
    assert list(read_lines(path)) == ["A dog.", '<refset setid="t">']


def test_blank_lines_before_mark_up_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.en"
    path.write_bytes(b"\xef\xbb\xbf\n\r\n<html lang='en'>\nA dog.\n")
    with pytest.raises(DataError, match="but its first line is that of HTML"):
        list(read_lines(path))

"""Documents of Word: paragraphs are units, and runs keep their look."""

import io
import zipfile
from typing import Any

import docx
import pytest
from documents import backwards, unaligned

from nmt.documents import docx as module
from nmt.documents.docx import docx_parts
from nmt.documents.filling import Setting
from nmt.documents.translating import translate_document
from nmt.documents.units import Unit
from nmt.errors import DataError


def saved(document: Any) -> bytes:
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def example() -> Any:
    """Return a document with formatted runs, a table, a header, and breaks."""
    document = docx.Document()
    document.add_heading("a b", 1)
    paragraph = document.add_paragraph("c ")
    for text, is_bold in (("d", True), ("e", True), (" f & ", False), ("g h", True), (" i.", False)):
        paragraph.add_run(text).bold = is_bold or None
    paragraph = document.add_paragraph("j k")
    paragraph.runs[0].add_break()
    paragraph.add_run("l\tm n")
    document.add_table(1, 2).cell(0, 0).text = "o p"
    document.tables[0].cell(0, 1).text = "12"
    document.sections[0].header.paragraphs[0].text = "q r"
    document.add_paragraph().add_run("s t").bold = True
    return document


def read(content: bytes) -> list[list[tuple[str, bool | None]]]:
    return [[(run.text, run.bold) for run in p.runs] for p in docx.Document(io.BytesIO(content)).paragraphs]


def test_a_document_is_translated_and_keeps_its_looks() -> None:
    content = saved(example())
    setting = Setting()
    found = translate_document(content, "docx", backwards, setting)
    assert read(found) == [
        [("B A", None)],
        [("I. ", None), ("H G", True), (" & F ", None), ("DE", True), (" C", None)],
        [("K J", None), ("\n", None), ("L", None), ("\t", None), ("N M", None)],
        [("T S", True)],
    ]
    document = docx.Document(io.BytesIO(found))
    assert [cell.text for cell in document.tables[0].rows[0].cells] == ["P O", "12"]
    assert document.sections[0].header.paragraphs[0].text == "R Q"
    assert (setting.report.units, setting.report.tagged) == (8, 1)
    with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(io.BytesIO(found)) as after:
        assert before.namelist() == after.namelist()
        others = [name for name in before.namelist() if not module.TEXTS.fullmatch(name)]
        assert all(before.read(name) == after.read(name) for name in others)


def test_without_an_alignment_runs_are_translated_one_by_one() -> None:
    found = translate_document(saved(example()), "docx", unaligned)
    expected = [("C ", None), ("DE", True), (" F & ", None), ("G H", True), (" I.", None)]
    assert read(found)[1] == expected


def xml(paragraph: str) -> str:
    return f'<w:document xmlns:w="w" xmlns:r="r"><w:p>{paragraph}</w:p></w:document>'


@pytest.mark.parametrize(
    ("paragraph", "lines"),
    [
        ("<w:r><w:t>a </w:t></w:r><w:proofErr/><w:r w:rsidR='1'><w:t>b</w:t></w:r>", ["a b"]),
        ("<w:r><w:rPr><w:lang w:val='x'/></w:rPr><w:t>a </w:t></w:r><w:r><w:rPr></w:rPr><w:t>b</w:t></w:r>", ["a b"]),
        ("<w:hyperlink r:id='1'><w:r><w:t>a</w:t></w:r></w:hyperlink><w:r><w:t> b</w:t></w:r>", ["a b"]),
        ("<w:r><w:t>a</w:t></w:r><w:r><w:drawing><w:p><w:r><w:t>b</w:t></w:r></w:p></w:drawing></w:r>", ["a"]),
        (
            "<w:pPr/><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t></w:r><w:del><w:r><w:delText>c</w:delText></w:r></w:del>",
            ["a", "b"],
        ),
        ("<w:r><w:t/></w:r><w:r/>", []),
    ],
)
def test_units_are_the_texts_of_paragraphs(paragraph: str, lines: list[str]) -> None:
    parts = docx_parts(xml(paragraph), "x")
    assert [part.layout()[0] for part in parts if isinstance(part, Unit)] == lines


def packed(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/") + ".xml", content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK nothing", "x.docx: not a .docx, or damaged: File is not a zip file (save it again as .docx)"),
        (packed(a=b"b"), "x.docx: no .docx: it has no word/document.xml (save it as .docx)"),
        (
            packed(word__document=b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"),
            "x.docx/word/document.xml:1: declares the entity 'b' (write its text in place of it)",
        ),
        (
            packed(word__document=b"<a/>", big=b"0" * 2_000),
            "x.docx: 2 members of 2,004 bytes, which is too much (at most 10,000 of 1,000 bytes)",
        ),
    ],
)
def test_what_is_no_document_is_one_line(content: bytes, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNPACKED", 1_000)
    with pytest.raises(DataError) as caught:
        translate_document(content, "docx", backwards, Setting(name="x.docx"))
    assert str(caught.value) == message

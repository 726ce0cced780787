"""`nmt translate --format`: documents, whose text is translated in place."""

from pathlib import Path

import docx
import pytest
from conftest import Run
from documents import unbalanced

PAGE = """\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>The chef knows us.</title><style>b { color: red }</style></head>
<body class="a">
<h1>The <em>curious</em> chef</h1>
<ul><li>The chef knows us.<li><a href="b?c&amp;d">The tourists flew to Munich.</a></ul>
<p>The <b>old <i>teacher</i></b> sees <img src="c.png"> the <code>dog(1)</code>.<br>12 &mdash; 3</p>
</body></html>
"""
OPTIONS = ["--device", "cpu"]


def test_a_page_is_translated_in_place(tiny_model: Path, nmt: Run, nmt_here: Run, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(PAGE, encoding="utf-8")
    done = nmt("translate", tiny_model, "--format", "html", "-i", "page.html", "-o", "out.html", *OPTIONS, cwd=tmp_path)
    assert (done.code, done.out) == (0, "")
    # The attention of a tiny model may align no word with that of a tag.
    assert all(message.startswith("nmt: warning: tags whose text was not found") for message in done.surprises)
    found = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert unbalanced(found) == []
    lines = ["The chef knows us.", "The tourists flew to Munich.", "The curious chef"]
    plain = nmt_here("translate", tiny_model, *OPTIONS, stdin="\n".join(lines).encode()).lines
    # A unit without tags inside has the text of the line.
    assert f"<title>{plain[0]}</title><style>b {{ color: red }}</style>" in found
    assert f'<li>{plain[0]}<li><a href="b?c&amp;d">{plain[1]}</a></ul>\n<p>' in found
    assert found.startswith('<!doctype html>\n<html lang="de">\n<head><meta charset="utf-8">')
    assert found.endswith("<br>12 &mdash; 3</p>\n</body></html>\n")
    for tag in ("<em>", "</em>", "<b>", "<i>", "</i>", "</b>", '<img src="c.png">', "<code>dog(1)</code>"):
        assert found.count(tag) == 1
    heading = found.partition("<h1>")[2].partition("</h1>")[0]
    assert heading.replace("<em>", "").replace("</em>", "") == plain[2]


def test_markdown_comes_by_a_pipe(tiny_model: Path, nmt_here: Run) -> None:
    source = "# The chef knows us.\n\n```\ncode\n```\n- The old *teacher* sees [the dog](x).\n"
    done = nmt_here("translate", tiny_model, "--format", "markdown", *OPTIONS, stdin=source.encode())
    (plain,) = nmt_here("translate", tiny_model, *OPTIONS, stdin=b"The chef knows us.\n").lines
    assert done.code == 0
    assert done.lines[:5] == [f"# {plain}", "", "```", "code", "```"]
    assert done.lines[5].startswith("- ")
    assert done.lines[5].count("[") == done.lines[5].count("](x)") == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--n-best", "2"], "--n-best is for lines, and --format html for a document"),
        (["--alignment"], "--alignment is for lines, and --format html for a document"),
        (["--sample"], "--sample is for lines, and --format html for a document"),
        (["--errors", "replace"], "--errors is for lines, and --format html for a document"),
        (["--prefix", "x"], "--prefix is for lines, and --format html for a document"),
        (["-i", "missing.html"], "missing.html: no such file"),
        (["-i", "latin.html"], "latin.html:2: not UTF-8: byte 0xe9"),
    ],
)
def test_what_a_document_cannot_be_is_one_line(
    tiny_model: Path, nmt_here: Run, tmp_path: Path, flags: list[str], message: str
) -> None:
    (tmp_path / "latin.html").write_bytes(b"<p>\n\xe9</p>")
    done = nmt_here("translate", tiny_model, "--format", "html", "-o", "out.html", *flags, *OPTIONS, cwd=tmp_path)
    assert done.code == (3 if "-i" in flags else 2)
    assert done.messages[0].startswith(f"nmt: {message}")
    assert len(done.messages) == 1
    assert not (tmp_path / "out.html").exists()


def test_ranks_share_no_document(tiny_model: Path, nmt_here: Run) -> None:
    env = {"WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "x"}
    done = nmt_here("translate", tiny_model, "--format", "html", *OPTIONS, stdin=b"<p>a", env=env)
    message = "several ranks share lines, not a document (start the command without torchrun)"
    assert (done.code, done.messages) == (2, [f"nmt: {message}"])


def test_every_format_has_the_text_of_the_line(tiny_model: Path, nmt_here: Run, tmp_path: Path) -> None:
    line = "The chef knows us."
    (plain,) = nmt_here("translate", tiny_model, *OPTIONS, stdin=line.encode()).lines
    sources = {
        "xliff": f'<xliff srcLang="en"><unit><segment><source>{line}</source></segment></unit></xliff>',
        "po": f'msgid "{line}"\nmsgstr ""\n',
        "tmx": f'<tmx><body><tu><tuv xml:lang="en"><seg>{line}</seg></tuv></tu></body></tmx>',
        "csv": f"id;text\n1;{line}\n",
        "srt": f"1\n00:00:01,000 --> 00:00:02,000\n{line}\n",
    }
    for kind, source in sources.items():
        flags = ["--column", "text"] if kind == "csv" else []
        done = nmt_here("translate", tiny_model, "--format", kind, *flags, *OPTIONS, stdin=source.encode())
        assert done.code == 0, done.err
        assert plain in done.out
        assert (line in done.out) == (kind != "srt")
    document = docx.Document()
    document.add_paragraph(line)
    document.save(str(tmp_path / "a.docx"))
    done = nmt_here("translate", tiny_model, "--format", "docx", "-i", "a.docx", "-o", "b.docx", *OPTIONS, cwd=tmp_path)
    assert done.code == 0, done.err
    assert [one.text for one in docx.Document(str(tmp_path / "b.docx")).paragraphs] == [plain]


def test_the_column_is_a_table_s(tiny_model: Path, nmt_here: Run) -> None:
    done = nmt_here("translate", tiny_model, "--column", "2", *OPTIONS)
    assert (done.code, done.messages) == (2, ["nmt: --column is a table's (add --format csv)"])

"""`nmt report`, and the report that a run ends with, as a user and as a browser see them."""

import json
import re
import shutil
from pathlib import Path

import pytest
from browser import DARK, NO_SCRIPT, needs_chromium, picture, show
from conftest import Run, TinyRun, tree
from pages import check_page


@pytest.fixture(scope="module")
def reported(tiny: TinyRun, nmt_here: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of a run that was run again, with its report."""
    home = tmp_path_factory.mktemp("reported")
    folder = tiny.copy(home / "tiny")
    said = nmt_here("run", tiny.recipe, "--run-dir", folder, env={"NMT_NO_REPORT": "0"})
    assert (said.code, said.lines[-1]) == (0, f"Report: {folder / 'report.html'}")
    assert all("skipped" in message for message in said.messages)
    return folder / "report.html"


def test_a_run_ends_with_its_report_and_all_else_is_as_without(reported: Path, tiny: TinyRun) -> None:
    check_page(reported.read_text(encoding="utf-8"))
    made = tree(reported.parent)
    assert made.keys() - tree(tiny.folder).keys() == {"report.html", "report.json"}
    assert {name: data for name, data in made.items() if not name.startswith("report.")} == tree(tiny.folder)


def test_no_report_is_written_where_none_is_wanted_and_reproduce_writes_one_too(
    nmt_here: Run, tiny: TinyRun, tmp_path: Path
) -> None:
    folder = tiny.copy(tmp_path / "run")
    wanted = {"NMT_NO_REPORT": "0"}
    said = nmt_here("run", tiny.recipe, "--run-dir", folder, "--no-report", env=wanted)
    assert (said.code, "Report" in said.out) == (0, False)
    assert not (folder / "report.html").exists()
    (folder / "report.html").write_text("stale", encoding="utf-8")
    said = nmt_here("reproduce", tiny.folder / "lock.json", "--run-dir", folder, env=wanted)
    assert (said.code, said.lines[0]) == (0, f"Report: {folder / 'report.html'}")
    assert said.lines[1].startswith("PASS test: BLEU ")
    assert (folder / "report.html").stat().st_size > 10_000


def test_a_report_is_written_elsewhere_with_the_same_figures(
    nmt_here: Run, tiny: TinyRun, reported: Path, tmp_path: Path
) -> None:
    page = tmp_path / "new" / "page.html"
    said = nmt_here("report", tiny.folder, "-o", page)
    assert (said.code, said.out, said.err) == (0, "", f"report: written to {page}\n")
    assert sorted(path.name for path in page.parent.iterdir()) == ["page.html", "page.json"]
    assert page.read_bytes() == reported.read_bytes()
    said = nmt_here("report", tiny.folder, "--json")
    assert (said.code, said.err) == (0, "")
    assert json.loads(said.out) == json.loads(page.with_suffix(".json").read_text(encoding="utf-8"))
    assert not (tiny.folder / "report.html").exists()


def test_what_cannot_be_reported_is_one_line(nmt_here: Run, tiny: TinyRun, tmp_path: Path) -> None:
    folder = tiny.copy(tmp_path / "run")
    shutil.rmtree(folder / "evaluation")
    again = "(`nmt run` with this run folder makes what is missing)"
    name = "(name a folder that `nmt run` made, such as runs/demo)"
    (tmp_path / "file").touch()
    (tmp_path / "page.html").mkdir()
    for arguments, code, line in (
        ([folder], 4, f"{folder}: a run without scores {again}"),
        (
            [tmp_path / "no"],
            4,
            f"{tmp_path / 'no'}: not a run folder {name}",
        ),
        ([tiny.folder, "-o", "x.pdf"], 2, "-o x.pdf: not the name of a page (name it .html or .htm)"),
        ([tiny.folder, folder], 2, "the report of several runs needs a name (add -o FILE.html)"),
        ([tiny.folder, tiny.folder, "-o", "x.html"], 2, f"{tiny.folder}: the same run twice (name each run once)"),
        ([tiny.folder, "-o", "x.html", "--json"], 2, "--json writes no file (leave out -o, or --json)"),
        ([tiny.folder, "-o", tmp_path / "file" / "x.html"], 4, f"{tmp_path / 'file' / 'x.html'}: Not a directory"),
        ([tiny.folder, "-o", tmp_path / "page.html"], 4, f"{tmp_path / 'page.html'}: Is a directory"),
    ):
        said = nmt_here("report", *arguments)
        assert (said.code, said.out, said.err) == (code, "", f"nmt: {line}\n")


@needs_chromium
def test_a_browser_shows_the_report_without_errors_or_requests(reported: Path, tmp_path: Path) -> None:
    shown = show(reported, tmp_path)
    assert (shown.messages, shown.requests) == ([], [])
    titles = re.findall("<h2[^>]*>([^<]*)<", shown.dom)
    assert titles == [
        *("Summary", "Scores", "Training", "Data", "Quality", "Translations", "Attention", "Lock"),
    ]


@needs_chromium
def test_the_report_looks_the_same_without_script_and_dark_where_that_is_wanted(reported: Path, tmp_path: Path) -> None:
    light, plain, dark = (picture(reported, tmp_path, *options) for options in ([], [NO_SCRIPT], [DARK]))
    assert len(light) > 20_000
    assert light == plain
    assert light != dark


@needs_chromium
def test_a_page_that_asks_for_something_or_fails_is_found(tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text("<img src='https://example.org/x.png'><script>nothing()</script>", encoding="utf-8")
    shown = show(page, tmp_path)
    assert shown.requests == ["https://example.org/x.png"]
    assert "nothing is not defined" in "".join(shown.messages)


def test_curves_are_plotted_by_tokens_or_hours_and_what_cannot_be_is_one_line(
    nmt_here: Run, tiny: TinyRun, tmp_path: Path
) -> None:
    path = tmp_path / "curves.svg"
    said = nmt_here("plot", tiny.folder, "--curves", "loss", "bleu", "--by", "tokens", "-o", path)
    assert (said.code, said.out, said.err) == (0, "", f"plot: drawn to {path}\n")
    assert path.read_text(encoding="utf-8").count(">target tokens<") == 2
    cases: tuple[tuple[list[str | Path], str], ...] = (
        (["--curves", "bleux", "-o", path], "no curve 'bleux' (choose among loss, "),
        (["-o", tmp_path / "curves.docx"], f"-o {tmp_path / 'curves.docx'}: not the name of a picture (end it "),
        ([tiny.folder, "-o", path], f"{tiny.folder}: the same run twice"),
    )
    for arguments, line in cases:
        said = nmt_here("plot", tiny.folder, *arguments)
        assert (said.code, said.out, said.err[: len(line) + 5]) == (2, "", f"nmt: {line}")

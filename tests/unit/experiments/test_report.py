"""The report: one valid page that holds text of any kind as text, rewritten only where its facts have changed."""

import errno
import re
from copy import deepcopy
from pathlib import Path

import pytest
from conftest import TinyRun, tree
from pages import check_page

from nmt.errors import UsageError
from nmt.experiments import report as module
from nmt.experiments.compare import open_runs
from nmt.experiments.finished_run import FinishedRun
from nmt.experiments.report import HERE, comparison_of, page, readable, report_after_run, write_report
from nmt.files import JsonObject, read_json, write_text
from nmt.run_folder import RunFolder


def test_a_page_is_whole_and_says_what_the_facts_say(facts_of_tiny: JsonObject) -> None:
    found = check_page(page(facts_of_tiny))
    run = facts_of_tiny["runs"][0]
    scores = run["tests"]["test"]["scores"]
    for text in (
        *(f"{score['score']:.2f}" for score in scores.values()),
        *(score["signature"] for score in (scores["ter"], scores["bleu"]["interval"])),
        *("Loss, by step", "Gradient norm, by step", "Target tokens per second, by step", "Learning rate, by step"),
        *(digest for files in run["data"].values() for digest in files.values()),
        *run["sessions"][0]["versions"].values(),
        run["tests"]["test"]["extremes"]["worst"][0]["source"],
    ):
        assert text in found.text
    # Two heads of one layer, of three kinds; by norms those of cross-attention, and all heads together of each kind.
    maps = (2 * 3 + 2 + 3) * len(run["attention"])
    assert len(found.all("figure")) == 6 + 1 + 2 + len(run["attention"]) + maps
    assert len(found.all("image")) == maps
    assert all(svg["aria-label"] for svg in found.all("svg") if svg.get("role") == "img")
    assert sum(" by norms, " in (svg.get("aria-label") or "") for svg in found.all("svg")) == 5 * len(run["attention"])
    assert {one["lang"] for one in found.all("dd")} == {"en", "de"}
    assert re.match(
        r"Loss\. training: [\d.]+ at step 1, [\d.]+ at step 200, least ", found.all("svg")[0]["aria-label"] or ""
    )


EVIL = '<script>alert("x")</script>&lt;{{ 7 * 7 }}{% raw %}</dd>'


def test_text_of_the_data_is_text(facts_of_tiny: JsonObject) -> None:
    changed = deepcopy(facts_of_tiny)
    run = changed["runs"][0]
    run["name"] = run["description"] = run["recipe_toml"] = EVIL
    run["missing"] = [EVIL]
    run["data"][EVIL] = {EVIL: EVIL}
    run["funnel"]["corpora"] = [EVIL, "b"]
    run["training"]["events"] = [{"kind": EVIL, "step": 3, EVIL: EVIL}]
    run["tests"][EVIL] = run["tests"]["test"]
    seen = run["attention"][0]
    seen["source"] = seen["translation"] = seen["source_pieces"][0] = seen["source_words"][0] = EVIL
    line = run["tests"]["test"]["extremes"]["worst"][0]
    line["source"], line["hypothesis"], line["reference"] = EVIL, [[False, EVIL]], [[True, EVIL]]
    run["tests"]["test"]["extremes"]["worst"][1]["source"] = "مرحبا بالعالم 猫が眠る"
    run["source"] = "ara_Arab"
    found = check_page(page(changed))
    assert found.text.count(EVIL) > 15
    assert "مرحبا بالعالم 猫が眠る" in found.text
    assert {"ara-Arab", "de"} == {one["lang"] for one in found.all("dd")}
    assert {one["dir"] for one in found.all("dd")} == {"auto"}


def test_bars_of_the_funnel_are_no_wider_than_the_widest(facts_of_tiny: JsonObject) -> None:
    changed = deepcopy(facts_of_tiny)
    funnel = changed["runs"][0]["funnel"]
    steps = [("read", 100), ("added: upper", 25), ("kept", 125)]
    funnel["steps"] = [{"name": name, "pairs": pairs, "corpora": {}} for name, pairs in steps]
    widths = re.findall(r'<td class="bar"[^>]*><span style="width: ([\d.]+)%"', page(changed))
    assert widths[:3] == ["80.0", "20.0", "100.0"]


def test_a_run_of_which_little_is_left_has_a_page_too(facts_of_tiny: JsonObject) -> None:
    changed = deepcopy(facts_of_tiny)
    run = changed["runs"][0]
    run |= {"funnel": None, "lengths": None, "curves": {}, "results": {}, "attention": [], "missing": ["this and that"]}
    run["training"] |= {"steps": None, "best_step": None, "seconds": None}
    run["tests"]["test"] |= {"lines": None, "analysis": None, "extremes": None}
    found = check_page(page(changed))
    assert "this and that" in found.text
    assert "There are none to show." in found.text
    assert found.all("figure") == []


def test_characters_that_html_or_utf_8_may_not_hold_are_escapes() -> None:
    assert readable({"a\udcff": ["b\0\x1b", 1, None, ("c\td", True)]}) == {
        "a\\udcff": ["b\\x00\\x1b", 1, None, ["c\td", True]]
    }


def luminance(color: str) -> float:
    parts = [int(color[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as WCAG 2 defines it."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_texts_and_lines_have_contrast_on_every_ground_light_and_dark() -> None:
    css = (HERE / "report.css").read_text(encoding="utf-8")
    schemes = [dict(re.findall(r"(--\w+): (#\w{6});", block.partition("}")[0])) for block in css.split(":root {")[1:]]
    assert [len(scheme) for scheme in schemes] == [15, 15]
    for scheme in schemes:
        for ground in ("--paper", "--panel"):
            assert all(contrast(scheme[name], scheme[ground]) >= 4.5 for name in ("--ink", "--soft", "--link"))
        assert contrast(scheme["--ink"], scheme["--mark"]) >= 4.5
        assert all(contrast(scheme[f"--c{number}"], scheme["--paper"]) >= 4.5 for number in range(8))


def test_page_and_figures_are_written_whole_and_only_where_the_run_has_changed(
    facts_of_tiny: JsonObject,
    tiny: TinyRun,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "facts_of", lambda run, _: {**facts_of_tiny["runs"][0], "name": run.log[-1]["kind"]})
    folder = RunFolder(tiny.copy(tmp_path / "run"))
    before = tree(folder.path)
    report_after_run(folder)
    path = folder.path / "report.html"
    assert capsys.readouterr().out == f"Report: {path}\n"
    after = tree(folder.path)
    assert after.keys() - before.keys() == {"report.html", "report.json"}
    assert {name: after[name] for name in before} == before
    assert read_json(folder.path / "report.json")["runs"][0]["name"] == "dev"
    assert "Report of the run dev" in path.read_text(encoding="utf-8")
    path.write_text("mine", encoding="utf-8")
    report_after_run(folder)
    assert path.read_text(encoding="utf-8") == "mine"
    with folder.log.open("a", encoding="utf-8") as log:
        log.write('{"kind": "rollback", "step": 200}\n')
    report_after_run(folder)
    assert "Report of the run rollback" in path.read_text(encoding="utf-8")
    capsys.readouterr()

    def fail(*_: object) -> None:
        raise ZeroDivisionError("by nought")

    path.unlink()
    monkeypatch.setattr(module, "write_report", fail)
    report_after_run(folder)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "nmt: warning: the report was not written: ZeroDivisionError: by nought\n")


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_in_a_folder_that_cannot_be_written_there_is_no_report_and_no_warning_but_on_a_full_disk(
    number: int, tiny: TinyRun, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise OSError(number, "refused", str(path))

    monkeypatch.setattr(module, "check_output", refuse)
    report_after_run(RunFolder(tiny.folder))
    said = capsys.readouterr()
    assert (said.out, bool(said.err)) == ("", number == errno.ENOSPC)
    assert not (tiny.folder / "report.html").exists()


def test_an_output_that_cannot_be_written_is_named(facts_of_tiny: JsonObject, tmp_path: Path) -> None:
    (tmp_path / "page.html").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        write_report(facts_of_tiny, tmp_path / "page.html")
    assert caught.value.filename == str(tmp_path / "page.html")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html"]


@pytest.fixture(scope="module")
def compared(tiny: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> JsonObject:
    """Return the facts of a run beside another one, named to do harm, whose first ten translations are perfect."""
    folder = tiny.copy(tmp_path_factory.mktemp("compared") / NAME)
    run = FinishedRun.open(folder)
    lines = run.lines("test")
    better = [*lines.references[:10], *lines.hypotheses[10:]]
    (folder / "evaluation" / "test.de").write_text("".join(f"{line}\n" for line in better), encoding="utf-8")
    write_text(folder / "log.jsonl", run.folder.log.read_text(encoding="utf-8").replace('"bleu": ', '"bleu": 1'))
    return comparison_of(open_runs([tiny.folder, folder]), ["test"])


NAME = "<b>猫 & $x$"


def test_several_runs_are_one_page_with_their_differences(compared: JsonObject) -> None:
    found = check_page(page(compared))
    score = compared["scores"]["tests"]["test"][NAME]["bleu"]
    assert score["difference"]["value"] > 10
    for text in (
        f"{score['difference']['value']:+.2f}",
        f"{score['difference']['bootstrap_p']:.4f}",
        score["signature"],
    ):
        assert text in found.text
    assert found.text.count(NAME) > 10
    assert "b" not in {tag for tag, _ in found.elements}
    assert len(found.all("figure")) == 7
    assert "The locks are the same." in found.text
    assert [run["name"] for run in compared["runs"]] == ["tiny", NAME]
    assert compared["runs"][0]["curves"]["loss"] == compared["runs"][1]["curves"]["loss"]
    assert compared["runs"][0]["curves"]["bleu"] != compared["runs"][1]["curves"]["bleu"]
    assert len(compared["scores"]["lines"]["test"]["lines"]) == 8


def test_a_lock_alone_has_no_curves_to_lay_over_others(tiny: TinyRun, tmp_path: Path) -> None:
    write_text(tmp_path / "lock.json", (tiny.folder / "lock.json").read_text(encoding="utf-8"))
    with pytest.raises(UsageError) as caught:
        comparison_of(open_runs([tiny.folder, tmp_path / "lock.json"]), ["test"])
    assert str(caught.value) == (
        f"{tmp_path / 'lock.json'}: a lock, not a run folder (name the run folder; `nmt compare` takes locks)"
    )


def test_what_is_left_out_is_said(
    tiny: TinyRun, facts_of_tiny: JsonObject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = {**facts_of_tiny["runs"][0], "missing": ["there are no lines"]}
    monkeypatch.setattr(module, "facts_of", lambda *_: run)
    assert module.report_of(tiny.folder)["runs"][0]["missing"] == ["there are no lines"]
    assert capsys.readouterr().err == f"nmt: warning: {tiny.folder}: left out of the report: there are no lines\n"

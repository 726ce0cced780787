"""Curves for a paper: the formats, the labels, and what cannot be drawn."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from conftest import TinyRun
from pages import Page
from runs import copy_scored

from nmt.errors import ArtifactError, UsageError
from nmt.experiments.finished_run import FinishedRun
from nmt.experiments.plotting import check_ending, labels_of, plot, plot_curves


def run(name: str, *bleu: float) -> FinishedRun:
    log: list[dict[str, Any]] = [{"kind": "dev", "step": step, "bleu": score} for step, score in enumerate(bleu, 1)]
    folder = SimpleNamespace(path=Path("runs") / name, log=Path("runs") / name / "log.jsonl")
    return cast("FinishedRun", SimpleNamespace(name=Path(name).name, log=log, folder=folder))


RUNS = [run("a", 1, 5), run("b", 2, 4)]
MARKS = {".pdf": b"%PDF", ".svg": b"<?xml", ".png": b"\x89PNG"}


@pytest.mark.parametrize("ending", MARKS)
def test_the_same_curves_give_the_same_picture_in_the_format_of_its_name(tmp_path: Path, ending: str) -> None:
    paths = [tmp_path / f"{name}{ending}" for name in "xy"]
    for path in paths:
        plot_curves(RUNS, ["bleu"], path, labels=["a", "b"], axis="steps", width=3)
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert first.startswith(MARKS[ending])


def test_labels_stand_once_as_they_are_and_all_curves_that_a_run_has(tmp_path: Path) -> None:
    path = tmp_path / "p.svg"
    plot_curves([*RUNS, run("c")], ["bleu"], path, labels=["$x$ <b>", "浅い", "c"], axis="steps", width=5.5)
    svg = path.read_text(encoding="utf-8")
    text = Page(svg).text
    assert text.count("$x$ <b>") == text.count("浅い") == text.count("dev BLEU") == text.count("step") == 1
    assert float(svg.partition('width="')[2].partition("pt")[0]) == pytest.approx(5.5 * 72)


def test_a_picture_without_curves_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        plot_curves(RUNS, ["bleu", "loss"], tmp_path / "p.pdf", labels=["a", "b"], axis="steps", width=5.5)
    assert str(caught.value) == "runs/a/log.jsonl: has no training loss (choose other --curves)"
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_is_missing_is_named(tiny: TinyRun, tmp_path: Path) -> None:
    folders = [copy_scored(tiny.folder, tmp_path / name) for name in "ab"]
    (log := folders[1] / "log.jsonl").unlink()
    with pytest.raises(ArtifactError) as caught:
        plot(folders, tmp_path / "p.pdf", curves=["bleu"], labels=[], axis="steps", width=5.5)
    assert str(caught.value) == f"{log}: missing (the curves of a run are in its log)"


def test_an_ending_that_is_no_picture_is_named_with_those_that_are() -> None:
    check_ending(Path("x.PDF"))
    with pytest.raises(UsageError, match=r"-o x\.docx: not the name of a picture \(end it in one of .*\.pdf, .*\.svg"):
        check_ending(Path("x.docx"))


def test_labels_are_given_or_names_or_folders_and_never_the_same() -> None:
    assert labels_of(RUNS, []) == ["a", "b"]
    assert labels_of([run("x/a"), run("y/a"), run("c")], []) == ["runs/x/a", "runs/y/a", "c"]
    assert labels_of(RUNS, ["one", "other"]) == ["one", "other"]
    for runs, given, message in (
        (RUNS, ["one"], "--labels: 1 for 2 runs (give one for each run)"),
        (RUNS, ["one", "one"], "one: two runs have this label"),
        ([RUNS[0], RUNS[0]], [], "runs/a: the same run twice"),
    ):
        with pytest.raises(UsageError) as caught:
            labels_of(runs, given)
        assert str(caught.value) == message

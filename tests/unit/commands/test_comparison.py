"""Scores of lines, which are of one test set."""

from pathlib import Path

import pytest
from conftest import TinyRun
from runs import copy_scored

from nmt.commands.comparison import compare, lines_of
from nmt.errors import UsageError
from nmt.experiments.compare import open_runs


def test_scores_of_lines_are_of_one_test_set_with_lines(tiny: TinyRun, tmp_path: Path) -> None:
    first, second = copy_scored(tiny.folder, tmp_path / "a"), copy_scored(tiny.folder, tmp_path / "b")
    runs = open_runs([first, second])
    assert lines_of(runs, ["test"]) == 20
    with pytest.raises(UsageError) as caught:
        lines_of(runs, ["test", "other"])
    assert str(caught.value) == "--scores are of one test set, not of test, other (choose it: --test NAME)"
    lock = second / "lock.json"
    with pytest.raises(UsageError) as caught:
        lines_of(open_runs([first, lock]), ["test"])
    assert str(caught.value) == f"{lock}: a lock alone, without the lines of --scores (name the run folder)"


def test_scores_of_lines_are_matched_with_runs_by_their_names(tiny: TinyRun, tmp_path: Path) -> None:
    folders = [copy_scored(tiny.folder, tmp_path / name) for name in "ab"]
    (tmp_path / "scores").write_text("b\t2\na\t1\n" * 20)
    differences, scores = compare(folders, None, [], [f"m:1={tmp_path / 'scores'}"], is_tested=False, lines=0)
    assert differences.runs == ["a", "b"]
    assert [found["m:1"]["score"] for found in scores.tests["test"].values()] == [1, 2]
    assert list(scores.tests["test"]["a"]) == ["bleu", "chrf", "m:1"]

"""Scores of lines that were made elsewhere: means, tests, and the systems that they belong to."""

import numpy as np
import pytest

from nmt.errors import DataError, UsageError
from nmt.evaluation.line_scores import LineScores, match_systems, split_name
from nmt.evaluation.metrics import score
from nmt.evaluation.significance import SEED, compare, ends

COMET = "comet:wmt22-comet-da"


def systems(lines: int, shift: float) -> dict[str, dict[str, LineScores]]:
    rng = np.random.default_rng(1)
    base = rng.normal(0.8, 0.1, lines)
    other = base + shift + rng.normal(0, 0.1, lines)
    return {"a": {COMET: LineScores(COMET, base.tolist())}, "b": {COMET: LineScores(COMET, other.tolist())}}


def test_the_score_is_the_mean_with_the_interval_of_a_bootstrap_over_lines() -> None:
    given = systems(150, 0.0)
    found = compare(given, [COMET])["a"][COMET]
    values = np.array(given["a"][COMET].values)
    assert (found["score"], found["signature"]) == (float(values.mean()), COMET)
    rng = np.random.default_rng(int(SEED))
    samples = values[rng.choice(150, size=(1000, 150))].mean(axis=1)
    interval = found["interval"]
    assert (interval["low"], interval["high"]) == pytest.approx(ends(samples), rel=1e-12)
    assert interval["signature"] == f"{COMET}|seed:12345|bs:1000"


@pytest.mark.parametrize(("shift", "is_different"), [(0.05, True), (-0.05, True), (0.0, False)])
def test_a_difference_of_means_is_tested_on_both_sides(shift: float, is_different: bool) -> None:
    difference = compare(systems(150, shift), [COMET])["b"][COMET]["difference"]
    for p in (difference["randomization_p"], difference["bootstrap_p"]):
        assert (p < 0.01) == is_different
    assert (difference["low"] <= 0 <= difference["high"]) != is_different
    assert difference["randomization_signature"] == f"{COMET}|seed:12345|ar:10000"
    assert difference["value"] == pytest.approx(shift, abs=0.02)


def test_the_drawn_lines_are_those_of_other_metrics() -> None:
    lines = LineScores("m:1", [1.0, 2.0, 6.0])
    assert (lines.score(), lines.sums().tolist()) == ({"score": 3.0, "signature": "m:1"}, [9.0, 3.0])
    assert lines.scores_of(np.array([[9.0, 3.0], [4.0, 1.0]])).tolist() == [3.0, 4.0]
    assert np.sum(lines.lines, axis=0).tolist() == [9.0, 3.0]
    assert score(["a"], [["a"]], metrics=["chrf++"])["chrf++"]["signature"].split("|")[4] == "nw:2"


@pytest.mark.parametrize(
    ("given", "name", "path"),
    [
        ("comet:wmt22-comet-da=a=b.txt", COMET, "a=b.txt"),
        ("metricx:24-hybrid-xl:v2p6=C:/x", "metricx:24-hybrid-xl:v2p6", "C:/x"),
    ],
)
def test_a_name_has_metric_and_version(given: str, name: str, path: str) -> None:
    assert split_name(given) == (name, path)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("scores.txt", "no metric is named"),
        ("comet=scores.txt", "a score needs the metric's name and version"),
        ("comet: =x", "a score needs the metric's name and version"),
        (":1=x", "a score needs the metric's name and version"),
        ("a:b|c=x", "a score needs the metric's name and version"),
        ("comet:22", "no file is named"),
        ("comet:22=", "no file is named"),
    ],
)
def test_a_score_without_its_version_or_file_is_refused(given: str, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        split_name(given)
    assert str(caught.value) == f"--scores {given}: {problem} (write --scores comet:wmt22-comet-da=FILE)"


def values(found: dict[str, LineScores]) -> dict[str, float]:
    return {system: scores.values[0] for system, scores in found.items()}


def test_columns_belong_to_systems_by_name_or_else_by_their_place() -> None:
    table = {"f": {"x/b.de": [2.0], "a.de": [1.0], "c.de": [3.0]}}
    assert values(match_systems("m:1", table, ["out/a.de", "b.de"], 1)) == {"out/a.de": 1.0, "b.de": 2.0}
    apart = {"f": {"": [1.0]}, "g": {"other": [2.0]}}
    assert values(match_systems("m:1", apart, ["a", "b"], 1)) == {"a": 1.0, "b": 2.0}
    assert values(match_systems("m:1", {"f": {"other": [4.0]}}, ["a"], 1)) == {"a": 4.0}


def test_columns_that_belong_to_no_system_are_refused() -> None:
    with pytest.raises(DataError, match=r"^m:1=f: scores of 2 systems \(x, y\), not of a, b \(give one file"):
        match_systems("m:1", {"f": {"x": [1.0], "y": [2.0]}}, ["a", "b"], 1)
    with pytest.raises(DataError, match=r"^m:1=f: scores of 1 systems \(\?\), not of a, b \(give one file"):
        match_systems("m:1", {"f": {"": [1.0]}}, ["a", "b"], 1)
    with pytest.raises(DataError, match=r"^m:1=f: 2 scores of a, which has 3 lines$"):
        match_systems("m:1", {"f": {"": [1.0, 2.0]}}, ["a"], 3)

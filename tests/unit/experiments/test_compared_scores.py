"""Scores of runs: over lines, over seeds, and the lines that differ most."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TinyRun
from runs import copy_scored

from nmt.errors import UsageError
from nmt.evaluation.line_scores import LineScores
from nmt.evaluation.significance import RunsTest
from nmt.experiments.compare import Compared, open_runs
from nmt.experiments.compared_scores import (
    ComparedScores,
    SettingScores,
    Systems,
    compare_scores,
    settings_of,
    shared_tests,
)
from nmt.files import read_json, write_json

Copy = Callable[..., Path]


@pytest.fixture
def copy(tiny: TinyRun, tmp_path: Path) -> Copy:
    return lambda name, **changes: copy_scored(tiny.folder, tmp_path / name, **changes)


def translations(folder: Path) -> list[str]:
    return (folder / "evaluation" / "test.de").read_text(encoding="utf-8").split("\n")[:-1]


def translate_anew(folder: Path, lines: dict[int, str]) -> None:
    """Replace translations by their line numbers, as a run of another model has them; scores stay as recorded."""
    new = [lines.get(number, line) for number, line in enumerate(translations(folder), 1)]
    (folder / "evaluation" / "test.de").write_text("".join(f"{line}\n" for line in new), encoding="utf-8")


def rename_test(folder: Path, old: str, new: str) -> None:
    scores = read_json(folder / "evaluation" / "scores.json")
    write_json(folder / "evaluation" / "scores.json", {new if name == old else name: scores[name] for name in scores})


def compared(*folders: Path, is_tested: bool = False, lines: int = 0) -> ComparedScores:
    runs = open_runs(folders)
    return compare_scores(runs, shared_tests(runs), is_tested=is_tested, lines=lines)


def test_scores_are_those_of_the_runs_and_tested_against_the_first(copy: Copy) -> None:
    first, second = copy("a"), copy("b", recipe__training__seed=2)
    references = open_runs([first, second])[0].run
    assert references
    translate_anew(second, dict(enumerate(references.lines("test").references, 1)))
    found = compared(first, second, is_tested=True)
    recorded = read_json(first / "evaluation" / "scores.json")["test"]
    assert list(found.tests) == ["test"]
    base, other = found.tests["test"]["a"], found.tests["test"]["b"]
    assert list(base) == list(other) == ["bleu", "chrf"]
    for name in ("bleu", "chrf"):
        assert {key: base[name][key] for key in ("score", "signature")} == recorded[name]
        assert "difference" not in base[name]
        assert other[name]["difference"]["baseline"] == "a"
        assert other[name]["difference"]["value"] == pytest.approx(100 - recorded[name]["score"])
        assert other[name]["difference"]["randomization_p"] < 0.01
    assert found.said == [
        f"test: b: {metric} is 100.0000 with {recorded[name]['signature']}, "
        f"but was recorded as {recorded[name]['score']:.4f} with {recorded[name]['signature']}"
        for name, metric in (("bleu", "BLEU"), ("chrf", "chrF"))
    ]


def test_metrics_are_chosen_and_tests_left_out(copy: Copy) -> None:
    runs = open_runs([copy("a"), copy("b", recipe__training__seed=2)])
    found = compare_scores(runs, ["test"], metrics=["ter", "bleu"], is_tested=False, lines=1)
    assert list(found.tests["test"]["b"]) == ["bleu", "ter"]
    assert found.tests["test"]["b"]["ter"].keys() == {"score", "signature"}
    assert (found.said, found.lines["test"].lines) == ([], [])


def test_scores_of_lines_made_elsewhere_are_tested_beside(copy: Copy) -> None:
    runs = open_runs([copy("a"), copy("b")])
    beside = {name: {"m:1": LineScores("m:1", [value] * 20)} for name, value in (("a", 0.5), ("b", 0.75))}
    found = compare_scores(runs, ["test"], metrics=["chrf"], beside=beside).tests["test"]["b"]
    assert list(found) == ["chrf", "m:1"]
    assert (found["m:1"]["score"], found["m:1"]["difference"]["value"]) == (0.75, 0.25)


def test_a_score_recorded_with_other_settings_is_said(copy: Copy) -> None:
    found = compared(copy("a", recipe__evaluation__lowercase=True), copy("b"))
    assert len(found.said) == 4  # two metrics of two runs
    assert all(
        "case:lc" in said.split(" but was ")[0] and "case:mixed" in said.split(" but was ")[1] for said in found.said
    )


def test_the_lines_that_differ_most_come_first(copy: Copy) -> None:
    first, second, third = copy("a"), copy("b"), copy("c")
    references = open_runs([first, second])[0].run
    assert references
    perfect = references.lines("test").references
    for folder in (first, second, third):
        translate_anew(folder, dict.fromkeys(range(1, 21), "x"))
    translate_anew(second, {4: perfect[3], 7: perfect[6][:9]})
    translate_anew(third, {9: perfect[8][:-1]})
    found = compared(first, second, third, lines=2).lines["test"]
    assert found.signature.startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:0|")
    one, two = found.lines
    assert (one.number, one.reference, one.hypotheses) == (4, perfect[3], {"a": "x", "b": perfect[3], "c": "x"})
    assert one.source == references.lines("test").sources[3]
    assert (one.chrf["a"], one.chrf["b"], two.number) == (0, 100, 9)
    assert one.parts == {"a": [(False, "x")], "b": [(False, perfect[3])], "c": [(False, "x")]}
    assert two.parts["a"] == [(False, "x")] == two.parts["b"]
    assert [line.number for line in compared(first, second, third, lines=9).lines["test"].lines] == [4, 9, 7]
    assert compared(first, second, third).lines == {}


def test_runs_on_different_tests_are_one_line(copy: Copy) -> None:
    first, second = copy("a"), copy("b")
    rename_test(second, "test", "other")
    with pytest.raises(UsageError) as caught:
        compared(first, second, copy("c"))  # the third has the test of the first
    assert str(caught.value) == ("runs on different tests: a has test, b other (compare runs that share a test set)")


def test_a_test_that_not_all_runs_have_is_left_out_and_said(copy: Copy) -> None:
    first, second = copy("a"), copy("b")
    scores = read_json(second / "evaluation" / "scores.json")
    write_json(second / "evaluation" / "scores.json", {**scores, "more": scores["test"]})
    found = compared(first, second)
    assert list(found.tests) == ["test"]
    assert found.said[0] == "test sets that are left out: more"
    write_json(first / "evaluation" / "scores.json", {**scores, "more": scores["test"]})
    runs = open_runs([first, second])
    assert (shared_tests(runs), shared_tests(runs, "more")) == (["test", "more"], ["more"])
    with pytest.raises(UsageError) as caught:
        shared_tests(runs, "x")
    assert str(caught.value) == "--test x: not all runs were scored on it (all were on test, more)"


@pytest.mark.parametrize("side", ["sources", "references"])
def test_a_test_set_of_other_text_is_one_line(copy: Copy, monkeypatch: pytest.MonkeyPatch, side: str) -> None:
    runs = open_runs([copy("a"), copy("b")])
    for run, end in zip(runs, ("one", "other"), strict=True):
        assert run.run
        lines = run.run.lines("test")
        changed = [*getattr(lines, side)[:-2], end, "same"]
        object.__setattr__(lines, side, changed)
        monkeypatch.setitem(vars(run.run), "lines", lambda _, found=lines: found)
    with pytest.raises(UsageError) as caught:
        compare_scores(runs, ["test"])
    assert str(caught.value) == (
        f"runs on different tests: of test, the {side} of b differ from a's from line 19 on "
        "(scores on other text do not compare; `nmt data inspect` describes both)"
    )


def test_locks_alone_are_compared_by_recorded_scores(copy: Copy) -> None:
    first, lock = copy("a"), copy("b") / "lock.json"
    found = compared(first, lock, lines=3, is_tested=True)
    recorded = read_json(first / "evaluation" / "scores.json")["test"]
    assert found.tests == {
        "test": {name: {key: recorded[key] for key in ("bleu", "chrf")} for name in ("a", str(lock))}
    }
    assert found.lines == {}
    values = read_json(lock)
    write_json(lock, {**values, "scores": {"test": {**recorded, "bleu": {"score": 1.0, "signature": "x"}}}})
    other = compared(first, lock)
    assert list(other.tests["test"]["a"]) == ["chrf"]
    assert other.said == ["test: BLEU is left out: not all runs recorded it with one signature"]
    write_json(lock, {**values, "scores": {"test": {"ter": recorded["ter"]}}})
    with pytest.raises(UsageError, match="of test, no metric was recorded by all runs with one signature"):
        compared(first, lock)
    values["results"]["text"]["files"]["test.test/00000.arrow"] = "x"
    write_json(lock, values)
    with pytest.raises(UsageError, match=r"of test, .*lock\.json has other lines than a, by SHA-256"):
        compared(first, lock)


def settings(runs: list[Compared], bleu: list[float]) -> list[tuple[list[str], list[int], SettingScores]]:
    systems: Systems = {
        run.name: {"bleu": {"score": score, "signature": "s"}} for run, score in zip(runs, bleu, strict=True)
    }
    return [(each.runs, each.seeds, each.scores["t"]["bleu"]) for each in settings_of(runs, {"t": systems})]


def test_seeds_of_a_setting_are_grouped_and_settings_tested_over_runs(copy: Copy) -> None:
    seeds = [copy(f"s{seed}", recipe__training__seed=seed, recipe__name=f"s{seed}") for seed in (1, 2)]
    deep = [copy(f"d{seed}", recipe__training__seed=seed, recipe__model__encoder_layers=2) for seed in (1, 2)]
    data = copy("other", data__train={"builtin:train": "x"})
    runs = open_runs([seeds[0], deep[0], data, seeds[1], deep[1]])
    assert settings(runs, [30.0, 35.0, 31.0, 33.0, 36.0]) == [
        (["s1", "s2"], [1, 2], SettingScores(31.5, 4.5**0.5, 30.0, 33.0, "s")),
        (["d1", "d2"], [1, 2], SettingScores(35.5, 0.5**0.5, 35.0, 36.0, "s", 4.0, RunsTest(1 / 3, 1 / 3))),
        (["other"], [1], SettingScores(31.0, None, 31.0, 31.0, "s", -0.5, RunsTest(1.0, 1 / 3))),
    ]


def test_runs_of_one_seed_count_once_and_two_runs_in_all_are_not_tested(copy: Copy) -> None:
    first, again, deep = copy("a"), copy("b", recipe__name="x"), copy("c", recipe__model__encoder_layers=2)
    alone = SettingScores(1.0, None, 1.0, 1.0, "s")
    assert settings(open_runs([first, again]), [1.0, 9.0]) == [(["a"], [1], alone)]
    runs = open_runs([first, again, deep])
    assert settings(runs, [1.0, 9.0, 3.0]) == [
        (["a"], [1], alone),
        (["c"], [1], SettingScores(3.0, None, 3.0, 3.0, "s", 2.0)),
    ]
    assert [found.repeats for found in settings_of(runs, {})] == [{"b": "a"}, {}]
    assert compared(first, again, deep).said == []

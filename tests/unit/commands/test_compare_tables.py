"""The tables of a comparison: what differs, what is the same, and the summary."""

from typing import Any, cast

import pytest

from nmt import console
from nmt.commands.compare_tables import (
    ABOUT_GROUPS,
    ABOUT_SETTINGS,
    ONE_SEED_EACH,
    cell,
    figures,
    named,
    origin,
    show,
    show_inputs,
    show_line,
    show_results,
    show_settings,
    show_trainings,
    spread,
)
from nmt.evaluation import significance
from nmt.evaluation.significance import Difference, RunsTest
from nmt.experiments.compare import Differences, Reason, Training
from nmt.experiments.compared_scores import ComparedScores, DifferingLines, Line, Setting, SettingScores
from nmt.pipeline.lock import InputDifference

SAME = Reason([], None, is_known=True, step=None, last_step=9)
SEED = InputDifference("recipe", "recipe.training.seed", (1, 2), changes_results=True)


@pytest.fixture(autouse=True)
def whole_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "end_with_pipe", lambda: None)


def differences(**values: Any) -> Differences:
    empty: dict[str, Any] = {"inputs": [], "commits": {}, "filters": {}, "bits": {}, "trainings": {}, "curves": {}}
    return Differences(**{"runs": ["a", "b"], **empty, "reasons": {"b": SAME}, "said": [], **values})


def rows(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines that were printed, with single spaces."""
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines() if line]


def test_each_part_that_differs_has_a_table_and_the_others_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    digest = "0123456789abcdef"
    inputs = [
        SEED,
        InputDifference("recipe", "recipe.description", ("x", "y"), changes_results=False),
        InputDifference("data", "data.train.x.en", (digest, None), changes_results=True),
        InputDifference("versions", "versions.torch", ("2.0", None), changes_results=False),
    ]
    show_inputs(differences(inputs=inputs, filters={"train, copies": {"a": 1234}}, commits={"a": "c1", "b": "c2"}))
    assert rows(capsys) == [
        *("Recipe", "a b", "training.seed 1 2"),
        *("Recipe, keys that change no result", "a b", 'description "x" "y"'),
        *("Data, by SHA-256", "a b", "data.train.x.en 0123456789ab missing"),
        *("Environment", "a b", "versions.torch 2.0 not recorded", "code.commit c1 c2"),
        *("Pairs that differ, by corpus and step", "a b", "train, copies 1,234"),
        "The same in all runs: initial model",
    ]
    for commits in ({}, {"a": "c", "b": "c"}):
        show_inputs(differences(commits=commits))
        assert rows(capsys) == ["The same in all runs: recipe, data, initial model, environment"]


@pytest.mark.parametrize(
    ("part", "value", "text"),
    [
        ("recipe", None, '"none"'),
        ("recipe", True, "true"),
        ("data", ["b", "a"], "['b', 'a']"),
        ("init", "0123456789abc", "0123456789ab"),
        ("init", None, "not recorded"),
        ("machine", 0, "0"),
        ("machine", "", "not recorded"),
        ("versions", "v" * 200, "v" * 97 + "..."),
    ],
)
def test_values_are_written_for_their_part(part: str, value: object, text: str) -> None:
    assert cell(InputDifference(part, "key", (value,), changes_results=True), value) == text


def test_results_are_a_table_unless_all_are_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    show_results(differences(bits={"text": {"b": True}, "train": {"b": False}, "bundle": {"b": None}}))
    assert rows(capsys) == [
        "Results, bit by bit beside a",
        "b",
        "text same",
        "train other",
        "bundle not recorded",
    ]
    show_results(differences(bits={"text": {"b": True}, "train": {"b": True}}))
    show_results(differences())
    assert rows(capsys) == [
        "Results: the same bits in all stages: text, train",
        "Results: the same bits in all stages: none",
    ]


def test_trainings_have_a_row_and_curves_a_column_a_step(capsys: pytest.CaptureFixture[str]) -> None:
    trainings = {
        "a": Training(2000, 123456, 61.0, 1500, 39.156, "bleu"),
        "b": Training(None, None, None, None, None, "loss"),
    }
    curves = {
        "train loss": {"a": {step: step / 7 for step in range(1, 18)}},
        "dev BLEU": {"a": {1000: 30.128}, "b": {1000: 2.0}},
    }
    show_trainings(differences(trainings=trainings, curves=curves))
    steps = [2, 4, 6, 8, 10, 12, 14, 17]
    assert rows(capsys) == [
        *("Training", "steps target tokens time best on dev", "a 2,000 123,456 1m 01s BLEU 39.16 at step 1,500"),
        " ".join(["b", *["not recorded"] * 4]),
        *("Train loss by step", " ".join(map(str, steps)), " ".join(["a", *(f"{step / 7:.3f}" for step in steps)])),
        *("Dev BLEU by step", "1,000", "a 30.13", "b 2.00"),
    ]
    assert figures(Training(1, None, None, 0, 1.23456, "loss")) == ["1", "", "", "loss 1.235 at step 0"]
    show_trainings(differences(trainings={"a": Training(None, None, None, None, None, "bleu")}))
    assert rows(capsys) == []
    show_trainings(differences(trainings={"a": Training(5, None, None, None, None, "bleu")}))
    assert rows(capsys) == ["Training", "steps", "a 5"]
    assert spread(range(1, 9)) == [*range(1, 9)]


def test_runs_with_one_translation_share_a_row_and_words_that_differ_are_marked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hypotheses = {"a": "A red dog.", "b": "A blue dog.", "c": "A red dog."}
    parts = {
        name: [(True, "A "), (False, word), (True, " dog.")]
        for name, word in zip("abc", ("red", "blue", "red"), strict=True)
    }
    line = Line(1234, "s", "r", hypotheses, parts, {"a": 50.0, "b": 100.0, "c": 0.0})
    show_line(line)
    assert capsys.readouterr().out.splitlines() == [
        "  line 1,234",
        "  source            s",
        "  reference         r",
        "  a, c        50.0  A red dog.",
        "  b          100.0  A blue dog.",
    ]
    monkeypatch.setattr(console, "paint", lambda text, style, _: f"<{text}>" if style == "bold" else text)
    show_line(line)
    assert capsys.readouterr().out.splitlines()[3:] == [
        "  a, c        50.0  A <red> dog.",
        "  b          100.0  A <blue> dog.",
    ]


def test_settings_have_a_row_for_each_metric(capsys: pytest.CaptureFixture[str]) -> None:
    first = SettingScores(38.204, 0.217, 37.95, 38.37, "s")
    other = SettingScores(37.0, None, 37.0, 37.0, "s", -1.204, RunsTest(0.25, 0.25))
    show_settings(
        [
            Setting(["a", "b"], [1, 2], {}, {"t": {"bleu": first}}),
            Setting(["c"], [1], {"d": "c"}, {"t": {"bleu": other}}),
        ]
    )
    assert rows(capsys) == [
        f"Settings: {ABOUT_GROUPS}",
        *("a: a, b (seeds 1, 2)", "c: c (seed 1)"),
        "d: the same setting and seed as c, and not counted",
        "t, setting metric runs mean std range difference p (runs) smallest p",
        "a BLEU 2 38.20 0.22 37.95 to 38.37",
        "c BLEU 1 37.00 -1.20 0.2500 0.2500",
        ABOUT_SETTINGS,
    ]
    show_settings([Setting(["a"], [1], {"b": "a"}, {}), Setting(["c"], [1], {}, {})])
    assert rows(capsys) == [f"Settings: {ONE_SEED_EACH}", "b: the same setting and seed as a, and not counted"]


@pytest.mark.parametrize(
    ("reason", "inputs", "start"),
    [
        (SAME, "nothing", "same bits"),
        (Reason([], None, is_known=False, step=None, last_step=None), "nothing that is recorded", "not recorded"),
        (
            Reason([], None, is_known=True, step=None, last_step=9, unrecorded=["code", "device"]),
            "nothing that is recorded; not recorded: code, device",
            "same bits",
        ),
        (Reason([], "text", is_known=True, step=5, last_step=9), "nothing that is recorded", "text"),
        (Reason(["recipe.a.b"], "train", is_known=True, step=1500, last_step=None), "a.b", "train, step 1,500"),
        (Reason(["data.x"], "train", is_known=True, step=None, last_step=None), "data.x", "train"),
        (Reason([*"abcde"], None, is_known=True, step=None, last_step=9), "a, b, c, d, e", "same bits"),
        (Reason([*"abcdefg"], None, is_known=True, step=None, last_step=9), "a, b, c, d, e and 2 more", "same bits"),
    ],
)
def test_a_reason_names_inputs_and_where_results_part(reason: Reason, inputs: str, start: str) -> None:
    assert (named(reason), origin(reason)) == (inputs, start)


def test_the_summary_has_a_row_for_each_run_and_comes_last(capsys: pytest.CaptureFixture[str]) -> None:
    def score(value: float, p: float | None = None) -> dict[str, significance.TestedScore]:
        found = significance.TestedScore(score=value, signature="s")
        if p is not None:
            figures = {"value": 0.0, "low": 0.0, "high": 0.0, "bootstrap_p": 1.0, "randomization_p": p}
            words = {"baseline": "a", "bootstrap_signature": "bs", "randomization_signature": "ar"}
            found["difference"] = cast("Difference", {**figures, **words})
        return {"bleu": found}

    systems = {"a": score(30), "b": score(31.234, 0.0499), "c": score(29, 0.05)}
    hypotheses = {"a": "h", "b": "x", "c": "h"}
    line = Line(
        1, "s", "r", hypotheses, {name: [(True, text)] for name, text in hypotheses.items()}, dict.fromkeys("abc", 1.0)
    )
    lines = {"t": DifferingLines("chrF's", [line])}
    reasons = {"b": Reason(["recipe.training.seed"], "train", is_known=True, step=3, last_step=9), "c": SAME}
    scores = ComparedScores({"t": systems}, [Setting([name], [1], {}, {}) for name in "abc"], lines, [])
    show(differences(runs=[*"abc"], reasons=reasons), scores)
    printed = rows(capsys)
    assert "Lines of t that differ most by chrF (chrF's)" in printed
    assert "line 1" in printed
    assert "Scores of t, compared with a" in printed
    assert printed[-4:] == [
        "Summary, beside a; * p (ar) < 0.05",
        "differs in from BLEU",
        "b training.seed train, step 3 +1.23*",
        "c nothing same bits -1.00",
    ]
    show(
        differences(runs=[*"abc"], reasons=reasons),
        ComparedScores({"t": systems, "u": systems}, [Setting(["a"], [1], {}, {})], {}, []),
    )
    assert rows(capsys)[-3] == "differs in from t BLEU u BLEU"
    untested = ComparedScores({"t": {name: score(1) for name in "abc"}}, [Setting(["a"], [1], {}, {})], {}, [])
    show(differences(runs=[*"abc"], reasons=reasons), untested)
    assert rows(capsys)[-4] == "Summary, beside a"

"""The curves of a log: points by step, tokens and hours, and how they are drawn."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from matplotlib.figure import Figure

from nmt.errors import UsageError
from nmt.experiments.curves import (
    CURVES,
    MOST,
    Points,
    check_curves,
    draw_curve,
    log_ticks,
    points_of,
    points_of_sets,
    thinned,
)
from nmt.experiments.finished_run import FinishedRun


def run(*events: dict[str, Any]) -> FinishedRun:
    return cast("FinishedRun", SimpleNamespace(log=list(events), folder=SimpleNamespace(log=Path("log.jsonl"))))


def train(step: int, loss: float | None, **more: float) -> dict[str, Any]:
    return {"kind": "train", "step": step, "loss": loss, **more}


def test_a_curve_has_the_values_of_its_kind_of_event_and_leaves_out_null() -> None:
    log = run(train(1, 4.0), {"kind": "dev", "step": 1, "loss": 3.5}, train(2, None), train(3, 2.0))
    assert points_of(log, "loss") == Points([1, 3], [4, 2])
    assert points_of(log, "dev_loss") == Points([1], [3.5])
    assert points_of(log, "bleu") == Points([], [])


def test_each_dev_set_has_curves_of_its_own() -> None:
    sets = {"en-de": {"loss": 3.0, "bleu": 1.0}, "de-en": {"loss": 4.0}}
    log = run(
        {"kind": "dev", "step": 1, "loss": 3.5, "sets": sets},
        train(2, 2.0),
        {"kind": "dev", "step": 3, "loss": 2.5, "sets": {"en-de": {"loss": 2.0, "bleu": 5.0}, "de-en": {"loss": 3.0}}},
    )
    assert points_of_sets(log) == {
        "en-de": {"dev_loss": Points([1, 3], [3, 2]), "bleu": Points([1, 3], [1, 5])},
        "de-en": {"dev_loss": Points([1, 3], [4, 3])},
    }
    assert points_of_sets(run({"kind": "dev", "step": 1, "loss": 3.5})) == {}


def test_points_lie_at_the_tokens_and_hours_that_training_had_taken() -> None:
    log = run(
        train(10, 4.0, tokens=100, seconds=1800),
        {"kind": "dev", "step": 15, "loss": 3.5},
        train(20, 2.0, tokens=300, seconds=5400),
    )
    assert points_of(log, "loss", "tokens").x == [100, 400]
    assert points_of(log, "loss", "hours").x == [0.5, 2]
    assert points_of(log, "dev_loss", "tokens").x == [250]


def test_a_log_of_an_older_nmt_has_no_tokens() -> None:
    with pytest.raises(UsageError, match=r"log\.jsonl: has no hours, which an older nmt did not log \(draw"):
        points_of(run(train(10, 4.0, tokens=100)), "loss", "hours")


def test_of_many_points_the_means_of_neighbours_are_kept() -> None:
    x = np.arange(2.0 * MOST)
    assert thinned(x, 2 * x) == Points((x[::2] + 0.5).tolist(), (2 * x[::2] + 1).tolist())
    assert len(thinned(x[: MOST + 1], x[: MOST + 1]).x) == MOST
    assert thinned(x[:MOST], x[:MOST]).x == x[:MOST].tolist()


def test_runs_differ_in_colour_in_dashes_and_in_markers() -> None:
    axes = Figure().subplots()
    draw_curve(axes, CURVES["bleu"], {str(name): Points([1, 2], [1, 2]) for name in range(8)})
    looks = [(line.get_color(), line.get_linestyle(), line.get_marker()) for line in axes.lines]
    dashes = [str(vars(line)["_unscaled_dash_pattern"]) for line in axes.lines]
    for column in ([look[0] for look in looks], [look[2] for look in looks], dashes):
        assert len(set(column)) == 8
    assert [line.get_label() for line in axes.lines] == [str(name) for name in range(8)]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("step", "dev BLEU")


@pytest.mark.parametrize(("high", "scale"), [(19.0, "linear"), (21.0, "log")])
def test_an_axis_is_logarithmic_where_values_differ_much(high: float, scale: str) -> None:
    for name, wanted in (("gradient_norm", scale), ("loss", "linear")):
        axes = Figure().subplots()
        draw_curve(axes, CURVES[name], {"a": Points([1, 2], [1, high])})
        assert axes.get_yscale() == wanted


def test_the_ticks_of_a_logarithmic_axis_are_few_and_round() -> None:
    assert log_ticks(0.9, 12) == [1, 2, 5, 10]
    assert log_ticks(1, 1e5) == [1, 10, 100, 1e3, 1e4, 1e5]
    assert log_ticks(1.1, 1.2) == [1.1]


def test_a_curve_that_is_none_is_named_with_those_that_are() -> None:
    check_curves(["loss", "speed"])
    with pytest.raises(UsageError) as caught:
        check_curves(["loss", "bleux"])
    assert str(caught.value).startswith("no curve 'bleux' (choose among loss, dev_loss, perplexity,")

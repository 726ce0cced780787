"""The costs of a run, by its log, its ids and its evaluation; those that an older nmt did not record are left out."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import TinyRun

from nmt.evaluation import significance
from nmt.experiments import costs
from nmt.experiments.costs import bleu_interval, columns_of, costs_of, operations_of_token
from nmt.experiments.facts import counts_of
from nmt.experiments.finished_run import FinishedRun
from nmt.files import read_json, write_json
from nmt.model.families import build_without_weights
from nmt.model.size import operations_of_training


@pytest.fixture
def run(tiny: TinyRun, tmp_path: Path) -> FinishedRun:
    """Return a run with a made-up log and times."""
    run = FinishedRun.open(tiny.copy(tmp_path / "run"))
    events = [
        {"kind": "train", "step": step, "tokens_per_second": speed, "memory_mib": memory, "seconds": 2.5}
        for step, speed, memory in ((1, 10.0, 500), (2, 4000.0, 700), (3, 3000.0, 600))
    ]
    write_log(run, *events, {"kind": "dev", "step": 3, "seconds": 100.0})
    write_json(run.folder.times, {"test": {"lines": 20, "seconds": 0.5}})
    return run


def write_log(run: FinishedRun, *events: object) -> None:
    run.folder.log.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")


def test_costs_are_the_median_speed_the_peak_memory_and_sums_of_times(run: FinishedRun) -> None:
    each = operations_of_token(run)
    assert each is not None
    assert costs_of(run) == {
        "train tokens/s": 3000.0,
        "train GFLOP/s": 3000.0 * each / 1e9,
        "train MiB": 700,
        "train s": 7.5,
        "test lines/s": 40.0,
        "test s": 0.5,
    }
    assert list(costs_of(run)) == columns_of(["test"])


def test_operations_are_a_mean_over_tokens_of_corpora_by_their_weights(
    run: FinishedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpora = {"a": (0, 2), "b": (2, 3)}
    lengths = {"src_lengths": np.array([3, 5, 9], dtype=np.uint8), "tgt_lengths": np.array([4, 6, 2], dtype=np.uint8)}
    monkeypatch.setattr(costs, "PreparedPairs", lambda _: SimpleNamespace(corpora=corpora, **lengths))
    train = run.recipe.data.train["train"]
    weighted = {"a": train.model_copy(update={"weight": 1.0}), "b": train.model_copy(update={"weight": 3.0})}
    data = run.recipe.data.model_copy(update={"train": weighted})
    object.__setattr__(run, "recipe", run.recipe.model_copy(update={"data": data}))
    model = build_without_weights(run.recipe.model, 400, 400)
    source, target = (np.array(side, dtype=float) for side in ([3, 5, 9, 9, 9], [4, 6, 2, 2, 2]))
    assert operations_of_token(run) == pytest.approx(operations_of_training(model, source, target) / 16)


def test_what_an_older_nmt_did_not_record_has_no_cost(run: FinishedRun) -> None:
    write_log(run, {"kind": "train", "step": 1, "seconds": None}, {"kind": "train", "step": 2, "seconds": 3.0})
    run.folder.times.unlink()
    old = FinishedRun.open(run.folder.path)
    assert costs_of(old) == {}
    write_log(run, {"kind": "train", "step": 1, "tokens_per_second": 7.0})
    for times in ({}, {"test": 3}, {"test": {"lines": 0, "seconds": 0.0}}, {"test": {"seconds": "fast"}}):
        write_json(run.folder.times, times)
        assert "test lines/s" not in costs_of(run)
    (run.folder.ids / "train").rename(run.folder.ids / "gone")
    without_ids = FinishedRun.open(run.folder.path)
    assert costs_of(without_ids) == {"train tokens/s": 7.0}


def test_the_interval_of_bleu_is_that_of_the_lines_that_have_this_score(run: FinishedRun) -> None:
    found, counted = bleu_interval(run, "test"), counts_of(run, "test", [])
    assert found is not None
    assert counted is not None
    assert found == significance.compare({"": counted}, ("bleu",))[""]["bleu"].get("interval")
    assert found["low"] < run.scores["test"]["bleu"].score < found["high"]
    scores = read_json(run.folder.scores)
    write_json(run.folder.scores, {"test": {**scores["test"], "bleu": {**scores["test"]["bleu"], "score": 99.0}}})
    assert bleu_interval(FinishedRun.open(run.folder.path), "test") is None
    write_json(run.folder.scores, {"test": {"chrf": scores["test"]["chrf"]}})
    assert bleu_interval(FinishedRun.open(run.folder.path), "test") is None
    write_json(run.folder.scores, scores)
    (run.folder.evaluation / "test.de").unlink()
    assert bleu_interval(run, "test") is None

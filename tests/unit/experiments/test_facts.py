"""The facts of a report: what is in them, and what is left out and named where a folder lacks it."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import TinyRun

from nmt.evaluation.metrics import METRICS
from nmt.experiments.facts import facts_of, histogram
from nmt.experiments.finished_run import FinishedRun
from nmt.files import JsonObject, read_json


@pytest.fixture(scope="module")
def facts(facts_of_tiny: JsonObject) -> JsonObject:
    run: JsonObject = facts_of_tiny["runs"][0]
    return run


def test_scores_are_those_recorded_with_intervals_of_the_metrics_tested(facts: JsonObject, tiny: TinyRun) -> None:
    found = facts["tests"]["test"]["scores"]
    recorded = read_json(tiny.folder / "evaluation" / "scores.json")["test"]
    for metric in METRICS:
        assert {key: found[metric][key] for key in ("score", "signature")} == recorded[metric]
    assert found["ter"]["interval"] is None
    for metric in ("bleu", "chrf"):
        interval = found[metric]["interval"]
        assert interval["low"] <= found[metric]["score"] <= interval["high"]
        assert "|bs:1000|seed:12345|" in interval["signature"]
    assert facts["tests"]["test"]["lines"] == 20
    assert len(facts["tests"]["test"]["extremes"]["worst"]) == 8


def test_the_data_are_counted_as_their_manifests_count_them(facts: JsonObject) -> None:
    funnel = facts["funnel"]
    first, *filters, last = funnel["steps"]
    assert (first["name"], first["pairs"], last["name"]) == ("read", 800, "kept")
    assert first["pairs"] - sum(step["pairs"] for step in filters) == last["pairs"]
    assert (funnel["dev"], funnel["test"], funnel["corpora"]) == (10, {"test": 20}, ["train"])
    for side in ("source", "target"):
        assert sum(facts["lengths"][side]["pairs"]) == last["pairs"]


def test_the_training_has_its_length_its_best_validation_and_its_curves(facts: JsonObject) -> None:
    training = facts["training"]
    assert (training["steps"], training["best_metric"], training["events"]) == (200, "bleu", [])
    assert training["best_step"] in (100, 200)
    assert training["tokens"] > 100_000
    assert 0 < training["seconds"] < 300
    assert facts["curves"]["loss"]["x"] == [float(step) for step in range(1, 201)]
    assert facts["curves"]["bleu"]["x"] == [100, 200]
    assert facts["missing"] == []


def test_the_lock_is_told_whole(facts: JsonObject, tiny: TinyRun) -> None:
    lock = read_json(tiny.folder / "lock.json")
    assert {key: facts[key] for key in ("recipe", "seed", "data", "sessions")} == {
        key: lock[key] for key in ("recipe", "seed", "data", "sessions")
    }
    assert facts["results"] == {stage: result["files"] for stage, result in lock["results"].items()}
    assert 'name = "tiny"' in facts["recipe_toml"]


def test_what_a_folder_lacks_is_left_out_and_named(tiny: TinyRun, tmp_path: Path) -> None:
    folder = tiny.copy(tmp_path / "run")
    for name in ("prepared", "checkpoints"):
        shutil.rmtree(folder / name)
    (folder / "log.jsonl").unlink()
    facts = facts_of(FinishedRun.open(folder))
    assert (facts["funnel"], facts["lengths"], facts["curves"]) == (None, None, {})
    assert {facts["tests"]["test"][key] for key in ("lines", "analysis", "extremes")} == {None}
    assert facts["tests"]["test"]["scores"]["bleu"]["interval"] is None
    assert [each.replace(str(folder), "RUN") for each in facts["missing"]] == [
        "the prepared text has no counts of its filters",
        "there are no prepared ids, whose lengths could be counted",
        "RUN/prepared/text/test.test: missing, though the run has scores of test "
        "(`nmt run` with this run folder makes what is missing)",
        "log.jsonl has no curves",
    ]


def test_a_test_set_is_analyzed_with_the_words_of_the_training_text(facts: JsonObject) -> None:
    analysis = facts["tests"]["test"]["analysis"]
    assert sum(group["lines"] for group in analysis["by_length"]) == 20
    assert sum(group["lines"] for group in analysis["by_frequency"]) == 20
    assert {group["name"] for group in analysis["by_frequency"]} - {"0"}


def test_lines_of_another_score_than_recorded_get_no_interval_and_without_a_bundle_there_is_no_attention(
    tiny: TinyRun, tmp_path: Path
) -> None:
    folder = tiny.copy(tmp_path / "run")
    shutil.rmtree(folder / "model")
    (folder / "log.jsonl").write_text('{"step": 9}\n{"kind": "rollback", "step": 8, "to_step": 3}\n')
    (folder / "evaluation" / "test.de").write_text("etwas anderes\n" * 20, encoding="utf-8")
    facts = facts_of(FinishedRun.open(folder))
    assert facts["tests"]["test"]["scores"]["bleu"]["interval"] is None
    assert facts["attention"] == []
    assert facts["training"]["events"] == [{"kind": "rollback", "step": 8, "to_step": 3}]
    assert [each.replace(str(folder), "RUN") for each in facts["missing"]] == [
        "test: the lines give another bleu than recorded, and no interval is shown",
        "test: the lines give another chrf than recorded, and no interval is shown",
        "attention: RUN/model: no such bundle (after `nmt run` it is runs/NAME/model)",
    ]


def test_the_last_bin_of_a_histogram_holds_all_that_are_longer() -> None:
    counts = np.array([1, 2, 3, 4, 5])  # by length
    assert histogram(counts, 2, 2) == {"pairs": [3, 12], "mean": (2 + 6 + 12 + 20) / 15}

"""The stage `evaluate`: its inputs, the order of the test sets, remarks on references."""

from pathlib import Path

import pytest
from conftest import TinyRun
from runs import changes, corpus, make_run, record

from nmt.config.decoding import EvaluationConfig
from nmt.config.tokenizer import TokenizerConfig
from nmt.data.encoding.tokenizer import Tokenizer
from nmt.data.encoding.tokenizer_training import train
from nmt.evaluation.metrics import BRACKETS
from nmt.experiments.finished_run import FinishedRun
from nmt.files import read_json
from nmt.pipeline.evaluation import STAGE, count_test, inputs, names_of_tests, out_of_reach
from nmt.pipeline.manifest import Manifest


def test_tests_weights_and_settings_of_the_bundle_are_inputs(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    record(run.folder.text, **{"train/0": "1", "test.x/0": "2"})
    record(run.folder.bundle, **{"model.safetensors": "3", "config.json": "4", "lock.json": "5"})
    assert inputs(run) == {"text": {"test.x/0": "2"}, "weights": "3", "config": "4"}
    assert changes(STAGE, run, make_run(tmp_path, evaluation={"lowercase": True}, training={"seed": 3})) == []


def test_times_are_recorded_and_are_no_result(tiny: TinyRun) -> None:
    run = FinishedRun.open(tiny.folder)
    test = read_json(run.folder.times)["test"]
    assert test == {"lines": 20, "seconds": test["seconds"]}
    assert 0 < test["seconds"] < 60
    made = {"scores.json", "test.de"}
    assert Manifest.of(run.folder.evaluation).files.keys() == run.lock.results["evaluate"].files.keys() == made


def test_test_sets_come_in_the_order_of_the_recipe(tmp_path: Path) -> None:
    files = corpus(tmp_path, "a")
    run = make_run(tmp_path, data={"test": {"b": files, "a": files}})
    for name in ("test.a", "test.b", "train", "dev"):
        (run.folder.text / name).mkdir(parents=True)
    assert names_of_tests(run) == ["b", "a"]
    (run.folder.text / "test.held-out").mkdir()
    assert names_of_tests(make_run(tmp_path)) == ["a", "b", "held-out"]


def test_references_that_normalisation_changes_are_counted(tmp_path: Path) -> None:
    references = ["一，二", "e\u0301", "a  b\tc", "a"]
    found = []
    for rule in ("nmt_nfkc", "nfc", "identity", None):
        config = TokenizerConfig(vocab_size=300, target_normalization=rule, hard_vocab_limit=False)
        train(references, references, config, tmp_path, seed=1)
        found += out_of_reach(Tokenizer.load(tmp_path).target, references) or ["none"]
    remark = "references that no translation can equal, for normalisation changes them: "
    assert found == [f"{remark}2", f"{remark}1", "none", f"{remark}2"]


def test_trees_are_scored_by_brackets_first_and_lines_left_out_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    references = ["(S (NP (NN cat)) (. .))", "(S (VB go))"]
    counted = count_test("news", [references[0], "(S (VB go)"], references, EvaluationConfig(), "trees")
    assert list(counted) == ["bracket-f1", "strict-f1", "bleu", "chrf"]
    assert [round(counted[name].score()["score"], 2) for name in BRACKETS] == [100, 80]
    assert capsys.readouterr().err == (
        "nmt: warning: news: bracket F1 is of 1 of 2 lines, strict F1 of all: ill-formed 1, with other words 0, "
        "empty 0\n"
    )


def test_a_test_set_is_scored_by_the_recipe_and_its_flaws_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    hypotheses, references = ["the cat sleeps on the mat", ""], ["The cat sleeps on the mat", "\u3000"]
    found = count_test("news", hypotheses, references, EvaluationConfig(lowercase=True, chrf_word_order=2), "en")
    scores = {name: round(statistics.score()["score"]) for name, statistics in found.items()}
    assert scores == {"bleu": 100, "chrf": 100, "ter": 0}
    assert "nw:2" in found["chrf"].signature()
    assert [line.partition("; ")[0] for line in capsys.readouterr().err.split("\n")] == [
        "nmt: warning: news: 1 of 2 lines is blank in the reference: line 2",
        "nmt: warning: news: 1 of 2 hypotheses is blank: line 2",
        "",
    ]
    found = count_test("news", ["ฉันรักเธอ"], ["ฉันรักเธอ"], EvaluationConfig(), "tha_Thai")
    assert "tok:char" in found["bleu"].signature()

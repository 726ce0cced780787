"""The stage `evaluate`: its inputs, and the order of the test sets."""

from pathlib import Path

from runs import changes, corpus, make_run, record

from nmt.pipeline.evaluation import STAGE, inputs, names_of_tests


def test_tests_weights_and_settings_of_the_bundle_are_inputs(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    record(run.folder.text, **{"train/0": "1", "test.x/0": "2"})
    record(run.folder.bundle, **{"model.safetensors": "3", "config.json": "4", "lock.json": "5"})
    assert inputs(run) == {"text": {"test.x/0": "2"}, "weights": "3", "config": "4"}
    assert changes(STAGE, run, make_run(tmp_path, evaluation={"lowercase": True}, training={"seed": 3})) == []


def test_test_sets_come_in_the_order_of_the_recipe(tmp_path: Path) -> None:
    files = corpus(tmp_path, "a")
    run = make_run(tmp_path, data={"test": {"b": files, "a": files}})
    for name in ("test.a", "test.b", "train", "dev"):
        (run.folder.text / name).mkdir(parents=True)
    assert names_of_tests(run) == ["b", "a"]
    (run.folder.text / "test.held-out").mkdir()
    assert names_of_tests(make_run(tmp_path)) == ["a", "b", "held-out"]

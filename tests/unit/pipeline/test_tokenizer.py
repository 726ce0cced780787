"""The stage `tokenizer`: its inputs, and whether one that is there can be used."""

from pathlib import Path
from typing import Any

import pytest
from runs import all_inputs, changes, corpus, make_run, record

from nmt.config.compatibility import RECIPE
from nmt.pipeline.manifest import Manifest
from nmt.pipeline.run import Run
from nmt.pipeline.tokenizer import STAGE, has_own_settings, inputs
from nmt.training.init_from import InitialModel


@pytest.fixture
def root(tmp_path: Path) -> Path:
    record(tmp_path / "run" / "prepared" / "text", **{"train/0": "1", "dev/0": "2", "test.x/0": "3"})
    return tmp_path


def tagged(root: Path) -> dict[str, Any]:
    return {"train": {"a": {**corpus(root, "a"), "tags": ["<a>"]}}}


def test_settings_tags_seed_and_training_text_are_inputs(root: Path) -> None:
    plain = make_run(root)
    assert inputs(plain)["text"] == {"train/0": "1"}
    assert changes(STAGE, make_run(root, tokenizer={"placeholders": 3}), plain) == ["tokenizer.placeholders"]
    assert changes(STAGE, make_run(root, training={"seed": 2}), plain) == ["training.seed"]
    assert changes(STAGE, make_run(root, data=tagged(root)), plain) == ["tags"]
    sampling = {"placeholders": 2, "sampling": 0.1}
    assert changes(STAGE, make_run(root, tokenizer=sampling, training={"max_steps": 3}), plain) == []


def with_initial(run: Run) -> Run:
    run.initial = InitialModel("w", "1", "folder", {"tokenizer.model": "2"})
    return run


def test_of_an_initial_model_only_its_tokenizer_is_an_input(root: Path) -> None:
    first, second = make_run(root), make_run(root, tokenizer={"vocab_size": 999}, training={"seed": 2})
    assert all_inputs(STAGE, with_initial(first)) == {"init": {"tokenizer.model": "2"}, RECIPE: {}}
    assert changes(STAGE, first, with_initial(second)) == []


def test_the_tokenizer_of_the_run_folder_is_used_for_other_text_and_not_for_other_settings(root: Path) -> None:
    run = make_run(root)
    assert not has_own_settings(run)
    folder = root / "run" / "tokenizer"
    folder.mkdir()
    Manifest("tokenizer", all_inputs(STAGE, run)).write(folder)
    record(root / "run" / "prepared" / "text", **{"train/0": "another"})
    assert has_own_settings(make_run(root, model={"heads": 4}))
    assert not has_own_settings(make_run(root, tokenizer={"vocab_size": 999}))
    assert not has_own_settings(make_run(root, data=tagged(root)))

"""The stage `train`: its inputs."""

from pathlib import Path
from typing import Any

import pytest
from runs import changes, corpus, make_run, record

from nmt.files import digest_json
from nmt.pipeline.training import STAGE, inputs
from nmt.training.init_from import InitialModel


@pytest.fixture
def root(tmp_path: Path) -> Path:
    record(tmp_path / "run" / "prepared" / "ids", **{"train/0": "1"})
    return tmp_path


def test_ids_and_initial_weights_are_inputs(root: Path) -> None:
    run = make_run(root)
    assert inputs(run) == {"data": digest_json({"train/0": "1"}), "init": None}
    other = make_run(root)
    other.initial = InitialModel("path", "digest", "folder", {})
    assert changes(STAGE, run, other) == ["init"]


@pytest.mark.parametrize(
    ("sections", "keys"),
    [
        ({"model": {"dropout": 0.2}}, ["model.dropout"]),
        ({"batching": {"tokens_per_step": 9, "micro_batch_tokens": 9}}, ["batching.tokens_per_step"]),
        ({"optimizer": {"beta1": 0.5}}, ["optimizer.beta1"]),
        ({"training": {"max_steps": 9, "patience": 1}}, ["training.max_steps", "training.patience"]),
        ({"training": {"log_every": 9, "device": "cpu", "tensorboard": True, "compile": True}}, []),
        (
            {"decoding": {"beam_size": 1}, "evaluation": {"lowercase": True}},
            ["decoding.beam_size", "evaluation.lowercase"],
        ),
        ({"tokenizer": {"placeholders": 2, "sampling": 0.1}}, ["tokenizer.sampling"]),
        ({"data": {"protect": "x", "temperature": 2.0}}, ["data.protect", "data.temperature"]),
        ({"cleaning": {"max_pieces": 9}}, []),
    ],
)
def test_what_shapes_a_training_or_its_validations_is_an_input(
    root: Path, sections: dict[str, Any], keys: list[str]
) -> None:
    assert changes(STAGE, make_run(root, **sections), make_run(root)) == keys


def test_weights_of_corpora_are_inputs_where_they_change_an_epoch(root: Path) -> None:
    files = corpus(root, "a")
    for weight, keys in ((1.0, []), (2.0, ["data.train.a.weight"])):
        other = make_run(root, data={"train": {"a": {**files, "weight": weight}, "b": files}})
        assert changes(STAGE, other, make_run(root)) == keys

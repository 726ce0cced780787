"""The stage `bundle`, and other averages of a run's checkpoints."""

import shutil
from pathlib import Path

import pytest
import torch
from runs import changes, make_run, record, unpack_old_run

from nmt.config.inference import TrainingLines
from nmt.errors import ArtifactError, UsageError
from nmt.files import read_json, write_json
from nmt.inference.bundle import open_bundle
from nmt.model.tensors import load_tensors
from nmt.pipeline.bundle import STAGE, average_run, config_of
from nmt.run_folder import RunFolder


def test_checkpoints_tokenizer_average_and_settings_are_inputs(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    record(run.folder.checkpoints, a="1")
    record(run.folder.tokenizer, b="2")
    assert STAGE.inputs(run) == {"checkpoints": {"a": "1"}, "tokenizer": {"b": "2"}}
    other = make_run(
        tmp_path,
        languages={"source": "en", "target": "fr"},
        training={"average": "best", "average_checkpoints": 2, "max_steps": 3},
        decoding={"beam_size": 1, "precision": "int8"},
        evaluation={"lowercase": True},
        data={"protect": "x"},
        model={"dropout": 0.3},
    )
    assert changes(STAGE, other, run) == [
        "data.protect",
        "decoding.beam_size",
        "decoding.precision",
        "evaluation.lowercase",
        "languages.target",
        "training.average",
        "training.average_checkpoints",
    ]


def test_the_config_of_a_bundle_is_the_recipes(tmp_path: Path) -> None:
    recipe = make_run(tmp_path, data={"protect": "x"}, decoding={"beam_size": 2}).recipe
    lines = TrainingLines(sentences=2, pieces=30, longest=40)
    config = config_of(recipe, lines)
    assert (config.training_lines, config_of(recipe, None).training_lines) == (lines, None)
    assert (config.name, config.protect, config.languages) == ("x", "x", recipe.languages)
    assert (config.model, config.decoding, config.evaluation) == (recipe.model, recipe.decoding, recipe.evaluation)


@pytest.fixture
def old(tmp_path: Path) -> RunFolder:
    return RunFolder(unpack_old_run(tmp_path))


def test_checkpoints_of_nmt_0_1_0_are_averaged(old: RunFolder, tmp_path: Path) -> None:
    folder = tmp_path / "average"
    names = average_run(old, old.checkpoints, folder, count=None, of="best")
    assert names == ["step-00000002", "step-00000004"], "the recipe says: the last two"
    bundle = open_bundle(folder)
    assert bundle.config.decoding.beam_size == 1
    assert read_json(folder / "lock.json")["averaged"] == names
    weights = [load_tensors(old.checkpoints / name / "model.safetensors") for name in names]
    mean = load_tensors(folder / "model.safetensors")
    for name, tensor in mean.items():
        assert torch.equal(tensor, (weights[0][name].double() + weights[1][name].double()).div(2).float())
    assert average_run(old, old.checkpoints, tmp_path / "one", count=1, of="last") == ["step-00000004"]
    assert average_run(old, old.checkpoints, tmp_path / "best", count=1, of="best") == ["best-00000004"]


def test_more_checkpoints_than_there_are_cannot_be_averaged(old: RunFolder, tmp_path: Path) -> None:
    for of, kind, there in (("last", "newest", 2), ("best", "best", 1)):
        with pytest.raises(ArtifactError) as caught:
            average_run(old, old.checkpoints, tmp_path / "x", count=3, of=of)  # type: ignore[arg-type]
        assert str(caught.value) == (
            f"{old.checkpoints}: 3 {kind} checkpoints asked for, {there} there (take --{of} {there})"
        )
    assert not (tmp_path / "x").exists()


def test_a_folder_in_use_or_a_damaged_lock_is_refused(old: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    for used in (tmp_path / "used", tmp_path / "used" / "file"):
        with pytest.raises(UsageError, match="is there already"):
            average_run(old, old.checkpoints, used, count=1, of="last")
    lock = read_json(old.lock)
    write_json(old.lock, {**lock, "recipe": {**lock["recipe"], "surprise": 1}})
    with pytest.raises(ArtifactError, match=r"lock\.json: unknown key surprise \(use the nmt that wrote it\)"):
        average_run(old, old.checkpoints, tmp_path / "x", count=1, of="last")
    old.lock.write_text("{")
    with pytest.raises(ArtifactError, match=r"lock\.json: missing or damaged"):
        average_run(old, old.checkpoints, tmp_path / "x", count=1, of="last")


def test_a_lock_that_knows_fewer_knobs_is_completed(old: RunFolder, tmp_path: Path) -> None:
    lock = read_json(old.lock)
    del lock["recipe"]["decoding"]["min_length"], lock["recipe"]["evaluation"]
    write_json(old.lock, lock)
    shutil.rmtree(old.bundle)
    average_run(old, old.checkpoints, tmp_path / "x", count=1, of="last")
    assert open_bundle(tmp_path / "x").config.decoding.min_length == 0

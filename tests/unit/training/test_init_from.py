"""Initial models: which checkpoint is found, which weights fit, what is refused."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nmt.config.languages import LanguagesConfig
from nmt.config.model import ModelConfig
from nmt.errors import ArtifactError
from nmt.files import digest_file, write_json
from nmt.model.families import build
from nmt.model.tensors import save_tensors
from nmt.run_folder import RunFolder
from nmt.training.checkpoint import MOMENTS, WEIGHTS, Checkpoints, TrainingState
from nmt.training.init_from import InitialModel, find_checkpoint, languages_of, refuse_misfit

SHAPE = {"d_model": 16, "heads": 4, "ffn": 24, "encoder_layers": 1, "decoder_layers": 1, "tied_embeddings": "target"}
TOKENIZER: Any = SimpleNamespace(source_size=11, target_size=13)


def config(**values: Any) -> ModelConfig:
    return ModelConfig.model_validate({**SHAPE, **values})


def shapes_of(model: ModelConfig) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in build(model, 11, 13).weights().items()}


def refusal(model: ModelConfig, theirs: ModelConfig, tokenizer: Any = TOKENIZER) -> str:
    """Return the message for a recipe with `model` and weights of `theirs`."""
    with pytest.raises(ArtifactError) as caught:
        refuse_misfit(Path("old"), theirs, model, shapes_of(theirs), tokenizer)
    return str(caught.value)


@pytest.mark.parametrize(
    "free",
    [
        {"dropout": 0.4},
        {"attention_dropout": 0.1},
        {"activation_dropout": 0.1},
        {"max_length": 99},
        {"attention_window": 8},
    ],
)
def test_what_weights_do_not_depend_on_may_differ(free: dict[str, float]) -> None:
    refuse_misfit(Path("old"), config(), config(**free), shapes_of(config()), TOKENIZER)


def test_learned_positions_bind_the_weights_to_the_longest_sentence() -> None:
    ours, theirs = (config(positions="learned", max_length=length) for length in (20, 30))
    assert refusal(ours, theirs) == (
        "old: does not fit the model of the recipe: model.max_length = 30 there, 20 here; positions.table is (60, 16), "
        "not (40, 16) (set model.max_length = 30)"
    )


def test_every_key_that_differs_is_named_and_how_to_set_it() -> None:
    assert refusal(config(heads=2), config(norm="pre", heads=8)) == (
        'old: does not fit the model of the recipe: model.heads = 8 there, 2 here; model.norm = "pre" there, "post" '
        'here; decoder_norm.bias is not in both the file and the model (set model.heads = 8, model.norm = "pre")'
    )


def test_a_gate_binds_the_weights_and_so_does_an_activation_without_weights_of_its_own() -> None:
    assert refusal(config(), config(activation="swiglu")).endswith(
        'model.activation = "swiglu" there, "relu" here; decoder.0.feed_forward.gate.bias is not in both the file and '
        'the model (set model.activation = "swiglu")'
    )
    assert refusal(config(activation="gelu"), config()).endswith(
        'model.activation = "relu" there, "gelu" here (set model.activation = "relu")'
    )


def test_another_family_does_not_fit() -> None:
    ours = ModelConfig.model_validate({**SHAPE, "architecture": "decoder-only", "encoder_layers": 0})
    assert refusal(ours, config()).startswith(
        'old: does not fit the model of the recipe: model.architecture = "encoder-decoder" there, "decoder-only" here; '
        "model.encoder_layers = 1 there, 0 here; "
    )
    theirs = ModelConfig.model_validate({**ours.model_dump(), "architecture": "prefix-lm"})  # weights of equal shapes
    assert refusal(ours, theirs) == (
        'old: does not fit the model of the recipe: model.architecture = "prefix-lm" there, "decoder-only" here '
        '(set model.architecture = "prefix-lm")'
    )


def test_another_width_of_heads_does_not_fit_and_the_default_is_written_as_in_a_recipe() -> None:
    assert refusal(config(head_width=6), config()).endswith(
        'model.head_width = "none" there, 6 here; encoder.0.self_attention.query.weight is (16, 16), '
        'not (24, 16) (set model.head_width = "none")'
    )


def test_another_vocabulary_is_the_fault_of_the_tokenizer_beside_it() -> None:
    assert refusal(config(), config(), SimpleNamespace(source_size=11, target_size=14)) == (
        "old: does not fit the model of the recipe: target_embedding.weight is (13, 16), not (14, 16) "
        "(the tokenizer beside it is not the one that it was trained with)"
    )


def test_weights_are_read_as_long_as_they_are_those_that_were_found(tmp_path: Path) -> None:
    path = tmp_path / WEIGHTS
    save_tensors({"a": torch.ones(2)}, path)
    initial = InitialModel(str(path), digest_file(path), str(tmp_path), {})
    assert initial.load()["a"].tolist() == [1, 1]
    save_tensors({"a": torch.zeros(2)}, path)
    message = f"{path}: gone or changed since this run began (run it again)"
    for remove in (False, True):
        if remove:
            path.unlink()
        with pytest.raises(ArtifactError) as caught:
            initial.load()
        assert str(caught.value) == message


@pytest.fixture
def store(tmp_path: Path) -> Checkpoints:
    store = Checkpoints(tmp_path / "checkpoints", 5)
    for step in (10, 20):
        store.save(TrainingState(step=step), {WEIGHTS: {"a": torch.ones(step)}, MOMENTS: {}}, {"model": SHAPE})
    return store


def test_a_checkpoint_is_found_by_its_folder_or_as_the_newest_whole_one(
    store: Checkpoints, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = store.paths()
    assert find_checkpoint(old).state.step == 10
    assert find_checkpoint(store.folder).path == new
    (new / WEIGHTS).write_bytes(b"")
    assert find_checkpoint(store.folder).path == old
    damage = f"{new / WEIGHTS}: damaged: its SHA-256 is not the one in state.json"
    assert capsys.readouterr().err == f"nmt: warning: {damage}; starting from an older checkpoint\n"
    with pytest.raises(ArtifactError, match="damaged"):
        find_checkpoint(new)
    (old / WEIGHTS).write_bytes(b"")
    with pytest.raises(ArtifactError) as caught:
        find_checkpoint(store.folder)
    assert str(caught.value) == f"{damage} (no older checkpoint is whole)"


def test_another_folder_is_neither(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError) as caught:
        find_checkpoint(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: neither a bundle nor a checkpoint (training.init_from takes runs/NAME/model, "
        "runs/NAME/checkpoints, or a folder in that)"
    )


def test_the_languages_of_a_run_are_those_of_its_lock(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert languages_of(run) is None
    others: list[Any] = [[], {"recipe": {}}]
    for other in others:
        write_json(run.lock, other)
        assert languages_of(run) is None
    write_json(run.lock, {"recipe": {"languages": {"source": "en", "target": "de"}}})
    assert languages_of(run) == LanguagesConfig(source="en", target="de")

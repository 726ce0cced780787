"""Weights of Marian under nmt's names: what does not fit is one line, and a pickle of more than tensors is refused."""

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from nmt.data.encoding.tokenizer import BOS_ID, PAD_ID
from nmt.errors import ArtifactError
from nmt.importing.marian import MarianFolder
from nmt.importing.weights import NEVER, import_weights, in_turn
from nmt.model.embedding import SinusoidalPositions
from nmt.model.tensors import load_tensors, save_tensors

pytest.importorskip("transformers")
from marians import save_marian

SAFE, PICKLED = "model.safetensors", "pytorch_model.bin"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder. Shared: never change it."""
    return save_marian(tmp_path_factory.mktemp("marian") / "made")


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "copy")


def problem(folder: Path) -> str:
    with pytest.raises(ArtifactError) as caught:
        import_weights(MarianFolder.open(folder))
    line = str(caught.value).replace(f"{folder}/", "")
    assert "\n" not in line
    return line


def test_halves_are_taken_in_turn() -> None:
    assert in_turn(6).tolist() == [0, 3, 1, 4, 2, 5]


def test_the_row_of_the_start_is_that_of_padding_and_is_never_written(made: Path) -> None:
    weights = import_weights(MarianFolder.open(made))
    rows = weights["target_embedding.weight"]
    assert torch.equal(rows[BOS_ID], rows[PAD_ID])
    assert (weights["generator.bias"] == NEVER).nonzero().tolist() == [[BOS_ID]]
    assert "source_embedding.weight" not in weights


def change(folder: Path, act: Callable[[dict[str, Tensor]], object]) -> None:
    tensors = load_tensors(folder / SAFE)
    act(tensors)
    save_tensors(tensors, folder / SAFE)


FC1 = "model.encoder.layers.0.fc1.weight"


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (lambda tensors: tensors.pop(FC1), f"{SAFE}: lacks {FC1}"),
        (
            lambda tensors: tensors.update({FC1: torch.zeros(3, 16)}),
            f"{SAFE}: {FC1} is (3, 16), and config.json says (24, 16)",
        ),
        (
            lambda tensors: tensors.update({"final_logits_bias": torch.zeros(1, 5)}),
            f"{SAFE}: final_logits_bias is (1, 5), and config.json says (1, ",
        ),
        (
            lambda tensors: tensors.update({"model.decoder.embed_positions.weight": torch.zeros(96, 16)}),
            f"{SAFE}: model.decoder.embed_positions.weight holds no sinusoids",
        ),
    ],
    ids=["missing", "shape", "bias", "positions"],
)
def test_weights_that_do_not_fit_are_one_line(act: Any, expected: str, copy: Path) -> None:
    change(copy, act)
    assert problem(copy).startswith(expected)


def test_positions_that_are_sinusoids_in_halves_and_16_bits_are_taken(copy: Path, made: Path) -> None:
    table = SinusoidalPositions.encodings(96, 16)
    halves = torch.cat([table[:, ::2], table[:, 1::2]], 1).half()
    names = [f"model.{side}.embed_positions.weight" for side in ("encoder", "decoder")]
    change(copy, lambda tensors: tensors.update({name: halves.clone() for name in names}))
    assert_close(import_weights(MarianFolder.open(copy)), import_weights(MarianFolder.open(made)))


def test_without_a_bias_it_is_0(copy: Path) -> None:
    change(copy, lambda tensors: tensors.pop("final_logits_bias"))
    bias = import_weights(MarianFolder.open(copy))["generator.bias"]
    assert bias.count_nonzero() == 1


def test_what_is_not_of_the_model_is_said(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(copy, lambda tensors: tensors.update({"model.x": torch.zeros(1), "model.a": torch.zeros(1)}))
    import_weights(MarianFolder.open(copy))
    said = capsys.readouterr().err
    assert said.endswith(f"{SAFE}: 2 tensors are not of the model, first model.a; they are left out\n")


def test_a_folder_without_weights_is_one_line(copy: Path) -> None:
    (copy / SAFE).unlink()
    expected = f"{copy}: neither {SAFE} nor {PICKLED} in it (weights in several files are not read)"
    assert problem(copy) == expected


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("touched"),))


@pytest.mark.parametrize("content", [Evil(), [1, 2], {"a": 1}, None], ids=["code", "list", "number", "bytes"])
def test_a_pickle_of_anything_but_tensors_is_refused(
    content: object, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy)
    (copy / SAFE).unlink()
    if content is None:
        (copy / PICKLED).write_bytes(b"no pickle")
    elif isinstance(content, Evil):
        (copy / PICKLED).write_bytes(pickle.dumps(content))
    else:
        torch.save(content, copy / PICKLED)
    said = problem(copy)
    assert said.startswith(f"{PICKLED}: ")
    assert "damaged or holds more than tensors" in said or said.endswith("holds no tensors by name")
    assert not (copy / "touched").exists()


def test_a_damaged_file_is_one_line(copy: Path) -> None:
    (copy / SAFE).write_bytes(b"x" * 40)
    assert problem(copy).startswith(f"{SAFE}: damaged: ")

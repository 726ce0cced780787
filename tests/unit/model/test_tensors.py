"""Named tensors on disk."""

import os
from pathlib import Path

import pytest
import torch

from nmt.errors import ArtifactError, StorageError
from nmt.model.tensors import load_tensors, read_shapes, save_tensors


def test_tensors_are_read_back_bit_by_bit_views_and_types_included(tmp_path: Path) -> None:
    whole = torch.randn(4, 6)
    tensors = {"a": whole, "b": whole[:, 1:3], "c": whole.bfloat16().requires_grad_(), "d": torch.tensor(7)}
    save_tensors(tensors, tmp_path / "x.safetensors")
    found = load_tensors(tmp_path / "x.safetensors")
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert (found[name].dtype, found[name].requires_grad) == (tensor.dtype, False)
        assert torch.equal(found[name], tensor)


def test_the_file_has_the_rights_that_the_umask_gives(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        save_tensors({"a": torch.zeros(1)}, tmp_path / "x")
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


def test_a_missing_or_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "half").write_bytes(b"\x08")
    for name in ("half", "nowhere"):
        with pytest.raises(ArtifactError) as caught:
            load_tensors(tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name}: missing or damaged: ")


def test_shapes_are_read_alone_and_only_of_float32(tmp_path: Path) -> None:
    path = tmp_path / "x"
    save_tensors({"a": torch.zeros(2, 3), "b": torch.tensor(1.0)}, path)
    assert read_shapes(path) == {"a": (2, 3), "b": ()}
    for kind, name in ((torch.float64, "F64"), (torch.int64, "I64"), (torch.bfloat16, "BF16"), (torch.bool, "BOOL")):
        save_tensors({"a": torch.zeros(2), "b": torch.zeros(1, dtype=kind)}, path)
        with pytest.raises(ArtifactError) as caught:
            read_shapes(path)
        assert str(caught.value) == f"{path}: 'b' is of type {name}, not F32"
    (tmp_path / "half").write_bytes(b"\x08")
    with pytest.raises(ArtifactError, match="half: "):
        read_shapes(tmp_path / "half")


def test_a_disk_that_refuses_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "x"
    with pytest.raises(StorageError) as caught:
        save_tensors({"a": torch.zeros(1)}, path)
    assert str(caught.value).startswith(f"{path}: cannot be written: ")
    assert str(caught.value).endswith(" (free some space and run again)")

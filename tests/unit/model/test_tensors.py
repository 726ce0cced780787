"""Named tensors on disk."""

import errno
import os
from pathlib import Path

import pytest
import torch
from disks import failing
from safetensors import SafetensorError

from nmt.errors import ArtifactError, StorageError
from nmt.model import tensors
from nmt.model.tensors import INT8, load_tensors, read_shapes, save_tensors


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
    for name, state in {"half": "damaged: Error while deserializing header", "nowhere": "missing"}.items():
        with pytest.raises(ArtifactError) as caught:
            load_tensors(tmp_path / name)
        assert str(caught.value).startswith(f"{tmp_path / name}: {state}")


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
def test_a_file_that_cannot_be_read_is_neither_missing_nor_damaged(tmp_path: Path, number: int) -> None:
    save_tensors({"a": torch.zeros(1)}, tmp_path / "x")
    with failing(Path, "open", number), pytest.raises(OSError, match=os.strerror(number)) as caught:
        load_tensors(tmp_path / "x")
    assert caught.value.filename == str(tmp_path / "x")


def test_shapes_are_read_alone_and_only_of_float32(tmp_path: Path) -> None:
    path = tmp_path / "x"
    save_tensors({"a": torch.zeros(2, 3), "b": torch.tensor(1.0)}, path)
    assert read_shapes(path) == {"a": (2, 3), "b": ()}
    for kind, name in ((torch.float64, "F64"), (torch.int64, "I64"), (torch.bfloat16, "BF16"), (torch.bool, "BOOL")):
        save_tensors({"a": torch.zeros(2), "b": torch.zeros(1, dtype=kind)}, path)
        with pytest.raises(ArtifactError) as caught:
            read_shapes(path)
        assert str(caught.value) == f"{path}: 'b' is of type {name}, not F32"
        with pytest.raises(ArtifactError, match=f"'b' is of type {name}, not F32 or I8$"):
            read_shapes(path, INT8)
    save_tensors({"a": torch.zeros(2, dtype=torch.int8)}, path)
    assert read_shapes(path, INT8) == {"a": (2,)}
    with pytest.raises(ArtifactError, match=r"'a' is of type I8, not F32$"):
        read_shapes(path)
    (tmp_path / "half").write_bytes(b"\x08")
    with pytest.raises(ArtifactError, match="half: "):
        read_shapes(tmp_path / "half")


def test_a_disk_that_refuses_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "x"
    with pytest.raises(StorageError) as caught:
        save_tensors({"a": torch.zeros(1)}, path)
    assert str(caught.value) == f"{path}: cannot be written: No such file or directory"


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (SafetensorError("I/O error: No space left on device (os error 28)"), " (free some space and run again)"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), " (free some space and run again)"),
        (SafetensorError("I/O error: Input/output error (os error 5)"), ""),
        (SafetensorError("of no number"), ""),
    ],
)
def test_only_a_full_disk_is_to_be_made_room_on(
    tmp_path: Path, error: Exception, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save_file(*_: object) -> None:
        raise error

    monkeypatch.setattr(tensors, "save_file", save_file)
    with pytest.raises(StorageError) as caught:
        save_tensors({"a": torch.zeros(1)}, tmp_path / "x")
    reason = getattr(error, "strerror", None) or str(error)
    assert str(caught.value) == f"{tmp_path / 'x'}: cannot be written: {reason}{hint}"

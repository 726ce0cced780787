"""Named tensors on disk, as safetensors: no code runs when they are read."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from nmt.errors import ArtifactError, StorageError

FLOAT32 = "F32"  # the type of all weights on disk, as safetensors calls it


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write `tensors` to `path`. Raises StorageError where the disk is full or forbids it."""
    try:
        path.touch()
        mode = path.stat().st_mode  # as the umask has it; safetensors lets the owner alone read
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)
        path.chmod(mode)
    except (OSError, SafetensorError) as error:
        raise StorageError(f"{path}: cannot be written: {error}", hint="free some space and run again") from None


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Read the shape of each tensor of a safetensors file, but not the tensors.

    Raises ArtifactError where the file is missing or damaged, or holds another type than float32.
    """
    try:
        with safe_open(path, framework="pt") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
            shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
            others = {name: part.get_dtype() for name, part in slices.items() if part.get_dtype() != FLOAT32}
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{path}: missing or damaged: {error}") from None
    for name, kind in others.items():
        raise ArtifactError(f"{path}: {name!r} is of type {kind}, not {FLOAT32}")
    return shapes


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file. Raises ArtifactError where it is missing or damaged."""
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{path}: missing or damaged: {error}") from None
    return tensors

"""Named tensors on disk, as safetensors: no code runs when they are read."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from nmt.errors import ArtifactError, StorageError


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write `tensors` to `path`. Raises StorageError where the disk is full or forbids it."""
    try:
        path.touch()
        mode = path.stat().st_mode  # as the umask has it; safetensors lets the owner alone read
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)
        path.chmod(mode)
    except (OSError, SafetensorError) as error:
        raise StorageError(f"{path}: cannot be written: {error}", hint="free some space and run again") from None


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file. Raises ArtifactError where it is missing or damaged."""
    try:
        tensors: dict[str, Tensor] = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{path}: missing or damaged: {error}") from None
    return tensors

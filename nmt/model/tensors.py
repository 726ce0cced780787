"""Named tensors on disk, as safetensors: no code runs when they are read."""

import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from nmt.errors import SPACE, ArtifactError, StorageError
from nmt.files import naming


def save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write `tensors` to `path`. Raises StorageError where the disk takes it not."""
    try:
        path.touch()
        mode = path.stat().st_mode  # as the umask has it; safetensors lets the owner alone read
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)
        path.chmod(mode)
    except (OSError, SafetensorError) as error:
        number = re.search(r"\(os error (\d+)\)", str(error))  # as safetensors writes it
        hint = SPACE.get(int(number[1]) if number else getattr(error, "errno", None))
        reason = getattr(error, "strerror", None) or error
        raise StorageError(f"{path}: cannot be written: {reason}", hint=hint) from None


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file. Raises ArtifactError where it is missing or damaged, OSError where it cannot be read."""
    try:
        with naming(path), path.open("rb"):  # safetensors takes a file that it may not open for a missing one
            tensors: dict[str, Tensor] = load_file(path)
    except FileNotFoundError:
        raise ArtifactError(f"{path}: missing") from None
    except SafetensorError as error:
        raise ArtifactError(f"{path}: damaged: {error}") from None
    return tensors

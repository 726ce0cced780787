"""Named tensors on disk, as safetensors: no code runs when they are read."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from nmt.errors import SPACE, ArtifactError, StorageError
from nmt.files import naming

FLOAT32, INT8 = "F32", "I8"  # the types of weights on disk, as safetensors calls them


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


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raise ArtifactError where the safetensors file that the block reads is missing or damaged, or else OSError."""
    try:
        with naming(path), path.open("rb"):  # safetensors takes a file that it may not open for a missing one
            yield
    except FileNotFoundError:
        raise ArtifactError(f"{path}: missing") from None
    except SafetensorError as error:
        raise ArtifactError(f"{path}: damaged: {error}") from None


def read_shapes(path: Path, *types: str) -> dict[str, tuple[int, ...]]:
    """Read the shape of each tensor of a safetensors file, but not the tensors.

    Raises ArtifactError where the file is missing or damaged, or holds another type than float32 and `types`, OSError
    where it cannot be read.
    """
    with reading(path), safe_open(path, framework="pt") as file:
        slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
        kinds = {name: part.get_dtype() for name, part in slices.items()}
        shapes = {name: tuple(part.get_shape()) for name, part in slices.items()}
    for name, kind in kinds.items():
        if kind not in (FLOAT32, *types):
            raise ArtifactError(f"{path}: {name!r} is of type {kind}, not {' or '.join((FLOAT32, *types))}")
    return shapes


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file. Raises ArtifactError where it is missing or damaged, OSError where it cannot be read."""
    with reading(path):
        tensors: dict[str, Tensor] = load_file(path)
    return tensors

"""The expected failures, each with its exit code."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Numbers of the errors of a full disk."""
SPACE: dict[int | None, str] = dict.fromkeys(FULL, "free some space and run again")
"""The hint of an error by its number."""
MACHINE = FULL | {errno.EIO, errno.ESTALE, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENODEV}
"""Numbers of the errors that are the machine's, whichever file was named."""

SHORTAGES = re.compile("out of memory|can't allocate memory|ALLOC_FAILED|ALLOCATION_FAILED")
"""Texts of a full memory: of CUDA, NCCL and Triton; of a CPU; of cuBLAS and older cuDNN; of newer cuDNN."""
NOT_DETERMINISTIC = re.compile(r"\S+ does not have a deterministic implementation")


class NmtError(Exception):
    """Base of all expected failures: a message of what happened, and a hint of what to do."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} ({self.hint})" if self.hint else message


class UsageError(NmtError):
    """Arguments that cannot work together, or a machine that lacks what they ask for."""

    exit_code = 2


class RecipeError(NmtError):
    """A recipe with an unknown key, a wrong type, a value out of bounds, or values that contradict each other."""

    exit_code = 2


class DataError(NmtError):
    """Text that is missing, misaligned, not UTF-8, or too short."""

    exit_code = 3


class ArtifactError(NmtError):
    """A checkpoint, a bundle or another artifact that is missing, damaged, of a newer format or of another recipe."""

    exit_code = 4


class InterruptedTrainingError(NmtError):
    """A training that Ctrl-C ended after a checkpoint was saved."""

    exit_code = 130


class HungUpTrainingError(NmtError):
    """A training that SIGHUP ended after a checkpoint was saved."""

    exit_code = 129


class TerminatedTrainingError(NmtError):
    """A training that SIGTERM ended after a checkpoint was saved."""

    exit_code = 143


class RankError(NmtError):
    """A rank that lost another one, or whose exchange with the others failed."""


class WorkersError(NmtError):
    """A command that lost one of its worker processes."""


class DivergedError(NmtError):
    """A training whose loss is no longer finite, or far above its recent values."""

    exit_code = 5


class NotReproducedError(NmtError):
    """An expected score that was not reached, or cannot be compared."""

    exit_code = 6


class FailedRunsError(NmtError):
    """A sweep of which some runs failed."""

    exit_code = 7


class ForgottenError(NmtError):
    """A fine-tuning that lost more on general text than its guard allows."""

    exit_code = 8


class StorageError(NmtError):
    """A full disk, a file that may not be read or written, or a disk that fails."""

    exit_code = 4


class InUseError(NmtError):
    """A folder or an output that another process writes."""

    exit_code = 4


def storage_error(error: OSError) -> StorageError:
    """Return an error of the system as one line: the file, and what the system says of it."""
    # Standard output has no name.
    name = error.filename or ("output" if error.errno in FULL else "the system")
    return StorageError(f"{name}: {error.strerror or str(error) or type(error).__name__}")


def input_error(name: object, error: OSError) -> NmtError:
    """Return the error of the input `name`: a DataError, but a StorageError where the machine fails, not the name."""
    kind = StorageError if error.errno in MACHINE else DataError
    return kind(f"{name}: {error.strerror}")


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether `error` means a full memory, of a GPU or of the machine."""
    # Of torch, which this module does not import.
    is_full = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return is_full or bool(SHORTAGES.search(str(error)))


@contextmanager
def explaining_shortage(message: str, hint: str) -> Iterator[None]:
    """Turn an error of the block that `is_out_of_memory` into a UsageError."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise UsageError(message, hint=hint) from None


def worded(message: str) -> str:
    """Return a message of pydantic as the end of a line that names the value.

    >>> worded("Value error, Input should be greater than 0")
    'must be greater than 0'
    """
    return message.replace("Value error, ", "", 1).replace("Input should be", "must be", 1)


def explain(error: BaseException) -> str:
    """Return the line for an error of torch that is no bug: a full memory, an operation that is not deterministic."""
    if is_out_of_memory(error):
        return "out of memory (take a smaller model, beam or batch, or a machine with more)"
    if found := NOT_DETERMINISTIC.match(str(error)):
        return f"training.deterministic = true, but {found[0]} in torch on this device (set it to false)"
    return ""

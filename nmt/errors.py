"""The expected failures: one line of what happened, one of what to do, and an exit code each."""

from typing import ClassVar


class NmtError(Exception):
    """Base of all expected failures: one line of what happened, one of what to do."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message} ({self.hint})" if self.hint else message


class UsageError(NmtError):
    """A command called with arguments that cannot work together, or a machine that lacks what was asked for."""

    exit_code = 2


class RecipeError(NmtError):
    """A recipe with an unknown key, a wrong type, a value out of bounds, or values that contradict each other."""

    exit_code = 2


class DataError(NmtError):
    """Text that is missing, misaligned, not UTF-8, or too little."""

    exit_code = 3


class ArtifactError(NmtError):
    """A checkpoint or a bundle that is missing, damaged, of another format or of another run."""

    exit_code = 4


class InterruptedTrainingError(NmtError):
    """A training that Ctrl-C ended, after it was saved."""

    exit_code = 130


class TerminatedTrainingError(NmtError):
    """A training that SIGTERM ended, after it was saved."""

    exit_code = 143


class RankError(NmtError):
    """A process of a training of several that lost another."""

    exit_code = 1


class WorkersError(NmtError):
    """A translation of several processes that has lost them."""

    exit_code = 1


class DivergedError(NmtError):
    """Training whose loss is no longer a number, or far from what it was."""

    exit_code = 5


class StorageError(NmtError):
    """A disk that is full or a file that may not be written."""

    exit_code = 4

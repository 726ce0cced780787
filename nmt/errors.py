"""The expected failures, each with its exit code."""

from typing import ClassVar


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


class TerminatedTrainingError(NmtError):
    """A training that SIGTERM ended after a checkpoint was saved."""

    exit_code = 143


class RankError(NmtError):
    """A rank that lost another one."""


class WorkersError(NmtError):
    """A command that lost one of its worker processes."""


class DivergedError(NmtError):
    """A training whose loss is no longer finite, or far above its recent values."""

    exit_code = 5


class StorageError(NmtError):
    """A full disk, or a file that may not be written."""

    exit_code = 4

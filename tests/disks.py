"""Disks that fail."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def failing(owner: object, name: str, number: int, only: Path | None = None) -> Iterator[None]:
    """Let a function of the system fail with the error `number`, for every path or for `only` and what lies in it."""
    real = getattr(owner, name)

    def fail(*arguments: object, **keywords: object) -> object:
        if only is None or str(arguments[0]).startswith(str(only)):
            raise OSError(number, os.strerror(number))
        return real(*arguments, **keywords)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, fail)
        yield


def make_unreadable(path: Path) -> None:
    """Put at `path` a file that opens, and whose every read is an I/O error, as that of a broken disk."""
    path.unlink(missing_ok=True)
    path.symlink_to("/proc/self/mem")

"""One writer at a time: a lock file that the system releases when its process dies, however it dies."""

import errno
import fcntl
import json
import os
import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from functools import cache
from pathlib import Path

from nmt import console
from nmt.errors import InUseError
from nmt.files import is_running, read_record

IN_USE = ".in-use"  # the lock file in a folder, and the end of the name of one beside an output
READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
"""Errors of `flock` on a file system that has no locks."""
LONGEST = 200  # characters of the holder's command in a message
TRIES = 10  # attempts to make a lock file in a folder that another process makes and removes


def holding_folder(folder: Path) -> AbstractContextManager[bool]:
    """Hold `folder` against other writers in the block, and make it if it is missing.

    Yields whether it can be written; one that cannot needs no lock. A folder that was made, and that the block leaves
    empty, is removed. Raises InUseError, which names the holder, where another process holds it.
    """
    return _holding(folder / IN_USE, folder)


def holder_of(folder: Path) -> str:
    """Describe the process that holds `folder`; empty where none does. Nothing is locked.

    A process on another machine that was killed counts as one that holds it.
    """
    lock = folder / IN_USE
    record = read_record(lock, pid=int, host=str)
    if record is None or (record["host"] == socket.gethostname() and not is_running(record["pid"])):
        return ""
    return _holder(lock)


def holding_output(path: Path) -> AbstractContextManager[bool]:
    """Hold the output `path`, a file, a folder or the stem of several, by a lock file beside it.

    Yields whether the folder around it can be written. Raises InUseError where another process holds the output.
    """
    absolute = path.absolute()
    return _holding(absolute.with_name(f".{absolute.name}{IN_USE}"), path)


@contextmanager
def _holding(lock: Path, what: Path) -> Iterator[bool]:
    folder = lock.parent
    is_new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        if folder == what:
            raise
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(what)) from None
    handle = _acquire(lock, what)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            _release(handle, lock)
        if is_new:
            with suppress(OSError):  # it is not empty
                folder.rmdir()


def _acquire(lock: Path, what: Path) -> int | None:
    """Return the descriptor of the locked file, which no child inherits; None in a folder that cannot be written."""
    for attempt in range(TRIES):
        try:
            handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:
            if attempt == TRIES - 1:
                raise
            lock.parent.mkdir(parents=True, exist_ok=True)
            continue
        except OSError as error:
            if error.errno not in READ_ONLY:
                raise
            return None
        try:
            _lock(handle, lock, what)
            if is_at(handle, lock):  # not removed by its last holder in the meantime
                os.ftruncate(handle, 0)
                os.write(handle, json.dumps(_this_process()).encode())
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
    raise InUseError(f"{what}: in use by other processes that start and end", hint="run it again")


def _lock(handle: int, lock: Path, what: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InUseError(
            f"{what}: in use by {_holder(lock)}", hint="wait for it, end it, or write to another folder"
        ) from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            error.filename = str(lock)
            raise
        _warn_once()


@cache
def _warn_once() -> None:
    console.warn("the file system has no locks: see to it that no other process writes into the same folder")


def is_at(handle: int, lock: Path) -> bool:
    """Return whether the open file is still the one at `lock`."""
    try:
        return os.path.samestat(os.fstat(handle), lock.stat())
    except FileNotFoundError:
        return False


def _release(handle: int, lock: Path) -> None:
    """Remove the lock file while it is locked, so that nobody locks a file that is about to go."""
    with suppress(OSError):
        if is_at(handle, lock):
            lock.unlink()
    os.close(handle)


def _this_process() -> dict[str, str | int]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "command": shlex.join(["nmt", *sys.argv[1:]]),
        "since": datetime.now().astimezone().isoformat(sep=" ", timespec="seconds"),
    }


def _holder(lock: Path) -> str:
    """Describe the process that holds `lock`, as it wrote itself down."""
    record = read_record(lock, "pid", "host", "command", "since")
    if record is None:
        return "another process"
    command = "".join(c if c.isprintable() else "?" for c in str(record["command"])[:LONGEST])
    return f"process {record['pid']} on {record['host']} since {record['since']}: {command}"

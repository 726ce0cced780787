"""Atomic writes, JSON files, digests."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Json = Any  # a parsed JSON value
JsonObject = dict[str, Any]  # a parsed JSON object
NO_FOLDER_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}  # from network disks that cannot flush a folder


def digest(data: bytes | str) -> str:
    """Return the SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name `path` in an error of the system that the block raises without a file, as reads and writes do."""
    try:
        yield
    except OSError as error:
        if error.errno and not error.filename:
            error.filename = str(path)
        raise


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with naming(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_json(value: object) -> str:
    """Return the SHA-256 of the canonical form of a JSON value."""
    return digest(json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")))


def sync(path: Path) -> None:
    """Flush `path`, a file or a folder, to the disk; a folder only where the file system can."""
    handle = os.open(path, os.O_RDONLY)
    try:
        with naming(path):
            os.fsync(handle)
    except OSError as error:
        if error.errno not in NO_FOLDER_SYNC or not path.is_dir():
            raise
    finally:
        os.close(handle)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a scratch path beside `path` that replaces it if the block succeeds.

    The block creates a file or a folder there, which is flushed to the disk before the move. An old folder at `path`
    is moved away first, so a crash in between leaves none, never half of one. `remove_partials` removes the rest that a
    crash leaves.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.partial")
    old = path.with_name(f".{path.name}.{os.getpid()}.old.partial")
    remove(scratch)
    try:
        with naming(path):
            yield scratch
            for part in [*scratch.rglob("*"), scratch] if scratch.is_dir() else [scratch]:
                sync(part)
            if path.is_dir():
                path.replace(old)
            scratch.replace(path)
            sync(path.parent)
    finally:
        remove(scratch)
        remove(old)


def is_missing(path: Path) -> bool:
    """Return whether nothing is at `path`. Raises OSError where that cannot be found out.

    `Path.exists` of newer Pythons takes a file that it may not look at for a missing one.
    """
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    return False


def remove(path: Path) -> None:
    """Delete `path`, a file or a folder, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_partials(folder: Path) -> None:
    """Delete the scratch files and folders that killed writers left in `folder`."""
    for path in folder.glob(".*.partial"):
        remove(path)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically."""
    with replacing(path) as scratch:
        scratch.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: object) -> None:
    """Write `value` to `path` as indented JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Json:
    """Read a JSON value; None where the file is missing or damaged. Raises OSError where it cannot be read."""
    try:
        with naming(path):
            return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, RecursionError):
        return None


def read_record(path: Path, *keys: str) -> JsonObject | None:
    """Read a JSON object that has `keys`; None where the file is missing, damaged or something else.

    Raises OSError where it cannot be read.
    """
    values = read_json(path)
    return values if isinstance(values, dict) and set(keys) <= values.keys() else None


def differing(first: JsonObject, second: JsonObject, prefix: str = "") -> list[str]:
    """Return the keys whose values differ, with dots for keys of inner objects; a missing key is None."""
    keys: list[str] = []
    for key in sorted(first.keys() | second.keys()):
        one, other = first.get(key), second.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            keys += differing(one, other, f"{prefix}{key}.")
        elif one != other:
            keys.append(prefix + key)
    return keys

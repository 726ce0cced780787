"""Atomic writes, JSON files, digests."""

import errno
import glob
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from nmt import strict_json
from nmt.errors import UsageError

Json = Any  # a parsed JSON value
JsonObject = dict[str, Any]  # a parsed JSON object
DEEPEST = 64  # most levels of a JSON value
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

    The block creates a file or a folder there, which is flushed to the disk before the move. A link at `path` stays,
    and what it points to is replaced; permissions of an old file or folder are kept. An old folder is moved away first,
    so a crash in between leaves none, never half of one. `remove_partials` and `remove_leftovers` remove the rest that
    a crash leaves.
    """
    target = behind(path)
    mode = target.stat().st_mode if target.exists() else None
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch, old = scratch_of(target), scratch_of(target, ".old")
    remove(scratch)
    try:
        with naming(path):
            yield scratch
            for part in [*scratch.rglob("*"), scratch] if scratch.is_dir() else [scratch]:
                sync(part)
            if mode and mode != scratch.stat().st_mode:
                scratch.chmod(stat.S_IMODE(mode))
            if target.is_dir():
                target.replace(old)
            scratch.replace(target)
            sync(target.parent)
    finally:
        remove(scratch)
        if is_missing(target) and not is_missing(old):  # the second move failed, or was interrupted
            old.replace(target)
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


def entries(folder: Path, pattern: str) -> list[Path]:
    """Return what is in `folder` under names of a glob `pattern`, sorted; nothing where there is no such folder.

    Raises OSError where the folder cannot be read, which `Path.glob` takes for an empty one.
    """
    if is_missing(folder) or folder.is_file():
        return []
    return sorted(path for path in folder.iterdir() if fnmatchcase(path.name, pattern))


def scratch_of(path: Path, kind: str = "") -> Path:
    """Return the path beside `path` at which this process makes it, or another of its `kind`."""
    return path.with_name(f".{path.name}.{os.getpid()}{kind}.partial")


def check_output(path: Path) -> None:
    """Check that a file can be written at `path`, and delete what killed commands left of it.

    A folder that is missing will be made. Raises OSError where `path` is a folder or may not be written.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    if not is_stream(path):
        check_writable(path)


def check_writable(path: Path) -> None:
    """Check that a file or folder can appear at `path`, and delete what killed commands left of it. Raises OSError."""
    target = behind(path)
    remove_leftovers(target)
    probe = scratch_of(next(folder for folder in target.parents if folder.exists()) / target.name)
    try:  # more than permissions can forbid it
        probe.touch()
        probe.unlink()
    except OSError as error:
        error.filename = str(path)
        raise


def check_new_folder(path: Path) -> None:
    """Check that a new folder can appear at `path`, and delete what killed commands left of it.

    Raises UsageError where there is something but an empty folder, OSError where it cannot be written.
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise UsageError(f"{path}: is there already", hint="name a new or an empty folder")
    check_writable(path)


def behind(path: Path) -> Path:
    """Return the file or folder that a link points to, which need not exist; another `path` as it is."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def is_stream(path: Path) -> bool:
    """Return whether `path` cannot be replaced: a device, a pipe, or an open file such as /dev/stdout."""
    folder = Path(os.path.realpath(path.parent))
    is_special = path.exists() and not path.is_file() and not path.is_dir()
    return is_special or folder == Path("/dev") or folder.match("/proc/*/fd")


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


def remove_leftovers(path: Path) -> None:
    """Delete the scratch files and folders of `path` whose processes have ended."""
    for partial in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        process = re.match(r"([0-9]+)(\.[a-z]+)?\.partial$", partial.name[len(path.name) + 2 :])
        if process and not is_running(int(process[1])):
            with suppress(OSError):  # of another user
                remove(partial)


def is_running(process: int) -> bool:
    """Return whether a process other than this one has the id `process`."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # the process of another user
    return True


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically."""
    with replacing(path) as scratch:
        scratch.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: object) -> None:
    """Write `value` to `path` as indented JSON, atomically; NaN and infinity, which JSON lacks, become null."""
    write_text(path, strict_json.dumps(value, indent=2) + "\n")


def parse_json(text: str) -> Json:
    """Parse strict JSON.

    Raises ValueError also for what Python's parser lets pass: keys that occur twice, halves of surrogate pairs, and
    more than DEEPEST levels. NaN is parsed, as Python writes it.
    """

    def object_of(pairs: list[tuple[str, Json]]) -> JsonObject:
        values = dict(pairs)
        if len(values) < len(pairs):
            raise ValueError("a key occurs twice")
        return values

    try:
        value = json.loads(text, object_pairs_hook=object_of)
    except RecursionError:
        raise ValueError("too many levels") from None
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for each in level if isinstance(each, dict | list) for inner in _children(each)]
    if level:
        raise ValueError("too many levels")
    if "\\u" in text:
        json.dumps(value, ensure_ascii=False).encode()  # a half of a surrogate pair has no UTF-8
    return value


def _children(value: JsonObject | list[Json]) -> Iterable[Json]:
    return value.values() if isinstance(value, dict) else value


def read_json(path: Path) -> Json:
    """Read a JSON value; None where the file is missing or damaged. Raises OSError where it cannot be read."""
    try:
        with naming(path):
            return parse_json(path.read_text(encoding="utf-8")) if stat.S_ISREG(path.stat().st_mode) else None
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


def read_record(path: Path, *keys: str, **types: type) -> JsonObject | None:
    """Read a JSON object that has `keys`, and keys with values of `types`; None where the file holds no such object.

    Raises OSError where it cannot be read.
    """
    values = read_json(path)
    if not isinstance(values, dict) or not set(keys) <= values.keys():
        return None
    return values if all(isinstance(values.get(key), kind) for key, kind in types.items()) else None


def differences(*objects: JsonObject, prefix: str = "") -> dict[str, tuple[Json, ...]]:
    """Return the values that differ between objects, by key, with dots for keys of inner objects.

    The key has `prefix` in front; a missing value is None.
    """
    found: dict[str, tuple[Json, ...]] = {}
    for key in sorted(set().union(*objects)):
        values = tuple(each.get(key) for each in objects)
        inner = [value for value in values if isinstance(value, dict)]
        if len(inner) == len(objects):
            found |= differences(*inner, prefix=f"{prefix}{key}.")
        elif any(value != values[0] for value in values):
            found[prefix + key] = values
    return found


def differing(first: JsonObject, second: JsonObject) -> list[str]:
    """Return the keys whose values differ, see `differences`."""
    return list(differences(first, second))

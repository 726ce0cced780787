"""Find and open text files, on disk or within an archive, of which nothing is unpacked to the disk.

A path may go on within an archive: `all.tar.gz/train.en`.
"""

import io
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Protocol, cast

from nmt import console
from nmt.config.data import DownloadConfig
from nmt.data.reading.downloads import fetch
from nmt.data.reading.markup import refuse_name
from nmt.data.reading.streams import (
    BUFFER,
    COMPRESSIONS,
    decode_lines,
    decompress,
    is_archive,
    listing,
    plain_name,
    reading,
)
from nmt.errors import DataError

TAR_BLOCK = 512  # bytes of a block of a tar file


def read_lines(path: Path, replaced: list[int] | None = None, anomalies: Counter[str] | None = None) -> Iterator[str]:
    """Yield the lines of the file that `find_file` finds at `path`, without their ends.

    `replaced` and `anomalies` are described at `decode_lines`. Raises DataError also where the name is that of a file
    that holds no lines of text.
    """
    path = find_file(path)
    refuse_name(path, plain_name(path.name))
    with open_bytes(path) as stream:
        yield from decode_lines(stream, str(path), replaced, anomalies)


def count_lines(path: Path) -> int:
    """Count the lines of `path`, compressed or not; they need not be UTF-8."""
    return sum(1 for _ in read_lines(path, [], Counter()))


def printable(name: str) -> str:
    """Return a file name that can be written as UTF-8: other bytes become escapes."""
    return name.encode(errors="backslashreplace").decode()


def split_path(path: Path) -> tuple[Path, str]:
    """Split `path` into the part that exists on disk and the rest, "" where all of it exists."""
    for part in (path, *path.parents):
        if part.exists():
            rest = path.relative_to(part).as_posix()
            return part, "" if rest == "." else rest
    return Path(), path.as_posix()


def find_file(path: Path, tip: str = "", downloads: Mapping[str, DownloadConfig] | None = None) -> Path:
    """Return the first that exists of `path` and `path` with .gz, .xz, .zst or .bz2 appended.

    A missing file with the name of one of `downloads` is fetched. Raises DataError; `tip` ends its hint.
    """
    base, rest = split_path(path)
    if not rest:
        return base
    if base.is_file():
        return _find_member(base, rest, tip)
    for suffix in COMPRESSIONS:
        if (compressed := base / (rest + suffix)).exists():
            return compressed
    if downloads and (name := download_of(path, downloads)):
        fetched, member = fetch(name, downloads[name]), rest.partition("/")[2]
        return _find_member(fetched, member, tip) if member else fetched
    raise DataError(f"{path}: no such file", hint=f"nor {path.name}.gz{tip}")


def download_of(path: Path, downloads: Mapping[str, DownloadConfig]) -> str | None:
    """Return the name of the download that holds the missing file `path`; None where it exists, or none holds it."""
    base, rest = split_path(path)
    if not base.is_dir() or any((base / (rest + suffix)).exists() for suffix in COMPRESSIONS):
        return None
    first = rest.partition("/")[0]
    return next((first + suffix for suffix in ("", *COMPRESSIONS) if first + suffix in downloads), None)


def _find_member(archive: Path, member: str, tip: str) -> Path:
    if not is_archive(archive.name):
        hint = f"archives are .zip and .tar{tip}"
        raise DataError(f"{archive}: no archive, so there is no {member} in it", hint=hint)
    names = member_names(archive)
    for suffix in ("", *COMPRESSIONS):
        if member + suffix in names:
            return archive / (member + suffix)
    if any(name.startswith(f"{member}/") for name in names):
        return archive / member
    raise DataError(f"{archive}: no {member} in it", hint=f"it has {listing(names)}{tip}")


@contextmanager
def open_bytes(path: Path) -> Iterator[io.BufferedReader]:
    """Open `path`, as returned by `find_file`, and decompress it. Raises DataError."""
    base, member = split_path(path)
    if member and member not in member_names(base):
        raise DataError(f"{path}: a folder, where a file should be")
    with ExitStack() as stack:
        with reading(path):
            container = stack.enter_context(open_container(base if member else base.parent))
            stream = decompress(container.open(member or base.name), str(path))
        yield stream


class Container(Protocol):
    """A folder or an archive."""

    def names(self) -> list[str]:
        """Return the sorted names of all files in it, each with its folders before it."""

    def open(self, name: str) -> io.BufferedReader:
        """Open a file, and close the one opened before."""


@contextmanager
def open_container(path: Path) -> Iterator[Container]:
    """Open a folder or an archive. Raises the exceptions in `streams.UNREADABLE`."""
    with ExitStack() as stack:
        kind = Folder if path.is_dir() else Zip if path.suffix.lower() == ".zip" else Tar
        yield kind(path, stack)


def member_names(path: Path) -> list[str]:
    """Return the sorted names of the files in a folder or an archive, hidden ones left out. Raises DataError."""
    with reading(path):
        status = path.stat()
        return list(_names_in_archive(path, status.st_size, status.st_mtime_ns) if path.is_file() else _names_in(path))


def _names_in(path: Path) -> list[str]:
    with open_container(path) as container:
        names = container.names()
    if outside := [name for name in names if name.startswith("/") or ".." in PurePosixPath(name).parts]:
        console.warn(f"{path}: names that lead out of the archive are skipped: {listing(outside)}")
    return [name for name in names if not name.startswith((".", "__MACOSX/", "/")) and "/." not in name]


def check_inside(folder: Path, name: str) -> None:
    """Raise DataError where a file of a data folder is a link that leads out of it."""
    if not (folder / name).resolve().is_relative_to(folder.resolve()):
        raise DataError(
            f"{folder / name}: a link that leads out of the folder", hint="name the file itself, or copy it"
        )


# Listing a compressed archive reads all of it.
@lru_cache(maxsize=64)
def _names_in_archive(path: Path, _size: int, _time: int) -> list[str]:
    return _names_in(path)


class Folder:
    """A folder and the folders below it."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._path, self._stack = path, stack

    def names(self) -> list[str]:
        return sorted(file.relative_to(self._path).as_posix() for file in self._path.rglob("*") if file.is_file())

    def open(self, name: str) -> io.BufferedReader:
        self._stack.close()
        return self._stack.enter_context(io.BufferedReader(io.FileIO(self._path / name), BUFFER))


class Zip:
    """A .zip file."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._path, self._file = path, stack.enter_context(zipfile.ZipFile(path))
        self._members = {_normalized(info.filename): info for info in self._file.infolist() if not info.is_dir()}

    def names(self) -> list[str]:
        return sorted(self._members)

    def open(self, name: str) -> io.BufferedReader:
        try:
            return io.BufferedReader(cast(io.RawIOBase, self._file.open(self._members[name])), BUFFER)
        except RuntimeError as error:  # a password, or a compression that Python does not know
            raise DataError(f"{self._path}/{name}: {error}", hint="pack the archive anew") from None


class Tar:
    """A .tar file, compressed or not, read forward; a file further back is found by a second pass from the start."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._path, self._stack = path, stack
        self._rewind()

    def _rewind(self) -> None:
        self._stack.close()
        file = self._stack.enter_context(self._path.open("rb"))
        self._file = tarfile.open(fileobj=decompress(file, str(self._path)), mode="r|", bufsize=BUFFER)  # noqa: SIM115
        self._stack.enter_context(self._file)
        self._members = ((_normalized(member.name), member) for member in self._file if member.isreg())

    def names(self) -> list[str]:
        """Return the sorted names of the files. Raises tarfile.ReadError where the archive is cut short."""
        names = sorted(name for name, _ in self._members)
        with self._path.open("rb") as file:
            # A compressed file knows its end; blocks of zeros are the end of a plain one.
            if decompress(file, "") is file:
                file.seek(-TAR_BLOCK, io.SEEK_END)
                if any(file.read()):
                    raise tarfile.ReadError("the mark of its end is missing")
        return names

    def open(self, name: str) -> io.BufferedReader:
        for _ in range(2):
            for member_name, member in self._members:
                if member_name == name and (file := self._file.extractfile(member)):
                    return io.BufferedReader(cast(io.RawIOBase, file), BUFFER)
            self._rewind()
        raise tarfile.ReadError(f"no {name} in it")


def _normalized(name: str) -> str:
    """Return the name of a member without a leading "./"."""
    return PurePosixPath(name).as_posix()

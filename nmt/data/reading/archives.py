"""Where files lie: in a folder, or within an archive, of which nothing is unpacked to the disk.

A path may go on within an archive: `all.tar.gz/train.en`.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Protocol, cast

from nmt.config.data import DownloadConfig
from nmt.data.reading.streams import BUFFER, COMPRESSIONS, decode_lines, decompress, reading, some
from nmt.errors import DataError

ENDINGS = (".zip", ".tar", ".tgz", ".tbz2", ".txz", ".tzst", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")
"""How the names of archives end."""
TAR_BLOCK = 512
"""Bytes of a block of a tar file."""


def read_lines(path: Path, replaced: list[int] | None = None, oddities: Counter[str] | None = None) -> Iterator[str]:
    """Yield the lines of `path`, whatever its compression, without their ends; see `find_file` for the name.

    What `replaced` and `oddities` are for, `decode_lines` says.
    """
    path = find_file(path)
    with open_bytes(path) as stream:
        yield from decode_lines(stream, str(path), replaced, oddities)


def count_lines(path: Path) -> int:
    """Count the lines of `path`, whatever its compression; they need not be UTF-8."""
    return sum(1 for _ in read_lines(path, []))


def is_archive(name: str) -> bool:
    """Tell whether `name` is that of an archive."""
    return name.lower().endswith(ENDINGS)


def spelled(name: str) -> str:
    """Return a file's name as text that can be written: its bytes that are not UTF-8 become escapes."""
    return name.encode(errors="backslashreplace").decode()


def split_path(path: Path) -> tuple[Path, str]:
    """Split `path` into the part that is there and the rest, "" where all of it is."""
    for part in (path, *path.parents):
        if part.exists():
            rest = path.relative_to(part).as_posix()
            return part, "" if rest == "." else rest
    return Path(), path.as_posix()


def find_file(path: Path, tip: str = "", downloads: Mapping[str, DownloadConfig] | None = None) -> Path:
    """Return `path`, or `path` with .gz, .xz, .zst or .bz2 appended, whichever is there; `tip` ends the hint.

    What is not there and has the name of a download is fetched. Raises DataError.
    """
    there, rest = split_path(path)
    if not rest:
        return there
    if there.is_file():
        return _find_member(there, rest, tip)
    for ending in COMPRESSIONS:
        if (found := there / (rest + ending)).exists():
            return found
    if downloads and (name := download_of(path, downloads)):
        from nmt.data.reading.downloads import fetch

        fetched, member = fetch(name, downloads[name]), rest.partition("/")[2]
        return _find_member(fetched, member, tip) if member else fetched
    raise DataError(f"{path}: no such file", hint=f"nor {path.name}.gz{tip}")


def download_of(path: Path, downloads: Mapping[str, DownloadConfig]) -> str | None:
    """Return the name of the download that `path` is, or lies within; None where it is there, or is no download."""
    there, rest = split_path(path)
    if not there.is_dir() or any((there / (rest + ending)).exists() for ending in COMPRESSIONS):
        return None
    first = rest.partition("/")[0]
    return next((first + ending for ending in ("", *COMPRESSIONS) if first + ending in downloads), None)


def _find_member(archive: Path, member: str, tip: str) -> Path:
    if not is_archive(archive.name):
        raise DataError(
            f"{archive}: no archive, so there is no {member} in it", hint=f"archives are .zip and .tar{tip}"
        )
    names = member_names(archive)
    for ending in ("", *COMPRESSIONS):
        if member + ending in names:
            return archive / (member + ending)
    if any(name.startswith(f"{member}/") for name in names):
        return archive / member
    raise DataError(f"{archive}: no {member} in it", hint=f"it has {some(names)}{tip}")


@contextmanager
def open_bytes(path: Path) -> Iterator[io.BufferedReader]:
    """Open `path`, as `find_file` returns it, and undo its compression. Raises DataError."""
    there, member = split_path(path)
    if member and member not in member_names(there):
        raise DataError(f"{path}: a folder, where a file should be")
    with ExitStack() as stack:
        with reading(path):
            container = stack.enter_context(open_container(there if member else there.parent))
            stream = decompress(container.open(member or there.name), str(path))
        yield stream


class Container(Protocol):
    """A folder or an archive."""

    def names(self) -> list[str]:
        """Name the files in it, sorted, with "/" after each folder."""

    def open(self, name: str) -> io.BufferedReader:
        """Open one of them, and close the one before."""


@contextmanager
def open_container(path: Path) -> Iterator[Container]:
    """Open a folder or an archive. Raises what is in `streams.UNREADABLE`."""
    with ExitStack() as stack:
        if path.is_dir():
            yield Folder(path, stack)
        elif path.suffix.lower() == ".zip":
            yield Zip(path, stack)
        else:
            yield Tar(path, stack)


def member_names(path: Path) -> list[str]:
    """Name the files in a folder or an archive, sorted, hidden ones left out. Raises DataError."""
    with reading(path):
        facts = path.stat()
        return list(_member_names(path, facts.st_size, facts.st_mtime_ns) if path.is_file() else _list(path))


# To list a compressed archive is to read all of it.
@lru_cache(maxsize=64)
def _member_names(path: Path, _size: int, _time: int) -> list[str]:
    return _list(path)


def _list(path: Path) -> list[str]:
    with open_container(path) as container:
        return [name for name in container.names() if not name.startswith((".", "__MACOSX/")) and "/." not in name]


class Folder:
    """A folder with all that is below it."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._path, self._stack = path, stack

    def names(self) -> list[str]:
        """Name the files in it, sorted."""
        return sorted(file.relative_to(self._path).as_posix() for file in self._path.rglob("*") if file.is_file())

    def open(self, name: str) -> io.BufferedReader:
        """Open one of them."""
        self._stack.close()
        return self._stack.enter_context((self._path / name).open("rb"))


class Zip:
    """A .zip file."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._path, self._file = path, stack.enter_context(zipfile.ZipFile(path))
        self._members = {_normal(info.filename): info for info in self._file.infolist() if not info.is_dir()}

    def names(self) -> list[str]:
        """Name the files in it, sorted."""
        return sorted(self._members)

    def open(self, name: str) -> io.BufferedReader:
        """Open one of them."""
        try:
            return io.BufferedReader(cast(io.RawIOBase, self._file.open(self._members[name])), BUFFER)
        except RuntimeError as error:  # a password, or a compression that Python does not know
            raise DataError(f"{self._path}/{name}: {error}", hint="pack the archive anew") from None


class Tar:
    """A .tar file, whatever its compression: read forward, and from its start anew for what lies further back."""

    def __init__(self, path: Path, stack: ExitStack) -> None:
        self._path, self._stack = path, stack
        self._start()

    def _start(self) -> None:
        self._stack.close()
        file = self._stack.enter_context(self._path.open("rb"))
        self._file = tarfile.open(fileobj=decompress(file, str(self._path)), mode="r|", bufsize=BUFFER)  # noqa: SIM115
        self._stack.enter_context(self._file)
        self._members = ((_normal(member.name), member) for member in self._file if member.isreg())

    def names(self) -> list[str]:
        """Name the files in it, sorted. Raises tarfile.ReadError where it is cut short."""
        names = sorted(name for name, _ in self._members)
        with self._path.open("rb") as file:
            is_plain = decompress(file, "") is file
            # A compressed file knows its end, and of a plain one blocks of zeros are the end.
            if is_plain:
                file.seek(-TAR_BLOCK, io.SEEK_END)
                if any(file.read()):
                    raise tarfile.ReadError("the mark of its end is missing")
        return names

    def open(self, name: str) -> io.BufferedReader:
        """Open one of them."""
        for _ in range(2):
            for found, member in self._members:
                if found == name and (file := self._file.extractfile(member)):
                    return io.BufferedReader(cast(io.RawIOBase, file), BUFFER)
            self._start()
        raise tarfile.ReadError(f"no {name} in it")


def _normal(name: str) -> str:
    """Take the "./" off a member's name."""
    return PurePosixPath(name).as_posix()

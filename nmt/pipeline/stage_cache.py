"""The cache of stages that the runs of a user share.

An entry is a stage's folder with a card, under a name that is a digest of all that its files depend on. It appears by a
rename, is never changed, and is verified when it is used; its files are read-only, for run folders hold links to them.
"""

import os
import re
import shutil
import stat
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from nmt import console, runtime
from nmt.cards import Card
from nmt.data.reading.downloads import cache_folder
from nmt.errors import ArtifactError, UsageError
from nmt.files import (
    JsonObject,
    digest_file,
    digest_json,
    entries,
    is_missing,
    remove,
    remove_leftovers,
    replacing,
    scratch_of,
)
from nmt.locks import is_at
from nmt.pipeline.manifest import MANIFEST, Manifest

ENTRY = Card("entry.json", "cached stage", 1)
NAME = re.compile("[a-z]+-[0-9a-f]{32}")
WRITING = 0o222  # the permissions to write a file
DAY = 24 * 60 * 60


@dataclass(frozen=True)
class Entry:
    """An entry of the cache, as far as can be seen without reading its files."""

    path: Path
    stage: str
    recipe: str  # that it was made for; "damaged" where the card is
    made: str  # time, ISO 8601
    used: float  # time of the last use, in seconds since 1970
    size: int  # bytes
    linked: int  # bytes of files that run folders hold too

    @classmethod
    def survey(cls, path: Path) -> Self:
        """Describe the entry at `path`. Raises FileNotFoundError where another process removes it meanwhile."""
        try:
            card = ENTRY.read(path)
        except ArtifactError:
            card = {}
        files = [file.stat() for file in path.rglob("*") if file.is_file()]
        mark = path / ENTRY.file
        return cls(
            path,
            path.name.partition("-")[0],
            card.get("recipe", "damaged"),
            card.get("made", ""),
            (path if is_missing(mark) else mark).stat().st_mtime,
            sum(file.st_size for file in files),
            sum(file.st_size for file in files if file.st_nlink > 1),
        )


class StageCache:
    """A folder of entries."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._is_writable = True  # until an entry could not be stored

    @classmethod
    def of_user(cls) -> Self:
        """Return the cache of this user, beside the downloads. Raises UsageError where the user has no home folder."""
        try:
            return cls(cache_folder().absolute() / "stages")
        except RuntimeError:
            raise UsageError("no home folder to keep a cache in", hint="set NMT_CACHE to a folder") from None

    @classmethod
    def of_run(cls) -> Self | None:
        """Return the cache of this user; None, with a warning, where there can be none."""
        try:
            return cls.of_user()
        except UsageError as error:
            console.warn(str(error))
            return None

    def path_of(self, manifest: Manifest, more: JsonObject) -> Path:
        """Return the path of the entry of a stage with the inputs of `manifest`, whose files depend on `more` too.

        The code of nmt and the versions of packages count as well: the entry holds what would be made here.
        """
        parts = [manifest.stage, manifest.inputs, more, runtime.code()["source"], runtime.versions()]
        return self.folder / f"{manifest.stage}-{digest_json(parts)[:32]}"

    def take(self, path: Path, folder: Path) -> list[str] | None:
        """Put the entry at `path` in the place of `folder`; return the warnings that its making gave.

        None, with `folder` as it was, where there is no such entry, where it is damaged, and then removed, or where it
        cannot be read.
        """
        handle: int | None = None
        try:
            handle = os.open(path, os.O_RDONLY)
            with replacing(folder) as scratch:
                card = ENTRY.read(path)
                for name, digest in card["files"].items():
                    _link(path / name, scratch / name)
                    _verify(scratch / name, digest, path / name)
            with suppress(OSError):  # of another user
                os.utime(path / ENTRY.file)
            return list(card["warnings"])
        except (ArtifactError, FileNotFoundError, NotADirectoryError) as damage:
            if handle is not None and is_at(handle, path):  # not pruned, and perhaps made anew, by another process
                self._drop_damaged(path, damage)
        except OSError as error:
            console.warn(f"{path}: not taken from the cache: {error.strerror or error}")
        finally:
            if handle is not None:
                os.close(handle)
        return None

    def holds(self, path: Path) -> bool:
        """Return whether `take` would find the entry at `path`; nothing is changed."""
        try:
            for name, digest in ENTRY.read(path)["files"].items():
                _verify(path / name, digest, path / name)
        except (ArtifactError, OSError):
            return False
        return True

    def store(self, path: Path, folder: Path, recipe: str, warnings: Sequence[str]) -> None:
        """Make the entry `path` of the stage in `folder`, whose files become read-only, unless there is one.

        Where it cannot be written, a full disk for example, a warning says so, once for all stages of a run.
        """
        if not self._is_writable:
            return
        try:
            self.remove_leftovers()
            if not is_missing(path):
                return
            manifest = Manifest.of(folder)
            with replacing(path) as scratch:
                files = {**manifest.files, MANIFEST: digest_file(folder / MANIFEST)}
                for name in files:
                    _link(folder / name, scratch / name)
                made = datetime.now(UTC).isoformat(timespec="seconds")
                values = {"recipe": recipe, "made": made, "warnings": warnings, "files": files}
                ENTRY.write(scratch, {"format": ENTRY.format, **values})
                for file in (scratch / name for name in (*files, ENTRY.file)):
                    file.chmod(stat.S_IMODE(file.stat().st_mode) & ~WRITING)
        except OSError as error:
            with suppress(OSError):  # the folder may be unreadable
                if path.is_dir():  # another process has just stored it
                    return
            self._is_writable = False
            reason = error.strerror or str(error)
            console.warn(f"{self.folder}: the cache cannot be written: {reason}; the run goes on without it")

    def entries(self) -> list[Entry]:
        """Return the entries, the last used first. Raises OSError where the folder cannot be read."""
        found: list[Entry] = []
        for path in entries(self.folder, "*"):
            if NAME.fullmatch(path.name):
                with suppress(FileNotFoundError):  # just removed by another process
                    found.append(Entry.survey(path))
        return sorted(found, key=lambda entry: entry.used, reverse=True)

    def prune(self, *, days: float | None = None, size: float | None = None) -> list[Entry]:
        """Remove the entries that were not used for `days`, and then the longest unused until `size` bytes are left.

        Run folders keep their files. Returns the removed entries. Raises OSError where one cannot be removed.
        """
        self.remove_leftovers()
        removed: list[Entry] = []
        found = self.entries()
        left = sum(entry.size for entry in found)
        for entry in reversed(found):
            is_old = days is not None and entry.used < time.time() - days * DAY
            if is_old or (size is not None and left > size):
                with suppress(FileNotFoundError):  # another process removed it
                    _discard(entry.path)
                removed.append(entry)
                left -= entry.size
        return removed

    def remove_leftovers(self) -> None:
        """Remove what killed processes left half made or half removed."""
        for name in {partial.name[1:].partition(".")[0] for partial in entries(self.folder, ".*.partial")}:
            remove_leftovers(self.folder / name)

    def _drop_damaged(self, path: Path, damage: ArtifactError | OSError) -> None:
        """Remove the entry at `path`, and say why; nothing is said of one that another process has just removed."""
        reason = f"{damage.filename}: missing" if isinstance(damage, OSError) else str(damage)
        try:
            _discard(path)
        except FileNotFoundError:
            return
        except OSError as error:
            console.warn(f"damaged in the cache: {reason}; the entry cannot be removed: {error.strerror}")
            return
        console.warn(f"damaged in the cache: {reason}; the entry is removed, and made anew")


def _link(file: Path, target: Path) -> None:
    """Link a file, or copy it where it cannot be linked: on another file system, or that of another user."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, target)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(file, target)


def _verify(file: Path, digest: str, origin: Path) -> None:
    """Raise ArtifactError, which names `origin`, where a file has another digest. Raises OSError."""
    if digest_file(file) != digest:
        raise ArtifactError(f"{origin}: other bytes than when it was made")


def _discard(path: Path) -> None:
    """Remove an entry: nobody sees half of it."""
    scratch = scratch_of(path)
    remove(scratch)
    path.replace(scratch)
    remove(scratch)

"""What a stage is, the manifest that it leaves, and whether it still holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt import console
from nmt.errors import ArtifactError
from nmt.files import (
    differing,
    digest_file,
    digest_json,
    read_json,
    read_record,
    remove,
    remove_partials,
    replacing,
    sync,
    write_json,
)
from nmt.version import __version__

MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Stage:
    """One step from raw text to scores."""

    name: str
    folder: Path
    inputs: Callable[[], dict[str, Any]]
    """All that the stage's output depends on."""
    work: Callable[[dict[str, Any]], None]
    """Make the folder; the argument is the manifest, to be filled with counts."""

    def open_manifest(self) -> dict[str, Any] | None:
        """Return the manifest to be made, or None where the one that is there still holds; say which, and why."""
        inputs = {"nmt": __version__, **self.inputs()}
        fingerprint = digest_json(inputs)
        manifest = read_record(self.folder / MANIFEST, "fingerprint", "inputs", "files")
        if manifest is None:
            reason = ""
        elif manifest["fingerprint"] != fingerprint:
            changed = differing(manifest["inputs"], inputs)
            reason = f": {', '.join(changed[:5])} changed"
        elif missing := [name for name in manifest["files"] if not (self.folder / name).is_file()]:
            reason = f": {missing[0]} is missing"
        else:
            console.log(f"{self.name}: skipped, nothing that it depends on changed")
            return None
        console.log(f"{self.name}: running{reason}")
        return {"stage": self.name, "fingerprint": fingerprint, "inputs": inputs}


@contextmanager
def making(folder: Path, manifest: dict[str, Any], *, changing: tuple[str, ...] = ()) -> Iterator[Path]:
    """Yield a scratch folder that takes the place of `folder`, with its manifest, if the block succeeds.

    The manifest is silent on the files that go on `changing`.
    """
    with replacing(folder) as scratch:
        yield scratch
        list_files(scratch, manifest, changing)


@contextmanager
def resuming(folder: Path, manifest: dict[str, Any], *, also: Any = None) -> Iterator[Path]:
    """Yield a folder that takes the place of `folder`, with its manifest, if the block succeeds.

    Unlike that of `making` it outlives a run that is killed: the next one finds there what was made, unless the
    stage's fingerprint, or what `also` says of its inputs, is another by then.
    """
    work = work_folder(folder)
    growing, mark = work / "made", digest_json([manifest["fingerprint"], also])
    if read_json(work / "inputs.json") != mark:
        remove(work)
        growing.mkdir(parents=True)
        write_json(work / "inputs.json", mark)
    remove_partials_within(growing)
    remove(growing / MANIFEST)  # of one that was killed as it had it written, and which is no file of the stage
    try:
        yield growing
    except BaseException:
        remove_partials_within(growing)  # of processes that were ended
        raise
    list_files(growing, manifest)
    for part in [*growing.rglob("*"), growing]:
        sync(part)
    # Moved there as it is: a run that is killed meanwhile leaves all shards either here or there.
    remove(folder)
    growing.replace(folder)
    sync(folder.parent)
    remove(work)


def remove_partials_within(folder: Path) -> None:
    """Delete what killed writers left behind in `folder` and the folders in it."""
    for part in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        remove_partials(part)


def work_folder(folder: Path) -> Path:
    """Return where a stage grows what becomes `folder`."""
    return folder.with_name(f".{folder.name}.growing")


def list_files(folder: Path, manifest: dict[str, Any], changing: tuple[str, ...] = ()) -> None:
    """Write `manifest` into `folder`, with digests of the files there, but for those that go on `changing`."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in changing)
    manifest["files"] = {str(path.relative_to(folder)): digest_file(path) for path in files}
    write_json(folder / MANIFEST, manifest)


def made(folder: Path) -> dict[str, Any]:
    """Return the digests of the files that the stage of `folder` made."""
    manifest = read_record(folder / MANIFEST, "files")
    if manifest is None:
        raise ArtifactError(f"{folder / MANIFEST}: missing or damaged", hint="delete the folder and run again")
    files: dict[str, Any] = manifest["files"]
    return files

"""The manifest of a stage, and the folders that appear with one: whole, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from nmt.errors import ArtifactError
from nmt.files import (
    JsonObject,
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

MANIFEST = "manifest.json"


@dataclass
class Manifest:
    """The record of a stage: its inputs, what it counted, and its files."""

    stage: str
    inputs: JsonObject
    counts: JsonObject | None = None
    hub_commits: dict[str, str] | None = None  # the commit of each corpus that was read from the Hub
    files: dict[str, str] = field(default_factory=dict)  # SHA-256 of each file by its path in the folder

    @classmethod
    def read(cls, folder: Path) -> Manifest | None:
        """Read the manifest in `folder`; None where it is missing or damaged."""
        values = read_record(folder / MANIFEST, stage=str, inputs=dict, files=dict)
        if values is None:
            return None
        try:
            return TypeAdapter(cls).validate_python(
                {key.name: values[key.name] for key in fields(cls) if key.name in values}
            )
        except ValidationError:
            return None

    @classmethod
    def of(cls, folder: Path) -> Manifest:
        """Read the manifest in `folder`. Raises ArtifactError where it is missing or damaged."""
        manifest = cls.read(folder)
        if manifest is None:
            raise ArtifactError(f"{folder / MANIFEST}: missing or damaged", hint="delete the folder and run again")
        return manifest

    @property
    def fingerprint(self) -> str:
        return digest_json(self.inputs)

    def list_files(self, folder: Path, *, changing: tuple[str, ...] = ()) -> None:
        """List the files in `folder`, except those that may change later, and write the manifest into it."""
        paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in (MANIFEST, *changing))
        self.files = {str(path.relative_to(folder)): digest_file(path) for path in paths}
        self.write(folder)

    def write(self, folder: Path) -> None:
        values = {name: value for name, value in vars(self).items() if value is not None}
        write_json(folder / MANIFEST, {"stage": self.stage, "fingerprint": self.fingerprint, **values})


@contextmanager
def making(folder: Path, manifest: Manifest, *, changing: tuple[str, ...] = ()) -> Iterator[Path]:
    """Yield a scratch folder that replaces `folder`, with its manifest, if the block succeeds.

    The manifest omits the files that may change later.
    """
    with replacing(folder) as scratch:
        scratch.mkdir()
        yield scratch
        manifest.list_files(scratch, changing=changing)


@contextmanager
def resuming(folder: Path, manifest: Manifest, *, also: object = None) -> Iterator[Path]:
    """Yield a folder that replaces `folder`, with its manifest, if the block succeeds.

    Unlike that of `making` it outlives a killed run: the next one finds there what was made, unless the inputs of the
    stage, or `also`, have changed.
    """
    work = work_folder(folder)
    growing, mark = work / "made", digest_json([manifest.fingerprint, also])
    if read_json(work / "inputs.json") != mark:
        remove(work)
        growing.mkdir(parents=True)
        write_json(work / "inputs.json", mark)
    _remove_partials_within(growing)
    try:
        yield growing
    except BaseException:
        _remove_partials_within(growing)  # of killed processes
        raise
    manifest.list_files(growing)
    for part in [*growing.rglob("*"), growing]:
        sync(part)
    # Moved as it is: a run that is killed meanwhile leaves all shards either here or there.
    remove(folder)
    growing.replace(folder)
    sync(folder.parent)
    remove(work)


def work_folder(folder: Path) -> Path:
    """Return the folder beside `folder` in which a stage makes it."""
    return folder.with_name(f".{folder.name}.growing")


def _remove_partials_within(folder: Path) -> None:
    for part in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        remove_partials(part)

"""What a stage is, the manifest that it leaves, and whether it still holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nmt
from nmt import console
from nmt.errors import ArtifactError
from nmt.files import differing, digest_file, digest_json, read_json, replacing, write_json

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
        inputs = {"nmt": nmt.__version__, **self.inputs()}
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
        files = sorted(path for path in scratch.rglob("*") if path.is_file() and path.name not in changing)
        manifest["files"] = {str(path.relative_to(scratch)): digest_file(path) for path in files}
        write_json(scratch / MANIFEST, manifest)


def made(folder: Path) -> dict[str, Any]:
    """Return the digests of the files that the stage of `folder` made."""
    manifest = read_record(folder / MANIFEST, "files")
    if manifest is None:
        raise ArtifactError(f"{folder / MANIFEST}: missing or damaged", hint="delete the folder and run again")
    files: dict[str, Any] = manifest["files"]
    return files


def read_record(path: Path, *keys: str) -> dict[str, Any] | None:
    """Read a JSON object that has `keys`; None where the file is missing, damaged or something else."""
    values = read_json(path)
    return values if isinstance(values, dict) and set(keys) <= values.keys() else None


def show_funnel(stage: str, counts: dict[str, Any]) -> None:
    """Say what each filter dropped; with -v, show examples."""
    funnel = counts["funnel"]
    dropped = ", ".join(f"{name} {count:,}" for name, count in funnel["dropped"].items() if count)
    console.log(f"{stage}: kept {funnel['kept']:,} of {funnel['read']:,} training pairs; dropped: {dropped or 'none'}")
    for name, pairs in counts["samples"].items():
        for source, target in pairs:
            console.detail(f"  {name}: {source[:100]!r} / {target[:100]!r}")

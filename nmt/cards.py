"""Cards: the JSON object in a folder that holds its format, the SHA-256 of its files, and a digest of itself."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nmt.errors import ArtifactError
from nmt.files import Json, JsonObject, digest_file, digest_json, is_missing, read_json, write_json
from nmt.version import __version__

VERSION = re.compile(r"[0-9][0-9a-z.+-]{0,40}")


def writer_of(card: JsonObject) -> str:
    """Return the nmt that can read what wrote `card`."""
    version = str(card.get("nmt", ""))
    return f"nmt {version} or newer" if VERSION.fullmatch(version) else "the nmt that wrote it"


@dataclass(frozen=True)
class Card:
    """A kind of card; formats 1 to `format` are read."""

    file: str  # name of the card in its folder
    noun: str  # what messages call the folder, such as `bundle`
    format: int  # the newest format, raised only where an older nmt would misread it
    has_digest: bool = True  # whether the card holds a digest of its other keys

    def write(self, folder: Path, values: Mapping[str, object]) -> None:
        """Write the card with `values` to `folder`, with its digest."""
        write_json(folder / self.file, {**values, "digest": digest_json(values)} if self.has_digest else values)

    def read(self, folder: Path, *, hint: str | None = None, newer_hint: str = "") -> JsonObject:
        """Return the card of `folder` without its digest, which is verified.

        Raises ArtifactError with `hint` where the card is missing or damaged, and OSError where it cannot be read. For
        a format of the future the hint is to use a newer nmt, followed by `newer_hint`.
        """
        path = folder / self.file
        card = read_json(path)
        if not isinstance(card, dict) or type(card.get("format")) is not int:
            state = f"missing, so this is no {self.noun}" if is_missing(path) else "damaged"
            raise ArtifactError(f"{path}: {state}", hint=hint)
        if not 1 <= card["format"] <= self.format:
            article = "an" if self.noun[0] in "aeiou" else "a"
            formats = "format 1" if self.format == 1 else f"formats 1 to {self.format}"
            raise ArtifactError(
                f"{folder}: {article} {self.noun} of format {card['format']}; this nmt {__version__} reads {formats}",
                hint=f"use {writer_of(card)}{newer_hint}",
            )
        if self.has_digest and card.pop("digest", None) != digest_json(card):
            raise ArtifactError(f"{path}: damaged: its digest is not that of its content", hint=hint)
        return card

    def verify(self, folder: Path, files: Json, *, hint: str | None = None) -> None:
        """Raise ArtifactError where one of `files`, {name: SHA-256}, is not in `folder` itself with its SHA-256.

        Raises OSError where one cannot be read.
        """
        if not isinstance(files, dict) or not all(isinstance(expected, str) for expected in files.values()):
            raise ArtifactError(f"{folder / self.file}: damaged: it lists no files with their SHA-256", hint=hint)
        for name, expected in files.items():
            if Path(name).name != name or not name.isprintable() or name in ("", ".."):
                raise ArtifactError(f"{folder / self.file}: names {name!r}, which is no file beside it", hint=hint)
            path = folder / name
            if is_missing(path) or not path.is_file():
                raise ArtifactError(f"{path}: missing, though {self.file} names it", hint=hint)
            if digest_file(path) != expected:
                raise ArtifactError(f"{path}: damaged: its SHA-256 is not the one in {self.file}", hint=hint)

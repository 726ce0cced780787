"""Corrections of translations: a table of sources and what their translations should be."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nmt.data.pairs import Pair, is_blank
from nmt.data.reading.archives import find_file, open_bytes
from nmt.data.reading.streams import decode_lines
from nmt.errors import DataError

COLUMNS = (2, 3)  # source and correction, and maybe the machine's output
SHAPE = "a line is SOURCE, a tab, CORRECTION, and maybe another tab and the machine's output"


@dataclass
class Corrections:
    """The corrections of a file, each source once, in the order of the lines."""

    path: Path
    by_source: dict[str, str] = field(default_factory=dict)
    blank: list[int] = field(default_factory=list)  # numbers of the lines that show nothing, or lack a side
    repeated: list[int] = field(default_factory=list)  # of those that say again what an earlier line says
    contradicting: list[int] = field(default_factory=list)  # of those with another correction than an earlier line

    @property
    def pairs(self) -> list[Pair]:
        return list(self.by_source.items())

    @property
    def remarks(self) -> Iterator[str]:
        """What was found in the lines, a line each."""
        for numbers, what in (
            (self.blank, "blank lines or sides, left out"),
            (self.repeated, "repeated corrections, learned from once"),
            (self.contradicting, "sources with another correction before, of which the last one counts"),
        ):
            if numbers:
                yield f"{self.path}: {what}: {len(numbers):,}, first on line {numbers[0]:,}"


def read_corrections(path: Path) -> Corrections:
    """Read the table at `path`, compressed or not.

    Raises DataError where a line is no row of it, or nothing is left to learn from.
    """
    found, file = Corrections(path), find_file(path)
    with open_bytes(file) as stream:
        lines = list(decode_lines(stream, str(path), are_texts=False))
    for number, line in enumerate(lines, 1):
        if is_blank(line):
            found.blank.append(number)
            continue
        cells = line.split("\t")
        if len(cells) not in COLUMNS:
            columns = f"{len(cells)} columns" if len(cells) > 1 else "no tab"
            raise DataError(f"{path}, line {number}: {columns}", hint=SHAPE)
        source, correction = (cell.strip() for cell in cells[:2])
        if is_blank(source) or is_blank(correction):
            found.blank.append(number)
            continue
        if (known := found.by_source.get(source)) is not None:
            (found.repeated if known == correction else found.contradicting).append(number)
        found.by_source[source] = correction
    if not found.by_source:
        raise DataError(f"{path}: no corrections in it", hint=SHAPE)
    return found

"""Alignments as text, in the Pharaoh format, and their error rate."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from nmt.alignment.words import Link
from nmt.errors import DataError

LINK = re.compile(r"([0-9]{1,9})([-?p])([0-9]{1,9})")
SHOWN = 40  # characters of a link in a message


def write_links(links: Iterable[Link]) -> str:
    """Return links as a line of the Pharaoh format, `0-0 1-2`: a source word and a target word, counted from 0."""
    return " ".join(f"{i}-{j}" for i, j in sorted(links))


def read_links(line: str, name: str = "alignment") -> list[Link]:
    """Return the links of a line of the Pharaoh format, sorted. Raises DataError, with `name`, at what is no link."""
    sure, possible = read_reference(line, name)
    if len(sure) < len(possible):
        raise DataError(f"{name}: a link that is only possible", hint="write every link as i-j")
    return sorted(sure)


def read_reference(line: str, name: str = "alignment") -> tuple[set[Link], set[Link]]:
    """Return the sure links of a line, and all of its links: `3?4` and `3p4` are only possible [Och & Ney 2003].

    Raises DataError, with `name`, at what is no link.
    """
    sure, possible = set(), set()
    for text in line.split():
        match = LINK.fullmatch(text)
        if match is None:
            shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}..."
            raise DataError(f"{name}: {shown!r} is no link of two words", hint="write it as i-j, counted from 0")
        link = int(match[1]), int(match[3])
        possible.add(link)
        if match[2] == "-":
            sure.add(link)
    return sure, possible


@dataclass(frozen=True)
class Agreement:
    """How links agree with a reference (Och & Ney 2003, section 5.1)."""

    links: int
    sure: int  # links of the reference
    links_in_sure: int
    links_in_possible: int

    @property
    def precision(self) -> float:
        """Share of the links that the reference has, be it as possible ones."""
        return self.links_in_possible / self.links if self.links else 1.0

    @property
    def recall(self) -> float:
        """Share of the sure links of the reference that were found."""
        return self.links_in_sure / self.sure if self.sure else 1.0

    @property
    def error_rate(self) -> float:
        """The alignment error rate (AER), 0 where all sure links were found and no link is wrong."""
        total = self.links + self.sure
        return 1 - (self.links_in_sure + self.links_in_possible) / total if total else 0.0


def compare(lines: Iterable[tuple[Collection[Link], Collection[Link], Collection[Link]]]) -> Agreement:
    """Compare the links of each line with its sure and its possible links, the sure ones among them."""
    counts: Sequence[int] = (0, 0, 0, 0)
    for links, sure, possible in lines:
        found = set(links)
        one = len(found), len(set(sure)), len(found & set(sure)), len(found & set(possible))
        counts = [total + each for total, each in zip(counts, one, strict=True)]
    return Agreement(*counts)

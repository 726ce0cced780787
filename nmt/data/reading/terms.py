"""Glossaries, and phrases to avoid: what files of them hold."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from nmt.data.reading.archives import find_file, open_bytes
from nmt.data.reading.streams import decode_lines
from nmt.data.terms import Finder
from nmt.errors import DataError

BETWEEN = "|"
"""Stands between the targets of a term in a file."""
COMMENT = "#"
Mode = Literal["soft", "hard"]
"""Whether terms are written into the source of a model for terms, or are constraints of the search."""
Forms = Literal["written", "lemmas"]
"""Whether soft terms are found in a source as they are written, or in any form of their words."""


@dataclass(frozen=True)
class Entry:
    """A term of the source with its targets, any of which will do."""

    source: str
    targets: tuple[str, ...]
    where: str  # its place, for messages


@dataclass(frozen=True)
class Avoided:
    """A phrase that no translation is to hold, in whatever case."""

    phrase: str
    source: str  # a phrase of the source, where alone it is avoided; empty for everywhere
    where: str  # its place, for messages


@dataclass(frozen=True)
class Terms:
    """A glossary, and phrases to avoid. Raises DataError where a term asks for a phrase that is to be avoided."""

    entries: tuple[Entry, ...] = ()
    avoided: tuple[Avoided, ...] = ()
    mode: Mode | None = None  # by default soft for a model for terms, and hard for others
    forms: Forms = "written"

    def __post_init__(self) -> None:
        finder = Finder(one.phrase.lower() for one in self.avoided)
        for entry in self.entries if self.avoided else ():
            found = [finder.find(target.lower()) for target in entry.targets]
            if all(found):
                first = next(one for one in self.avoided if one.phrase.lower() == found[0][0][1])
                problem = f"{first.where}: {first.phrase!r} is to be avoided, and {entry.where} asks for it"
                raise DataError(problem, hint="take out one of them")

    @classmethod
    def of(
        cls,
        glossary: Mapping[str, str | Sequence[str]] | None = None,
        avoid: Sequence[str] = (),
        mode: Mode | None = None,
        forms: Forms = "written",
    ) -> Self:
        """Make terms of a `glossary`, the target or targets by source, and of phrases to `avoid`.

        Raises DataError where one is blank.
        """
        entries = [
            entry_of(source, [targets] if isinstance(targets, str) else targets, f"term {source!r}")
            for source, targets in (glossary or {}).items()
        ]
        return cls(tuple(entries), tuple(avoided_of([phrase], f"phrase {phrase!r}") for phrase in avoid), mode, forms)

    @classmethod
    def read(
        cls,
        glossary: Path | None = None,
        avoid: Path | None = None,
        mode: Mode | None = None,
        forms: Forms = "written",
    ) -> Self:
        """Read a file of terms, lines of SOURCE, TAB and TARGET, and a file of phrases to avoid, one a line.

        Several targets of a term stand between `|`. A phrase may be followed by a TAB and a phrase of the source. Blank
        lines are left out, and comments, which begin with `#` and a space. Raises DataError, which names the line,
        where one cannot be read or contradicts another, and where a file holds nothing.
        """
        entries: dict[str, Entry] = {}
        for where, columns in rows(glossary) if glossary else ():
            if len(columns) != 2:
                hint = f"a line is SOURCE, TAB, TARGET; several targets stand between {BETWEEN}"
                count = "1 column" if len(columns) == 1 else f"{len(columns)} columns"
                raise DataError(f"{where}: {count} in place of 2", hint=hint)
            entry = entry_of(columns[0], columns[1].split(BETWEEN), where)
            first = entries.setdefault(entry.source, entry)
            if set(first.targets) != set(entry.targets):
                hint = f"give all its targets in one line, with {BETWEEN} between them"
                raise DataError(f"{where}: {entry.source!r} has another target at {first.where}", hint=hint)
        avoided = [avoided_of(columns, where) for where, columns in (rows(avoid) if avoid else ())]
        return cls(tuple(entries.values()), tuple(avoided), mode, forms)


def rows(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the place and the columns of each line of `path` that is neither blank nor a comment.

    Raises DataError where there is none.
    """
    is_empty = True
    with open_bytes(find_file(path)) as stream:
        for number, line in enumerate(decode_lines(stream, str(path), are_texts=False), 1):
            if line.strip() and line.split(maxsplit=1)[0] != COMMENT:
                is_empty = False
                yield f"{path}:{number}", line.split("\t")
    if is_empty:
        raise DataError(f"{path}: no terms in it", hint="every line is blank or a comment")


def entry_of(source: str, targets: Sequence[str], where: str) -> Entry:
    """Return a term. Raises DataError where a side is blank."""
    source, several = spaced(source), [spaced(target) for target in targets]
    if not source or not several or not all(several):
        raise DataError(f"{where}: the {'target' if source else 'source'} is blank")
    return Entry(source, tuple(dict.fromkeys(several)), where)


def avoided_of(columns: Sequence[str], where: str) -> Avoided:
    """Return a phrase to avoid. Raises DataError where it is blank, or there are more than two columns."""
    phrase, *sources = map(spaced, columns)
    if len(sources) > 1:
        raise DataError(f"{where}: {len(columns)} columns", hint="a line is PHRASE, or PHRASE, TAB, SOURCE")
    if not phrase or not all(sources):
        raise DataError(f"{where}: the {'source' if phrase else 'phrase'} is blank")
    return Avoided(phrase, sources[0] if sources else "", where)


def spaced(text: str) -> str:
    """Return `text` with single spaces between its words, and none at its ends."""
    return " ".join(text.split())

"""Align the texts of an evaluation by document and segment, where some of them are test sets of WMT or NIST."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nmt.data.pairs import is_blank
from nmt.data.reading.archives import find_file, read_lines, split_path
from nmt.data.reading.streams import is_archive, listing
from nmt.data.reading.test_sets import Key, Role, Texts, is_test_set, read_test_set
from nmt.errors import DataError

Columns = dict[str, Texts | list[str]]
"""Texts by name: of a test set with their places, of a plain file in order."""


@dataclass
class ScoredTexts:
    """Texts of the same segments: sources, references, and translations by the names of their systems."""

    sources: list[str]
    references: list[list[str]]
    systems: dict[str, list[str]]
    remarks: list[str] = field(default_factory=list)
    domains: list[str] = field(default_factory=list)  # of each line, "" where it is not known; none where none is


def holds_test_set(path: Path) -> bool:
    """Check whether `path` names a test set, or one version in it: `set.xml/A`."""
    return is_test_set(_split(path)[0])


def align_texts(source: Path | None, references: Sequence[Path], hypotheses: Sequence[Path]) -> ScoredTexts:
    """Read the texts of an evaluation, in the order of the source, or else of the first reference.

    Of an .xml or .sgm with several references or systems each is taken, or one by its name: `set.xml/A`. Plain files
    have a line for each segment. Segments that have no reference are left out. Raises DataError where a hypothesis
    lacks a segment, or a file has another number of lines.
    """
    of_references, of_systems = _read_all(references, "reference"), _read_all(hypotheses, "hypothesis")
    of_source = _columns(source, "source") if source else {}
    own = [_own_sources(path) for path in references if holds_test_set(path)]
    orders = [*of_source.values(), *own, *of_references.values(), *of_systems.values()]
    keys = next(list(texts) for texts in orders if isinstance(texts, dict) and texts)
    rows = {name: _row(texts, keys, name) for name, texts in of_references.items()}
    for name, row in rows.items():
        if not any(row):
            raise DataError(f"{name} has none of the {len(keys):,} segments", hint=f"the first is {_place(keys[0])}")
    kept = [index for index in range(len(keys)) if not all(is_blank(row[index] or "") for row in rows.values())]
    if not kept:
        raise DataError(f"{', '.join(rows)}: all segments are blank", hint="a reference is the text of a segment")
    remarks = [f"{len(rows)} references: {listing(rows)}"] if len(rows) > len(references) else []
    if left_out := len(keys) - len(kept):
        remarks.append(f"segments without a reference, which are left out: {left_out:,}")
    systems, sources = (
        {name: _complete(_row(texts, keys, name), keys, kept, name) for name, texts in columns.items()}
        for columns in (of_systems, of_source)
    )
    aligned = [[row[index] or "" for index in kept] for row in rows.values()]
    known = _domains([*references, *hypotheses, *([source] if source else [])])
    domains = [known.get(keys[index].document, "") for index in kept] if known else []
    return ScoredTexts(next(iter(sources.values()), []), aligned, systems, remarks, domains)


def _split(path: Path) -> tuple[Path, str]:
    """Split `path` into the path of a file, and the name of a version in it, "" where it names none."""
    base, version = split_path(path)
    if version and is_test_set(base) and base.is_file() and not is_archive(base.name):
        return base, version
    return path, ""


def _read_all(paths: Sequence[Path], role: Role) -> Columns:
    """Read the columns of several files; names that occur twice are those of their files too."""
    found = [(path, name, texts) for path in paths for name, texts in _columns(path, role).items()]
    names = [name for _, name, _ in found]
    return {name if names.count(name) == 1 else f"{_split(path)[0]}/{name}": texts for path, name, texts in found}


def _columns(path: Path, role: Role) -> Columns:
    """Return the texts of a file in a role: of a test set each version, by its name."""
    path, version = _split(path)
    if not is_test_set(path):
        return {str(path): list(read_lines(path))}
    test_set = read_test_set(find_file(path))
    versions = test_set.of(role)
    if version and version not in versions:
        raise DataError(f"{path}: no {role} {version!r} in it; it has {listing(versions)}")
    return {name or path.name: texts for name, texts in versions.items() if version in ("", name)}


def _domains(paths: Sequence[Path]) -> dict[str, str]:
    """Return the domains of the documents of all test sets among `paths`."""
    files = dict.fromkeys(_split(path)[0] for path in paths if holds_test_set(path))
    sets = [read_test_set(find_file(path)) for path in files]
    return {document: domain for each in sets for document, domain in each.domains.items()}


def _own_sources(path: Path) -> Texts:
    """Return the sources in a test set, which set the order of its segments."""
    sources = read_test_set(find_file(_split(path)[0])).versions.get("source", {"": {}})
    return next(iter(sources.values()))


def _row(texts: Texts | list[str], keys: Sequence[Key], name: str) -> list[str | None]:
    """Return the text of each key, None where there is none."""
    if isinstance(texts, dict):
        return [texts.get(key) for key in keys]
    if len(texts) != len(keys):
        raise DataError(f"{name} has {len(texts):,} lines, but there are {len(keys):,} segments")
    return list(texts)


def _complete(row: Sequence[str | None], keys: Sequence[Key], kept: Sequence[int], name: str) -> list[str]:
    """Return the texts of the kept segments. Raises DataError where one is missing."""
    missing = [keys[index] for index in kept if row[index] is None]
    if missing:
        raise DataError(f"{name} lacks {len(missing):,} of {len(kept):,} segments, first {_place(missing[0])}")
    return [row[index] or "" for index in kept]


def _place(key: Key) -> str:
    return f"segment {key.segment} of document {key.document!r}"

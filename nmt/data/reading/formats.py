"""Pairs out of files that hold both sides: TSV, CSV, JSON lines, Parquet, TMX, folders and archives of them."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal, get_args

from nmt import console
from nmt.config.data import LanguagesConfig
from nmt.data.reading.archives import Container, is_archive, member_names, open_bytes, open_container, split_path
from nmt.data.reading.streams import COMPRESSIONS, decode_lines, decompress, one_line, reading, some
from nmt.data.reading.tmx import read_tmx
from nmt.errors import DataError

Pair = tuple[str, str]
Format = Literal["tsv", "csv", "jsonl", "parquet", "tmx"]

TRANSLATION = "translation"
"""The column of {language: text} that many data sets have."""
BATCH = 1000
"""Rows that are taken out of a Parquet file at once."""
FIELD = 2**26
"""Longest cell of a CSV file, in characters: a quotation mark that is never closed takes in all that follows."""
COLUMNS_TIP = (
    f"name them: columns = {json.dumps(['source column', 'target column'])} in a recipe, "
    "--columns for the commands of `nmt data`; `nmt init` reads what `nmt data clean --columns` wrote"
)
NUMBERS_TIP = f"; in a .tsv without a header by number, from 1: columns = {json.dumps(['2', '3'])}"


@dataclass(frozen=True)
class Wanted:
    """What to take out of a file."""

    languages: LanguagesConfig
    columns: list[str] | None = None
    """The two columns of the sides, or the one of {language: text}; by default their names tell. Of TSV without a
    header: their numbers, from 1."""
    format: Format | None = None
    """By default the file's name tells."""
    oddities: Counter[str] = field(default_factory=Counter)
    """Counts what is not as it should be, and no error."""


def read_file(path: Path, wanted: Wanted) -> Iterator[Pair]:
    """Yield the pairs of a file, a folder or an archive, which is there, and may lie within an archive."""
    there, member = split_path(path)
    if there.is_dir() or (is_archive(there.name) and member not in member_names(there)):
        yield from _read_folder(there, member, wanted)
        return
    form = wanted.format or format_of(path.name)
    if form is None:
        raise DataError(
            f"{path}: its name does not say what format it has",
            hint=f"set format to one of {', '.join(get_args(Format))}; lines of one side are source or target",
        )
    with open_bytes(path) as stream:
        yield from read_stream(stream, str(path), form, wanted)


def read_stream(stream: io.BufferedReader, name: str, form: Format, wanted: Wanted) -> Iterator[Pair]:
    """Yield the pairs of an open file without its compression; `name` stands in messages."""
    if form == "parquet":
        return _read_parquet(stream, name, wanted)
    if form == "tmx":
        return read_tmx(stream, name, wanted.languages, wanted.oddities)
    if form == "tsv" and wanted.columns is None:
        return _read_first_columns(decode_lines(stream, name, oddities=wanted.oddities), name, wanted.oddities)
    lines = decode_lines(stream, name, oddities=wanted.oddities, are_texts=False)
    if form == "tsv" and (numbers := _numbers(wanted.columns)):
        return _read_numbered_columns(lines, name, numbers, wanted.oddities)
    if form == "jsonl":
        return _read_jsonl(lines, name, wanted)
    if form == "tsv":
        return _read_named_columns(_tsv_rows(lines), name, wanted, COLUMNS_TIP + NUMBERS_TIP)
    return _read_named_columns(_csv_rows(lines, name), name, wanted)


def read_sides(sources: Iterable[str], targets: Iterable[str], source: Path, target: Path) -> Iterator[Pair]:
    """Yield the pairs of two files line by line; once the shorter one ends, raise DataError."""
    both = itertools.zip_longest(sources, targets)
    number = 0
    for number, (first, second) in enumerate(both, 1):  # noqa: B007
        if first is None or second is None:
            break
        yield first, second
    else:
        return
    longer = number + sum(1 for _ in both)
    counts = (number - 1, longer) if first is None else (longer, number - 1)
    raise DataError(
        f"{source} has {counts[0]} lines but {target} has {counts[1]}",
        hint="the two files of a corpus are translations line by line",
    )


def format_of(name: str) -> Format | None:
    """Tell the format of a file by its name; None where the name does not say it."""
    ending = Path(plain_name(name)).suffix.lower().removeprefix(".")
    found: dict[str, Format] = {form: form for form in get_args(Format)}
    return (found | {"json": "jsonl", "ndjson": "jsonl"}).get(ending)


def plain_name(name: str) -> str:
    """Take the ending of a compression off a name."""
    return name.removesuffix(next((ending for ending in COMPRESSIONS if name.endswith(ending)), ""))


def choose_files(names: Iterable[str], wanted: Wanted) -> list[tuple[str, str | None]]:
    """Return what can be read of the files of a folder, by name: those of both sides, and NAME.LANGUAGE pairs.

    With a format it is the files that have it by their names.
    """
    sides: tuple[dict[str, str], dict[str, str]] = ({}, {})
    chosen: list[tuple[str, str | None]] = []
    for name in names:
        form = format_of(name)
        if form is not None and wanted.format in (None, form):
            chosen.append((name, None))
        stem, _, language = plain_name(name).rpartition(".")
        for side, code in zip(sides, (wanted.languages.source, wanted.languages.target), strict=True):
            if stem and language == code and wanted.format is None:
                side.setdefault(stem, name)
    sources, targets = sides
    chosen += [(name, targets[stem]) for stem, name in sources.items() if stem in targets]
    return sorted(chosen, key=itemgetter(0))


def choose_columns(
    columns: list[str] | None, there: Sequence[str], languages: LanguagesConfig, name: str, tip: str = COLUMNS_TIP
) -> list[str]:
    """Return the two columns of the sides, or the one of {language: text}.

    Raises DataError, with `tip` as its hint, where they are not `there`.
    """
    own = [languages.source, languages.target]
    if columns is None:
        columns = own if set(own) <= set(there) else [TRANSLATION]
        missing = None if set(columns) <= set(there) else f"{own[0]!r} and {own[1]!r}, nor {TRANSLATION!r}"
    else:
        missing = next((repr(column) for column in columns if column not in there), None)
    if missing is not None:
        raise DataError(f"{name}: no column {missing}; it has {some(there)}", hint=tip)
    for column in columns:
        if there.count(column) > 1:
            raise DataError(f"{name}: several columns {column!r}", hint="give each a name of its own")
    return columns


def pair_of(values: Sequence[Any], columns: list[str], wanted: Wanted, name: str) -> Pair:
    """Make the values of one column or of two a pair of lines."""
    if len(columns) == 1:
        values = _languages_of(values[0], columns[0], wanted.languages, name)
    source, target = (one_line(value, name, wanted.oddities) for value in values)
    return source, target


def _read_folder(path: Path, below: str, wanted: Wanted) -> Iterator[Pair]:
    """Yield the pairs of a folder or an archive, or of the folder `below` in it; each side opens an archive once."""
    names = [name for name in member_names(path) if not below or name.startswith(f"{below}/")]
    chosen = choose_files(names, wanted)
    if not chosen:
        raise DataError(
            f"{path / below}: nothing to read in it; it has {some(names)}",
            hint=f"a folder or archive holds files of {', '.join(get_args(Format))}, "
            f"or NAME.{wanted.languages.source} and NAME.{wanted.languages.target}",
        )
    taken = set(itertools.chain.from_iterable(chosen))
    for name in names:
        if name not in taken:
            wanted.oddities["files skipped in a folder"] += 1
            console.detail(f"{path / name}: skipped: no file of both sides by its name, and none of a pair")
    with ExitStack() as stack:
        with reading(path):
            left, right = (stack.enter_context(open_container(path)) for _ in range(2))
        for source, target in chosen:
            stream = _opened(left, path, source)
            if target is None:
                form = format_of(source)
                assert form is not None
                yield from read_stream(stream, str(path / source), form, wanted)
            else:
                sources = decode_lines(stream, str(path / source), oddities=wanted.oddities)
                targets = decode_lines(_opened(right, path, target), str(path / target), oddities=wanted.oddities)
                yield from read_sides(sources, targets, path / source, path / target)


def _opened(container: Container, path: Path, name: str) -> io.BufferedReader:
    with reading(path / name):
        return decompress(container.open(name), str(path / name))


def _languages_of(row: Any, column: str, languages: LanguagesConfig, name: str) -> tuple[Any, Any]:
    if row is None:
        return None, None
    if not isinstance(row, Mapping):
        raise DataError(
            f"{name}: column {column!r} holds no {{language: text}} but {type(row).__name__}", hint=COLUMNS_TIP
        )
    for language in (languages.source, languages.target):
        if language not in row:
            raise DataError(f"{name}: no language {language!r} in column {column!r}; it has {some(row)}")
    return row[languages.source], row[languages.target]


def _read_first_columns(lines: Iterable[str], name: str, oddities: Counter[str]) -> Iterator[Pair]:
    for number, line in enumerate(lines, 1):
        columns = line.split("\t", 2)
        if len(columns) < 2:
            raise DataError(
                f"{name}:{number}: no tab in this line",
                hint="a line is source, tab, target; further columns are not read",
            )
        if len(columns) > 2:
            oddities["lines with further columns"] += 1
        yield columns[0], columns[1]


def _numbers(columns: list[str] | None) -> list[int] | None:
    """Return two `columns` that are given by number; None where they are names."""
    if columns is None or len(columns) != 2 or not all(column.isascii() and column.isdigit() for column in columns):
        return None
    return [int(column) for column in columns]


def _read_numbered_columns(
    lines: Iterable[str], name: str, numbers: list[int], oddities: Counter[str]
) -> Iterator[Pair]:
    if 0 in numbers:
        raise DataError(f"{name}: no column 0", hint="columns are numbered from 1")
    for number, row in _tsv_rows(lines):
        place = f"{name}:{number}"
        if row == [""]:
            oddities["blank lines"] += 1
        elif len(row) < max(numbers):
            raise DataError(
                f"{place}: no column {max(numbers)}; the line has {len(row)}",
                hint="columns that are digits are numbers, from 1, of a .tsv without a header",
            )
        else:
            source, target = (one_line(row[column - 1], place, oddities) for column in numbers)
            yield source, target


Rows = Iterator[tuple[int, list[str]]]
"""Numbers of lines, and the fields that end there."""


def _tsv_rows(lines: Iterable[str]) -> Rows:
    return ((number, line.split("\t")) for number, line in enumerate(lines, 1))


def _csv_rows(lines: Iterable[str], name: str) -> Rows:
    csv.field_size_limit(FIELD)
    reader = csv.reader((line + "\n" for line in lines), strict=True)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise DataError(f"{name}:{reader.line_num}: not CSV: {error}", hint="is a quotation mark missing?") from None


def _read_named_columns(rows: Rows, name: str, wanted: Wanted, tip: str = COLUMNS_TIP) -> Iterator[Pair]:
    _, header = next(rows, (0, None))
    if header is None:
        return
    columns = choose_columns(wanted.columns, header, wanted.languages, name, tip)
    places = [header.index(column) for column in columns]
    for number, row in rows:
        if row in ([], [""]):
            wanted.oddities["blank lines"] += 1
        elif len(row) != len(header):
            raise DataError(f"{name}:{number}: {len(row)} fields, and the first line names {len(header)}")
        else:
            yield pair_of([row[place] for place in places], columns, wanted, f"{name}:{number}")


def _read_jsonl(lines: Iterable[str], name: str, wanted: Wanted) -> Iterator[Pair]:
    for number, line in enumerate(lines, 1):
        place = f"{name}:{number}"
        if not line.strip():
            wanted.oddities["blank lines"] += 1
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place}: not JSON: {error}", hint="each line is an object of its own") from None
        if not isinstance(row, dict):
            raise DataError(f"{place}: no JSON object but {type(row).__name__}", hint="each line is an object")
        columns = choose_columns(wanted.columns, list(row), wanted.languages, place)
        yield pair_of([row[column] for column in columns], columns, wanted, place)


def _read_parquet(stream: io.BufferedReader, name: str, wanted: Wanted) -> Iterator[Pair]:
    """Yield the pairs of a Parquet file; one without random access is held in memory."""
    import pyarrow as pa
    from pyarrow import parquet

    number = 0
    try:
        with reading(name):
            # Its footer comes first; to go back and forth in a compressed file is to undo the compression again.
            is_plain_file = isinstance(stream.raw, io.FileIO) and stream.seekable()
            file = parquet.ParquetFile(stream if is_plain_file else pa.BufferReader(stream.read()))
            columns = choose_columns(wanted.columns, file.schema_arrow.names, wanted.languages, name)
            inner = [wanted.languages.source, wanted.languages.target] if len(columns) == 1 else []
            is_map = [pa.types.is_map(file.schema_arrow.field(column).type) for column in columns]
            needed = columns
            if inner and not is_map[0] and pa.types.is_struct(kind := file.schema_arrow.field(columns[0]).type):
                there = [kind.field(place).name for place in range(kind.num_fields)]
                _languages_of(dict.fromkeys(there), columns[0], wanted.languages, name)
                needed = [f"{columns[0]}.{language}" for language in inner]
            for batch in file.iter_batches(batch_size=BATCH, columns=needed):
                values = [batch.column(column).to_pylist() for column in columns]
                for row in zip(*values, strict=True):
                    number += 1
                    yield pair_of(
                        [
                            dict(value) if of and value is not None else value
                            for value, of in zip(row, is_map, strict=True)
                        ],
                        columns,
                        wanted,
                        f"{name}, row {number}",
                    )
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: not UTF-8 after row {number}: byte 0x{error.object[error.start]:02x}") from None
    except pa.ArrowException as error:
        said = str(error).partition("\n")[0]
        raise DataError(
            f"{name}: damaged, or no Parquet file: {said}", hint="copy or download the file again"
        ) from None

"""Read pairs from files that hold both sides: TSV, CSV, JSON lines, Parquet, TMX, folders and archives of them."""

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
from typing import Literal, get_args

from nmt import console
from nmt.config.data import LanguagesConfig
from nmt.data.pairs import Pair
from nmt.data.reading.archives import Container, is_archive, member_names, open_bytes, open_container, split_path
from nmt.data.reading.inline_codes import KeptCodes
from nmt.data.reading.streams import COMPRESSIONS, decode_lines, decompress, listing, one_line, reading
from nmt.data.reading.tmx import read_tmx
from nmt.errors import DataError

Format = Literal["tsv", "csv", "jsonl", "parquet", "tmx"]
TRANSLATION = "translation"  # column of {language: text} in many data sets
BATCH = 1000  # rows of a Parquet file to read at once
MAX_CELL = 2**26
"""Characters of the longest cell of a CSV file: a quotation mark that is never closed swallows all that follows."""
COLUMNS_TIP = (
    f"name them: columns = {json.dumps(['source column', 'target column'])} in a recipe, "
    "--columns for the commands of `nmt data`; `nmt init` reads what `nmt data clean --columns` wrote"
)
NUMBERS_TIP = f"; in a .tsv without a header by number, from 1: columns = {json.dumps(['2', '3'])}"


@dataclass(frozen=True)
class Wanted:
    """The text to read from a file."""

    languages: LanguagesConfig
    columns: list[str] | None = None
    """The columns [source, target], or the one of {language: text}; None chooses by their names. Columns of a TSV file
    without a header are given by their numbers, from 1."""
    format: Format | None = None  # format of the file; None chooses by its name
    anomalies: Counter[str] = field(default_factory=Counter)  # counts, by name, of irregularities that are no errors
    skip_bad: bool = False  # leave out damaged units of the formats that have units
    kept_codes: KeptCodes | None = None  # keep inline codes as placeholders


def read_file(path: Path, wanted: Wanted) -> Iterator[Pair]:
    """Yield the pairs of a file, a folder or an archive, as returned by `find_file`. Raises DataError."""
    base, member = split_path(path)
    if base.is_dir() or (is_archive(base.name) and member not in member_names(base)):
        yield from _read_folder(base, member, wanted)
        return
    form = wanted.format or format_of(path.name)
    if form is None:
        hint = f"set format to one of {', '.join(get_args(Format))}; lines of one side are source or target"
        raise DataError(f"{path}: its name does not say what format it has", hint=hint)
    with open_bytes(path) as stream:
        yield from read_stream(stream, str(path), form, wanted)


def read_stream(stream: io.BufferedReader, name: str, form: Format, wanted: Wanted) -> Iterator[Pair]:
    """Yield the pairs of an open, decompressed file; `name` names it in messages."""
    if form == "parquet":
        return _read_parquet(stream, name, wanted)
    if form == "tmx":
        return read_tmx(stream, name, wanted.languages, wanted.anomalies, wanted.kept_codes, skip_bad=wanted.skip_bad)
    if form == "tsv" and wanted.columns is None:
        return _read_first_columns(decode_lines(stream, name, anomalies=wanted.anomalies), name, wanted.anomalies)
    lines = decode_lines(stream, name, anomalies=wanted.anomalies, are_texts=False)
    if form == "jsonl":
        return _read_jsonl(lines, name, wanted)
    if form == "csv":
        return _read_named_columns(_csv_rows(lines, name), name, wanted)
    if numbers := _column_numbers(wanted.columns):
        return _read_numbered_columns(lines, name, numbers, wanted)
    return _read_named_columns(_tsv_rows(lines), name, wanted, COLUMNS_TIP + NUMBERS_TIP)


def read_sides(sources: Iterable[str], targets: Iterable[str], source: Path, target: Path) -> Iterator[Pair]:
    """Yield the pairs of two files line by line. Raises DataError at the end of the shorter one."""
    both = itertools.zip_longest(sources, targets)
    shorter = 0
    for first, second in both:
        if first is None or second is None:
            break
        shorter += 1
        yield first, second
    else:
        return
    longer = shorter + 1 + sum(1 for _ in both)
    counts = (shorter, longer) if first is None else (longer, shorter)
    hint = "the two files of a corpus are translations line by line"
    raise DataError(f"{source} has {counts[0]} lines but {target} has {counts[1]}", hint=hint)


def format_of(name: str) -> Format | None:
    """Return the format that the suffix of a file name stands for, a suffix of compression aside."""
    suffix = Path(plain_name(name)).suffix.lower().removeprefix(".")
    formats: dict[str, Format] = {form: form for form in get_args(Format)}
    return (formats | {"json": "jsonl", "ndjson": "jsonl"}).get(suffix)


def plain_name(name: str) -> str:
    """Return a file name without its suffix of compression."""
    return name.removesuffix(next((suffix for suffix in COMPRESSIONS if name.endswith(suffix)), ""))


def split_language(name: str) -> tuple[str, str]:
    """Split the file name NAME.LANGUAGE, compressed or not, into NAME and LANGUAGE."""
    stem, _, language = plain_name(name).rpartition(".")
    return stem, language


def choose_files(names: Iterable[str], wanted: Wanted) -> list[tuple[str, str | None]]:
    """Return the files of a folder that can be read, by name: (file of both sides, None) and (NAME.SRC, NAME.TGT).

    With `wanted.format`, only files whose names have that format.
    """
    sides: dict[str, dict[str, str]] = {wanted.languages.source: {}, wanted.languages.target: {}}
    chosen: list[tuple[str, str | None]] = []
    for name in names:
        form = format_of(name)
        if form is not None and wanted.format in (None, form):
            chosen.append((name, None))
        stem, language = split_language(name)
        if stem and language in sides and wanted.format is None:
            sides[language].setdefault(stem, name)
    sources, targets = (sides[language] for language in (wanted.languages.source, wanted.languages.target))
    chosen += [(name, targets[stem]) for stem, name in sources.items() if stem in targets]
    return sorted(chosen, key=itemgetter(0))


def choose_columns(
    columns: list[str] | None, present: Sequence[str], languages: LanguagesConfig, name: str, tip: str = COLUMNS_TIP
) -> list[str]:
    """Return the columns [source, target], or the one of {language: text}, out of those `present`.

    Raises DataError, with `tip` as its hint, where one is missing or occurs twice.
    """
    if columns is None:
        codes = [languages.source, languages.target]
        columns = codes if set(codes) <= set(present) else [TRANSLATION]
        missing = None if set(columns) <= set(present) else f"{codes[0]!r} and {codes[1]!r}, nor {TRANSLATION!r}"
    else:
        missing = next((repr(column) for column in columns if column not in present), None)
    if missing is not None:
        raise DataError(f"{name}: no column {missing}; it has {listing(present)}", hint=tip)
    for column in columns:
        if present.count(column) > 1:
            raise DataError(f"{name}: several columns {column!r}", hint="give each a name of its own")
    return columns


def pair_of(values: Sequence[object], columns: list[str], wanted: Wanted, name: str) -> Pair:
    """Return the pair of lines in the values of two columns, or of one of {language: text}."""
    if len(columns) == 1:
        values = _languages_of(values[0], columns[0], wanted.languages, name)
    source, target = (one_line(value, name, wanted.anomalies) for value in values)
    return source, target


def _read_folder(path: Path, below: str, wanted: Wanted) -> Iterator[Pair]:
    """Yield the pairs of a folder or an archive, or of the folder `below` in it."""
    names = [name for name in member_names(path) if not below or name.startswith(f"{below}/")]
    chosen = choose_files(names, wanted)
    if not chosen:
        of_sides = f"NAME.{wanted.languages.source} and NAME.{wanted.languages.target}"
        hint = f"a folder or archive holds files of {', '.join(get_args(Format))}, or {of_sides}"
        raise DataError(f"{path / below}: nothing to read in it; it has {listing(names)}", hint=hint)
    taken = set(itertools.chain.from_iterable(chosen))
    for name in names:
        if name not in taken:
            wanted.anomalies["files skipped in a folder"] += 1
            console.detail(f"{path / name}: skipped: no file of both sides by its name, and none of a pair")
    with ExitStack() as stack:
        # Each side opens an archive once, and reads it forward.
        with reading(path):
            left, right = (stack.enter_context(open_container(path)) for _ in range(2))
        for source, target in chosen:
            stream = _open_member(left, path, source)
            if target is None:
                form = format_of(source)
                assert form is not None
                yield from read_stream(stream, str(path / source), form, wanted)
            else:
                sources = decode_lines(stream, str(path / source), anomalies=wanted.anomalies)
                stream = _open_member(right, path, target)
                targets = decode_lines(stream, str(path / target), anomalies=wanted.anomalies)
                yield from read_sides(sources, targets, path / source, path / target)


def _open_member(container: Container, path: Path, name: str) -> io.BufferedReader:
    with reading(path / name):
        return decompress(container.open(name), str(path / name))


def _languages_of(row: object, column: str, languages: LanguagesConfig, name: str) -> tuple[object, object]:
    if row is None:
        return None, None
    if not isinstance(row, Mapping):
        kind = type(row).__name__
        raise DataError(f"{name}: column {column!r} holds no {{language: text}} but {kind}", hint=COLUMNS_TIP)
    for language in (languages.source, languages.target):
        if language not in row:
            raise DataError(f"{name}: no language {language!r} in column {column!r}; it has {listing(row)}")
    return row[languages.source], row[languages.target]


def _read_first_columns(lines: Iterable[str], name: str, anomalies: Counter[str]) -> Iterator[Pair]:
    for number, line in enumerate(lines, 1):
        columns = line.split("\t", 2)
        if len(columns) < 2:
            hint = "a line is source, tab, target; further columns are not read"
            raise DataError(f"{name}:{number}: no tab in this line", hint=hint)
        if len(columns) > 2:
            anomalies["lines with further columns"] += 1
        yield columns[0], columns[1]


def _column_numbers(columns: list[str] | None) -> list[int] | None:
    """Return two `columns` given by number; None where they are names."""
    if columns is None or len(columns) != 2 or not all(column.isascii() and column.isdigit() for column in columns):
        return None
    return [int(column) for column in columns]


def _read_numbered_columns(lines: Iterable[str], name: str, numbers: list[int], wanted: Wanted) -> Iterator[Pair]:
    if 0 in numbers:
        raise DataError(f"{name}: no column 0", hint="columns are numbered from 1")
    for number, row in _tsv_rows(lines):
        position = f"{name}:{number}"
        if row == [""]:
            wanted.anomalies["blank lines"] += 1
        elif len(row) < max(numbers):
            hint = "columns that are digits are numbers, from 1, of a .tsv without a header"
            raise DataError(f"{position}: no column {max(numbers)}; the line has {len(row)}", hint=hint)
        else:
            yield pair_of([row[column - 1] for column in numbers], wanted.columns or [], wanted, position)


Rows = Iterator[tuple[int, list[str]]]  # fields of each row, after the number of its last line


def _tsv_rows(lines: Iterable[str]) -> Rows:
    return ((number, line.split("\t")) for number, line in enumerate(lines, 1))


def _csv_rows(lines: Iterable[str], name: str) -> Rows:
    csv.field_size_limit(MAX_CELL)
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
    indices = [header.index(column) for column in columns]
    for number, row in rows:
        if row in ([], [""]):
            wanted.anomalies["blank lines"] += 1
        elif len(row) != len(header):
            raise DataError(f"{name}:{number}: {len(row)} fields, and the first line names {len(header)}")
        else:
            yield pair_of([row[index] for index in indices], columns, wanted, f"{name}:{number}")


def _read_jsonl(lines: Iterable[str], name: str, wanted: Wanted) -> Iterator[Pair]:
    for number, line in enumerate(lines, 1):
        position = f"{name}:{number}"
        if not line.strip():
            wanted.anomalies["blank lines"] += 1
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{position}: not JSON: {error}", hint="each line is an object of its own") from None
        if not isinstance(row, dict):
            raise DataError(f"{position}: no JSON object but {type(row).__name__}", hint="each line is an object")
        columns = choose_columns(wanted.columns, list(row), wanted.languages, position)
        yield pair_of([row[column] for column in columns], columns, wanted, position)


def _read_parquet(stream: io.BufferedReader, name: str, wanted: Wanted) -> Iterator[Pair]:
    """Yield the pairs of a Parquet file; one without random access is held in memory."""
    import pyarrow.parquet  # 0.2 s that other formats need not wait for

    number = 0
    try:
        with reading(name):
            # The footer is read first; going back and forth in a compressed file would decompress it again.
            is_plain_file = isinstance(stream.raw, io.FileIO) and stream.seekable()
            file = pyarrow.parquet.ParquetFile(stream if is_plain_file else pyarrow.BufferReader(stream.read()))
            schema = file.schema_arrow
            columns = needed = choose_columns(wanted.columns, schema.names, wanted.languages, name)
            types = [schema.field(column).type for column in columns]
            if len(columns) == 1 and pyarrow.types.is_struct(types[0]):  # of which only the two languages are read
                present = [types[0].field(index).name for index in range(types[0].num_fields)]
                _languages_of(dict.fromkeys(present), columns[0], wanted.languages, name)
                needed = [f"{columns[0]}.{language}" for language in (wanted.languages.source, wanted.languages.target)]
            for batch in file.iter_batches(batch_size=BATCH, columns=needed):
                values = [batch.column(column).to_pylist() for column in columns]
                for column, kind in enumerate(types):
                    if pyarrow.types.is_map(kind):
                        values[column] = [value if value is None else dict(value) for value in values[column]]
                for row in zip(*values, strict=True):
                    number += 1
                    yield pair_of(row, columns, wanted, f"{name}, row {number}")
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: not UTF-8 after row {number}: byte 0x{error.object[error.start]:02x}") from None
    except pyarrow.ArrowException as error:
        problem = "damaged, or no Parquet file: " + str(error).partition("\n")[0]
        raise DataError(f"{name}: {problem}", hint="copy or download the file again") from None

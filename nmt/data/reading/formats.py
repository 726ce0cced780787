"""Read pairs from files that hold both sides: tables, JSON lines, Parquet, TMX, XLIFF, PO, folders and archives."""

from __future__ import annotations

import io
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from nmt import console
from nmt.config.data import Format
from nmt.data.languages import best_pair, is_backward
from nmt.data.pairs import Pair
from nmt.data.reading.archives import Container, check_inside, member_names, open_bytes, open_container, split_path
from nmt.data.reading.columns import Wanted, choose_columns, language_keys, pair_of
from nmt.data.reading.po import read_po
from nmt.data.reading.streams import (
    CR_TIP,
    UnwantedFileError,
    decode_lines,
    decompress,
    is_archive,
    listing,
    plain_name,
    reading,
)
from nmt.data.reading.tables import read_table
from nmt.data.reading.test_sets import Texts, is_sgm, pair_texts, read_set, read_set_pairs
from nmt.data.reading.tmx import read_tmx
from nmt.data.reading.xliff import read_xliff
from nmt.data.reading.xlsx import read_xlsx
from nmt.errors import DataError
from nmt.files import Json, JsonObject

OTHER_SUFFIXES: dict[str, Format] = {"json": "jsonl", "ndjson": "jsonl", "pot": "po", "xml": "wmt"}
OTHER_SUFFIXES |= dict.fromkeys(("xlf", "sdlxliff", "mxliff", "mqxliff", "txlf"), "xliff")
"""Suffixes of formats, beside their names."""
ENDINGS = (
    ".tsv, .csv, .jsonl, .parquet, .tmx, .xlf, .po, .xml, .xlsx"  # usual suffixes of the formats, for messages and help
)
TABLES: tuple[Format, ...] = ("tsv", "csv", "jsonl", "parquet", "xlsx")  # formats with columns
BAD_SOURCE = "is_bad_source"  # key of WMT24++, true where the source is not to be used
if TYPE_CHECKING:
    from pyarrow import DataType

JSON_TYPE = "extension<arrow.json>"
BATCH = 1000  # rows of a Parquet file to read at once


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
    if form == "xlsx":
        return read_xlsx(stream, name, wanted)
    if form == "wmt":
        return read_set_pairs(stream, name, wanted.languages, wanted.anomalies)
    if form == "po":
        return read_po(stream, name, wanted.languages, wanted.anomalies, skip_bad=wanted.skip_bad)
    if form in ("tmx", "xliff"):
        read = read_tmx if form == "tmx" else read_xliff
        return read(stream, name, wanted.languages, wanted.anomalies, wanted.kept_codes, skip_bad=wanted.skip_bad)
    if form in ("tsv", "csv"):
        return read_table(stream, name, form, wanted)
    return _read_jsonl(decode_lines(stream, name, anomalies=wanted.anomalies, are_texts=False), name, wanted)


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


Side = Iterable[str] | Texts  # the lines of a file of one side, or the segments of a test set in SGM


def open_side(stream: io.BufferedReader, path: Path, anomalies: Counter[str]) -> Side:
    """Return the texts of an open file of one side."""
    if is_sgm(path):
        return read_set(stream, str(path), anomalies).only()
    return decode_lines(stream, str(path), anomalies=anomalies)


def join_sides(sides: tuple[Side, Side], paths: tuple[Path, Path], anomalies: Counter[str]) -> Iterator[Pair]:
    """Yield the pairs of two files of one side: of SGM by document and segment, else line by line. Raises DataError."""
    source, target = sides
    if isinstance(source, dict) and isinstance(target, dict):
        return pair_texts(source, target, paths, anomalies)
    lines, others = (side.values() if isinstance(side, dict) else side for side in sides)
    return read_sides(lines, others, *paths)


def format_of(name: str) -> Format | None:
    """Return the format that the suffix of a file name stands for, a suffix of compression aside."""
    suffix = Path(plain_name(name)).suffix.lower().removeprefix(".")
    formats: dict[str, Format] = {form: form for form in get_args(Format)}
    return (formats | OTHER_SUFFIXES).get(suffix)


def split_language(name: str) -> tuple[str, str]:
    """Split a file name into NAME and LANGUAGE: NAME.LANGUAGE, NAME.LANGUAGE.txt or NAME-src.LANGUAGE.sgm.

    It may be compressed.
    """
    plain = plain_name(name)
    if not is_sgm(plain):
        if plain.count(".") > 1 and plain.lower().endswith((".txt", ".text")):
            plain = plain.rpartition(".")[0]
        stem, _, language = plain.rpartition(".")
        return stem, language
    stem, _, language = plain.rpartition(".")[0].rpartition(".")
    return re.sub(r"[-_.](?:src|ref)$", "", stem), language


def choose_files(names: Iterable[str], wanted: Wanted) -> list[tuple[str, str | None]]:
    """Return the files of a folder that can be read, by name: (file of both sides, None) and (NAME.SRC, NAME.TGT).

    With `wanted.format`, only files whose names have that format.
    """
    by_stem: dict[str, dict[str, str]] = {}
    chosen: list[tuple[str, str | None]] = []
    for name in names:
        form = format_of(name)
        if form is not None and wanted.format in (None, form):
            chosen.append((name, None))
        stem, language = split_language(name)
        if stem and wanted.format is None:
            by_stem.setdefault(stem, {}).setdefault(language, name)
    both = {
        stem: (files[pair[0]], files[pair[1]])
        for stem, files in by_stem.items()
        if (pair := best_pair(*wanted.languages.pair, files))
    }
    # OPUS has the alignment of NAME.en and NAME.de in NAME.xml.
    chosen = [
        each for each in chosen if format_of(each[0]) != "wmt" or plain_name(each[0]).rpartition(".")[0] not in both
    ]
    chosen += both.values()
    return sorted(chosen, key=itemgetter(0))


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
                try:
                    yield from read_stream(stream, str(path / source), form, wanted)
                except UnwantedFileError as error:
                    wanted.anomalies["files skipped in a folder"] += 1
                    console.detail(f"skipped: {error}")
            else:
                paths = path / source, path / target
                sources = open_side(stream, paths[0], wanted.anomalies)
                targets = open_side(_open_member(right, path, target), paths[1], wanted.anomalies)
                yield from join_sides((sources, targets), paths, wanted.anomalies)


def _open_member(container: Container, path: Path, name: str) -> io.BufferedReader:
    with reading(path / name):
        if path.is_dir():
            check_inside(path, name)
        return decompress(container.open(name), str(path / name))


def _read_jsonl(lines: Iterable[str], name: str, wanted: Wanted) -> Iterator[Pair]:
    for number, line in enumerate(lines, 1):
        position = f"{name}:{number}"
        if not line.strip():
            wanted.anomalies["blank lines"] += 1
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            hint = CR_TIP if "}\r{" in line else "each line is an object of its own"
            raise DataError(f"{position}: not JSON: {error}", hint=hint) from None
        if not isinstance(row, dict):
            raise DataError(f"{position}: no JSON object but {type(row).__name__}", hint="each line is an object")
        columns = choose_columns(wanted.columns, list(row), wanted.languages, position)
        pair = pair_of([row[column] for column in columns], columns, wanted, position)
        if wanted.columns is None and ("lp" in row or BAD_SOURCE in row):
            yield from _read_wmt24(row, pair, wanted)
        else:
            yield pair


def _read_wmt24(row: JsonObject, pair: Pair, wanted: Wanted) -> Iterator[Pair]:
    """Yield the pair of a row as of WMT24++: its source may be marked as bad, and `lp` names its languages."""
    source, _, target = str(row.get("lp", "")).partition("-")
    backward = is_backward((source, target), wanted.languages.pair) if source and target else False
    if row.get(BAD_SOURCE) is True:
        wanted.anomalies["rows with a bad source"] += 1
    elif backward is None:
        wanted.anomalies["rows of other languages"] += 1
    else:
        yield pair[::-1] if backward else pair


def _parsed(value: Json, kind: DataType) -> Json:
    """Return a value of Parquet with its parts of Arrow's type for JSON parsed.

    `datasets` 5 writes mixed cells so; see findings/datasets_quotes_mixed_text.sh.
    """
    if value is None:
        return None
    if str(kind) == JSON_TYPE:
        return json.loads(value)
    if isinstance(value, dict):
        return {key: _parsed(part, kind.field(key).type) for key, part in value.items()}
    return value


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
                keys = language_keys(present, columns[0], wanted.languages, name)
                needed = [f"{columns[0]}.{key}" for key in keys]
            for batch in file.iter_batches(batch_size=BATCH, columns=needed):
                values = [batch.column(column).to_pylist() for column in columns]
                for column, kind in enumerate(types):
                    if JSON_TYPE in str(kind):
                        values[column] = [_parsed(value, kind) for value in values[column]]
                    if pyarrow.types.is_map(kind):
                        values[column] = [value if value is None else dict(value) for value in values[column]]
                for row in zip(*values, strict=True):
                    number += 1
                    yield pair_of(row, columns, wanted, f"{name}, row {number}")
    except json.JSONDecodeError as error:
        raise DataError(f"{name}: not JSON after row {number}: {error}", hint="write the file again") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: not UTF-8 after row {number}: byte 0x{error.object[error.start]:02x}") from None
    except pyarrow.ArrowException as error:
        problem = "damaged, or no Parquet file: " + str(error).partition("\n")[0]
        raise DataError(f"{name}: {problem}", hint="copy or download the file again") from None

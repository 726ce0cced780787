"""Read pairs from tables: TSV, with a header or without, and CSV."""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING

from nmt import console
from nmt.config.data import Format
from nmt.config.languages import LanguagesConfig
from nmt.data.pairs import Pair, is_blank
from nmt.data.reading.columns import (
    CHOOSE,
    COLUMNS_TIP,
    NO_TEXT,
    NUMBERS_TIP,
    TRANSLATION,
    Wanted,
    choose_columns,
    kind_of,
    list_columns,
    named_sides,
    pair_of,
)
from nmt.data.reading.streams import CR_TIP, UNREADABLE, decode_lines, unreadable
from nmt.errors import DataError

if TYPE_CHECKING:
    from _csv import Reader

MAX_CELL = 2**26
"""Characters of the longest cell of a CSV file: a quotation mark that is never closed swallows all that follows."""
FIRST = ["1", "2"]  # the columns of a TSV file for lack of others
SEPARATOR_TIP = 'a .csv has commas; one with tabs is read with format = "tsv" in a recipe, --format on the command line'
ROWS = 1000  # maximum number of rows at the start of a table from which its columns are judged
QUOTED = re.compile(r'"(?:[^"]|"")*"')
"""A cell that is quoted as in CSV."""
QUOTED_ROW = re.compile(r'(?:"(?:[^"]|"")*")?(?:\t(?:"(?:[^"]|"")*")?)+\r?(?:\n|\Z)')
QUOTED_REST = re.compile(r'(?:(?:"(?:[^"]|"")*")?\t)*"(?:[^"]|"")*')
"""Rows of cells that are quoted, or empty; and the beginning of a row that is cut within a cell."""
QUOTED_ROWS = 3  # rows of quoted cells alone from which on a TSV file is taken for quoted
Rows = Iterator[tuple[int, list[str]]]  # fields of each row, after the number of its last line


def read_table(stream: io.BufferedReader, name: str, form: Format, wanted: Wanted) -> Iterator[Pair]:
    """Yield the pairs of an open TSV or CSV file. Raises DataError.

    A TSV file whose first line names both sides is read by these names, another by `wanted.columns`, or its first two
    columns.
    """
    if wanted.columns is not None and len(wanted.columns) == 1:
        raise DataError(f"{name}: one column, {wanted.columns[0]!r}, but a table has one of each side", hint=CHOOSE)
    if form == "csv":
        lines = decode_lines(stream, name, anomalies=wanted.anomalies, are_texts=False)
        yield from _read_named_columns(_csv_rows(lines, name), name, wanted)
        return
    start = first_rows(stream, name, form)
    numbers = _column_numbers(wanted.columns)
    is_guessed = wanted.columns is None and has_header(start, wanted.languages)
    by_place = wanted.columns is None and not is_guessed
    if by_place:
        _say_columns(name, start, wanted.languages)
    is_quoted = _is_quoted(_start(stream, name))
    lines = decode_lines(stream, name, anomalies=wanted.anomalies, are_texts=by_place and not is_quoted)
    rows = _quoted_rows(lines, name, wanted) if is_quoted else _tsv_rows(lines, wanted)
    if is_guessed:
        wanted.anomalies["header lines"] += 1
    if is_guessed or (wanted.columns is not None and numbers is None):
        yield from _read_named_columns(rows, name, wanted, COLUMNS_TIP + NUMBERS_TIP)
    elif by_place:
        yield from _read_first_columns(rows, name, wanted, is_quoted)
    else:
        yield from _read_numbered_columns(rows, name, numbers or [], wanted)


def first_rows(stream: io.BufferedReader, name: str, form: Format) -> list[list[str]]:
    """Return the rows in the stream's buffer that are not blank, at most `ROWS`, without reading on."""
    text = _start(stream, name)
    rows: Iterable[list[str]]
    if form == "csv" or _is_quoted(text):
        rows = csv_reader(io.StringIO(text, newline=""), "," if form == "csv" else "\t")
    else:
        rows = (line.removesuffix("\r").split("\t") for line in text.split("\n"))
    return [row for row in islice(rows, ROWS) if any(map(str.strip, row))]


def _start(stream: io.BufferedReader, name: str) -> str:
    """Return the whole lines in the stream's buffer, or the only line."""
    try:
        text = stream.peek().decode("utf-8-sig", errors="replace")
    except UNREADABLE as error:
        raise unreadable(name, error, " after line 0") from None
    return text[: text.rfind("\n") + 1] or text


def _is_quoted(text: str) -> bool:
    """Check whether a TSV file that begins with `text` is CSV with tabs: rows of quoted cells alone."""
    rows, position = 0, 0
    while (row := QUOTED_ROW.match(text, position)) and position < len(text):
        rows, position = rows + 1, row.end()
    rest = text[position:]
    return rows >= QUOTED_ROWS and (not rest or QUOTED_REST.fullmatch(rest) is not None)


def has_header(rows: Sequence[Sequence[str]], languages: LanguagesConfig) -> bool:
    """Check whether the first of `rows` names both sides, and the second does not again, as codes before texts do."""
    names = [named_sides([_plain(cell) for cell in row], languages) for row in rows[:2]]
    return bool(names) and names[0] is not None and names[0] != (names[1:] or [None])[0]


def doubt_of_columns(rows: Sequence[Sequence[str]], languages: LanguagesConfig) -> str:
    """Say which of the first two columns of a TSV file without a header seems to be no text; "" where both are."""
    kinds = [kind_of([row[column] for row in rows if len(row) > column]) for column in range(2)]
    if not any(kind in NO_TEXT for kind in kinds) or has_header(rows, languages):
        return ""
    return f"columns 1 and 2 are read as source and target, but {described(rows, 'tsv', languages)}"


def way_to_choose(rows: Sequence[Sequence[str]]) -> str:
    """Say how to choose two columns of a TSV file without a header, such as the first two that seem to be texts."""
    kinds = [kind_of([row[column] for row in rows if len(row) > column]) for column in range(max(map(len, rows)))]
    texts = [str(number) for number, kind in enumerate(kinds, 1) if kind.startswith("text")][:2]
    one, two = texts if len(texts) == 2 else ("2", "3")
    return CHOOSE.replace('"2", "3"', f'"{one}", "{two}"').replace("2,3", f"{one},{two}")


def described(rows: Sequence[Sequence[str]], form: Format, languages: LanguagesConfig) -> str:
    """Say of each column of a table what it seems to hold, judged by its first rows."""
    names = rows[0] if rows and (form == "csv" or has_header(rows, languages)) else []
    return f"the columns seem to be {'; '.join(list_columns(rows[1:] if names else rows, names))}"


def _say_columns(name: str, rows: Sequence[Sequence[str]], languages: LanguagesConfig) -> None:
    """Say what the columns of a table without a header seem to be, where they are not just two texts."""
    if doubt := doubt_of_columns(rows, languages):
        _say_once(f"{name}: {doubt}; {way_to_choose(rows)}")
    elif any(len(row) > 2 for row in rows):
        columns = described(rows, "tsv", languages)
        _say_once(f"{name}: of several columns 1 and 2 are read; {columns}; to read others, {CHOOSE}")


@cache
def _say_once(message: str) -> None:
    """Print a warning, once only: a command may read a file several times."""
    console.warn(message)


def _plain(cell: str) -> str:
    """Return a cell without the quotation marks of CSV."""
    return cell[1:-1].replace('""', '"') if QUOTED.fullmatch(cell) else cell


def _tsv_rows(lines: Iterable[str], wanted: Wanted) -> Rows:
    """Yield the rows. Cells that only CSV writes so, with their quotation marks doubled, are unquoted and counted."""
    for number, line in enumerate(lines, 1):
        row = line.split("\t")
        if '""' in line:
            for index, cell in enumerate(row):
                if '""' in cell[1:-1] and QUOTED.fullmatch(cell):
                    row[index] = _plain(cell)
                    wanted.anomalies["cells quoted as CSV"] += 1
        yield number, row


def _quoted_rows(lines: Iterable[str], name: str, wanted: Wanted) -> Rows:
    for number, row in _csv_rows(lines, name, "\t"):
        wanted.anomalies["lines quoted as CSV"] += 1
        yield number, row


def _csv_rows(lines: Iterable[str], name: str, delimiter: str = ",") -> Rows:
    reader = csv_reader((line + "\n" for line in lines), delimiter, strict=True)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        if "new-line character" in str(error):
            raise DataError(f"{name}:{reader.line_num}: a line that ends in CR alone", hint=CR_TIP) from None
        raise DataError(f"{name}:{reader.line_num}: not CSV: {error}", hint="is a quotation mark missing?") from None


def csv_reader(lines: Iterable[str], delimiter: str, *, strict: bool = False) -> "Reader":
    """Return a reader of CSV with cells of at most `MAX_CELL` characters; all readers of a process share the limit."""
    csv.field_size_limit(MAX_CELL)
    return csv.reader(lines, delimiter=delimiter, strict=strict)


def _is_blank(row: Sequence[str], anomalies: dict[str, int]) -> bool:
    """Check whether a row is that of a blank line, which is counted."""
    if len(row) > 1 or (row and not is_blank(row[0])):
        return False
    anomalies["blank lines"] += 1
    return True


def _read_first_columns(rows: Rows, name: str, wanted: Wanted, is_quoted: bool) -> Iterator[Pair]:
    for number, row in rows:
        if len(row) != 2:
            if _is_blank(row, wanted.anomalies):
                continue
            if len(row) < len(FIRST):
                hint = "a line is source, tab, target; further columns are not read"
                raise DataError(f"{name}:{number}: no tab in this line", hint=hint)
            wanted.anomalies["lines with further columns"] += 1
        yield pair_of(row[:2], FIRST, wanted, f"{name}:{number}") if is_quoted else (row[0], row[1])


def _column_numbers(columns: list[str] | None) -> list[int] | None:
    """Return two `columns` given by number; None where they are names."""
    if columns is None or len(columns) != 2 or not all(column.isascii() and column.isdigit() for column in columns):
        return None
    return [int(column) for column in columns]


def _read_numbered_columns(rows: Rows, name: str, numbers: list[int], wanted: Wanted) -> Iterator[Pair]:
    if 0 in numbers:
        raise DataError(f"{name}: no column 0", hint="columns are numbered from 1")
    for number, row in rows:
        position = f"{name}:{number}"
        if _is_blank(row, wanted.anomalies):
            continue
        if len(row) < max(numbers):
            hint = "columns that are digits are numbers, from 1, of a .tsv without a header"
            raise DataError(f"{position}: no column {max(numbers)}; the line has {len(row)}", hint=hint)
        yield pair_of([row[column - 1] for column in numbers], wanted.columns or [], wanted, position)


def _read_named_columns(rows: Rows, name: str, wanted: Wanted, tip: str = COLUMNS_TIP) -> Iterator[Pair]:
    header = next((row for _, row in rows if not _is_blank(row, wanted.anomalies)), None)
    if header is None:
        return
    header = [_plain(cell.strip()) for cell in header]
    if len(header) == 1 and (found := next((mark for mark in ";\t|" if mark in header[0]), None)):
        raise DataError(f"{name}: its cells are separated by {found!r}", hint=SEPARATOR_TIP)
    # A cell is text: a column `translation` holds no {language: text} here.
    sides = named_sides(header, wanted.languages) if TRANSLATION in header else None
    columns = choose_columns(wanted.columns or sides, header, wanted.languages, name, tip)
    indices = [header.index(column) for column in columns]
    for number, row in rows:
        if _is_blank(row, wanted.anomalies):
            continue
        if len(row) != len(header):
            raise DataError(f"{name}:{number}: {len(row)} fields, and the first line names {len(header)}")
        yield pair_of([row[index] for index in indices], columns, wanted, f"{name}:{number}")

"""Find the units of a table with delimiters (CSV, TSV): it gets a further column with the translations of one."""

import csv
import re
from collections.abc import Iterator

from nmt.data.pairs import is_blank
from nmt.data.reading.columns import names_language, names_side
from nmt.data.reading.streams import listing
from nmt.data.reading.tables import csv_reader
from nmt.documents.filling import Setting
from nmt.documents.units import Part, Unit, text
from nmt.errors import DataError

DELIMITERS = "\t;,|"
"""In the order in which equally many in the first record are preferred."""
QUOTED = re.compile(r'"(?:[^"]|"")*"')


def table_parts(source: str, setting: Setting) -> list[Part]:
    """Return the parts of a table: each record as it is, and a cell with its translation.

    Raises DataError where the column is missing, or a record has no such cell.
    """
    delimiter = _delimiter(source)
    records = list(_records(source, delimiter, setting.name))
    if not records:
        return [source]
    index, has_header = _column(records[0][1], setting)
    name = setting.languages[1] if setting.languages else "translation"
    parts: list[Part] = []
    line = 1
    for number, (raw, cells) in enumerate(records):
        body = raw.rstrip("\r\n")
        cell = cells[index] if index < len(cells) else None
        if cells and cell is None:
            raise DataError(f"{setting.name}:{line}: {len(cells)} cells, and none in column {index + 1}")
        line += raw.count("\n")
        parts.append(body + delimiter * bool(cells))
        if number == 0 and has_header:
            parts.append(_written(name, delimiter))
        elif cell and not is_blank(cell):
            unit = Unit([text(" ".join(re.split(r"[\r\n]+", cell)))], str, is_line=True)
            parts.append(Unit(unit.items, str, is_line=True, finish=lambda cell: _written(cell, delimiter)))
        parts.append(raw[len(body) :])
    return parts


def _delimiter(source: str) -> str:
    first = QUOTED.sub("", source).partition("\n")[0]
    return max(DELIMITERS, key=first.count) if any(first.count(each) for each in DELIMITERS) else ","


def _records(source: str, delimiter: str, name: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each record as it is written, and its cells. Raises DataError."""
    lines = re.findall(r"[^\n]*\n|[^\n]+$", source)
    reader = csv_reader(lines, delimiter)
    done = 0
    try:
        for cells in reader:
            yield "".join(lines[done : reader.line_num]), cells
            done = reader.line_num
    except csv.Error as error:
        raise DataError(f"{name}:{reader.line_num}: not a table: {error}") from None


def _column(first: list[str], setting: Setting) -> tuple[int, bool]:
    """Return the index of the column to translate, and whether the first record is a header. Raises DataError."""
    wanted = setting.column
    if wanted is not None and wanted in first:
        return first.index(wanted), True
    if wanted is not None and wanted.isdecimal() and 1 <= int(wanted) <= len(first):
        return int(wanted) - 1, False
    if wanted is None:
        code = setting.languages[0] if setting.languages else None
        of_language = [index for index, name in enumerate(first) if code and names_language(name, code, 0)]
        of_side = [index for index, name in enumerate(first) if names_side(name, "", 0)]
        for found in (of_language, of_side):
            if len(found) == 1:
                return found[0], True
        if len(first) == 1:
            return 0, False
    problem = f"no column {wanted!r}" if wanted else "which column is the source is not clear"
    hint = "name it with --column, or count it from 1 where there is no header"
    raise DataError(f"{setting.name}: {problem}; it has {listing(first)}", hint=hint)


def _written(cell: str, delimiter: str) -> str:
    """Write a cell, in quotation marks where it needs them."""
    if any(letter in cell for letter in f'{delimiter}"\r\n'):
        return '"' + cell.replace('"', '""') + '"'
    return cell

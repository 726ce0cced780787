"""Read pairs from .xlsx, the spreadsheets of Excel, as from a .tsv of their first sheet."""

import datetime
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from typing import cast
from xml.etree.ElementTree import ParseError

from nmt import runtime
from nmt.data.pairs import Pair
from nmt.data.reading.columns import Wanted
from nmt.data.reading.streams import UNREADABLE
from nmt.data.reading.tables import read_table
from nmt.errors import DataError

MAX_BYTES = 2**30  # of a workbook when unpacked: openpyxl holds all its strings in memory
DAMAGES = (*UNREADABLE, KeyError, ValueError, TypeError, IndexError, AttributeError, ParseError, SyntaxError)
"""What openpyxl raises on a damaged workbook."""


def read_xlsx(stream: io.BufferedReader, name: str, wanted: Wanted) -> Iterator[Pair]:
    """Yield the pairs of an open .xlsx file: the columns of its first sheet are chosen as those of a .tsv.

    Raises UsageError where openpyxl is not installed, DataError where the file cannot be read.
    """
    openpyxl = runtime.import_extra("openpyxl", "xlsx", "a .xlsx file")
    try:
        content = io.BytesIO(stream.read(MAX_BYTES))
        with zipfile.ZipFile(content) as file:
            size = sum(member.file_size for member in file.infolist())
        if size > MAX_BYTES:
            raise DataError(f"{name}: {size:,} bytes when unpacked, over {MAX_BYTES:,}", hint="save it as .csv")
        workbook = openpyxl.load_workbook(content, read_only=True, data_only=True)
        first, *others = workbook.worksheets
        if further := sum(any(True for _ in sheet.iter_rows(max_row=1)) for sheet in others):
            wanted.anomalies["further sheets"] += further
        table = _as_tsv(first.iter_rows(values_only=True), wanted)
    except DAMAGES as error:
        raise DataError(f"{name}: damaged, or no .xlsx file: {error}", hint="save it anew, or as .csv") from None
    yield from read_table(io.BufferedReader(cast(io.RawIOBase, table), len(table.getvalue()) + 1), name, "tsv", wanted)


def _as_tsv(rows: Iterable[Sequence[object]], wanted: Wanted) -> io.BytesIO:
    """Return the cells as a table of tabs; a tab or a line break within a cell becomes a space, and is counted."""
    texts = [[_text(cell, wanted) for cell in row] for row in rows]
    width = max((index + 1 for row in texts for index, cell in enumerate(row) if cell), default=0)
    lines = ("\t".join((row + [""] * width)[:width]) if any(row) else "" for row in texts)
    return io.BytesIO("".join(f"{line}\n" for line in lines).encode(errors="replace"))


def _text(cell: object, wanted: Wanted) -> str:
    if isinstance(cell, datetime.date | datetime.time):
        wanted.anomalies["dates in cells"] += 1
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    text, breaks = re.subn(r"\s*[\t\r\n]\s*|_x000D_\n?", " ", "" if cell is None else str(cell))
    if breaks:
        wanted.anomalies["line breaks within a text"] += breaks
    return text

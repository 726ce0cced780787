"""Read scores of single lines as the command lines of neural metrics write them.

One number a line; COMET's output, a table or the JSON of `--to_json`; JSON lines such as MetricX's; tables of a
system's name and a number, as in the data of WMT's metrics task.
"""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path

from nmt.data.reading.archives import find_file, open_bytes
from nmt.data.reading.streams import decode_lines
from nmt.errors import DataError
from nmt.files import Json, JsonObject

KEYS = ("COMET", "prediction", "score")  # of COMET, of MetricX, and of others
_COMET = re.compile(r"(?P<system>.*)\tSegment (?P<segment>\d+)\tscore: (?P<score>\S+)(?:\tvariance: \S+)?")
_COMET_REST = re.compile(r".*\tscore: \S+|Predictions saved in: .*")
SHAPES = "one number a line, COMET's output, or JSON with a score in each object"


def read_line_scores(path: Path) -> dict[str, list[float]]:
    """Read the scores of a file by the names of their systems; "" is the name where the file has none.

    Raises DataError where the file has another format, where a score is no number, or where lines are missing.
    """
    path = find_file(path)
    with open_bytes(path) as stream:
        lines = list(decode_lines(stream, str(path), are_texts=False))
    if not any(map(str.strip, lines)):
        raise DataError(f"{path}: no scores in it", hint=f"it is to hold {SHAPES}")
    start = next(line for line in lines if line.strip()).lstrip()[0]
    columns: dict[str, list[float]] = {}
    for system, value in _read_json(path, lines) if start in "{[" else _read_table(path, lines):
        columns.setdefault(system, []).append(value)
    return columns


def _read_table(path: Path, lines: list[str]) -> Iterator[tuple[str, float]]:
    """Yield the systems and scores of lines that are numbers, or whose columns end in one."""
    segments: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        where = f"{path}, line {number:,}"
        if comet := _COMET.fullmatch(line):
            system, segment = comet["system"], int(comet["segment"])
            if segment != segments.setdefault(system, 0):
                raise DataError(f"{where}: segment {segment} of {system}, not {segments[system]}")
            segments[system] += 1
            yield system, _number(comet["score"], where)
        elif not segments or not _COMET_REST.fullmatch(line):
            system, _, value = line.rpartition("\t")
            yield system, _number(value, where)


def _read_json(path: Path, lines: list[str]) -> Iterator[tuple[str, float]]:
    """Yield the systems and scores of one JSON value, or of an object or number in each line."""
    try:
        whole: Json = json.loads("\n".join(lines))
    except ValueError:
        for number, line in enumerate(lines, 1):
            where = f"{path}, line {number:,}"
            try:
                row: Json = json.loads(line)
            except ValueError:
                raise DataError(f"{where}: no JSON", hint=f"it is to hold {SHAPES}") from None
            yield "", _score_in(row, where)
        return
    lists = whole if isinstance(whole, dict) and all(isinstance(rows, list) for rows in whole.values()) else {"": whole}
    for system, rows in lists.items():
        for number, row in enumerate(rows if isinstance(rows, list) else [rows], 1):
            yield system, _score_in(row, f"{path}, {system or 'item'} {number:,}")


def _score_in(row: Json, where: str) -> float:
    if not isinstance(row, dict):
        return _number(row, where)
    found = next((key for key in KEYS if key in row), None) or _only_number(row)
    if found is None:
        names = ", ".join(map(repr, KEYS))
        raise DataError(
            f"{where}: no score in {', '.join(map(repr, row))}", hint=f"a score has one of the keys {names}"
        )
    return _number(row[found], where)


def _only_number(row: JsonObject) -> str | None:
    """Return the key of the only number of an object; None where there are none or several."""
    keys = [key for key, value in row.items() if isinstance(value, int | float) and not isinstance(value, bool)]
    return keys[0] if len(keys) == 1 else None


def _number(value: Json, where: str) -> float:
    """Return a score. Raises DataError where it is no finite number."""
    try:
        score = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        score = math.nan
    if isinstance(value, bool) or not math.isfinite(score):
        shown = str(value).strip()[:40]
        raise DataError(f"{where}: {shown!r} is no score", hint=f"a file of scores is to hold {SHAPES}")
    return score

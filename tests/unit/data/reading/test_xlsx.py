import datetime
import io
import sys
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from nmt.config.languages import LanguagesConfig
from nmt.data.reading import xlsx
from nmt.data.reading.columns import Wanted
from nmt.data.reading.formats import format_of, read_file
from nmt.errors import DataError, UsageError


def wanted(columns: list[str] | None = None) -> Wanted:
    return Wanted(LanguagesConfig(source="en", target="de"), columns)


def workbook(path: Path, *rows: list[Any], further: bool = False) -> Path:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    if further:
        book.create_sheet("more").append(["x", "y"])
    book.save(path)
    return path


def test_the_columns_of_the_first_sheet_are_chosen_as_those_of_a_table(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", ["one", "eins"], ["two", "zwei"])
    assert format_of(path.name) == "xlsx"
    assert list(read_file(path, wanted())) == [("one", "eins"), ("two", "zwei")]
    path = workbook(tmp_path / "b.xlsx", ["id", "German", "English"], [1, "eins", "one"], [], [2, "zwei", "two"])
    what = wanted()
    assert list(read_file(path, what)) == [("one", "eins"), ("two", "zwei")]
    assert what.anomalies == {"header lines": 1, "blank lines": 1}
    assert list(read_file(path, wanted(["3", "2"])))[1] == ("one", "eins")


def test_what_is_odd_in_cells_is_counted(tmp_path: Path) -> None:
    date = datetime.date(2026, 1, 2)
    path = workbook(tmp_path / "a.xlsx", ["a\nb", "c\td"], [3.0, 4.5], [date, "e"], ["", "f"], further=True)
    what = wanted()
    assert list(read_file(path, what)) == [("a b", "c d"), ("3", "4.5"), ("2026-01-02 00:00:00", "e"), ("", "f")]
    assert what.anomalies == {"line breaks within a text": 2, "dates in cells": 1, "further sheets": 1}


def test_a_file_that_is_no_workbook_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.xlsx"
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        file.writestr("a.txt", "a")
    whole = workbook(path, ["one", "eins"]).read_bytes()
    for content in (b"text", target.getvalue(), whole[:-200], b""):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"a\.xlsx: damaged, or no \.xlsx file: "):
            list(read_file(path, wanted()))
    path.write_bytes(whole)
    monkeypatch.setattr(xlsx, "MAX_BYTES", len(whole))
    with pytest.raises(DataError, match=r"bytes when unpacked, over .* \(save it as \.csv\)"):
        list(read_file(path, wanted()))


def test_the_package_is_named_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = workbook(tmp_path / "a.xlsx", ["one", "eins"])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(UsageError, match=r"a \.xlsx file needs a package that is not installed \(.*\[xlsx\]"):
        list(read_file(path, wanted()))

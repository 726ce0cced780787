"""The table of corrections: what is read, what is left out, and what is refused."""

from pathlib import Path

import pytest

from nmt.data.reading.corrections import read_corrections
from nmt.errors import DataError

SHAPE = "(a line is SOURCE, a tab, CORRECTION, and maybe another tab and the machine's output)"


def write(folder: Path, *lines: str) -> Path:
    path = folder / "c.tsv"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_corrections_are_the_first_two_columns_each_source_once(tmp_path: Path) -> None:
    path = write(tmp_path, "a cat\teine Katze\tein Kater", " two \tzwei ", "a cat\teine Katze")
    found = read_corrections(path)
    assert found.pairs == [("a cat", "eine Katze"), ("two", "zwei")]
    assert list(found.remarks) == [f"{path}: repeated corrections, learned from once: 1, first on line 3"]


def test_of_contradicting_corrections_the_last_one_counts(tmp_path: Path) -> None:
    path = write(tmp_path, "a\tb", "c\td", "a\te", "a\tf")
    found = read_corrections(path)
    assert found.pairs == [("a", "f"), ("c", "d")]
    assert list(found.remarks) == [
        f"{path}: sources with another correction before, of which the last one counts: 2, first on line 3"
    ]


def test_blank_lines_and_sides_are_left_out_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path, "", "a\tb", "\tb", "c\t \tx", "\u200b")
    found = read_corrections(path)
    assert found.pairs == [("a", "b")]
    assert list(found.remarks) == [f"{path}: blank lines or sides, left out: 4, first on line 1"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a\tb", "a b"], "c.tsv, line 2: no tab "),
        (["a\tb\tc\td"], "c.tsv, line 1: 4 columns "),
        (["", "\t"], "c.tsv: no corrections in it "),
    ],
)
def test_what_is_no_table_is_one_line(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_corrections(write(tmp_path, *lines))
    assert str(caught.value) == f"{tmp_path}/{message}{SHAPE}"


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.tsv"):
        read_corrections(tmp_path / "none.tsv")

"""Tables: a further column has the translations of one; everything else is kept."""

import pytest
from documents import upper

from nmt.documents.filling import Setting
from nmt.documents.translating import translate_document
from nmt.errors import DataError


def translated(source: str, **settings: str) -> str:
    setting = Setting(languages=("en", "de"), name="t.csv", **settings)  # type: ignore[arg-type]
    return translate_document(source.encode(), "csv", upper, setting).decode()


@pytest.mark.parametrize(
    ("source", "column", "expected"),
    [
        ("id,en\n1,a b\n", None, "id,en,de\n1,a b,A B\n"),
        ("id,source,note\n1,a,x\n\n2,,y", None, "id,source,note,de\n1,a,x,A\n\n2,,y,"),
        ("id\ttext\r\n1\ta, b\r\n", "text", "id\ttext\tde\r\n1\ta, b\tA, B\r\n"),
        ("a b\n", None, "a b,A B\n"),
        ("1;a;b\n2;c\n", "2", "1;a;b;A\n2;c;C\n"),
        ('en;x\n"a ""b""; c\nd";1\n', None, 'en;x;de\n"a ""b""; c\nd";1;"A ""B""; C D"\n'),
        ("", None, ""),
        ('"x,y","English text"\n1,a\n', None, '"x,y","English text",de\n1,a,A\n'),
    ],
)
def test_a_table_gets_a_column(source: str, column: str | None, expected: str) -> None:
    assert translated(source, **({"column": column} if column else {})) == expected


def test_the_column_has_a_name_without_languages_too() -> None:
    assert translate_document(b"source\na\n", "csv", upper) == b"source,translation\na,A\n"


@pytest.mark.parametrize(
    ("source", "column", "message"),
    [
        ("a,b\n", None, "t.csv: which column is the source is not clear; it has a, b ("),
        (
            "a,b\n",
            "c",
            "t.csv: no column 'c'; it has a, b (name it with --column, or count it from 1 where there is no",
        ),
        ("a,b\n", "3", "t.csv: no column '3'; it has a, b ("),
        ("a,b\n1,2\n3\n", "b", "t.csv:3: 1 cells, and none in column 2"),
    ],
)
def test_a_column_that_is_not_there_is_one_line(source: str, column: str | None, message: str) -> None:
    with pytest.raises(DataError) as caught:
        translated(source, **({"column": column} if column else {}))
    assert str(caught.value).startswith(message)


def test_a_cell_that_does_not_end_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(translated("a,b\n" + "x" * 140_000, column="1").split("\n")[1]) == 280_001
    monkeypatch.setattr("nmt.data.reading.tables.MAX_CELL", 1000)
    with pytest.raises(DataError) as caught:
        translated("a,b\n" + "x" * 1001, column="1")
    assert str(caught.value).startswith("t.csv:2: not a table: field larger than field limit")

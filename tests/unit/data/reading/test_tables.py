"""How tables are read: TSV with and without a header, and CSV."""

import io
from collections import Counter
from pathlib import Path
from typing import cast

import pytest

from nmt import console
from nmt.config.data import Format
from nmt.config.languages import LanguagesConfig
from nmt.data.reading import tables
from nmt.data.reading.columns import Wanted
from nmt.data.reading.formats import read_file
from nmt.data.reading.streams import decompress
from nmt.data.reading.tables import described, doubt_of_columns, first_rows, read_table, way_to_choose
from nmt.errors import DataError

PAIRS = [("one", "eins"), ("two, three", "zwei"), ("", 'sagt "vier"')]
EN_DE = LanguagesConfig(source="en", target="de")
TEXTS = [(f"the cat {number} sat down on the mat", f"die Katze {number} hat sich gesetzt") for number in range(12)]


def wanted(columns: list[str] | None = None) -> Wanted:
    return Wanted(EN_DE, columns)


def write(path: Path, content: str) -> Path:
    path.write_bytes(content.encode())
    return path


def error_of(path: Path, what: Wanted | None = None) -> str:
    with pytest.raises(DataError) as caught:
        list(read_file(path, what or wanted()))
    return str(caught.value)


def buffered(content: bytes) -> io.BufferedReader:
    return io.BufferedReader(cast(io.RawIOBase, io.BytesIO(content)))


def table(text: str, what: Wanted | None = None, form: Format = "tsv") -> list[tuple[str, str]]:
    return list(read_table(buffered(text.encode()), "t", form, what or wanted()))


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(console, "warn", said.append)
    tables._say_once.cache_clear()
    return said


def test_columns_of_tsv_are_named_in_its_first_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", 'id\tde\ten\n1\teins\tone\n\n2\t"zwei\t\n')
    what = wanted(["en", "de"])
    assert list(read_file(path, what)) == [("one", "eins"), ("", '"zwei')]
    assert what.anomalies == {"blank lines": 1}


def test_a_tsv_without_the_column_says_that_numbers_will_do_too(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "1\tone\teins\n")
    said = error_of(path, wanted(["en", "de"]))
    assert said.startswith(f"{path}: no column 'en'; it has 1, one, eins (name them: columns = [")
    assert said.endswith('; in a .tsv without a header by number, from 1: columns = ["2", "3"])')


def test_columns_of_tsv_without_a_header_are_chosen_by_number(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "1\teins\tone\n\n2\tzwei\0\ttwo\tx\n")
    what = wanted(["3", "2"])
    assert list(read_file(path, what)) == [("one", "eins"), ("two", "zwei\0")]
    assert what.anomalies == {"blank lines": 1, "NUL characters": 1}
    hint = "(columns that are digits are numbers, from 1, of a .tsv without a header)"
    assert error_of(path, wanted(["4", "1"])) == f"{path}:1: no column 4; the line has 3 {hint}"
    assert error_of(path, wanted(["0", "1"])) == f"{path}: no column 0 (columns are numbered from 1)"
    path = write(tmp_path / "a.csv", "1,2\na,b\n")
    assert list(read_file(path, wanted(["2", "1"]))) == [("b", "a")]


def test_one_column_of_a_table_is_not_enough(tmp_path: Path) -> None:
    for name in ("a.tsv", "a.csv"):
        path = write(tmp_path / name, "1\teins\tone\n")
        assert error_of(path, wanted(["3"])).startswith(f"{path}: one column, '3', but a table has one of each side (")


def test_a_table_with_cr_line_ends_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "en,de\rone,eins\rtwo,zwei\r")
    assert error_of(path) == f"{path}:1: a line that ends in CR alone (convert the line ends: tr '\\r' '\\n')"
    path = write(tmp_path / "a.jsonl", '{"en": "one", "de": "eins"}\r{"en": "two", "de": "zwei"}\r')
    assert error_of(path).endswith(" (convert the line ends: tr '\\r' '\\n')")


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_a_csv_with_another_separator_says_so(tmp_path: Path, mark: str) -> None:
    path = write(tmp_path / "a.csv", f"en{mark}de\none{mark}eins\n")
    assert error_of(path).startswith(f"{path}: its cells are separated by {mark!r} (a .csv has commas; ")


def test_lines_of_tsv_with_more_than_two_columns_are_counted(tmp_path: Path) -> None:
    what = wanted()
    assert list(read_file(write(tmp_path / "a.tsv", "a\tb\tc\td\ne\tf\n"), what)) == [("a", "b"), ("e", "f")]
    assert what.anomalies == {"lines with further columns": 1}


def test_a_field_of_csv_may_be_long(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f"en,de\n{'x' * 200_000},y\n")
    assert list(read_file(path, wanted())) == [("x" * 200_000, "y")]


def test_csv_is_unquoted_and_its_columns_are_named_after_the_languages(tmp_path: Path) -> None:
    lines = '\ufeffen,x,de\r\none,,eins\r\n"two, three",,zwei\r\n,,"sagt ""vier"""\r\n"a\r\nb",,c\r\n'
    what = wanted()
    assert list(read_file(write(tmp_path / "a.csv", lines), what)) == [*PAIRS, ("a b", "c")]
    assert what.anomalies == {"byte-order marks": 1, "CRLF line ends": 6, "line breaks within a text": 1}


def test_a_row_of_another_number_of_fields_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'en,de\n"a\nb",c\nd,e,f\n')
    assert error_of(path) == f"{path}:4: 3 fields, and the first line names 2"


@pytest.mark.parametrize("text", ['en,de\na,"b" c\n', 'en,de\na,"b\n'])
def test_csv_with_wrong_quotation_marks_is_an_error(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "a.csv", text)
    said = error_of(path)
    assert said.startswith(f"{path}:2: not CSV: ")
    assert said.endswith(" (is a quotation mark missing?)")


@pytest.mark.parametrize(
    "header",
    [
        ("id", "en", "de"),
        ("score", "eng_Latn", "DE"),
        ("", " en ", '"de"'),
        ("id", "source", "target"),
        ("id", "SRC", "tgt"),
        ("id", "source", "translation"),
        ("id", "original", "Translation"),
        ("mt", "src", "ref"),
        ("id", "src_text", "trg_text"),
        ("id", "source_en", "target_de"),
        ("id", "sentence_en", "sentence_de"),
        ("n", "English", "Deutsch"),
        ("n", "english", "german"),
        ("n", "eng", "deu"),
    ],
)
def test_a_header_of_tsv_is_read_by_its_names(header: tuple[str, ...]) -> None:
    what = wanted()
    assert table("\t".join(header) + "\n7\tone\teins\n", what) == [("one", "eins")]
    assert what.anomalies == {"header lines": 1}


def test_a_header_may_name_the_target_first() -> None:
    assert table("de\ten\neins\tone\n") == [("one", "eins")]


@pytest.mark.parametrize("first", ["en\tfr", "english speakers\tdeutsche", "source\tQuelle", "en\ten", "de\tde"])
def test_a_first_line_that_does_not_name_both_sides_is_a_pair(first: str) -> None:
    what = wanted()
    assert table(f"{first}\none\teins\n", what)[0] == tuple(first.split("\t"))
    assert what.anomalies == {}


def test_a_header_that_is_chosen_from_holds_for_each_row() -> None:
    with pytest.raises(DataError, match=r"^t:3: 1 fields, and the first line names 3$"):
        table("id\ten\tde\n1\tone\teins\nx\n")


@pytest.mark.parametrize(
    ("text", "columns", "form"),
    [
        ("one\teins\n\n  \ntwo\tzwei\n\n", None, "tsv"),
        ("one\teins\n\u200b\n\u3000\ntwo\tzwei\n\n", None, "tsv"),
        ("one\teins\n\n  \ntwo\tzwei\n\n", ["1", "2"], "tsv"),
        ("en\tde\none\teins\n\n  \ntwo\tzwei\n\n", ["en", "de"], "tsv"),
        ("en,de\none,eins\n\n  \ntwo,zwei\n\n", None, "csv"),
    ],
)
def test_blank_lines_are_skipped_and_counted(text: str, columns: list[str] | None, form: Format) -> None:
    what = wanted(columns)
    assert table(text, what, form) == [("one", "eins"), ("two", "zwei")]
    assert what.anomalies["blank lines"] == 3


def test_a_row_of_blank_cells_is_a_pair() -> None:
    assert table("one\teins\n\t\n") == [("one", "eins"), ("", "")]


def test_cells_that_only_csv_writes_so_are_unquoted_and_counted() -> None:
    what = wanted()
    cells = ['"He said ""yes""."', '"Ja," sagte er.', '""', '"Nein."', '"""x"""', 'say ""']
    text = "one\teins\n" + "\n".join(f"{cell}\tb" for cell in cells)
    read = ['He said "yes".', '"Ja," sagte er.', '""', '"Nein."', '"x"', 'say ""']
    assert [source for source, _ in table(text, what)] == ["one", *read]
    assert what.anomalies == {"cells quoted as CSV": 2}


def test_a_tsv_of_quoted_cells_alone_is_read_as_csv_with_tabs() -> None:
    what = wanted()
    text = '"one"\t"eins"\n"two\tthree"\t"zwei"\n"a ""b"""\t""\n"over\ntwo"\t"lines"\n'
    assert table(text, what) == [("one", "eins"), ("two\tthree", "zwei"), ('a "b"', ""), ("over two", "lines")]
    assert what.anomalies == {"lines quoted as CSV": 4, "line breaks within a text": 1}
    assert table('"one"\t"eins"\n"two"\t"zwei"\n') == [('"one"', '"eins"'), ('"two"', '"zwei"')]
    assert table('"en"\t"de"\n"one"\t"eins"\n"two"\t"zwei"\n') == [("one", "eins"), ("two", "zwei")]


def test_a_score_taken_for_a_side_is_said_once(warnings: list[str]) -> None:
    text = "".join(f"1.{number}\t{source}\t{target}\n" for number, (source, target) in enumerate(TEXTS))
    for _ in range(2):
        assert len(table(text)) == 12
    (said,) = warnings
    assert said.startswith("t: columns 1 and 2 are read as source and target, but the columns seem to be 1: a score; ")
    assert "; 2: text in Latin letters" in said
    assert said.endswith(': columns = ["2", "3"] in a recipe, --columns 2,3 on the command line')


def test_further_columns_are_named(warnings: list[str]) -> None:
    table("".join(f"{source}\t{target}\t0.{len(source)}\n" for source, target in TEXTS))
    (said,) = warnings
    assert said.startswith("t: of several columns 1 and 2 are read; the columns seem to be 1: text in Latin letters")
    assert "; 3: a score; to read others, choose two by number or name" in said


def test_two_texts_or_chosen_columns_are_no_doubt(warnings: list[str]) -> None:
    table("".join(f"{source}\t{target}\n" for source, target in TEXTS))
    table("".join(f"1.5\t{source}\t{target}\n" for source, target in TEXTS), wanted(["2", "3"]))
    table("id\ten\tde\n" + "".join(f"1\t{source}\t{target}\n" for source, target in TEXTS))
    table("1\tone\teins\n" * 9)
    assert [said for said in warnings if "but the columns" in said] == []


def test_the_first_rows_are_those_in_the_buffer(tmp_path: Path) -> None:
    stream = buffered(b"\xef\xbb\xbfa\tb\r\n\n \nc\td\ncut")
    assert first_rows(stream, "t", "tsv") == [["a", "b"], ["c", "d"]]
    assert stream.read(4) == b"\xef\xbb\xbfa"
    assert first_rows(buffered(b"a,b"), "t", "csv") == [["a", "b"]]
    broken = write(tmp_path / "a.gz", "x").open("rb")
    with broken, pytest.raises(DataError, match=r"^a\.gz: not a gzip file"):
        first_rows(decompress(broken, "a.gz"), "a.gz", "tsv")


def test_columns_are_described_by_number_and_name() -> None:
    rows = [["id", "en", "de"], *([str(number), *pair] for number, pair in enumerate(TEXTS))]
    assert described(rows, "tsv", EN_DE).startswith(
        "the columns seem to be 1 'id': a number or an id; 2 'en': text in "
    )
    assert doubt_of_columns(rows, EN_DE) == ""
    assert doubt_of_columns(rows[1:], EN_DE).startswith("columns 1 and 2 are read as source and target, but ")
    assert Counter(described(rows[1:], "tsv", EN_DE))["'"] == 0


def test_the_columns_of_texts_are_proposed() -> None:
    rows = [[str(number), source, f"a-{number}", target] for number, (source, target) in enumerate(TEXTS)]
    assert way_to_choose(rows).endswith('columns = ["2", "4"] in a recipe, --columns 2,4 on the command line')
    assert way_to_choose([row[:3] for row in rows]).endswith("--columns 2,3 on the command line")


def test_codes_before_each_pair_are_no_header(warnings: list[str]) -> None:
    assert len(table("".join(f"en\tde\t{source}\t{target}\n" for source, target in TEXTS))) == 12
    assert "1: a language code; 2: a language code; 3: text in Latin" in warnings[0]
    assert warnings[0].endswith("--columns 3,4 on the command line")
    assert table("en\tde\none\teins\n") == [("one", "eins")]

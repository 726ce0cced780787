import dataclasses
import gzip
import io
import json
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from nmt import console
from nmt.config.data import Format
from nmt.config.languages import LanguagesConfig
from nmt.data.reading.columns import Wanted
from nmt.data.reading.formats import choose_files, format_of, read_file, read_stream
from nmt.errors import DataError

EN_DE = LanguagesConfig(source="en", target="de")
FORMATS = "tsv, csv, jsonl, parquet, tmx, xliff, po, wmt, xlsx"
PAIRS = [("one", "eins"), ("two, three", "zwei"), ("", 'sagt "vier"')]


def wanted(columns: list[str] | None = None, form: Format | None = None, source: str = "en") -> Wanted:
    return Wanted(LanguagesConfig(source=source, target="de"), columns, form)


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def error_of(path: Path, what: Wanted | None = None) -> str:
    with pytest.raises(DataError) as caught:
        list(read_file(path, what or wanted()))
    return str(caught.value)


def parquet(rows: dict[str, Any], types: Any = None) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    target = io.BytesIO()
    parquet.write_table(pa.table(rows, schema=types), target)
    return target.getvalue()


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.tsv", "tsv"),
        ("a.CSV", "csv"),
        ("a.b.jsonl.gz", "jsonl"),
        ("a.json.zst", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("a.parquet", "parquet"),
        ("a.tmx.xz", "tmx"),
        ("a.TSV.GZ", "tsv"),
        ("a.xlf", "xliff"),
        ("a.en.SDLXLIFF", "xliff"),
        ("a.xliff.gz", "xliff"),
        ("de.po", "po"),
        ("a.en", None),
        ("tsv", None),
    ],
)
def test_a_name_says_the_format(name: str, form: Format | None) -> None:
    assert format_of(name) == form


def test_a_format_that_no_name_says_is_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path / "pairs", "a\tb\n")
    said = error_of(path)
    assert said == (
        f"{path}: its name does not say what format it has "
        f"(set format to one of {FORMATS}; lines of one side are source or target)"
    )
    assert list(read_file(path, wanted(form="tsv"))) == [("a", "b")]


def test_a_table_without_the_column_says_which_it_has(tmp_path: Path) -> None:
    hint = (
        '(name them: columns = ["source column", "target column"] in a recipe, '
        "--columns for `nmt init` and the commands of `nmt data`)"
    )
    for name, content in (("a.csv", "x,y\n1,2\n"), ("a.parquet", parquet({"x": ["1"], "y": ["2"]}))):
        path = write(tmp_path / name, content)
        assert error_of(path) == f"{path}: no column 'en' and 'de', nor 'translation'; it has x, y {hint}"
        assert error_of(path, wanted(["x", "z"])) == f"{path}: no column 'z'; it has x, y {hint}"
        assert list(read_file(path, wanted(["y", "x"]))) == [("2", "1")]
    path = write(tmp_path / "a.jsonl", '{"en": "x", "de": "y"}\n{"en": "x"}\n')
    assert error_of(path) == f"{path}:2: no column 'en' and 'de', nor 'translation'; it has en {hint}"


def test_a_column_that_is_there_twice_is_an_error_where_it_is_wanted(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    target = io.BytesIO()
    parquet.write_table(pa.table([["a"], ["b"], ["c"], ["d"]], names=["en", "de", "en", "fr"]), target)
    for name, content in (("a.parquet", target.getvalue()), ("a.csv", "en,de,en,fr\na,b,c,d\n")):
        path = write(tmp_path / name, content)
        assert error_of(path) == f"{path}: several columns 'en' (give each a name of its own)"
        assert list(read_file(path, wanted(["fr", "de"]))) == [("d", "b")]


def test_an_empty_table_has_no_pairs(tmp_path: Path) -> None:
    for name in ("a.csv", "a.tsv", "a.jsonl"):
        assert list(read_file(write(tmp_path / name, ""), wanted(["a", "b"]))) == []


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_json_lines_are_objects_with_the_sides_or_a_translation(tmp_path: Path, ending: str) -> None:
    rows = [{"de": "eins", "en": "one", "id": 1}, {"translation": {"en": "a\nb", "de": None}}, {"de": "", "en": "\0"}]
    text = "\n\n".join(map(json.dumps, rows)).encode()
    path = write(tmp_path / f"a.jsonl{ending}", gzip.compress(text) if ending else text)
    what = wanted()
    assert list(read_file(path, what)) == [("one", "eins"), ("a b", ""), ("\0", "")]
    assert what.anomalies == {"blank lines": 2, "line breaks within a text": 1, "missing texts": 1, "NUL characters": 1}


def test_what_is_odd_in_a_field_is_counted_once(tmp_path: Path) -> None:
    for name, text in (("a.jsonl", '{"en": "\u2028", "de": "x"}\n'), ("a.csv", "en,de\n\u2028,x\n")):
        what = wanted()
        assert list(read_file(write(tmp_path / name, text), what)) == [("\u2028", "x")]
        assert what.anomalies == {"odd line breaks": 1}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "{'en': 1}",
            "not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1) "
            "(each line is an object of its own)",
        ),
        ("[" * 100_000, "not JSON: "),
        ('["one", "eins"]', "no JSON object but list (each line is an object)"),
        ('{"en": 1, "de": "x"}', "int where text should be: 1"),
        ('{"translation": "x"}', "column 'translation' holds no {language: text} but str (name them: "),
        ('{"translation": {"en": "x"}}', "no language 'de' in column 'translation'; it has en"),
    ],
)
def test_a_line_of_json_that_is_no_pair_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = write(tmp_path / "a.jsonl", f'{{"en": "a", "de": "b"}}\n{line}\n')
    assert error_of(path).startswith(f"{path}:2: {said}")


@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.jsonl"])
def test_bytes_that_are_not_utf8_are_named_in_each_format(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, {"a.tsv": b"a\tb\n", "a.csv": b"en,de\n", "a.jsonl": b"\n"}[name] + b"\xe9\n")
    assert error_of(path).startswith(f"{path}:2: not UTF-8: byte 0xe9 at position 1 (")


def test_parquet_is_read_by_columns_or_by_translations(tmp_path: Path) -> None:
    import pyarrow as pa

    sides: dict[str, list[Any]] = {"n": [1, 2, 3], "de": [b for _, b in PAIRS], "en": [a for a, _ in PAIRS]}
    translations = [{"de": b, "en": a, "fr": "x"} for a, b in PAIRS]
    of_maps = pa.schema([("translation", pa.map_(pa.string(), pa.string()))])
    for content in (
        parquet(sides),
        parquet({"translation": translations, "n": [1, 2, 3]}),
        parquet({"translation": [list(row.items()) for row in translations]}, of_maps),
    ):
        assert list(read_file(write(tmp_path / "a.parquet", content), wanted())) == PAIRS
        assert list(read_file(write(tmp_path / "a.parquet.gz", gzip.compress(content)), wanted())) == PAIRS


def test_json_in_parquet_is_parsed(tmp_path: Path) -> None:
    import pyarrow as pa

    texts, json_type = ['"one \\"dog\\""', None, '"two"'], pa.json_()
    cells = pa.array(texts, pa.string()).cast(json_type)
    rows = {"en": cells, "de": ["eins", "x", "zwei"]}
    expected = [('one "dog"', "eins"), ("", "x"), ("two", "zwei")]
    assert list(read_file(write(tmp_path / "a.parquet", parquet(rows)), wanted())) == expected
    nested = pa.StructArray.from_arrays([cells, pa.array(rows["de"])], names=["en", "de"])
    path = write(tmp_path / "b.parquet", parquet({"translation": nested}))
    assert list(read_file(path, wanted())) == expected
    number = pa.array(['"one"', "3"], pa.string()).cast(json_type)
    path = write(tmp_path / "c.parquet", parquet({"en": number, "de": ["eins", "drei"]}))
    assert error_of(path) == f"{path}, row 2: int where text should be: 3"
    broken = pa.ExtensionArray.from_storage(json_type, pa.array(["{"]))
    path = write(tmp_path / "d.parquet", parquet({"en": broken, "de": ["eins"]}))
    assert error_of(path).startswith(f"{path}: not JSON after row 0: ")


def test_missing_values_of_parquet_are_blank_and_counted(tmp_path: Path) -> None:
    what = wanted()
    path = write(tmp_path / "a.parquet", parquet({"translation": [{"en": "a", "de": None}, None]}))
    assert list(read_file(path, what)) == [("a", ""), ("", "")]
    assert what.anomalies == {"missing texts": 3}


def test_a_parquet_file_of_other_things_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", parquet({"en": ["x", "y"], "de": [1, 2]}))
    assert error_of(path) == f"{path}, row 1: int where text should be: 1"
    write(path, parquet({"translation": [{"en": "x"}]}))
    assert error_of(path) == f"{path}: no language 'de' in column 'translation'; it has en"
    write(path, parquet({"translation": ["x"]}))
    assert f"{path}, row 1: column 'translation' holds no {{language: text}} but str (" in error_of(path)


def test_a_damaged_parquet_file_is_an_error(tmp_path: Path) -> None:
    content = parquet({"en": ["x"], "de": ["y"]})
    for damaged in (content[:-20], b"text\n", b""):
        path = write(tmp_path / "a.parquet", damaged)
        said = error_of(path)
        assert said.startswith(f"{path}: damaged, or no Parquet file: ")
        assert said.endswith(" (copy or download the file again)")


def test_parquet_with_bytes_that_are_not_utf8_is_an_error(tmp_path: Path) -> None:
    import pyarrow as pa

    bad = pa.array([b"\xe9"]).view(pa.string())
    path = write(tmp_path / "a.parquet", parquet({"en": bad, "de": ["x"]}))
    assert error_of(path) == f"{path}: not UTF-8 after row 0: byte 0xe9"


def test_a_parquet_file_may_come_from_a_pipe() -> None:
    stream: Any = io.BufferedReader(io.BytesIO(parquet({"en": ["x"], "de": ["y"]})))
    assert list(read_stream(stream, "standard input", "parquet", wanted())) == [("x", "y")]


FILES = {
    "README.txt": b"read me",
    "b/x.en.gz": gzip.compress(b"x\n"),
    "b/x.de": b"X\n",
    "a.tsv": b"t\tT\n",
    "c.jsonl.gz": gzip.compress(b'{"en": "j", "de": "J"}\n'),
    "alone.en": b"alone\n",
    "p.parquet": parquet({"en": ["p"], "de": ["P"]}),
    "b/x.fr": b"fr\n",
}
FOUND = [("t", "T"), ("x", "X"), ("j", "J"), ("p", "P")]


def test_a_folder_gives_all_its_files_by_name(tmp_path: Path) -> None:
    for name, content in FILES.items():
        write(tmp_path / name, content)
    what = wanted()
    assert list(read_file(tmp_path, what)) == FOUND
    assert what.anomalies == {"files skipped in a folder": 3}
    assert list(read_file(tmp_path, wanted(form="jsonl"))) == [("j", "J")]


def test_files_skipped_in_a_folder_are_named_where_details_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.tsv", "b.txt", "c.fr"):
        write(tmp_path / name, "a\tb\n")
    said = "skipped: no file of both sides by its name, and none of a pair"
    for verbose in (False, True):
        monkeypatch.setattr(console, "VERBOSE", verbose)
        list(read_file(tmp_path, wanted()))
        lines = [f"{tmp_path / name}: {said}\n" for name in ("b.txt", "c.fr")]
        assert capfd.readouterr().err == ("".join(lines) if verbose else "")


def test_an_archive_gives_all_its_files_or_those_of_a_folder_in_it(tmp_path: Path) -> None:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        for name, content in FILES.items():
            file.writestr(name, content)
    path = write(tmp_path / "all.zip", target.getvalue())
    what = wanted()
    assert list(read_file(path, what)) == FOUND
    assert what.anomalies == {"files skipped in a folder": 3}
    assert list(read_file(path / "b", wanted())) == [("x", "X")]
    assert list(read_file(path / "a.tsv", wanted())) == [("t", "T")]


@pytest.mark.parametrize(
    ("source", "target", "names", "chosen"),
    [
        ("eng_Latn", "nb", ["a.en", "a.no"], [("a.en", "a.no")]),
        ("en", "he", ["a.eng.gz", "a.iw"], [("a.eng.gz", "a.iw")]),
        ("en", "pt-BR", ["a.en", "a.pt", "a.pt-BR", "a.pt-PT"], [("a.en", "a.pt-BR")]),
        ("en", "zh", ["a.en", "a.zh-CN", "a.zh-TW"], [("a.en", "a.zh-CN")]),
        ("zh-CN", "zh-TW", ["a.zh", "a.zh_TW"], [("a.zh", "a.zh_TW")]),
        ("zh-CN", "zh-TW", ["a.zh"], []),
        ("en", "no", ["a.en", "a.da", "a.nn"], []),
    ],
)
def test_the_languages_of_files_in_a_folder_are_known_in_every_spelling(
    source: str, target: str, names: list[str], chosen: list[tuple[str, str]]
) -> None:
    assert choose_files(names, Wanted(LanguagesConfig(source=source, target=target), None, None)) == chosen


def test_of_two_files_of_one_side_the_first_is_taken() -> None:
    names = ["a.de", "a.en", "a.en.gz"]
    assert choose_files(names, wanted()) == [("a.en", "a.de")]


def test_a_folder_with_nothing_to_read_says_what_is_there(tmp_path: Path) -> None:
    write(tmp_path / "a.en", b"")
    write(tmp_path / "b.fr", b"")
    assert error_of(tmp_path) == (
        f"{tmp_path}: nothing to read in it; it has a.en, b.fr "
        f"(a folder or archive holds files of {FORMATS}, or NAME.en and NAME.de)"
    )


def test_sides_of_unequal_length_in_a_folder_are_named(tmp_path: Path) -> None:
    write(tmp_path / "a.en", b"1\n2\n")
    write(tmp_path / "a.de", b"1\n")
    assert error_of(tmp_path).startswith(f"{tmp_path}/a.en has 2 lines but {tmp_path}/a.de has 1 (")
    write(tmp_path / "a.de", b"1\n" * 6)
    assert error_of(tmp_path).startswith(f"{tmp_path}/a.en has 2 lines but {tmp_path}/a.de has 6 (")


def test_what_was_wanted_counts_into_the_callers_counter(tmp_path: Path) -> None:
    anomalies = Counter[str]()
    path = write(tmp_path / "a.tsv", b"a\tb\r\n")
    assert list(read_file(path, Wanted(EN_DE, anomalies=anomalies))) == [("a", "b")]
    assert anomalies == {"CRLF line ends": 1}


def test_a_parquet_file_on_the_disk_is_not_read_into_memory(tmp_path: Path) -> None:
    class Watched(io.BufferedReader):
        def read(self, size: int | None = -1) -> bytes:
            assert size is not None
            assert size >= 0
            return super().read(size)

    path = write(tmp_path / "a.parquet", parquet({"en": ["x"], "de": ["y"]}))
    with io.FileIO(path) as file:
        assert list(read_stream(Watched(file), "a", "parquet", wanted())) == [("x", "y")]


PO = 'msgid ""\nmsgstr "Language: {}\\n"\n\nmsgid "{}"\nmsgstr "{}"\n'
XLIFF = (
    '<xliff version="1.2"><file source-language="en" target-language="{}"><body><trans-unit id="1"><source>{}</source>'
    "<target>{}</target></trans-unit></body></file></xliff>"
)


def test_files_of_other_languages_in_a_folder_are_skipped(tmp_path: Path) -> None:
    for language, text in (("de", "b"), ("fr", "c")):
        write(tmp_path / language / "a.po", PO.format(language, "a", text))
        write(tmp_path / f"a.{language}.xlf", XLIFF.format(language, "x", text))
    what = wanted()
    assert list(read_file(tmp_path, what)) == [("x", "b"), ("a", "b")]
    assert what.anomalies["files skipped in a folder"] == 2
    assert error_of(tmp_path / "fr" / "a.po").startswith(f"{tmp_path}/fr/a.po: its header says Language: fr, which")


def test_a_catalogue_and_a_file_of_xliff_may_be_compressed_or_have_bad_units(tmp_path: Path) -> None:
    path = write(tmp_path / "a.po.gz", gzip.compress(PO.format("de", "a", "b").encode()))
    assert list(read_file(path, wanted())) == [("a", "b")]
    for name, text in (("a.po", PO.format("de", "a\\q", "b")), ("a.xlf", XLIFF.format("de", "&", "b"))):
        path = write(tmp_path / name, text)
        assert "skip_bad = true" in error_of(path)
        what = wanted()
        assert list(read_file(path, dataclasses.replace(what, skip_bad=True))) == []
        assert what.anomalies["bad units left out"] == 1


def test_rows_as_of_wmt24_say_their_languages_and_bad_sources(tmp_path: Path) -> None:
    def row(lp: str, source: str, target: str, **more: object) -> str:
        texts = {"source": source, "target": target, "original_target": "x"}
        return json.dumps({"lp": lp, "document_id": "d", "segment_id": 1, "is_bad_source": False} | texts | more) + "\n"

    good = row("en-de_DE", "a", "b") + row("en-de_DE", "c", "d", is_bad_source=True)
    path = write(tmp_path / "a.jsonl", good + row("en-fr_FR", "e", "f") + row("de-en", "g", "h"))
    what = wanted()
    assert list(read_file(path, what)) == [("a", "b"), ("h", "g")]
    assert what.anomalies == {"rows with a bad source": 1, "rows of other languages": 1}
    assert list(read_file(path, wanted(["source", "original_target"])))[1] == ("c", "x")


def test_an_archive_of_opus_is_read_beside_its_other_files(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "en-de.txt.zip", "w") as file:
        for name, text in (
            ("README", "The corpus\n"),
            ("LICENSE", "free\n"),
            ("X.de-en.de", "eins\nzwei\n"),
            ("X.de-en.en", "one\ntwo\n"),
            ("X.de-en.ids", "a\tb\n"),
            ("X.de-en.scores", "0.5\n0.6\n"),
            (
                "X.de-en.xml",
                '<?xml version="1.0"?>\n<!DOCTYPE cesAlign PUBLIC "-//CES//DTD XML cesAlign//EN" "">\n<cesAlign/>',
            ),
        ):
            file.writestr(name, text)
    what = wanted()
    assert list(read_file(tmp_path / "en-de.txt.zip", what)) == [("one", "eins"), ("two", "zwei")]
    assert what.anomalies == {"files skipped in a folder": 5}


def test_a_link_that_leaves_a_folder_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "secret", "not for training\n")
    write(tmp_path / "data/a.de", "eins\n")
    write(tmp_path / "data/real", "one\n")
    link = tmp_path / "data/a.en"
    link.symlink_to("real")
    assert list(read_file(tmp_path / "data", wanted())) == [("one", "eins")]
    link.unlink()
    link.symlink_to(tmp_path / "secret")
    hint = "(name the file itself, or copy it)"
    assert error_of(tmp_path / "data") == f"{link}: a link that leads out of the folder {hint}"
    (tmp_path / "own").symlink_to(tmp_path / "data")
    link.unlink()
    write(link, "one\n")
    assert list(read_file(tmp_path / "own", wanted())) == [("one", "eins")]


@pytest.mark.parametrize("name", ["../a.tsv", "/a.tsv", "b/../../a.tsv"])
def test_names_that_leave_an_archive_are_skipped(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(console, "warn", said.append)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, "x\ty\n")
        archive.writestr("in.tsv", "one\teins\n")
    assert list(read_file(tmp_path / "a.zip", wanted())) == [("one", "eins")]
    assert said == [f"{tmp_path}/a.zip: names that lead out of the archive are skipped: {name}"]

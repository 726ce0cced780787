import gzip
import io
import json
import os
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nmt.config.data import CorpusConfig, DownloadConfig, LanguagesConfig
from nmt.data.reading.archives import count_lines, find_file, read_lines
from nmt.data.reading.corpus import RECIPE_TIP, corpus_digests, read_corpus
from nmt.data.reading.streams import decode_lines
from nmt.errors import DataError
from nmt.files import digest_json

EN_DE = LanguagesConfig(source="en", target="de")
DE_EN = LanguagesConfig(source="de", target="en")


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def read(root: Path, config: CorpusConfig, *, languages: LanguagesConfig = EN_DE, local: bool = True) -> list[Any]:
    return list(read_corpus(config, languages, root=root, local=local, default_split="train"))


def error_of(root: Path, config: CorpusConfig, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        read(root, config, **options)
    return str(caught.value)


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def test_lines_end_at_line_feeds_alone(tmp_path: Path) -> None:
    odd = "a\u2028b\x85c\x0bd\x0ce\x1cf\tg\0h\ri"
    path = write(tmp_path / "text", f"{odd}\nlast".encode())
    assert list(read_lines(path)) == [odd, "last"]


def test_one_carriage_return_before_the_line_feed_is_dropped(tmp_path: Path) -> None:
    assert list(read_lines(write(tmp_path / "text", b"a\r\nb\r\r\n\r\nc"))) == ["a", "b\r", "", "c"]


def test_a_byte_order_mark_is_dropped_at_the_start_of_the_file_only(tmp_path: Path) -> None:
    path = write(tmp_path / "text", "\ufeffa\n\ufeffb\n".encode())
    assert list(read_lines(path)) == ["a", "\ufeffb"]


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    assert list(read_lines(write(tmp_path / "text", b""))) == []


def test_a_name_without_gz_finds_the_gzip_file(tmp_path: Path) -> None:
    write(tmp_path / "text.gz", gzip.compress("ä\nb\n".encode()))
    assert list(read_lines(tmp_path / "text")) == ["ä", "b"]
    assert find_file(tmp_path / "text") == tmp_path / "text.gz"


def test_gzip_is_known_without_its_ending(tmp_path: Path) -> None:
    assert list(read_lines(write(tmp_path / "text", gzip.compress(b"a\nb\n")))) == ["a", "b"]


@pytest.mark.parametrize("keep", [-1, -9, 20])
def test_a_gzip_file_cut_short_is_an_error(tmp_path: Path, keep: int) -> None:
    whole = gzip.compress(bytes(range(97, 123)) * 50 + b"\n")
    path = write(tmp_path / "text.gz", whole[:keep])
    with pytest.raises(DataError, match=r"text\.gz: damaged or cut short after line \d+: .*\(copy or download"):
        list(read_lines(path))


@pytest.mark.parametrize("content", [b"plain\n", b""])
def test_a_gz_file_that_is_not_gzip_is_an_error(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match=r"text\.gz: not a gzip file \(copy or download the file again, or name it"):
        list(read_lines(write(tmp_path / "text.gz", content)))


def test_damaged_gzip_content_is_an_error(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(bytes(range(256)).hex().encode() * 20))
    content[30] ^= 0xFF
    with pytest.raises(DataError, match=r"text\.gz: damaged or cut short"):
        list(read_lines(write(tmp_path / "text.gz", bytes(content))))


def test_a_missing_file_is_named_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        list(read_lines(tmp_path / "none"))
    assert caught.value.args[0] == f"{tmp_path}/none: no such file"
    assert caught.value.hint == "nor none.gz"


def test_a_folder_is_no_text_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Is a directory"):
        list(read_lines(tmp_path))


def test_bytes_that_are_not_utf8_are_named_by_file_line_and_place(tmp_path: Path) -> None:
    path = write(tmp_path / "text", b"fine\nna\xefve\n")
    with pytest.raises(DataError) as caught:
        list(read_lines(path))
    assert caught.value.args[0] == f"{path}:2: not UTF-8: byte 0xef at position 3"
    assert caught.value.hint == "find out the encoding and convert it: iconv -f LATIN1 -t UTF-8"


def test_an_open_stream_is_decoded_line_by_line_under_its_name() -> None:
    stream = iter([b"\xef\xbb\xbfa\r\n", b"b\x85"])
    lines = decode_lines(stream, "standard input")
    assert next(lines) == "a"
    with pytest.raises(DataError, match=r"^standard input:2: not UTF-8: byte 0x85 at position 2 "):
        next(lines)


def test_lines_are_counted_as_they_are_read(tmp_path: Path) -> None:
    write(tmp_path / "text.gz", gzip.compress("a\u2028\x85\n\nlast".encode()))
    assert count_lines(tmp_path / "text") == 3


def test_two_files_are_read_as_pairs(tmp_path: Path) -> None:
    write(tmp_path / "a.en", b"one\ntwo\n")
    write(tmp_path / "a.de", b"eins\nzwei\n")
    config = CorpusConfig(source="a.en", target="a.de")
    assert read(tmp_path, config) == [("one", "eins"), ("two", "zwei")]


def test_several_files_are_concatenated(tmp_path: Path) -> None:
    for name in ("1.en", "1.de", "2.en", "2.de"):
        write(tmp_path / name, f"{name}\n".encode())
    config = CorpusConfig(source=["1.en", "2.en"], target=["1.de", "2.de"])
    assert read(tmp_path, config) == [("1.en", "1.de"), ("2.en", "2.de")]


def test_absolute_names_do_not_start_at_the_root(tmp_path: Path) -> None:
    path = write(tmp_path / "a", b"x\n")
    config = CorpusConfig(source=str(path), target=str(path))
    assert read(tmp_path / "elsewhere", config) == [("x", "x")]


@pytest.mark.parametrize(("source", "target"), [(b"1\n2\n3\n", b"1\n"), (b"1\n", b"1\n2\n3\n")])
def test_unequal_line_counts_name_both_files_and_both_counts(tmp_path: Path, source: bytes, target: bytes) -> None:
    write(tmp_path / "a", source)
    write(tmp_path / "b", target)
    said = error_of(tmp_path, CorpusConfig(source="a", target="b"))
    counts = [source.count(b"\n"), target.count(b"\n")]
    assert said.startswith(f"{tmp_path}/a has {counts[0]} lines but {tmp_path}/b has {counts[1]} (")


def test_unequal_numbers_of_files_are_an_error(tmp_path: Path) -> None:
    said = error_of(tmp_path, CorpusConfig(source=["a", "b"], target="c"))
    assert said.startswith("2 source files (a, b) but 1 target files (c)")


def test_a_corpus_without_pairs_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "a", b"")
    assert error_of(tmp_path, CorpusConfig(source="a", target="a")) == "a, a: no pairs in it"
    assert error_of(tmp_path, CorpusConfig(files="a", format="tsv")) == "a: no pairs in it"


def test_pairs_caps_what_is_read(tmp_path: Path) -> None:
    write(tmp_path / "a.tsv", b"a\tb\nc\td\ne\tf\n")
    assert read(tmp_path, CorpusConfig(files="a.tsv", pairs=2)) == [("a", "b"), ("c", "d")]
    assert len(read(tmp_path, CorpusConfig(files="a.tsv", pairs=9))) == 3


def test_tsv_takes_the_first_two_columns(tmp_path: Path) -> None:
    write(tmp_path / "a.tsv.gz", gzip.compress(b"a\tb\tCC-BY\n\tc\n"))
    assert read(tmp_path, CorpusConfig(files=["a.tsv"])) == [("a", "b"), ("", "c")]


def test_a_tsv_line_without_a_tab_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a.tsv", b"a\tb\nno tab\n")
    said = error_of(tmp_path, CorpusConfig(files="a.tsv"))
    assert (
        said == f"{tmp_path}/a.tsv:2: no tab in this line (a line is source, tab, target; further columns are not read)"
    )


@pytest.fixture
def grammar(monkeypatch: pytest.MonkeyPatch) -> None:
    def generate(split: str, pairs: int, seed: int) -> Iterator[tuple[str, str]]:
        return ((f"{split} {seed} {i}", f"de {i}") for i in range(pairs))

    monkeypatch.setattr("nmt.tasks.grammar.generate", generate)


@pytest.mark.usefixtures("grammar")
def test_the_builtin_corpus_is_read_in_either_direction(tmp_path: Path) -> None:
    config = CorpusConfig(builtin="dev", pairs=2, seed=7)
    pairs = [("dev 7 0", "de 0"), ("dev 7 1", "de 1")]
    assert read(tmp_path, config) == pairs
    assert read(tmp_path, config, languages=DE_EN) == [(target, source) for source, target in pairs]


def test_the_builtin_corpus_is_of_two_languages_only(tmp_path: Path) -> None:
    languages = LanguagesConfig(source="en", target="fr")
    said = error_of(tmp_path, CorpusConfig(builtin="train", pairs=2), languages=languages)
    assert said.startswith("builtin train is English-German, not en-fr (")


def dataset(rows: dict[str, Any]) -> Any:
    import datasets

    return datasets.Dataset.from_dict(rows)


TRANSLATION = {"translation": [{"en": "one\ntwo\r\nthree", "de": "eins"}, {"en": "x", "de": None}]}


@pytest.mark.parametrize("folder", ["org/name", "name", "."])
def test_a_saved_dataset_is_found_under_the_data_folder(tmp_path: Path, folder: str) -> None:
    dataset(TRANSLATION).save_to_disk(tmp_path / folder)
    pairs = [("one two three", "eins"), ("x", "")]
    assert read(tmp_path, CorpusConfig(dataset="org/name")) == pairs
    swapped = [(target, source) for source, target in pairs]
    assert read(tmp_path, CorpusConfig(dataset="org/name"), languages=DE_EN) == swapped


def test_a_saved_dataset_of_splits_gives_the_split_asked_for(tmp_path: Path) -> None:
    import datasets

    rows = {"a": ["x"], "b": ["y"]}
    datasets.DatasetDict({"test": dataset(rows)}).save_to_disk(tmp_path / "name")
    config: dict[str, Any] = {"dataset": "org/name", "columns": ["b", "a"]}
    assert read(tmp_path, CorpusConfig(**config, split="test")) == [("y", "x")]
    said = error_of(tmp_path, CorpusConfig(**config))
    assert said == f"dataset {tmp_path}/name: no split 'train'; it has test"


@pytest.mark.usefixtures("hub_cache")
def test_a_folder_of_json_lines_is_read_as_a_dataset(tmp_path: Path) -> None:
    lines = [{"translation": {"en": "one", "de": "eins"}}, {"translation": {"en": "two", "de": "zwei"}}]
    write(tmp_path / "data/org/name/de-en/train.jsonl", "\n".join(map(json.dumps, lines)).encode())
    config = CorpusConfig(dataset="org/name", config="de-en")
    assert read(tmp_path / "data", config) == [("one", "eins"), ("two", "zwei")]
    said = error_of(tmp_path / "data", CorpusConfig(dataset="org/name", config="de-en", split="dev"))
    assert said.startswith(f"dataset {tmp_path}/data/org/name/de-en, split dev: ")
    assert said.endswith("(check data.*.dataset, config and split)")


def test_a_dataset_that_is_nowhere_lists_where_it_was_looked_for(tmp_path: Path) -> None:
    said = error_of(tmp_path, CorpusConfig(dataset="org/name"))
    assert f"looked at {tmp_path}/org/name, {tmp_path}/name, {tmp_path} (" in said


def test_a_missing_column_lists_those_there_are(tmp_path: Path) -> None:
    dataset({"en": ["x"], "de": ["y"]}).save_to_disk(tmp_path / "name")
    said = error_of(tmp_path, CorpusConfig(dataset="name"))
    assert said.startswith("dataset name: no column 'translation'; it has en, de (name them: columns = [")


def test_a_missing_language_lists_those_there_are(tmp_path: Path) -> None:
    dataset(TRANSLATION).save_to_disk(tmp_path / "name")
    said = error_of(tmp_path, CorpusConfig(dataset="name"), languages=LanguagesConfig(source="en", target="fr"))
    assert "no language 'fr' in column 'translation'; it has" in said


def test_one_column_of_plain_text_is_an_error(tmp_path: Path) -> None:
    dataset({"translation": ["x"]}).save_to_disk(tmp_path / "name")
    said = error_of(tmp_path, CorpusConfig(dataset="name"))
    assert said.startswith("dataset name: column 'translation' holds no {language: text} but str (")


def test_numbers_in_place_of_text_are_an_error(tmp_path: Path) -> None:
    dataset({"a": [1], "b": ["x"]}).save_to_disk(tmp_path / "name")
    said = error_of(tmp_path, CorpusConfig(dataset="name", columns=["a", "b"]))
    assert said == "dataset name: int where text should be: 1"


@pytest.mark.usefixtures("hub_cache")
def test_a_folder_can_stream_and_gives_the_same(tmp_path: Path) -> None:
    lines = [{"a": f"{i}", "b": None if i == 7 else f"b\n{i}"} for i in range(1500)]
    write(tmp_path / "data/org/name/train.jsonl", "\n".join(map(json.dumps, lines)).encode())
    options: dict[str, Any] = {"dataset": "org/name", "columns": ["a", "b"]}
    streamed = read(tmp_path / "data", CorpusConfig(**options, streaming=True))
    assert streamed == read(tmp_path / "data", CorpusConfig(**options))
    assert len(streamed) == 1500
    assert streamed[7:9] == [("7", ""), ("8", "b 8")]


def test_each_side_is_counted_for_what_is_odd(tmp_path: Path) -> None:
    write(tmp_path / "a", b"one\r\ntwo\r\n")
    write(tmp_path / "b", "eins\nzw\u2028ei\n".encode())
    anomalies = Counter[str]()
    config = CorpusConfig(source="a", target="b")
    pairs = read_corpus(config, EN_DE, root=tmp_path, local=False, default_split="train", anomalies=anomalies)
    assert list(pairs) == [("one", "eins"), ("two", "zw\u2028ei")]
    assert anomalies == {"CRLF line ends": 2, "odd line breaks": 1}


def from_stdin(content: bytes, **options: Any) -> list[Any]:
    config, stream = CorpusConfig(**options), io.BytesIO(content)
    return list(read_corpus(config, EN_DE, root=Path(), local=False, default_split="train", stdin=stream))


def test_standard_input_is_tab_separated_or_what_the_format_says(tmp_path: Path) -> None:
    assert from_stdin(b"a\tb\n", files="-") == [("a", "b")]
    assert from_stdin(gzip.compress(b"a\tb\n"), files="-") == [("a", "b")]
    assert from_stdin(b'{"en": "a", "de": "b"}', files="-", format="jsonl") == [("a", "b")]
    other = str(write(tmp_path / "b", b"b\n"))
    assert from_stdin(b"a\n", source="-", target=other) == [("a", "b")]
    with pytest.raises(DataError, match=r"^standard input:1: not UTF-8"):
        from_stdin(b"\xff\n", files="-")
    with pytest.raises(DataError, match=r"^standard input can be one file of a corpus, not several$"):
        from_stdin(b"a\n", source="-", target="-")


def test_standard_input_is_refused_where_a_digest_is_needed(tmp_path: Path) -> None:
    expected = "standard input is no corpus of a run, which names each file by its SHA-256 (write it to a file first)"
    config = CorpusConfig(files="-")
    assert error_of(tmp_path, config) == expected
    with pytest.raises(DataError) as caught:
        corpus_digests(config, root=tmp_path, local=False)
    assert str(caught.value) == expected


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, DownloadConfig]:
    """Downloads of which nothing but the archive is asked for."""
    archive = tmp_path / "cache" / "all.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.en", "one\n")
        file.writestr("a.de", "eins\n")

    def fetch(name: str, config: DownloadConfig) -> Path:
        assert config.sha256 == "0" * 64
        return {"all.zip": archive}[name]

    monkeypatch.setattr("nmt.data.reading.archives.fetch", fetch)
    return {name: DownloadConfig(url="https://x.org", sha256="0" * 64) for name in ("all.zip", "other.gz")}


def test_what_is_not_there_is_downloaded(tmp_path: Path, downloads: dict[str, DownloadConfig]) -> None:
    for config in (CorpusConfig(files="all.zip"), CorpusConfig(source="all.zip/a.en", target="all.zip/a.de")):
        pairs = read_corpus(config, EN_DE, root=tmp_path, local=True, default_split="train", downloads=downloads)
        assert list(pairs) == [("one", "eins")]
    with pytest.raises(DataError, match=r"all\.zip: no x in it \(it has a\.de, a\.en; names in a recipe start at"):
        find_file(tmp_path / "all.zip/x", RECIPE_TIP, downloads)
    write(tmp_path / "all.zip", b"no zip")
    with pytest.raises(DataError, match="damaged or cut short: File is not a zip file"):
        find_file(tmp_path / "all.zip/x", "", downloads)


def test_digests_of_downloads_need_no_download(tmp_path: Path, downloads: dict[str, DownloadConfig]) -> None:
    config = CorpusConfig(source=["all.zip/a.en", "other"], target=["all.zip/a.de", "own"])
    write(tmp_path / "own", b"a")
    own = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    found = corpus_digests(config, root=tmp_path, local=False, downloads=downloads)
    assert found == {"all.zip/a.en": "0" * 64, "other": "0" * 64, "all.zip/a.de": "0" * 64, "own": own}
    write(tmp_path / "other.xz", b"a")
    assert corpus_digests(config, root=tmp_path, local=False, downloads=downloads)["other"] == own


def test_digests_of_a_folder_are_those_of_its_files(tmp_path: Path) -> None:
    for name in ("d/b/a.tsv", "d/a.en", "d/.git/x"):
        write(tmp_path / name, b"a")
    assert list(corpus_digests(CorpusConfig(files="d"), root=tmp_path, local=False)) == ["d/a.en", "d/b/a.tsv"]


def test_a_test_set_is_read_and_named_by_sacrebleus_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = write(tmp_path / "x.en", b"one\n"), write(tmp_path / "x.de", b"eins\n")

    def files(name: str, languages: LanguagesConfig) -> tuple[Path, Path]:
        assert (name, languages) == ("wmt14/full:en-de", EN_DE)
        return paths

    def digest(name: str, languages: LanguagesConfig) -> str:
        return f"{name} {languages.source} {languages.target}"

    monkeypatch.setattr("nmt.data.reading.corpus.sacrebleu_files", files)
    monkeypatch.setattr("nmt.data.reading.corpus.sacrebleu_digest", digest)
    config = CorpusConfig(files="sacrebleu:wmt14/full:en-de")
    assert read(tmp_path, config) == [("one", "eins")]
    name = "sacrebleu:wmt14/full:en-de"
    assert corpus_digests(config, root=tmp_path, local=True) == {name: "wmt14/full:en-de en de"}
    config = CorpusConfig(files="sacrebleu:wmt14")
    assert corpus_digests(config, root=tmp_path, local=True, languages=DE_EN) == {"sacrebleu:wmt14": "wmt14 de en"}
    with pytest.raises(DataError, match=r"^sacrebleu:wmt14: which languages\? \(name them: sacrebleu:wmt14:en-de\)$"):
        corpus_digests(config, root=tmp_path, local=True)


def test_digests_name_every_file_and_change_with_it(tmp_path: Path) -> None:
    config = CorpusConfig(source=["a", "b"], target=["c", "d"])
    for name in "abcd":
        write(tmp_path / name, name.encode())
    before = corpus_digests(config, root=tmp_path, local=True)
    assert list(before) == ["a", "b", "c", "d"]
    assert before["a"] == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    write(tmp_path / "c", b"other")
    after = corpus_digests(config, root=tmp_path, local=True)
    assert [name for name in after if after[name] != before[name]] == ["c"]


def test_digests_of_a_missing_file_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.tsv: no such file"):
        corpus_digests(CorpusConfig(files="a.tsv"), root=tmp_path, local=False)


def test_digests_of_a_builtin_corpus_follow_its_split_size_and_seed(tmp_path: Path) -> None:
    def digest(**options: Any) -> str:
        settings: dict[str, Any] = {"builtin": "train", "pairs": 5, "seed": 1} | options
        [(name, value)] = corpus_digests(CorpusConfig(**settings), root=tmp_path, local=False).items()
        assert name == f"builtin:{settings['builtin']}"
        return value

    assert digest() == digest()
    assert len({digest(), digest(pairs=6), digest(seed=2), digest(builtin="dev")}) == 4


def test_digests_of_a_dataset_are_those_of_its_files_or_of_its_name(tmp_path: Path) -> None:
    write(tmp_path / "name/x/train.jsonl", b"{}")
    config = CorpusConfig(dataset="org/name", split="train")
    assert list(corpus_digests(config, root=tmp_path, local=True)) == ["org/name/x/train.jsonl"]
    remote = corpus_digests(config, root=tmp_path, local=False)
    assert list(remote) == ["org/name:train"]
    assert remote != corpus_digests(config.model_copy(update={"columns": ["a", "b"]}), root=tmp_path, local=False)


def test_a_file_whose_name_is_not_utf8_is_read_and_its_digest_can_be_written_down(tmp_path: Path) -> None:
    for place, content in ((b"caf\xe9.en", b"one\n"), (b"caf\xe9.de", b"eins\n"), (b"\xe9.txt", b"")):
        write(tmp_path / "d" / os.fsdecode(place), content)
    config = CorpusConfig(files="d")
    assert read(tmp_path, config) == [("one", "eins")]
    for corpus in (config, CorpusConfig(dataset="d")):
        found = corpus_digests(corpus, root=tmp_path, local=True)
        assert list(found) == ["d/caf\\udce9.de", "d/caf\\udce9.en", "d/\\udce9.txt"]
        digest_json(found)

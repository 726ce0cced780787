import dataclasses
import gzip
import io
import os
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from disks import make_unreadable

from nmt.config.data import CorpusConfig, DownloadConfig, MonolingualConfig
from nmt.config.languages import LanguagesConfig
from nmt.data.reading.archives import find_file
from nmt.data.reading.corpus import RECIPE_TIP, corpus_digests, describe, read_corpus
from nmt.errors import DataError, StorageError
from nmt.files import digest_json
from nmt.tasks.algorithmic import TASKS, Split, generate

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


def test_each_line_of_a_text_of_one_language_is_a_pair_of_itself(tmp_path: Path) -> None:
    write(tmp_path / "a.gz", gzip.compress(b"one\n\ntwo\r\n"))
    write(tmp_path / "b.sgm", b'<refset trglang="en"><doc docid="d" sysid="r"><seg id="1"> three </seg></doc></refset>')
    config = MonolingualConfig(language="en", text=["a.gz", "b.sgm"])
    assert read(tmp_path, config) == [(line, line) for line in ("one", "", "two", "three")]
    assert read(tmp_path, config.model_copy(update={"pairs": 1})) == [("one", "one")]
    assert list(corpus_digests(config, root=tmp_path, local=True)) == ["a.gz", "b.sgm"]


@pytest.mark.parametrize(("language", "line"), [("en", "one"), ("de", "eins")])
def test_of_pairs_the_side_of_a_language_is_read_alone(tmp_path: Path, language: str, line: str) -> None:
    write(tmp_path / "a.tsv", b"one\teins\n")
    write(tmp_path / "a.en", b"one\n")
    write(tmp_path / "a.de", b"eins\n")
    for origin in ({"files": "a.tsv"}, {"source": "a.en", "target": "a.de"}):
        config = MonolingualConfig.model_validate({"language": language, **origin})
        assert read(tmp_path, config) == [(line, line)]
    grammar = MonolingualConfig(language=language, builtin="train", pairs=1)
    assert read(tmp_path, grammar) == [2 * (pair["ende".index(language) // 2],) for pair in read(tmp_path, BUILTIN)]


BUILTIN = CorpusConfig(builtin="train", pairs=1)


def test_text_of_one_language_is_lines_that_are_there(tmp_path: Path) -> None:
    write(tmp_path / "a", b"")
    write(tmp_path / "a.tsv", b"one\teins\n")
    assert error_of(tmp_path, MonolingualConfig(language="en", text="a")) == "a: no lines in it"
    said = error_of(tmp_path, MonolingualConfig(language="en", text="b"))
    assert said.startswith(f"{tmp_path}/b: no such file")
    assert "a.tsv" in error_of(tmp_path, MonolingualConfig(language="en", text="a.tsv"))


def test_a_corpus_without_pairs_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "a", b"")
    assert error_of(tmp_path, CorpusConfig(source="a", target="a")) == "a, a: no pairs in it"
    assert error_of(tmp_path, CorpusConfig(files="a", format="tsv")) == "a: no pairs in it"


def test_a_corpus_all_of_which_was_left_out_says_why(tmp_path: Path) -> None:
    write(tmp_path / "a.tmx", b'<tmx><tu><tuv lang="en"/><tuv lang="de"/></tu><tu>&</tu></tmx>')
    config = CorpusConfig(files="a.tmx", skip_bad=True)
    found = "TMX variants without a <seg> 2, TMX units without both languages 1, bad units left out 1"
    assert error_of(tmp_path, config) == f"a.tmx: no pairs in it (found in it: {found})"
    write(tmp_path / "a.tmx", b"<tmx><tu>&</tu></tmx>")
    assert error_of(tmp_path, config) == "a.tmx: no pairs in it (found in it: bad units left out 1)"


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
    languages = LanguagesConfig(source="deu_Latn", target="en-US")
    assert read(tmp_path, config, languages=languages) == [(target, source) for source, target in pairs]


def test_the_builtin_corpus_is_of_two_languages_only(tmp_path: Path) -> None:
    languages = LanguagesConfig(source="en", target="fr")
    said = error_of(tmp_path, CorpusConfig(builtin="train", pairs=2), languages=languages)
    assert said.startswith("builtin train is English-German, not en-fr (")


def test_a_task_is_generated_for_the_split_of_its_section_in_any_languages(tmp_path: Path) -> None:
    config = CorpusConfig(task="reverse", min_length=9, max_length=10, symbols=5, pairs=3, seed=7)
    read_as = {
        split: list(read_corpus(config, EN_DE, root=tmp_path, local=True, default_split=split))
        for split in ("train", "validation", "test")
    }
    names: dict[str, Split] = {"train": "train", "validation": "dev", "test": "test"}
    assert read_as == {split: list(generate(config, name, 3, 7)) for split, name in names.items()}
    assert len({pairs[0] for pairs in read_as.values()}) == 3
    assert describe(config) == "task reverse"
    for language, side in (("en", 0), ("de", 1)):
        lines = MonolingualConfig(language=language, **config.model_dump(exclude_unset=True))
        assert read(tmp_path, lines) == [(pair[side], pair[side]) for pair in read_as["train"]]


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
    for name in ("iwslt17-dev", "wmt14:en", "wmt14:-de"):
        digests = corpus_digests(CorpusConfig(files=f"sacrebleu:{name}"), root=tmp_path, local=True, languages=DE_EN)
        assert digests == {f"sacrebleu:{name}": f"{name} de en"}, "no languages in the name"
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
    # Runs made before the grammar had a version have this one.
    assert digest() == "ac9141273188195d53d7ef149ebd8bbeb716aede4ce739a1388666e7bc6226c6"


def test_digests_of_a_task_follow_all_that_its_examples_depend_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def digest(**options: Any) -> str:
        settings: dict[str, Any] = {"task": "copy", "pairs": 5} | options
        [(name, value)] = corpus_digests(CorpusConfig(**settings), root=tmp_path, local=False).items()
        assert name == f"task:{settings['task']}"
        return value

    others: list[dict[str, Any]]
    others = [{"task": "reverse"}, {"pairs": 6}, {"seed": 2}, {"min_length": 2}, {"max_length": 9}, {"symbols": 9}]
    found = {digest(), *(digest(**other) for other in others)}
    assert len(found) == 7
    assert digest(symbols=10) == digest()
    monkeypatch.setitem(TASKS, "copy", dataclasses.replace(TASKS["copy"], version=2))
    assert digest() not in found


def test_a_file_whose_name_is_not_utf8_is_read_and_its_digest_can_be_written_down(tmp_path: Path) -> None:
    for place, content in ((b"caf\xe9.en", b"one\n"), (b"caf\xe9.de", b"eins\n"), (b"\xe9.txt", b"")):
        write(tmp_path / "d" / os.fsdecode(place), content)
    config = CorpusConfig(files="d")
    assert read(tmp_path, config) == [("one", "eins")]
    for corpus in (config, CorpusConfig(dataset="d")):
        found = corpus_digests(corpus, root=tmp_path, local=True)
        assert list(found) == ["d/caf\\udce9.de", "d/caf\\udce9.en", "d/\\udce9.txt"]
        digest_json(found)


def test_names_that_sort_before_standard_inputs_are_files(tmp_path: Path) -> None:
    write(tmp_path / "+a", b"a\n")
    write(tmp_path / "+a.tsv", b"a\tb\n")
    assert read(tmp_path, CorpusConfig(source="+a", target="+a")) == [("a", "a")]
    assert read(tmp_path, CorpusConfig(files="+a.tsv")) == [("a", "b")]
    assert list(corpus_digests(CorpusConfig(files="+a.tsv"), root=tmp_path, local=False)) == ["+a.tsv"]


def test_a_disk_that_fails_is_no_fault_of_a_corpus(tmp_path: Path) -> None:
    make_unreadable(tmp_path / "a.tsv")
    with pytest.raises(StorageError, match=r"/a\.tsv: Input/output error$"):
        corpus_digests(CorpusConfig(files="a.tsv"), root=tmp_path, local=False)


def test_trees_are_read_from_files_folders_and_standard_input(tmp_path: Path) -> None:
    write(tmp_path / "a.ptb.gz", gzip.compress(b"(ROOT (S (NP (NN a)) (VP (VB b))))\n"))
    write(tmp_path / "wsj" / "01" / "1.mrg", b"\n( (S (NN d)\n   (VB e)))\n")
    write(tmp_path / "wsj" / "00" / "1.mrg", b"( (NP (NN c)))\n")
    config = CorpusConfig(trees=["a.ptb", "wsj"])
    pairs = [("a b", "(S (NP (NN a)) (VP (VB b)))"), ("c", "(NP (NN c))"), ("d e", "(S (NN d) (VB e))")]
    assert read(tmp_path, config) == pairs
    stdin = io.BytesIO(b"(NP (NN c))\n")
    options: dict[str, Any] = {"root": tmp_path, "local": True, "default_split": "train", "stdin": stdin}
    assert list(read_corpus(CorpusConfig(trees="-"), EN_DE, **options)) == pairs[1:2]
    assert list(corpus_digests(config, root=tmp_path, local=True)) == ["a.ptb", "wsj/00/1.mrg", "wsj/01/1.mrg"]
    assert read(tmp_path, CorpusConfig(trees="wsj", pairs=1)) == pairs[1:2]


def test_one_side_of_trees_is_monolingual_text(tmp_path: Path) -> None:
    write(tmp_path / "a.ptb", b"(ROOT (S (NP (NN a)) (VP (VB b))))\n")
    assert read(tmp_path, MonolingualConfig(language="en", trees="a.ptb")) == [("a b", "a b")]


def test_what_is_no_tree_is_named_by_file_and_line(tmp_path: Path) -> None:
    write(tmp_path / "wsj" / "1.mrg", b"(NP (NN a))\n(NP (NN b)\n")
    said = error_of(tmp_path, CorpusConfig(trees="wsj"))
    assert said.startswith(f"{tmp_path}/wsj/1.mrg:2: no tree: it does not close: 1 open at its end")


def test_links_that_lead_out_of_a_folder_of_trees_are_refused(tmp_path: Path) -> None:
    (tmp_path / "wsj").mkdir()
    (tmp_path / "wsj" / "1.mrg").symlink_to(write(tmp_path / "a.ptb", b"(NP (NN a))\n"))
    assert "a link that leads out of the folder" in error_of(tmp_path, CorpusConfig(trees="wsj"))


def test_trees_without_words_are_no_pairs_and_what_was_left_out_is_said(tmp_path: Path) -> None:
    write(tmp_path / "a.ptb", b"\n(NP (-NONE- *))\n")
    assert error_of(tmp_path, CorpusConfig(trees="a.ptb")) == (
        "a.ptb: no pairs in it (found in it: blank lines 1, empty elements 1, trees without words 1)"
    )

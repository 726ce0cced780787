"""The sections of data: corpora and their rules, weights, tags."""

from typing import Any

import pytest
from pydantic import ValidationError
from sections import finding

from nmt.config.data import CORPUS, CleaningConfig, CorpusConfig, DataConfig, DownloadConfig, MonolingualConfig
from nmt.config.languages import LanguagesConfig

A = {"files": "a.tsv"}


def data(**values: Any) -> DataConfig:
    return DataConfig.model_validate({"train": {"a": A, "b": A}, **values})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "give exactly one of source and target, files, trees, dataset, builtin, task; got none"),
        (
            {"files": "x", "dataset": "y"},
            "give exactly one of source and target, files, trees, dataset, builtin, task; got files and dataset",
        ),
        ({"target": "x"}, "source and target go together; one of them is missing"),
        ({"builtin": "dev"}, "builtin needs pairs, the number of sentence pairs to generate"),
        (
            {"dataset": "x", "columns": ["a", "b", "c"]},
            "columns names one column or two, not 3",
        ),
        (
            {"files": "a.tsv", "columns": ["2", "2"]},
            "columns names '2' for both sides",
        ),
    ],
)
def test_keys_of_a_corpus_that_contradict_each_other_are_refused(values: dict[str, Any], message: str) -> None:
    assert finding(CorpusConfig, **values) == ("", f"Value error, {message}")


@pytest.mark.parametrize(
    "revision",
    [
        "main",
        "v1.0.2",
        "release-1",
        "feature/x",
        "refs/pr/12",
        "refs/convert/parquet",
        "a" * 40,
        "0f" * 20,
        "\xe9t\xe9",
    ],
)
def test_a_revision_is_a_branch_a_tag_a_reference_or_a_commit(revision: str) -> None:
    assert CorpusConfig(dataset="org/name", revision=revision).revision == revision


@pytest.mark.parametrize(
    "revision",
    [
        "", "../x", "..", ".", "/etc/passwd", "a/../../b", "./a", "a/./b", "a/..", "~/x", "C:\\x", "a\\b", "a//b", "a/",
        ".git", "a/.b", "a..b", "a b", " main", "main\n", "a\0", "a:b", "a*", "a?", "[a]", "-x", "x.lock", "x.lock/y",
        "a@{1}", "@", "a.", "\u202ea", "\x1b[2J",
    ],
)  # fmt: skip
def test_a_revision_is_no_path(revision: str) -> None:
    with pytest.raises(ValidationError, match="is neither the name of a branch or a tag nor a commit"):
        CorpusConfig(dataset="org/name", revision=revision)


@pytest.mark.parametrize("key", ["config", "split", "revision"])
def test_a_key_of_a_corpus_that_would_say_nothing_is_refused(key: str) -> None:
    with pytest.raises(ValidationError, match=f"{key} applies to dataset alone, and there is none"):
        CorpusConfig.model_validate({"files": "a.tsv", key: "x"})


@pytest.mark.parametrize("key", ["source", "target", "files"])
def test_a_corpus_without_files_is_refused(key: str) -> None:
    sides = {"source": "a", "target": "b"} if key != "files" else {}
    with pytest.raises(ValidationError, match=f"{key} names no file"):
        CorpusConfig.model_validate({**sides, key: []})


def test_columns_and_seed_need_what_they_are_of() -> None:
    assert finding(CorpusConfig, source="a", target="b", columns="x")[1].endswith(
        "columns applies to a dataset or files alone, and there is none"
    )
    assert finding(CorpusConfig, files="a", seed=2)[1].endswith(
        "seed applies to builtin or task alone, and there is none"
    )
    assert CorpusConfig(files="a", seed=1, columns=["1", "2"]).columns == ["1", "2"]


def test_the_only_corpus_needs_no_name() -> None:
    assert data(train=A).train == data(train={CORPUS: A}).train
    assert list(data().train) == ["a", "b"]


def test_there_is_a_corpus_and_the_pattern_is_one() -> None:
    no_corpus = ("", "Value error, no corpus to train on: give train or monolingual")
    assert finding(DataConfig, train={}) == finding(DataConfig) == no_corpus
    assert finding(DataConfig, train=A, protect="(")[1].startswith("Value error, protect: not a regular expression: ")


@pytest.mark.parametrize(
    ("given", "where", "message"),
    [
        ({"text": "a"}, "language", "Field required"),
        (
            {"language": "en"},
            "",
            "Value error, give exactly one of text, source and target, files, trees, dataset, builtin, task; got none",
        ),
        (
            {"language": "en", "text": "a", "files": "b.tsv"},
            "",
            "Value error, give exactly one of text, source and target, files, trees, dataset, builtin, task; "
            "got text and files",
        ),
        ({"language": "en", "text": []}, "", "Value error, text names no file"),
        (
            {"language": "en", "text": "a", "columns": "x"},
            "",
            "Value error, columns applies to a dataset or files alone",
        ),
        ({"language": "en", "lines": "a"}, "lines", "Extra inputs are not permitted"),
    ],
)
def test_monolingual_text_has_a_language_and_one_origin(given: dict[str, Any], where: str, message: str) -> None:
    found = finding(MonolingualConfig, **given)
    assert found[0] == where
    assert found[1].startswith(message)


def test_pairs_have_no_text_of_one_language() -> None:
    assert finding(CorpusConfig, text="a")[0] == "text"


def test_files_are_listed_as_they_are_named() -> None:
    assert CorpusConfig(source=["1", "2"], target="3").file_names == ["1", "2", "3"]
    assert MonolingualConfig(language="en", text=["1", "2"]).file_names == ["1", "2"]
    assert MonolingualConfig(language="en", files="x").file_names == ["x"]


LINES = {"language": "de", "text": "a.de"}


def test_monolingual_text_stands_alone_or_beside_pairs_under_other_names() -> None:
    alone = DataConfig.model_validate({"monolingual": {"x": LINES}})
    assert (list(alone.training_corpora), alone.units) == (["x"], "lines")
    both = data(monolingual={"x": LINES})
    assert (list(both.training_corpora), both.units, data().units) == (["a", "b", "x"], "pairs and lines", "pairs")
    assert both.corpora == list(both.training_corpora.values())
    message = "Value error, monolingual.a: a corpus of train has this name too"
    assert finding(DataConfig, train={"a": A}, monolingual={"a": LINES}) == ("", message)


def test_copies_are_dropped_of_pairs_alone() -> None:
    strict = CleaningConfig(max_characters=7)
    both = data(monolingual={"x": LINES, "y": {**LINES, "cleaning": {"max_characters": 8}}})
    assert both.cleaning_of("a", strict) == strict
    assert both.cleaning_of("x", strict) == CleaningConfig(max_characters=7, drop_copies=False)
    assert both.cleaning_of("y", strict) == CleaningConfig(max_characters=8, drop_copies=False)


def test_nothing_is_cleaned_that_would_change_the_brackets_of_trees_or_drop_them_for_their_length() -> None:
    strict = CleaningConfig(entities=True, unicode="nfkc", max_characters=7, max_ratio=2.0, drop_copies=False)
    trees = data(train={"a": {"trees": "a.ptb"}, "b": A}, monolingual={"x": {"language": "en", "trees": "a.ptb"}})
    fit = CleaningConfig(entities=False, unicode=None, max_characters=None, max_ratio=None, drop_copies=False)
    assert trees.cleaning_of("a", strict) == fit
    assert trees.cleaning_of("b", strict) == strict
    assert trees.cleaning_of("x", CleaningConfig()) == fit


def test_files_of_trees_are_named() -> None:
    assert CorpusConfig(trees=["a.ptb", "b.ptb"]).file_names == ["a.ptb", "b.ptb"]
    assert CorpusConfig(trees="a.ptb").file_names == ["a.ptb"]
    assert finding(CorpusConfig, trees=[]) == ("", "Value error, trees names no file")


def test_monolingual_text_is_weighed_as_pairs_are() -> None:
    lines = {"x": {**LINES, "weight": 3.0}}
    assert data(monolingual=lines).weights({"a": 1, "b": 1, "x": 1}) == {"a": 1.0, "b": 1.0, "x": 3.0}
    message = "Value error, temperature and monolingual.x.weight exclude each other"
    assert finding(DataConfig, monolingual=lines, temperature=2.0) == ("", message)


def test_weights_and_a_temperature_exclude_each_other() -> None:
    train = {"a": {**A, "weight": 2.0}, "b": A}
    message = "Value error, temperature and train.a.weight exclude each other"
    assert finding(DataConfig, train=train, temperature=2.0) == ("", message)


def test_weights_are_given_or_follow_from_the_temperature() -> None:
    pairs = {"a": 100, "b": 25}
    assert data().weights(pairs) == {"a": 1.0, "b": 1.0}
    assert data(train={"a": {**A, "weight": 2.0}, "b": A}).weights(pairs) == {"a": 2.0, "b": 1.0}
    assert data(temperature=2.0).weights(pairs) == {"a": 1.0, "b": 2.0}
    assert data(temperature=1.0).weights(pairs) == {"a": 1.0, "b": 1.0}
    assert data(temperature=2.0).weights({"a": 100, "b": 0}) == {"a": 1.0, "b": 1.0}


def test_a_replayed_corpus_has_its_share_of_an_epoch_whatever_its_size() -> None:
    pairs = {"a": 1000, "b": 30}
    found = data(train={"a": {**A, "replay": 0.25}, "b": {**A, "weight": 2.0}})
    assert found.weights(pairs) == {"a": pytest.approx(0.02), "b": 2.0}
    assert found.shares(pairs)["a"]["share"] == pytest.approx(0.25)
    two = data(train={"a": {**A, "replay": 0.25}, "c": {**A, "replay": 0.5}, "b": A})
    shares = two.shares({**pairs, "c": 7})
    assert [shares[name]["share"] for name in ("a", "b", "c")] == [pytest.approx(x) for x in (0.25, 0.25, 0.5)]
    warm = data(train={"a": {**A, "replay": 0.5}, "b": A, "c": A}, temperature=2.0)
    assert warm.weights({**pairs, "c": 120}) == {"a": pytest.approx(0.18), "b": 2.0, "c": 1.0}
    assert data(train={"a": {**A, "replay": 0.5}, "b": A}).weights({"a": 0, "b": 5}) == {"a": 1.0, "b": 1.0}


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"a": {**A, "replay": 0.5, "weight": 2.0}, "b": A}, "train.a: weight and replay exclude each other"),
        ({"a": {**A, "replay": 0.5}}, "replay: every corpus has it, and none is left to learn from; take it off one"),
        (
            {"a": {**A, "replay": 0.5}, "b": {**A, "replay": 0.7}, "c": A},
            "replay: the shares are 1.2 together, and must be under 1",
        ),
    ],
)
def test_a_replay_that_cannot_be_is_one_line(train: dict[str, Any], message: str) -> None:
    assert finding(DataConfig, train=train) == ("", f"Value error, {message}")


def test_shares_are_of_the_pairs_of_an_epoch() -> None:
    assert data(temperature=2.0).shares({"a": 100, "b": 25}) == {
        "a": {"pairs": 100, "weight": 1.0, "share": 100 / 150},
        "b": {"pairs": 25, "weight": 2.0, "share": 50 / 150},
    }
    assert data().shares({"a": 0, "b": 0})["a"]["share"] == 0


def test_a_tag_is_in_the_form_in_which_text_is_read() -> None:
    with pytest.raises(ValidationError, match="is not in Unicode's normal form C"):
        CorpusConfig(files="a.tsv", tags=["e\u0301"])


def test_tags_of_all_corpora_are_listed_once() -> None:
    tagged = [{**A, "tags": tags} for tags in (["<x>", "<y>"], ["<y>"], ["<z>"], ["<t>"])]
    given = data(train={"a": tagged[0], "b": tagged[1]}, dev=tagged[2], test={"t": tagged[3]})
    assert given.tags == ["<x>", "<y>", "<z>", "<t>"]
    assert data().tags == []


@pytest.mark.parametrize("name", ["", "-x", "a/b", "a b"])
def test_names_are_of_letters_digits_and_a_few_marks(name: str) -> None:
    with pytest.raises(ValidationError):
        LanguagesConfig(source=name, target="de")
    assert LanguagesConfig(source="zh-Hans_1.0", target="de").source == "zh-Hans_1.0"


def test_the_digest_of_a_download_is_written_in_either_case() -> None:
    assert DownloadConfig(url="https://x", sha256="AB" * 32).sha256 == "ab" * 32
    for wrong in ("ab" * 31, "xy" * 32):
        with pytest.raises(ValidationError):
            DownloadConfig(url="https://x", sha256=wrong)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("file:///etc/x", "file:///etc/x is neither https nor http"),
        ("", " is neither https nor http"),
        ("http://", "http:// is no address: no host, or no port"),
        ("http://[", "http://[ is no address: Invalid IPv6 URL"),
        ("http://x:99999/", "http://x:99999/ is no address: Port out of range 0-65535"),
        ("http://x:0/", "http://x:0/ is no address: no host, or no port"),
        ("http://x:y/", "http://x:y/ is no address: Port could not be cast to integer value as 'y'"),
        ("http://x/a b", "'http://x/a b' has characters that an address writes as %20 and the like"),
        ("http://x/\n", r"'http://x/\n' has characters that an address writes as %20 and the like"),
        ("http://x/é", "'http://x/é' has characters that an address writes as %20 and the like"),
    ],
)
def test_an_impossible_address_is_refused_before_anything_is_fetched(url: str, message: str) -> None:
    for urls in (url, ["https://x", url]):
        assert finding(DownloadConfig, url=urls, sha256="ab" * 32) == ("url", f"Value error, {message}")


def test_an_address_may_have_a_port_and_capitals() -> None:
    assert DownloadConfig(url="HTTPS://x.org:8080/a%20b?c=d#e", sha256="ab" * 32)

"""The sections of data: corpora and their rules, weights, tags."""

from typing import Any

import pytest
from pydantic import ValidationError
from sections import finding

from nmt.config.data import CORPUS, CorpusConfig, DataConfig, DownloadConfig, LanguagesConfig, TokenizerConfig

A = {"files": "a.tsv"}


def data(**values: Any) -> DataConfig:
    return DataConfig.model_validate({"train": {"a": A, "b": A}, **values})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "give exactly one of source and target, files, dataset, builtin; got none"),
        (
            {"files": "x", "dataset": "y"},
            "give exactly one of source and target, files, dataset, builtin; got files and dataset",
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


@pytest.mark.parametrize(
    "tag",
    [
        "",
        "two words",
        "a\u2028b",
        "nul\0",
        "\u2581",
        "<s>",
        "</s>",
        "<unk>",
        "<0x41>",
        "<\u27e60\u27e7>",
        "\u200b",
        "\ufeff\u2060",
        "\u00ad",
        "\u0301",
        "\ufe0f",
        "\u3164",
        "\u2800",
        " ",
        "a\nb",
        "a\u0085b",
        "\x1b[2J",
    ],
)
def test_a_tag_has_to_be_one_piece_of_its_own(tag: str) -> None:
    with pytest.raises(ValidationError, match="cannot be a tag"):
        CorpusConfig(files="a.tsv", tags=[tag])
    assert CorpusConfig(files="a.tsv", tags=["<2de>", "__news__", "⟦x⟧"]).tags


@pytest.mark.parametrize("key", ["source", "target", "files"])
def test_a_corpus_without_files_is_refused(key: str) -> None:
    sides = {"source": "a", "target": "b"} if key != "files" else {}
    with pytest.raises(ValidationError, match=f"{key} names no file"):
        CorpusConfig.model_validate({**sides, key: []})


def test_columns_and_seed_need_what_they_are_of() -> None:
    assert finding(CorpusConfig, source="a", target="b", columns="x")[1].endswith(
        "columns applies to a dataset or files alone, and there is none"
    )
    assert finding(CorpusConfig, files="a", seed=2)[1].endswith("seed applies to builtin alone, and there is none")
    assert CorpusConfig(files="a", seed=1, columns=["1", "2"]).columns == ["1", "2"]


def test_the_only_corpus_needs_no_name() -> None:
    assert data(train=A).train == data(train={CORPUS: A}).train
    assert list(data().train) == ["a", "b"]


def test_there_is_a_corpus_and_the_pattern_is_one() -> None:
    assert finding(DataConfig, train={}) == ("", "Value error, train has no corpus")
    assert finding(DataConfig, train=A, protect="(")[1].startswith("Value error, protect: not a regular expression: ")


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


def test_shares_are_of_the_pairs_of_an_epoch() -> None:
    assert data(temperature=2.0).shares({"a": 100, "b": 25}) == {
        "a": {"pairs": 100, "weight": 1.0, "share": 100 / 150},
        "b": {"pairs": 25, "weight": 2.0, "share": 50 / 150},
    }
    assert data().shares({"a": 0, "b": 0})["a"]["share"] == 0


NO_SYMBOLS = [
    "",
    "two words",
    "a\u2028b",
    "a\nb",
    "nul\0",
    "\u2581",
    "a\u2581",
    "\u2585",
    "<s>",
    "</s>",
    "<pad>",
    "<unk>",
    "<0x41>",
]


@pytest.mark.parametrize("symbol", NO_SYMBOLS)
def test_a_symbol_has_to_be_one_piece_of_its_own(symbol: str) -> None:
    with pytest.raises(ValidationError, match="cannot be a symbol"):
        TokenizerConfig(user_defined_symbols=["<b>", symbol])


def test_symbols_are_given_once_in_the_form_in_which_text_is_read() -> None:
    with pytest.raises(ValidationError, match="user_defined_symbols: '<b>' is there twice"):
        TokenizerConfig(user_defined_symbols=["<b>", "</b>", "<b>"])
    with pytest.raises(ValidationError, match="is not in Unicode's normal form C"):
        TokenizerConfig(user_defined_symbols=["e\u0301"])
    with pytest.raises(ValidationError, match="is not in Unicode's normal form C"):
        CorpusConfig(files="a.tsv", tags=["e\u0301"])
    fitting = ["<b>", "\u27e60\u27e7", "<0x4a>", "<S>", 'x,"y', "\xe9", "\uff1c", "a"]
    assert TokenizerConfig(user_defined_symbols=fitting).user_defined_symbols == fitting


def test_each_side_has_a_normal_form() -> None:
    assert (TokenizerConfig().normalization, TokenizerConfig().target_normalization) == ("nmt_nfkc", "nfc")
    assert TokenizerConfig.model_validate({"target_normalization": "none"}).target_normalization is None
    with pytest.raises(ValidationError, match='normalization = "nfc" needs a target_normalization'):
        TokenizerConfig(normalization="nfc", target_normalization=None)


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

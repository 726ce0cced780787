"""The keys of a corpus of an algorithmic task: defaults, and parameters that no example can have."""

from typing import Any, get_args

import pytest
from sections import finding

from nmt.config.data import CorpusConfig, DataConfig, MonolingualConfig, TrainingCorpusConfig
from nmt.config.languages import LanguagesConfig
from nmt.config.tasks import DISTINCT, FIXED, TaskConfig, TaskName
from nmt.data.cleaning.filters import duplicate_filters, filters, fixer
from nmt.data.cleaning.keys import HeldOut

NAMES: tuple[TaskName, ...] = get_args(TaskName)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"task": "copy", "min_length": 5, "max_length": 4}, "min_length = 5 is more than max_length = 4"),
        ({"task": "sort", "min_length": 41}, "min_length = 41 is more than max_length = 40"),
        (
            {"task": "copy-unique", "max_length": 50, "symbols": 20},
            'symbols = 20: task = "copy-unique" with max_length = 50 needs 50 different symbols',
        ),
        (
            {"task": "sort", "max_length": 129},
            'symbols = 128 by default: task = "sort" with max_length = 129 needs 129 different symbols',
        ),
        (
            {"task": "addition-hinted", "max_length": 128},
            'symbols = 128 by default: task = "addition-hinted" with max_length = 128 needs 129 different symbols',
        ),
        ({"task": "addition", "symbols": 10}, 'symbols = 10: task = "addition" has symbols of its own: leave it out'),
        ({"task": "parity", "symbols": 2}, 'symbols = 2: task = "parity" has symbols of its own: leave it out'),
    ],
)
def test_parameters_that_no_example_can_have_are_one_message(values: dict[str, Any], message: str) -> None:
    assert finding(TaskConfig, **values) == ("", f"Value error, {message}")
    assert finding(CorpusConfig, pairs=1, **values) == ("", f"Value error, {message}")


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"min_length": 0}, "min_length"),
        ({"max_length": 0}, "max_length"),
        ({"max_length": 10_001}, "max_length"),
        ({"symbols": 1}, "symbols"),
        ({"symbols": 20_001}, "symbols"),
        ({"task": "reserve"}, "task"),
    ],
)
def test_a_value_out_of_bounds_is_found_at_its_key(values: dict[str, Any], key: str) -> None:
    assert finding(TaskConfig, **{"task": "copy", **values})[0] == key


def test_every_length_and_number_of_symbols_within_the_bounds_is_possible() -> None:
    for name in NAMES:
        symbols = {} if name in FIXED else {"symbols": 20_000}
        assert TaskConfig(task=name, max_length=10_000, **symbols).max_length == 10_000
        least = {} if name in FIXED else {"symbols": max(2, 7 + DISTINCT.get(name, -7))}
        assert TaskConfig(task=name, max_length=7, **least).symbols == least.get("symbols")


def test_the_number_of_symbols_is_that_given_or_what_the_kind_of_task_needs() -> None:
    assert [TaskConfig(task=name).symbol_count for name in ("copy", "reverse", "mode", "parity")] == [10] * 4
    assert [TaskConfig(task=name).symbol_count for name in DISTINCT] == [128] * 6
    assert TaskConfig(task="copy", symbols=3).symbol_count == 3


@pytest.mark.parametrize("values", [{"min_length": 2}, {"max_length": 50}, {"symbols": 5}])
def test_a_parameter_without_a_task_is_refused(values: dict[str, int]) -> None:
    (key,) = values
    expected = ("", f"Value error, {key} applies to task alone, and there is none")
    assert finding(CorpusConfig, files="a.tsv", **values) == expected
    assert finding(CorpusConfig, builtin="dev", pairs=1, **values) == expected


def test_a_task_is_the_one_origin_of_a_corpus_and_needs_a_number_of_pairs() -> None:
    assert finding(CorpusConfig, task="copy", files="a.tsv", pairs=1)[1].endswith("got files and task")
    assert finding(CorpusConfig, task="copy")[1].endswith("task needs pairs, the number of sentence pairs to generate")
    assert CorpusConfig(task="copy", pairs=1, seed=2).file_names == []
    assert finding(CorpusConfig, task="copy", pairs=1, split="train")[1].endswith(
        "split applies to dataset alone, and there is none"
    )


def test_generated_examples_are_not_cleaned() -> None:
    languages = LanguagesConfig(source="src", target="tgt")
    for corpus in (
        TrainingCorpusConfig.model_validate({"task": "copy", "pairs": 1}),
        MonolingualConfig.model_validate({"language": "src", "task": "copy", "pairs": 1}),
    ):
        assert corpus.cleaning is not None
        assert list(filters(corpus.cleaning, languages, HeldOut())) == []
        assert duplicate_filters(corpus.cleaning) == []
        assert fixer(corpus.cleaning, {})(" a\t \x01b ") == " a\t \x01b "
        assert corpus.cleaning.max_pieces is None


def test_a_task_takes_the_keys_of_its_own_cleaning_alone() -> None:
    own = {"task": "copy", "pairs": 1, "cleaning": {"drop_duplicates": True, "drop_leaked": True}}
    data = DataConfig.model_validate({"train": {"made": own, "read": {"files": "a.tsv"}}})
    cleaning = data.train["made"].cleaning
    assert cleaning is not None
    assert (cleaning.drop_duplicates, cleaning.drop_leaked, cleaning.drop_copies) == (True, True, False)
    assert data.train["read"].cleaning is None
    given = TrainingCorpusConfig(task="copy", pairs=1, cleaning=cleaning)
    assert given.cleaning == cleaning

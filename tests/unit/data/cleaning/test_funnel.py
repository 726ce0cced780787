"""The funnel: counts that add up, are written and read, shown by corpus, and followed step by step."""

import json

import pytest

from nmt import console
from nmt.config.data import CleaningConfig, DataConfig
from nmt.config.languages import LanguagesConfig
from nmt.data.cleaning.filters import clean
from nmt.data.cleaning.funnel import (
    SAMPLE_CHARACTERS,
    EncodedCounts,
    Funnel,
    IdsCounts,
    TextCounts,
    numbers,
    percent,
    show_funnel,
    steps_of,
)
from nmt.data.cleaning.keys import HeldOut
from nmt.data.pairs import Pair

ENGLISH_GERMAN = LanguagesConfig(source="en", target="de")
PAIRS = DataConfig.model_validate({"train": {"files": "a.tsv"}})


def cleaned(pairs: list[Pair]) -> Funnel:
    funnel = Funnel()
    list(clean(pairs, CleaningConfig(), ENGLISH_GERMAN, held_out=HeldOut(), funnel=funnel))
    return funnel


def funnel(read: int, **dropped: int) -> Funnel:
    return Funnel(read, read - sum(dropped.values()), dropped)


def text_counts() -> TextCounts:
    return TextCounts(
        funnel(30, empty=3, copies=0),
        {"news": funnel(20, empty=2), "talks": funnel(10, empty=1)},
        train={"news": 18, "talks": 5},
        anomalies={"news": {"U+2028": 2}, "talks": {}},
        dev=2,
        test={"held-out": 2},
        held_out_anomalies={},
        split_off=4,
    )


def ids_counts(**dropped: int) -> IdsCounts:
    return IdsCounts(
        funnel(23, **dropped),
        corpora={"news": EncodedCounts(23 - 5 - sum(dropped.values())), "talks": EncodedCounts(5)},
    )


def test_three_samples_of_each_filter_are_kept_and_long_ones_cut() -> None:
    funnel = Funnel()
    for i in range(5):
        funnel.drop("max_characters", str(i), "b" * 2000)
    assert funnel.samples == {"max_characters": [(str(i), "b" * SAMPLE_CHARACTERS) for i in range(3)]}
    assert (funnel.dropped, SAMPLE_CHARACTERS) == ({"max_characters": 5}, 200)


def test_funnels_of_parts_add_up_to_the_funnel_of_the_whole() -> None:
    pairs = [(" a" * (i % 3), f"b{i % 2}\x00") for i in range(20)]
    whole, total = cleaned(pairs), Funnel()
    for start in range(0, 20, 4):
        total.add(cleaned(pairs[start : start + 4]))
    assert total == whole
    assert list(total.dropped) == list(whole.dropped)
    assert total.samples["empty"] == [("", "b0"), ("", "b1"), ("", "b0")]


def test_a_funnel_is_written_without_its_samples() -> None:
    funnel = cleaned([(" a", "b"), ("", "b")])
    assert list(funnel.counts()) == ["read", "kept", "dropped", "mended"]
    assert (funnel.counts()["read"], funnel.counts()["kept"], funnel.counts()["dropped"]["empty"]) == (2, 1, 1)
    assert funnel.samples == {"empty": [("", "b")]}


def test_text_counts_have_the_keys_of_the_manifest_and_are_read_back() -> None:
    counts = text_counts()
    values = counts.to_json()
    assert list(values) == ["funnel", "corpora", "pairs", "odd", "split_off", "samples"]
    assert values["corpora"]["news"] == {
        "pairs": 18,
        "funnel": {"read": 20, "kept": 18, "dropped": {"empty": 2}, "mended": {}},
        "odd": {"U+2028": 2},
    }
    assert values["pairs"] == {"train": 23, "dev": 2, "test": {"held-out": 2}}
    assert TextCounts.from_json(json.loads(json.dumps(values))) == counts
    counts.protected = 7
    assert counts.to_json()["protected"] == 7
    assert TextCounts.from_json(counts.to_json()) == counts


def test_counts_of_ids_have_the_keys_of_the_manifest_and_are_read_back() -> None:
    train = EncodedCounts(3, 10, 12, 1, 0)
    counts = IdsCounts(
        funnel(4, max_pieces=1), {"a": funnel(4, max_pieces=1)}, train, EncodedCounts(1, 2, 3), {"a": train}
    )
    values = counts.to_json()
    tokens = {"source": 10, "target": 12, "source_unknown": 1, "target_unknown": 0}
    assert values == {
        "funnel": counts.funnel.counts(),
        "pairs": {"train": 3, "dev": 1},
        "tokens": {"train": tokens, "dev": {"source": 2, "target": 3, "source_unknown": 0, "target_unknown": 0}},
        "corpora": {"a": {"pairs": 3, **tokens, "funnel": counts.funnel.counts()}},
        "dev_cut": 0,
        "samples": {},
    }
    assert IdsCounts.from_json(json.loads(json.dumps(values))) == counts
    counts.training_lines = {"sentences": 1, "pieces": 4, "longest": 5, "ratio": 1.25}
    assert counts.to_json() == {**values, "training_lines": counts.training_lines}
    assert IdsCounts.from_json(counts.to_json()) == counts
    del values["corpora"]["a"]["funnel"]  # as in the first manifests
    assert IdsCounts.from_json(values).funnels == {}


@pytest.mark.parametrize("values", [{}, {"funnel": {}}, {"funnel": {"read": 1}, "corpora": {}, "samples": {}}])
def test_other_counts_are_not_read(values: dict[str, object]) -> None:
    with pytest.raises(KeyError):
        TextCounts.from_json(values)


def test_encoded_counts_add_up() -> None:
    counts = EncodedCounts(1, 2, 3, 4, 5)
    counts.add(EncodedCounts(10, 20, 30, 40, 50))
    assert counts == EncodedCounts(11, 22, 33, 44, 55)


def test_the_steps_of_several_corpora_are_theirs() -> None:
    assert [(step.name, step.pairs, step.corpora) for step in steps_of(text_counts(), ids_counts(max_pieces=1))] == [
        ("read", 30, {"news": 20, "talks": 10}),
        ("empty", 3, {"news": 2, "talks": 1}),
        ("copies", 0, {"news": 0, "talks": 0}),
        ("split off", 4, {"news": 0, "talks": 4}),
        ("max_pieces", 1, {"news": 1, "talks": 0}),
        ("kept", 22, {"news": 17, "talks": 5}),
    ]


def test_the_steps_end_with_the_text_where_there_are_no_ids() -> None:
    assert [step.name for step in steps_of(text_counts())] == ["read", "empty", "copies", "split off", "kept"]
    assert steps_of(text_counts())[-1].corpora == {"news": 18, "talks": 5}


def test_what_two_filters_dropped_of_which_corpus_is_unknown_unless_it_was_counted() -> None:
    ids = ids_counts(max_pieces=1, no_pieces=1)
    assert steps_of(text_counts(), ids)[-2].corpora == {}
    ids.funnels = {"news": funnel(18, max_pieces=1), "talks": funnel(5, no_pieces=1)}
    assert steps_of(text_counts(), ids)[-2].corpora == {"news": 0, "talks": 1}
    del ids.corpora["talks"]
    assert steps_of(text_counts(), ids)[-1].corpora == {"news": 16, "talks": 0}


def test_pairs_that_were_added_are_steps_by_kind_before_those_dropped_by_pieces() -> None:
    ids = ids_counts(max_pieces=1)
    for corpus, kinds in (("news", {"upper": 3, "join": 1}), ("talks", {"join": 2}), ("news", {"join": 4})):
        ids.add_augmented(corpus, kinds)
    steps = [(step.name, step.corpora) for step in steps_of(text_counts(), ids) if step.is_added]
    assert steps == [
        ("added: upper", {"news": 3, "talks": 0}),
        ("added: join", {"news": 5, "talks": 2}),
    ]
    assert [step.name for step in steps_of(text_counts(), ids)][-4:] == [
        "added: upper",
        "added: join",
        "max_pieces",
        "kept",
    ]
    ids.funnels = {"news": funnel(18), "talks": funnel(5)}
    assert IdsCounts.from_json(ids.to_json()).augmented == ids.augmented
    assert "augmented" not in IdsCounts().to_json()


def test_small_shares_are_not_none() -> None:
    assert (percent(1, 100_000), percent(0, 9), percent(1, 3)) == ("<0.01%", "0.00%", "33.33%")
    assert (percent(5, 100_000), percent(49, 10**6)) == ("0.01%", "<0.01%")


def test_numbers_are_those_above_zero() -> None:
    assert numbers({"a": 1200, "b": 0, "c": 1}) == "a 1,200, c 1"


def test_the_funnel_is_shown_with_its_corpora_and_examples(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = text_counts()
    counts.funnels["talks"] = Funnel(10, 0, {"empty": 10}, mended={"whitespace": 2, "unicode": 0})
    counts.funnel.samples = {"empty": [("", "x" * 200)]}
    show_funnel("text", counts, PAIRS)
    assert capsys.readouterr().err.splitlines() == [
        "text: kept 27 of 30 training pairs; dropped: empty 3",
        "text: kept 18 of 20 training pairs of news; dropped: empty 2",
        "text: kept 0 of 10 training pairs of talks; dropped: empty 10; normalised: whitespace 2",
        "nmt: warning: none of the training pairs of talks is kept",
    ]
    monkeypatch.setattr(console, "VERBOSE", True)
    ids = IdsCounts(counts.funnel, {"news": funnel(18), "talks": funnel(5, max_pieces=1)})
    show_funnel("prepare", ids, PAIRS)
    assert capsys.readouterr().err.splitlines() == [
        "prepare: kept 27 of 30 training pairs; dropped: empty 3",
        "prepare: kept 4 of 5 training pairs of talks; dropped: max_pieces 1",
        f"  empty: '' / '{'x' * 100}'",
    ]

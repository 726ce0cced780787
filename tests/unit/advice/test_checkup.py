"""A recipe under examination, and findings."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from checkups import CORPORA, checkup_of, write_corpora

from nmt.advice.checkup import READ, Finding, is_train
from nmt.data.cleaning.funnel import Funnel, TextCounts
from nmt.errors import UsageError


def test_a_finding_without_problems_is_ok() -> None:
    assert Finding.of("3 files", []) == Finding("OK", "3 files", "")
    assert str(Finding.of("3 files", [])) == "3 files"


def test_problems_are_a_warning_and_the_same_advice_is_given_once() -> None:
    finding = Finding.of("3 files", [("a is long", "cut it"), ("b is long", "cut it"), ("c is short", "fill it")])
    assert finding == Finding("warning", "3 files; a is long; b is long; c is short", "cut it; fill it")
    assert str(finding) == "3 files; a is long; b is long; c is short (cut it; fill it)"
    assert Finding("error", "x", error=UsageError("x")).error is not None


def test_names_of_training_corpora_are_known() -> None:
    names = ["train", "train.a", "dev", "test.train", "training"]
    assert [is_train(name) for name in names] == [True, True, False, False, False]


def sample(read: int, **corpora: int) -> TextCounts:
    funnels = {name: Funnel(read=count) for name, count in corpora.items()}
    return TextCounts(Funnel(read=read), funnels, train={}, anomalies={})


@pytest.mark.parametrize(
    ("pairs", "read", "is_whole", "size"),
    [
        ({"train": 1200, "dev": 7}, 1200, True, "all 1,200 pairs"),
        ({"train": 1200, "dev": 7}, 1199, False, "the first 1,199 of 1,200 pairs"),
        ({"train.a": 1000, "train.b": 500}, 600, False, "600 of 1,500 pairs, the first of each corpus"),
    ],
)
def test_the_sample_is_all_of_the_text_or_its_first_pairs(
    tmp_path: Path, pairs: dict[str, int], read: int, is_whole: bool, size: str
) -> None:
    checkup = checkup_of(tmp_path)
    checkup.pairs, checkup.sample = pairs, sample(read)
    assert (checkup.is_whole, checkup.size) == (is_whole, size)
    assert list(checkup.sizes) == [name.removeprefix("train.") for name in pairs if name != "dev"]


def test_a_corpus_that_was_read_to_the_limit_may_have_more_pairs(tmp_path: Path) -> None:
    checkup = checkup_of(tmp_path)
    checkup.pairs = {"train": READ - 1, "dev": READ}
    assert not checkup.is_cut
    checkup.pairs = {"train": READ}
    assert checkup.is_cut
    assert READ == 5_000_000


def test_the_limits_of_pieces_are_those_of_cleaning_and_of_the_model(tmp_path: Path) -> None:
    write_corpora(tmp_path)
    assert checkup_of(tmp_path, 'cleaning.max_pieces="none"').limits == [255]
    assert checkup_of(tmp_path, "cleaning.max_pieces=62").limits == [62]
    own = CORPORA + "[data.train.small.cleaning]\nmax_pieces = 40\n"
    assert checkup_of(tmp_path, "cleaning.max_pieces=62", train=own).limits == [40, 62]


def test_an_epoch_is_estimated_from_the_sample_of_each_corpus(tmp_path: Path) -> None:
    write_corpora(tmp_path)
    checkup = checkup_of(tmp_path, "data.temperature=2.0", train=CORPORA)
    checkup.pairs = {"train.large": 8000, "train.small": 2000}
    checkup.sample = sample(6, large=4, small=2)
    lengths = SimpleNamespace(tgt_lengths=pytest.importorskip("numpy").array([5, 6, 7, 20]))
    checkup.train = SimpleNamespace(corpora={"large": (0, 3), "small": (3, 4)}, **vars(lengths))  # type: ignore[assignment]
    # 6,000 and 1,000 pairs are left of them: the small one gets the weight of the square root of 6.
    assert checkup.epoch_tokens() == {
        "large": (18 * 2000, 1.0),
        "small": (pytest.approx(6**0.5 * 20 * 1000), pytest.approx(6**0.5)),
    }

"""The constraints of hypotheses hold for every model and every batch."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_models import SEEDS, SENTENCES, few, forced_scores, make_model, search


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@few
@given(SENTENCES, SEEDS, st.integers(1, 4), st.data())
def test_a_hypothesis_begins_with_its_prefix_and_goes_on_as_the_model_would(
    sentences: list[list[int]], seed: int, beam_size: int, data: st.DataObject
) -> None:
    model = make_model(seed)
    starts = [data.draw(st.lists(st.sampled_from([1, 4, 5, 6, 7]), max_size=4)) for _ in sentences]
    found = search(model, sentences, beam_size=beam_size, max_extra_length=5, n_best=beam_size, prefixes=starts)
    for source, start, hypotheses in zip(sentences, starts, found, strict=True):
        assert all(h.ids[: len(start)] == start for h in hypotheses)
        forced = forced_scores(model, source, [h.ids for h in hypotheses], 0.0)
        assert [h.score for h in hypotheses] == pytest.approx(forced, abs=1e-4)
        (alone,) = search(model, [source], beam_size=beam_size, max_extra_length=5, n_best=beam_size, prefixes=[start])
        assert [h.ids for h in alone] == [h.ids for h in hypotheses]


@few
@given(SENTENCES, SEEDS)
def test_the_best_hypothesis_forced_as_a_prefix_is_found_again(sentences: list[list[int]], seed: int) -> None:
    model = make_model(seed)
    best = [h[0] for h in search(model, sentences, beam_size=1, max_extra_length=5)]
    for cut in (1, 2, 99):
        again = search(model, sentences, beam_size=1, max_extra_length=5, prefixes=[h.ids[:cut] for h in best])
        assert [h[0].ids for h in again] == [h.ids for h in best]


@few
@given(SENTENCES, SEEDS, st.integers(1, 4), st.integers(0, 5), st.floats(0, 6))
def test_no_hypothesis_is_shorter_than_the_least_length_where_the_limit_allows_it(
    sentences: list[list[int]], seed: int, beam_size: int, least: int, end_bias: float
) -> None:
    model = make_model(seed, end_bias=end_bias)
    found = search(model, sentences, beam_size=beam_size, max_extra_length=2, min_length=least, n_best=beam_size)
    for source, hypotheses in zip(sentences, found, strict=True):
        assert hypotheses
        assert all(min(least, len(source) + 2) <= len(h.ids) <= len(source) + 2 for h in hypotheses)


@few
@given(SENTENCES, SEEDS, st.integers(1, 4), st.sampled_from([0.3, 1.0, 1.5]))
def test_no_hypothesis_is_longer_than_the_ratio_allows(
    sentences: list[list[int]], seed: int, beam_size: int, ratio: float
) -> None:
    model = make_model(seed, end_bias=-9.0)
    found = search(model, sentences, beam_size=beam_size, max_extra_length=9, max_length_ratio=ratio)
    for source, (hypothesis,) in zip(sentences, found, strict=True):
        assert len(hypothesis.ids) <= min(math.ceil(ratio * len(source)), len(source) + 9)


@few
@given(SENTENCES, SEEDS, st.integers(1, 4), st.integers(1, 3))
def test_no_hypothesis_says_the_same_ngram_twice(
    sentences: list[list[int]], seed: int, beam_size: int, size: int
) -> None:
    model = make_model(seed, end_bias=-4.0)
    found = search(model, sentences, beam_size=beam_size, max_extra_length=6, no_repeat_ngram=size, n_best=beam_size)
    free = search(model, sentences, beam_size=beam_size, max_extra_length=6)
    for source, hypotheses, (best,) in zip(sentences, found, free, strict=True):
        assert hypotheses
        for ids in [h.ids for h in hypotheses]:
            ngrams = [tuple(ids[i : i + size]) for i in range(len(ids) - size + 1)]
            assert len(set(ngrams)) == len(ngrams)
        forced = forced_scores(model, source, [h.ids for h in hypotheses], 0.0)
        assert [h.score for h in hypotheses] == pytest.approx(forced, abs=1e-4)
        if beam_size == 1 and len({tuple(best.ids[i : i + size]) for i in range(len(best.ids))}) == len(best.ids):
            assert hypotheses[0].ids == best.ids

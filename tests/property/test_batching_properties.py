"""What holds for every set of lengths and every budget."""

from itertools import chain, pairwise
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.data.encoding.batching import Ints, by_tokens, micro_batches, rows_of_epoch, steps_of_epoch
from nmt.errors import RecipeError

LENGTHS = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=200)
SEEDS = st.integers(0, 2**32)
EPOCHS = st.integers(0, 1000)


def sides(lengths: list[tuple[int, int]]) -> tuple[Ints, Ints]:
    src, tgt = np.array(lengths, np.int32).T
    return src, tgt


@settings(deadline=None)
@given(LENGTHS, st.integers(40, 300), SEEDS, EPOCHS)
def test_every_sentence_is_in_one_step_and_no_step_is_over_budget(
    lengths: list[tuple[int, int]], budget: int, seed: int, epoch: int
) -> None:
    src, tgt = sides(lengths)
    steps = steps_of_epoch(src, tgt, budget, seed=seed, epoch=epoch)
    assert sorted(np.concatenate(steps)) == list(range(len(lengths)))
    assert all(0 < max(src[step].sum(), tgt[step].sum()) <= budget for step in steps)


@settings(deadline=None)
@given(LENGTHS, st.integers(40, 300), SEEDS, EPOCHS)
def test_every_step_but_the_one_of_the_longest_sentences_is_full(
    lengths: list[tuple[int, int]], budget: int, seed: int, epoch: int
) -> None:
    src, tgt = sides(lengths)

    def by_length(sentence: int) -> tuple[int, int]:
        return int(tgt[sentence]), int(src[sentence])

    steps = sorted(
        (sorted(step, key=by_length) for step in steps_of_epoch(src, tgt, budget, seed=seed, epoch=epoch)),
        key=lambda step: (by_length(step[-1]), by_length(step[0]), -len(step)),
    )
    for step, following in pairwise(steps):
        assert by_length(step[-1]) <= by_length(following[0])
        both = [*step, following[0]]
        assert max(src[both].sum(), tgt[both].sum()) > budget


@settings(deadline=None)
@given(LENGTHS, st.integers(40, 300), SEEDS, EPOCHS, EPOCHS)
def test_a_plan_is_a_function_of_seed_and_epoch_with_as_many_steps_in_each(
    lengths: list[tuple[int, int]], budget: int, seed: int, epoch: int, other: int
) -> None:
    src, tgt = sides(lengths)
    once, again, later = (steps_of_epoch(src, tgt, budget, seed=seed, epoch=e) for e in (epoch, epoch, other))
    assert [step.tolist() for step in once] == [step.tolist() for step in again]
    assert len(once) == len(later)


@settings(deadline=None)
@given(LENGTHS, st.integers(40, 300), SEEDS, EPOCHS, st.sampled_from([np.uint8, np.uint16, np.int32, np.int64]))
def test_the_plan_is_that_of_a_plain_stable_sort_whatever_the_type_of_the_lengths(
    lengths: list[tuple[int, int]], budget: int, seed: int, epoch: int, kind: type[np.integer[Any]]
) -> None:
    src, tgt = sides(lengths)
    rng = np.random.Generator(np.random.PCG64([seed, epoch]))
    order = sorted(rng.permutation(len(lengths)).tolist(), key=lambda i: (lengths[i][1], lengths[i][0]))
    steps = steps_of_epoch(src.astype(kind), tgt.astype(kind), budget, seed=seed, epoch=epoch)
    draw = rng.permutation(len(steps)).tolist()
    sorted_steps = [steps[draw.index(number)].tolist() for number in range(len(steps))]
    assert list(chain.from_iterable(sorted_steps)) == order


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from([0.01, 0.3, 0.5, 1.0, 1.5, 2.0, 3.25])), max_size=5),
    SEEDS,
    EPOCHS,
)
def test_an_epoch_sees_each_pair_of_a_corpus_as_often_as_its_weight_says(
    given: list[tuple[int, float]], seed: int, epoch: int
) -> None:
    ends = np.cumsum([0, *(count for count, _ in given)]).tolist()
    corpora = {str(number): place for number, place in enumerate(pairwise(ends))}
    weights = {str(number): weight for number, (_, weight) in enumerate(given)}
    try:
        rows = rows_of_epoch(corpora, weights, seed, epoch)
    except RecipeError:
        assert all(count * weight < 1 for count, weight in given)
        return
    assert (rows is None) == all(weight == 1 for _, weight in given)
    seen = np.ones(ends[-1]) if rows is None else np.bincount(rows, minlength=ends[-1])
    for (start, end), (count, weight) in zip(pairwise(ends), given, strict=True):
        assert set(seen[start:end]) <= {int(weight), int(weight) + 1}
        few = count * (weight % 1) < 1
        assert abs(seen[start:end].sum() - count * weight) <= (1 if few else 0.5)


@settings(deadline=None)
@given(LENGTHS, st.one_of(st.none(), st.integers(1, 400)))
def test_passes_cut_a_step_without_loss_within_their_budget(lengths: list[tuple[int, int]], budget: int | None) -> None:
    src, tgt = sides(lengths)
    indices = np.random.default_rng(len(lengths)).permutation(len(lengths))
    parts = micro_batches(indices, src, tgt, budget)
    assert np.concatenate(parts).tolist() == indices.tolist()
    for part in parts:
        padded = len(part) * max(src[part].max(), tgt[part].max())
        assert len(part) == 1 or budget is None or padded <= budget


@settings(deadline=None)
@given(st.lists(st.integers(0, 40), max_size=100), st.integers(1, 200))
def test_decoding_batches_hold_each_sentence_once_within_budget(lengths: list[int], budget: int) -> None:
    batches = by_tokens(lengths, budget)
    assert sorted(chain.from_iterable(batches)) == list(range(len(lengths)))
    assert all(len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget for batch in batches)
    flat = [lengths[i] for batch in batches for i in batch]
    assert flat == sorted(flat, reverse=True)

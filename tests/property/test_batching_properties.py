"""What holds for every set of lengths and every budget."""

from itertools import chain, pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.data.batching import Ints, by_tokens, micro_batches, steps_of_epoch

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

from typing import Any

import numpy as np
import pytest

from nmt.data.encoding import batching
from nmt.data.encoding.batching import Ints, by_tokens, micro_batches, rows_of_epoch, steps_of_epoch
from nmt.errors import RecipeError

SEED = 3


def plan(src: list[int], tgt: list[int], budget: int, epoch: int = 0) -> list[list[int]]:
    steps = steps_of_epoch(np.array(src, np.int32), np.array(tgt, np.int32), budget, seed=1, epoch=epoch)
    return [step.tolist() for step in steps]


def test_a_step_is_filled_to_the_budget_and_not_beyond() -> None:
    assert sorted(map(len, plan([2] * 10, [3] * 10, 9))) == [1, 3, 3, 3]
    assert sorted(map(len, plan([3] * 10, [2] * 10, 9))) == [1, 3, 3, 3]
    assert sorted(map(len, plan([2] * 10, [3] * 10, 8))) == [2] * 5


def test_a_step_holds_sentences_of_like_length() -> None:
    steps = plan([1, 9, 1, 9, 2, 8], [1, 9, 2, 8, 1, 9], 18)
    assert sorted(map(sorted, steps)) == [[0, 2, 3, 4], [1, 5]]


def test_padding_does_not_count() -> None:
    assert len(plan([1, 1, 1, 7], [1, 1, 1, 7], 10)) == 1


def test_a_budget_below_the_longest_sentence_is_a_recipe_error() -> None:
    for src, tgt in (([1, 12], [1, 2]), ([1, 2], [1, 12])):
        with pytest.raises(RecipeError) as caught:
            plan(src, tgt, 11)
        assert str(caught.value) == (
            "batching.tokens_per_step = 11 is smaller than the longest training sentence (12 pieces) "
            "(raise it, or lower cleaning.max_pieces)"
        )
    assert len(plan([1, 12], [1, 2], 12)) == 2


def test_no_sentences_are_no_steps() -> None:
    assert plan([], [], 10) == []


def test_lengths_beyond_16_bits_are_sorted_too() -> None:
    lengths = [70_000, 5, 69_999, 3]
    assert sorted(map(sorted, plan(lengths, lengths, 70_000))) == [[0], [1, 3], [2]]


def plain_steps(src: Ints, tgt: Ints, budget: int, seed: int, epoch: int) -> list[list[int]]:
    """Plan an epoch the plain way: draw an order, sort it by lengths, cut it, draw the order of the steps."""
    rng = np.random.Generator(np.random.PCG64([seed, epoch]))
    order = sorted(rng.permutation(len(src)).tolist(), key=lambda i: (int(tgt[i]), int(src[i])))
    steps: list[list[int]] = [[]]
    for i in order:
        step = [*steps[-1], i]
        if max(int(side[step].sum(dtype=np.int64)) for side in (src, tgt)) <= budget:
            steps[-1] = step
        else:
            steps.append([i])
    return [steps[number] for number in rng.permutation(len(steps))]


@pytest.mark.parametrize("longest", [1, 3, 11, 255])
@pytest.mark.parametrize("count", [1, 2, 255, 256, 257, 700])
def test_the_order_is_that_of_a_plain_stable_sort_of_the_seeded_draw(count: int, longest: int) -> None:
    rng = np.random.default_rng([count, longest])
    src, tgt = (rng.integers(1, longest + 1, count).astype(np.uint8) for _ in range(2))
    for epoch in range(2):
        steps = steps_of_epoch(src, tgt, 300, seed=SEED, epoch=epoch)
        assert [step.tolist() for step in steps] == plain_steps(src, tgt, 300, SEED, epoch)


def test_sentences_are_numbered_in_blocks_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    src, tgt = (np.random.default_rng(1).integers(1, 4, 100).astype(np.uint8) for _ in range(2))
    expected = plan(src.tolist(), tgt.tolist(), 30)
    for block in (1, 7, 99, 100, 101):
        monkeypatch.setattr(batching, "BLOCK", block)
        assert plan(src.tolist(), tgt.tolist(), 30) == expected


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.uint32, np.int32, np.int64])
def test_the_type_of_the_lengths_changes_no_plan(kind: type[np.integer[Any]]) -> None:
    rng = np.random.default_rng(5)
    src, tgt = (rng.integers(1, 256, 400) for _ in range(2))
    expected = [step.tolist() for step in steps_of_epoch(src, tgt, 1000, seed=1, epoch=2)]
    steps = steps_of_epoch(src.astype(kind), tgt.astype(kind), 1000, seed=1, epoch=2)
    assert [step.tolist() for step in steps] == expected
    for step in steps:
        parts = micro_batches(step, src.astype(kind), tgt.astype(kind), 300)
        assert [part.tolist() for part in parts] == [part.tolist() for part in micro_batches(step, src, tgt, 300)]


def test_more_sentences_than_can_be_sorted_at_once_are_an_error() -> None:
    with pytest.raises(RecipeError) as caught:
        batching._by_length(np.arange(4), np.ones(4, np.int64), np.ones(4, np.int64), 2**31)
    assert str(caught.value) == "4 sentences of up to 2147483648 pieces are too many to sort"


CORPORA = {"a": (0, 10), "empty": (10, 10), "b": (10, 14)}


def seen(weights: dict[str, float], epoch: int = 0, seed: int = SEED) -> list[int]:
    """Return how often an epoch sees each pair of `CORPORA`."""
    rows = rows_of_epoch(CORPORA, weights, seed, epoch)
    assert rows is not None
    return np.bincount(rows, minlength=14).tolist()


def test_where_each_pair_is_seen_once_nothing_is_chosen() -> None:
    for weights in ({}, {"a": 1.0}, {"a": 1, "b": 1, "empty": 1}):
        assert rows_of_epoch(CORPORA, weights, SEED, 0) is None
    assert rows_of_epoch({}, {"a": 2.0}, SEED, 0) is None


def test_a_whole_weight_takes_each_pair_as_often() -> None:
    assert seen({"a": 2.0}) == [2] * 10 + [1] * 4
    assert seen({"a": 1.0, "b": 3.0, "empty": 5.0}) == [1] * 10 + [3] * 4


def test_of_the_rest_of_a_weight_that_share_is_drawn_anew_each_epoch() -> None:
    epochs = [seen({"a": 0.5, "b": 2.25}, epoch) for epoch in range(20)]
    for counts in epochs:
        assert sorted(counts[:10]) == [0] * 5 + [1] * 5
        assert sorted(counts[10:]) == [2, 2, 2, 3]
    assert len({tuple(counts) for counts in epochs}) > 15
    assert all(sum(column) for column in zip(*epochs, strict=True)), "a pair that is never seen"


def test_what_an_epoch_sees_is_a_function_of_seed_and_epoch() -> None:
    rows = [rows_of_epoch(CORPORA, {"a": 0.5}, seed, epoch) for seed, epoch in ((3, 0), (3, 0), (4, 0), (3, 1))]
    once, again, other_seed, other_epoch = (chosen.tolist() for chosen in rows if chosen is not None)
    assert once == again
    assert other_seed != once != other_epoch


def test_a_weight_that_takes_nothing_of_a_corpus_is_borne() -> None:
    assert seen({"b": 0.01}) == [1] * 10 + [0] * 4


WEIGHTS = {"large": 0.5, "small": 2.5}


def passes(lengths: list[int], budget: int | None) -> list[list[int]]:
    array: Ints = np.array(lengths, np.int32)
    indices = np.arange(len(lengths))
    return [part.tolist() for part in micro_batches(indices, array, array[::-1] * 0 + 1, budget)]


def test_without_a_limit_a_step_is_one_pass() -> None:
    assert passes([1, 2, 3], None) == [[0, 1, 2]]


def test_passes_are_cut_by_padded_tokens() -> None:
    assert passes([2, 2, 3, 3, 4], 6) == [[0, 1], [2, 3], [4]]
    assert passes([4, 1, 1, 1], 8) == [[0, 1], [2, 3]]


def test_without_sentences_there_is_no_pass() -> None:
    assert passes([], None) == passes([], 8) == []


def test_a_sentence_over_the_limit_is_a_pass_of_its_own() -> None:
    assert passes([1, 9, 1, 1], 4) == [[0], [1], [2, 3]]


def test_passes_look_at_either_side() -> None:
    src, tgt = np.array([1, 1, 1]), np.array([4, 4, 4])
    for sides in ((src, tgt), (tgt, src)):
        assert [part.tolist() for part in micro_batches(np.arange(3), *sides, 8)] == [[0, 1], [2]]


def test_decoding_batches_begin_with_the_longest_sentence() -> None:
    assert by_tokens([3, 5, 1, 5, 0], 10) == [[1, 3], [0, 2, 4]]
    assert by_tokens([], 10) == []
    assert by_tokens([0, 0], 10) == [[0, 1]]


def test_a_decoding_batch_over_budget_holds_one_sentence() -> None:
    assert by_tokens([1, 30, 20], 10) == [[1], [2], [0]]


def test_a_weight_of_less_than_a_pair_takes_one_in_some_epochs_unless_there_is_no_other() -> None:
    corpora = {"a": (0, 100), "b": (100, 120)}
    taken = [
        int((rows >= 100).sum())
        for epoch in range(200)
        if (rows := rows_of_epoch(corpora, {"b": 0.01}, SEED, epoch)) is not None
    ]
    assert set(taken) == {0, 1}
    assert 20 < sum(taken) < 60
    alone = [rows_of_epoch({"a": (0, 5), "b": (5, 25)}, {"a": 0.0, "b": 0.001}, SEED, epoch) for epoch in range(50)]
    drawn = [int(row) for each in alone if each is not None for row in each]
    assert len(drawn) == 50
    assert min(drawn) >= 5
    assert len(set(drawn)) > 10
    with pytest.raises(RecipeError, match="an epoch has no pair: its corpora are empty"):
        rows_of_epoch({"a": (0, 5), "b": (5, 5)}, {"a": 0.0, "b": 2.0}, SEED, 0)

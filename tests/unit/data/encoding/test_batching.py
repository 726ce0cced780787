import threading
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path
from types import GeneratorType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from nmt.data.encoding import batching
from nmt.data.encoding.batching import Ints, Step, StepStream, by_tokens, micro_batches, rows_of_epoch, steps_of_epoch
from nmt.data.encoding.dataset import Batch, PreparedPairs
from nmt.data.shards import shard_path, write_shard
from nmt.errors import RecipeError

SEED = 3


def write(folder: Path, corpora: dict[str, int]) -> PreparedPairs:
    """Write corpora of so many pairs, of which each source begins with the pair's number + 10."""
    rng = np.random.default_rng(1)
    ids = pa.list_(pa.uint16())
    schema = pa.schema([("src", ids), ("tgt", ids), ("src_length", pa.uint8()), ("tgt_length", pa.uint8())])
    total = sum(corpora.values())
    sides = [[[i + 10] * int(rng.integers(1, 12)) for i in range(total)] for _ in range(2)]
    start = 0
    for number, (corpus, count) in enumerate(corpora.items()):
        rows = [side[start : start + count] for side in sides]
        write_shard(
            shard_path(folder, number), schema, corpus, [[*rows, *([len(row) for row in side] for side in rows)]]
        )
        start += count
    return PreparedPairs(folder)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> PreparedPairs:
    """Return 200 pairs of one corpus."""
    return write(tmp_path_factory.mktemp("batching") / "train", {"train": 200})


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> PreparedPairs:
    """Return 200 pairs of three corpora."""
    return write(tmp_path_factory.mktemp("corpora") / "train", {"large": 120, "small": 21, "other": 59})


def stream(
    pairs: PreparedPairs,
    tokens: int = 100,
    micro: int | None = None,
    seed: int = SEED,
    rank: int = 0,
    ranks: int = 1,
    weights: dict[str, float] | None = None,
) -> StepStream:
    steps = StepStream(pairs, tokens, seed, weights=weights, rank=rank, ranks=ranks)
    steps.micro_batch_tokens = micro
    return steps


def sentences(step: Step) -> list[int]:
    return [int(row[0]) - 10 for batch in step.micro_batches for row in batch.src]


def take(steps: Iterator[Step], count: int) -> list[Step]:
    taken = list(islice(steps, count))
    assert isinstance(steps, GeneratorType)
    steps.close()
    return taken


def collating() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "collate"]


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


def test_the_stream_sees_each_corpus_by_its_weight(corpora: PreparedPairs) -> None:
    steps = stream(corpora, weights=WEIGHTS)
    for epoch in range(3):
        counts = np.bincount(np.concatenate(steps.plan(epoch)), minlength=200)
        assert counts[:120].sum() == 60
        assert counts[:120].max() == 1
        assert counts[120:141].sum() == 42 + 10  # of 10.5, to the even
        assert set(counts[120:141].tolist()) == {2, 3}
        assert counts[141:].tolist() == [1] * 59
        for step in steps.plan(epoch):
            for lengths in (corpora.src_lengths, corpora.tgt_lengths):
                assert 0 < int(lengths[step].sum()) <= 100


def test_weights_of_one_change_no_plan(corpora: PreparedPairs) -> None:
    plans = [stream(corpora, weights=weights).plan(1) for weights in (None, {}, dict.fromkeys(corpora.corpora, 1.0))]
    assert len({tuple(tuple(step.tolist()) for step in plan) for plan in plans}) == 1


@pytest.mark.parametrize("skipped", [1, 9, 25])
def test_a_weighted_stream_is_resumed_anywhere(corpora: PreparedPairs, skipped: int) -> None:
    taken = take(stream(corpora, weights=WEIGHTS).from_position(0, 0), skipped + 5)
    last = taken[skipped - 1]
    resumed = take(stream(corpora, weights=WEIGHTS).from_position(last.next_epoch, last.next_offset), 5)
    assert [sentences(step) for step in resumed] == [sentences(step) for step in taken[skipped:]]
    assert [step.target_tokens for step in resumed] == [step.target_tokens for step in taken[skipped:]]


def test_epochs_differ_in_order_and_company_but_not_in_number_of_steps(pairs: PreparedPairs) -> None:
    steps = stream(pairs)
    epochs = [[step.tolist() for step in steps.plan(epoch)] for epoch in range(3)]
    assert len({len(epoch) for epoch in epochs}) == 1
    assert {frozenset(step) for step in epochs[0]} != {frozenset(step) for step in epochs[1]}
    assert epochs[0] == [step.tolist() for step in stream(pairs).plan(0)]
    assert epochs[0] != [step.tolist() for step in stream(pairs, seed=4).plan(0)]


def test_steps_are_not_in_order_of_length(pairs: PreparedPairs) -> None:
    longest = [int(pairs.tgt_lengths[step].max()) for step in stream(pairs).plan(0)]
    assert longest != sorted(longest)


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


def test_the_stream_goes_through_each_epoch_as_planned(pairs: PreparedPairs) -> None:
    steps = stream(pairs, micro=40)
    count = len(steps.plan(0))
    taken = take(steps.from_position(0, 0), 2 * count)
    for epoch in (0, 1):
        part = taken[epoch * count : (epoch + 1) * count]
        assert [sentences(step) for step in part] == [step.tolist() for step in steps.plan(epoch)]
        assert [(step.epoch, step.offset) for step in part] == [(epoch, i) for i in range(count)]
    assert any(len(step.micro_batches) > 1 for step in taken)
    assert all(batch.src.numel() <= 40 and batch.labels.numel() <= 40 for s in taken for batch in s.micro_batches)
    assert sum(step.target_tokens for step in taken) == 2 * int(pairs.tgt_lengths.sum())


def test_each_step_knows_where_the_next_one_stands(pairs: PreparedPairs) -> None:
    steps = stream(pairs)
    taken = take(steps.from_position(0, 0), 2 * len(steps.plan(0)) + 2)
    for step, following in pairwise(taken):
        assert (step.next_epoch, step.next_offset) == (following.epoch, following.offset)
        assert type(step.next_epoch) is int


@pytest.mark.parametrize("skipped", [1, 12, 30])
def test_resuming_goes_on_where_the_stream_was_left(pairs: PreparedPairs, skipped: int) -> None:
    taken = take(stream(pairs).from_position(0, 0), skipped + 5)
    last = taken[skipped - 1]
    resumed = take(stream(pairs).from_position(last.next_epoch, last.next_offset), 5)
    assert [sentences(step) for step in resumed] == [sentences(step) for step in taken[skipped:]]
    assert [step.offset for step in resumed] == [step.offset for step in taken[skipped:]]


def test_a_step_knows_its_sentences_its_labels_and_how_it_is_cut(pairs: PreparedPairs) -> None:
    for micro in (40, None):
        steps = stream(pairs, micro=micro)
        planned = steps.plan(0)
        for step in take(steps.from_position(0, 0), len(planned)):
            assert step.indices.tolist() == planned[step.offset].tolist() == sentences(step)
            assert step.target_tokens == sum(batch.target_tokens for batch in step.micro_batches)
            assert type(step.target_tokens) is int
            assert step.micro_batch_tokens == micro


def test_a_step_can_be_cut_again_and_the_next_ones_are_cut_as_is_set_meanwhile(pairs: PreparedPairs) -> None:
    steps = stream(pairs)
    following = steps.steps(0, 0)
    whole = next(following)
    assert (len(whole.micro_batches), whole.micro_batch_tokens) == (1, None)
    cut = steps.passes(whole.indices, 20, 0)
    assert len(cut) > 1
    assert [int(row[0]) - 10 for batch in cut for row in batch.src] == sentences(whole)
    assert sum(batch.target_tokens for batch in cut) == whole.target_tokens
    steps.micro_batch_tokens = 20
    step = next(following)
    assert step.micro_batch_tokens == 20
    assert len(step.micro_batches) > 1


@pytest.mark.parametrize("micro", [None, 20])
@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_the_shares_of_the_ranks_together_are_the_step(pairs: PreparedPairs, ranks: int, micro: int | None) -> None:
    alone = stream(pairs)
    count = len(alone.plan(0)) + 1
    shares = [
        take(stream(pairs, micro=micro, rank=rank, ranks=ranks).from_position(0, 0), count) for rank in range(ranks)
    ]
    for step, *parts in zip(take(alone.from_position(0, 0), count), *shares, strict=True):
        assert [sentence for part in parts for sentence in sentences(part)] == sentences(step)
        own = [len(sentences(part)) for part in parts]
        assert max(own) - min(own) <= 1
        assert sum(batch.target_tokens for part in parts for batch in part.micro_batches) == step.target_tokens
        for part in parts:  # what every rank has to know of the whole
            assert (part.indices.tolist(), part.target_tokens) == (step.indices.tolist(), step.target_tokens)
            assert (part.epoch, part.offset, part.next_epoch, part.next_offset) == (
                *(step.epoch, step.offset, step.next_epoch, step.next_offset),
            )


def test_a_rank_without_a_share_has_no_pass(pairs: PreparedPairs) -> None:
    few = np.array([5, 17])
    for micro in (None, 20):
        parts = [stream(pairs, rank=rank, ranks=3).passes(few, micro, 0) for rank in range(3)]
        assert [[len(batch.src) for batch in part] for part in parts] == [[1], [1], []]


def test_resuming_collates_nothing_that_came_before(pairs: PreparedPairs, monkeypatch: pytest.MonkeyPatch) -> None:
    collated: list[list[int]] = []

    def collate(self: PreparedPairs, indices: Ints) -> Batch:
        collated.append(indices.tolist())
        return original(self, indices)

    original = PreparedPairs.collate
    monkeypatch.setattr(PreparedPairs, "collate", collate)
    steps = stream(pairs)
    take(steps.from_position(4, 3), 1)
    planned = [step.tolist() for step in steps.plan(4)]
    assert collated == planned[3 : 3 + len(collated)]


def test_the_thread_ends_with_the_iterator(pairs: PreparedPairs) -> None:
    steps = stream(pairs).from_position(0, 0)
    next(steps)
    assert len(collating()) == 1
    assert isinstance(steps, GeneratorType)
    steps.close()
    assert collating() == []


def test_what_fails_in_the_thread_is_raised_to_the_reader(
    pairs: PreparedPairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def collate(self: PreparedPairs, indices: Ints) -> Batch:
        raise OSError(f"disk gone, {len(self)} pairs and {min(len(indices), 1)} step lost")

    monkeypatch.setattr(PreparedPairs, "collate", collate)
    with pytest.raises(OSError, match="disk gone, 200 pairs and 1 step lost"):
        next(stream(pairs).from_position(0, 0))
    with pytest.raises(RecipeError, match="smaller than the longest"):
        next(stream(pairs, tokens=5).from_position(0, 0))
    assert collating() == []


def test_a_weight_of_less_than_a_pair_takes_one_in_some_epochs_and_none_at_all_is_an_error() -> None:
    corpora = {"a": (0, 100), "b": (100, 120)}
    taken = [
        int((rows >= 100).sum())
        for epoch in range(200)
        if (rows := rows_of_epoch(corpora, {"b": 0.01}, SEED, epoch)) is not None
    ]
    assert set(taken) == {0, 1}
    assert 20 < sum(taken) < 60
    with pytest.raises(RecipeError, match="leave an epoch without a pair"):
        [rows_of_epoch({"b": (0, 20)}, {"b": 0.001}, SEED, epoch) for epoch in range(50)]

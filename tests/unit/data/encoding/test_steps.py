"""The stream of steps: resumed anywhere, shared by ranks, collated ahead in a thread."""

import queue
import threading
from collections.abc import Iterator
from itertools import islice, pairwise
from pathlib import Path
from types import GeneratorType

import numpy as np
import pyarrow as pa
import pytest
from torch import Tensor

from nmt.data.encoding.batching import Ints
from nmt.data.encoding.dataset import Batch, DrawnPairs, Ids, PreparedPairs
from nmt.data.encoding.noise import Corruption
from nmt.data.encoding.steps import Step, StepStream
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


def threads() -> set[str]:
    """Return the names of the stream's threads."""
    return {thread.name for thread in threading.enumerate()} & {"collate", "plan_0"}


CORPORA = {"a": (0, 10), "empty": (10, 10), "b": (10, 14)}


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
    cut = steps.collate(whole.indices, 20, 0)
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
        parts = [stream(pairs, rank=rank, ranks=3).collate(few, micro, 0) for rank in range(3)]
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


def test_the_threads_end_with_the_iterator(pairs: PreparedPairs) -> None:
    steps = stream(pairs).from_position(0, 0)
    next(steps)
    assert threads() == {"collate", "plan_0"}
    assert isinstance(steps, GeneratorType)
    steps.close()
    assert threads() == set()


def test_the_next_epoch_is_planned_during_the_first_step_of_this_one_and_only_once(
    pairs: PreparedPairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: queue.Queue[tuple[int, str]] = queue.Queue()

    def plan(self: StepStream, epoch: int) -> list[Ints]:
        planned.put((epoch, threading.current_thread().name))
        return original(self, epoch)

    original = StepStream.plan
    monkeypatch.setattr(StepStream, "plan", plan)
    steps = stream(pairs).from_position(4, 3)
    next(steps)
    assert [planned.get(timeout=10) for _ in range(2)] == [(4, "collate"), (5, "plan_0")]
    monkeypatch.undo()
    rest = len(stream(pairs).plan(4)) - 4
    monkeypatch.setattr(StepStream, "plan", plan)
    assert [step.epoch for step in take(steps, rest + 1)] == [4] * rest + [5]
    assert planned.get(timeout=10) == (6, "plan_0")
    assert planned.empty()


def test_an_epoch_that_cannot_be_planned_fails_when_its_turn_comes(
    pairs: PreparedPairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan(self: StepStream, epoch: int) -> list[Ints]:
        if epoch == 1:
            raise RecipeError("the weights of the corpora leave an epoch without a pair")
        return original(self, epoch)

    original = StepStream.plan
    count = len(stream(pairs).plan(0))
    monkeypatch.setattr(StepStream, "plan", plan)
    steps = stream(pairs).from_position(0, 0)
    assert [next(steps).offset for _ in range(count)] == list(range(count))
    with pytest.raises(RecipeError, match="without a pair"):
        next(steps)
    assert threads() == set()


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
    assert threads() == set()


class Shortened(Corruption):
    """Stands for an objective: sources lose all but their first piece, and targets some pieces, by pair and epoch."""

    def apply(self, sides: tuple[list[Ids], list[Ids]], indices: Ints, epoch: int) -> DrawnPairs:
        cuts = [1 + (index + epoch) % 3 for index in indices.tolist()]
        return DrawnPairs([ids[:1] for ids in sides[0]], [ids[:cut] for ids, cut in zip(sides[1], cuts, strict=True)])


def corrupted(pairs: PreparedPairs, rank: int = 0, ranks: int = 1) -> StepStream:
    return StepStream(pairs, 100, SEED, corruption=Shortened(), rank=rank, ranks=ranks)


def test_a_step_is_planned_by_the_lengths_before_its_corruption_and_counts_the_labels_after(
    pairs: PreparedPairs,
) -> None:
    steps, plain = corrupted(pairs), stream(pairs)
    count = len(plain.plan(0))
    first, second = (take(steps.from_position(epoch, 0), count) for epoch in (0, 1))
    for step, other in zip(first, take(plain.from_position(0, 0), count), strict=True):
        assert step.indices.tolist() == other.indices.tolist()
        assert sentences(step) == step.indices.tolist()
        assert all(batch.src.size(1) == 2 for batch in step.micro_batches)
        lengths = np.minimum(pairs.tgt_lengths[step.indices], 2 + step.indices % 3)
        assert step.target_tokens == sum(batch.target_tokens for batch in step.micro_batches) == lengths.sum()
    assert sum(step.target_tokens for step in first) != sum(step.target_tokens for step in second)
    assert steps.whole_batch(first[0].indices).labels.equal(first[0].micro_batches[0].labels)


def test_the_ranks_and_a_resumed_run_corrupt_alike(pairs: PreparedPairs) -> None:
    shares = [take(corrupted(pairs, rank, 2).from_position(0, 3), 2) for rank in range(2)]
    for step, *parts in zip(take(corrupted(pairs).from_position(0, 3), 2), *shares, strict=True):
        assert {part.target_tokens for part in parts} == {step.target_tokens}
        assert [row.tolist() for part in parts for batch in part.micro_batches for row in real(batch)] == [
            row.tolist() for batch in step.micro_batches for row in real(batch)
        ]


def real(batch: Batch) -> list[Tensor]:
    """Return the labels of each pair without padding."""
    return [row[row != 0] for row in batch.labels]

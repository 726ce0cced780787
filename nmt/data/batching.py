"""Token-budget batches in an order that depends on nothing but the lengths, the seed and the epoch."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nmt.errors import RecipeError

if TYPE_CHECKING:
    from nmt.data.dataset import Batch, PreparedPairs

Ints = np.ndarray[Any, np.dtype[np.integer[Any]]]

AHEAD = 2
"""Steps collated ahead of the trainer."""


def steps_of_epoch(src_lengths: Ints, tgt_lengths: Ints, tokens_per_step: int, *, seed: int, epoch: int) -> list[Ints]:
    """Plan one epoch: the sentences of each step, in training order.

    A step takes sentences of like length until one more would bring the real tokens of a side over
    `tokens_per_step`; padding never counts. Which of the equally long sentences meet, and the order of the steps,
    is drawn anew each epoch. Steps are cut from the sorted lengths, so every epoch has as many.
    """
    longest = max(src_lengths.max(initial=0), tgt_lengths.max(initial=0))
    if longest > tokens_per_step:
        raise RecipeError(
            f"batching.tokens_per_step = {tokens_per_step} is smaller than the longest training sentence "
            f"({longest} pieces)",
            hint="raise it, or lower cleaning.max_pieces",
        )
    rng = np.random.Generator(np.random.PCG64([seed, epoch]))
    order = rng.permutation(len(src_lengths))
    # Stable sorts, the lesser key first; on 16-bit keys numpy's is a radix sort, fit for 50 million sentences.
    key = np.min_scalar_type(int(longest))
    for lengths in (src_lengths, tgt_lengths):
        order = order[np.argsort(lengths.astype(key)[order], kind="stable")]
    steps = _cut(src_lengths[order], tgt_lengths[order], tokens_per_step)
    return [order[slice(*steps[number])] for number in rng.permutation(len(steps))]


def _cut(src_lengths: Ints, tgt_lengths: Ints, budget: int) -> list[tuple[int, int]]:
    """Cut a row of sentences into the longest spans within `budget` tokens a side."""
    totals = [np.concatenate([np.zeros(1, np.int64), np.cumsum(x, dtype=np.int64)]) for x in (src_lengths, tgt_lengths)]
    spans: list[tuple[int, int]] = []
    start = 0
    while start < len(src_lengths):
        # The last place up to which neither side has more than the budget.
        end = min(int(total.searchsorted(total[start] + budget, side="right")) for total in totals) - 1
        spans.append((start, end))
        start = end
    return spans


def micro_batches(indices: Ints, src_lengths: Ints, tgt_lengths: Ints, micro_batch_tokens: int | None) -> list[Ints]:
    """Cut one step into passes of at most so many padded tokens a side (rows x longest side); None: one pass.

    A longer sentence gets a pass of its own; without sentences there is no pass.
    """
    if micro_batch_tokens is None or not len(indices):
        return [indices] if len(indices) else []
    longer = np.maximum(src_lengths[indices], tgt_lengths[indices]).tolist()
    cuts, start, longest = [], 0, 0
    for place, length in enumerate(longer):
        longest = max(longest, length)
        if place > start and (place + 1 - start) * longest > micro_batch_tokens:
            cuts.append(place)
            start, longest = place, length
    return np.split(indices, cuts)


def by_tokens(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Cut indices, longest sentence first, into batches of at most `budget` padded tokens.

    Longest first, so that what does not fit into memory fails at once. Equal lengths keep their order; a
    sentence over the budget gets a batch of its own.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    batches = []
    start = 0
    while start < len(order):
        rows = max(1, budget // max(1, lengths[order[start]]))
        batches.append(order[start : start + rows])
        start += rows
    return batches


@dataclass(frozen=True)
class Step:
    """One optimizer step: its place in the training, and its passes."""

    epoch: int
    offset: int
    """Steps before this one in its epoch."""
    next_epoch: int
    """Epoch of the step after this one; what a checkpoint saves to resume."""
    next_offset: int
    """Offset of the step after this one."""
    indices: Ints
    """The sentences of the whole step, whatever the ranks."""
    target_tokens: int
    """The real labels of the whole step, EOS included."""
    micro_batch_tokens: int | None
    """How it is cut."""
    micro_batches: list[Batch]
    """The passes of this rank."""


class StepStream:
    """The endless training order of a split, entered anywhere without replaying what came before."""

    def __init__(self, pairs: PreparedPairs, tokens_per_step: int, seed: int, *, rank: int = 0, ranks: int = 1) -> None:
        """Stream the steps of `pairs`; of each step, the share of `rank` among `ranks` is collated."""
        self.pairs = pairs
        self.tokens_per_step = tokens_per_step
        self.seed = seed
        self.rank, self.ranks = rank, ranks
        self.micro_batch_tokens: int | None = None
        """How steps are cut from now on; those that are collated already can be cut again by `passes`."""

    def plan(self, epoch: int) -> list[Ints]:
        """Return the sentences of each step of `epoch`."""
        return steps_of_epoch(
            self.pairs.src_lengths, self.pairs.tgt_lengths, self.tokens_per_step, seed=self.seed, epoch=epoch
        )

    def passes(self, indices: Ints, micro_batch_tokens: int | None) -> list[Batch]:
        """Collate this rank's share of a step, which may be empty, in passes of so many padded tokens."""
        share = np.array_split(indices, self.ranks)[self.rank]
        cut = micro_batches(share, self.pairs.src_lengths, self.pairs.tgt_lengths, micro_batch_tokens)
        return [self.pairs.collate(indices) for indices in cut]

    def from_position(self, epoch: int, offset: int) -> Generator[Step, None, None]:
        """Yield the steps from the one at `offset` of `epoch` on, collated in a thread of their own.

        Closing the iterator ends the thread; what fails in the thread is raised here.
        """
        ready: queue.Queue[Step | BaseException] = queue.Queue(AHEAD)
        closed = threading.Event()

        def put(item: Step | BaseException) -> None:
            while not closed.is_set():
                try:
                    ready.put(item, timeout=0.1)
                    break
                except queue.Full:
                    continue

        def work() -> None:
            try:
                for step in self.steps(epoch, offset):
                    put(step)
                    if closed.is_set():
                        return
            except BaseException as error:
                put(error)

        thread = threading.Thread(target=work, name="collate", daemon=True)
        thread.start()
        try:
            while True:
                item = ready.get()
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            closed.set()
            thread.join()

    def steps(self, epoch: int, offset: int) -> Iterator[Step]:
        """Yield the same steps without a thread."""
        while True:
            plan = self.plan(epoch)
            for number in range(offset, len(plan)):
                is_last = number + 1 == len(plan)
                indices, size = plan[number], self.micro_batch_tokens
                yield Step(
                    epoch=epoch,
                    offset=number,
                    next_epoch=epoch + is_last,
                    next_offset=0 if is_last else number + 1,
                    indices=indices,
                    target_tokens=int(self.pairs.tgt_lengths[indices].sum()),
                    micro_batch_tokens=size,
                    micro_batches=self.passes(indices, size),
                )
            epoch, offset = epoch + 1, 0

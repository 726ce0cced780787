"""Token-budget batches in an order that depends on nothing but the lengths, the seed and the epoch."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nmt.errors import RecipeError

if TYPE_CHECKING:
    from nmt.data.encoding.dataset import Batch, Pairs, PreparedPairs, Sampling

Ints = np.ndarray[Any, np.dtype[np.integer[Any]]]

AHEAD = 2
"""Steps collated ahead of the trainer."""
BLOCK = 2**20
"""Sentences numbered at once."""


def steps_of_epoch(src_lengths: Ints, tgt_lengths: Ints, tokens_per_step: int, *, seed: int, epoch: int) -> list[Ints]:
    """Plan one epoch: the sentences of each step, in training order.

    A step takes sentences of like length until one more would bring the real tokens of a side over
    `tokens_per_step`; padding never counts. Which of the equally long sentences meet, and the order of the steps,
    is drawn anew each epoch. Steps are cut from the sorted lengths, so every epoch of the same sentences has as many.
    """
    longest = max(src_lengths.max(initial=0), tgt_lengths.max(initial=0))
    if longest > tokens_per_step:
        raise RecipeError(
            f"batching.tokens_per_step = {tokens_per_step} is smaller than the longest training sentence "
            f"({longest} pieces)",
            hint="raise it, or lower cleaning.max_pieces",
        )
    rng = np.random.Generator(np.random.PCG64([seed, epoch]))
    count = len(src_lengths)
    shuffled = np.arange(count, dtype=np.min_scalar_type(count))
    rng.shuffle(shuffled)
    order = _by_length(shuffled, src_lengths, tgt_lengths, int(longest))
    steps = _cut(src_lengths, tgt_lengths, order, tokens_per_step)
    return [order[slice(*steps[number])] for number in rng.permutation(len(steps))]


def _by_length(shuffled: Ints, src_lengths: Ints, tgt_lengths: Ints, longest: int) -> Ints:
    """Sort `shuffled` sentences by target length, then by source length, then as they lie.

    Both lengths and the place are packed into 64 bits, which sort much faster, and in less memory, than by an index.
    """
    bits, place_bits = longest.bit_length(), len(shuffled).bit_length()
    if 2 * bits + place_bits > 64:
        raise RecipeError(f"{len(shuffled)} sentences of up to {longest} pieces are too many to sort")
    keys = tgt_lengths[shuffled].astype(np.uint64)
    keys <<= np.uint64(bits)
    np.bitwise_or(keys, src_lengths[shuffled], out=keys, dtype=np.uint64, casting="unsafe")  # signed ones too
    keys <<= np.uint64(place_bits)
    for start in range(0, len(keys), BLOCK):
        end = min(start + BLOCK, len(keys))
        keys[start:end] |= np.arange(start, end, dtype=np.uint64)
    keys.sort()
    keys &= np.uint64(2**place_bits - 1)
    return shuffled[keys]


def _cut(src_lengths: Ints, tgt_lengths: Ints, order: Ints, budget: int) -> list[tuple[int, int]]:
    """Cut `order` into the longest spans of sentences within `budget` tokens a side."""
    spans: list[tuple[int, int]] = []
    start = 0
    while start < len(order):
        # Some sentences are looked at, twice as many as the last span took, until there is more than fits.
        rows = 2 * (spans[-1][1] - spans[-1][0]) if spans else 64
        while True:
            chosen = order[start : start + rows]
            totals = (np.cumsum(lengths[chosen], dtype=np.int64) for lengths in (src_lengths, tgt_lengths))
            # The last place up to which neither side has more than the budget.
            end = start + min(int(total.searchsorted(budget, side="right")) for total in totals)
            if end < start + rows or start + rows >= len(order):
                break
            rows *= 2
        spans.append((start, end))
        start = end
    return spans


def rows_of_epoch(
    corpora: Mapping[str, tuple[int, int]], weights: Mapping[str, float], seed: int, epoch: int
) -> Ints | None:
    """Choose what an epoch sees of each corpus, by its `weights`; None where that is each pair once.

    `corpora` are the first pair of each and the one behind its last. Of a weight's whole part each pair is taken as
    often; for the rest, that share of the pairs is drawn anew each epoch.
    """
    if all(weights.get(name, 1.0) == 1 for name in corpora):
        return None
    chosen: list[Ints] = []
    for number, (name, (start, end)) in enumerate(corpora.items()):
        rows = np.arange(start, end, dtype=np.min_scalar_type(end))
        whole, share = divmod(weights.get(name, 1.0), 1)
        rng = np.random.Generator(np.random.PCG64([seed, epoch, number]))
        wanted = share * len(rows)
        # Of less than one pair an epoch, each epoch has one by that chance.
        drawn = rng.choice(rows, round(wanted) if wanted >= 1 else int(rng.random() < wanted), replace=False)
        chosen += [rows] * int(whole) + [drawn]
    found = np.concatenate(chosen)
    if not len(found):
        raise RecipeError(
            "the weights of the corpora leave an epoch without a pair", hint="raise data.train.NAME.weight"
        )
    return found


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

    def __init__(
        self,
        pairs: PreparedPairs,
        tokens_per_step: int,
        seed: int,
        *,
        weights: Mapping[str, float] | None = None,
        sampling: Sampling | None = None,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        """Stream the steps of `pairs`; of each step, the share of `rank` among `ranks` is collated.

        `weights` say how often an epoch sees each pair of a corpus, by default once; with `sampling` the text is split
        anew each time.
        """
        self.weights = weights or {}
        self.sampling = sampling
        self.pairs = pairs
        self.tokens_per_step = tokens_per_step
        self.seed = seed
        self.rank, self.ranks = rank, ranks
        self.micro_batch_tokens: int | None = None
        """How steps are cut from now on; those that are collated already can be cut again by `passes`."""

    def plan(self, epoch: int) -> list[Ints]:
        """Return the sentences of each step of `epoch`."""
        src_lengths, tgt_lengths = self.pairs.src_lengths, self.pairs.tgt_lengths
        rows = rows_of_epoch(self.pairs.corpora, self.weights, self.seed, epoch)
        if rows is not None:
            src_lengths, tgt_lengths = src_lengths[rows], tgt_lengths[rows]
        steps = steps_of_epoch(src_lengths, tgt_lengths, self.tokens_per_step, seed=self.seed, epoch=epoch)
        return steps if rows is None else [rows[step] for step in steps]

    def pairs_of(self, indices: Ints, epoch: int) -> tuple[Pairs, Ints]:
        """Return the pairs of a step, and which of them they are: drawn anew, all of them, where the text is."""
        if self.sampling is None:
            return self.pairs, indices
        from nmt.data.encoding.dataset import SampledPairs

        return SampledPairs(self.pairs, indices, self.sampling, epoch), np.arange(len(indices))

    def passes(self, indices: Ints, micro_batch_tokens: int | None, epoch: int) -> list[Batch]:
        """Collate this rank's share of a step, which may be empty, in passes of so many padded tokens."""
        return self._cut(*self.pairs_of(indices, epoch), micro_batch_tokens)

    def _cut(self, pairs: Pairs, indices: Ints, micro_batch_tokens: int | None) -> list[Batch]:
        share = np.array_split(indices, self.ranks)[self.rank]
        cut = micro_batches(share, pairs.src_lengths, pairs.tgt_lengths, micro_batch_tokens)
        return [pairs.collate(indices) for indices in cut]

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
                # Every rank needs the labels of the whole step, and so all of its splits where they are drawn.
                pairs, places = self.pairs_of(indices, epoch)
                yield Step(
                    epoch=epoch,
                    offset=number,
                    next_epoch=epoch + is_last,
                    next_offset=0 if is_last else number + 1,
                    indices=indices,
                    target_tokens=int(pairs.tgt_lengths[places].sum()),
                    micro_batch_tokens=size,
                    micro_batches=self._cut(pairs, places, size),
                )
            epoch, offset = epoch + 1, 0

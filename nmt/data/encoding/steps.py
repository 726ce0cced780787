"""The steps of training: their sentences in order, collated into micro-batches ahead of the trainer."""

import queue
import threading
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from nmt.data.encoding.batching import Ints, micro_batches, rows_of_epoch, steps_of_epoch
from nmt.data.encoding.dataset import Batch, Pairs, PreparedPairs, ResampledPairs, SubwordRegularization
from nmt.data.encoding.noise import Corruption

AHEAD = 2  # steps collated ahead of the trainer


@dataclass(frozen=True)
class Step:
    """One optimizer step: its position in the training, and its micro-batches."""

    epoch: int
    offset: int  # steps before this one in its epoch
    next_epoch: int  # epoch of the next step, which a checkpoint saves to resume
    next_offset: int  # offset of the next step
    indices: Ints  # the sentences of the whole step, of all ranks
    target_tokens: int  # the real labels of the whole step, EOS included
    micro_batch_tokens: int | None  # the limit that the step was cut by
    micro_batches: list[Batch]  # the micro-batches of this rank


class StepStream:
    """The endless training order of a split, which can start at any step without collating the earlier ones."""

    def __init__(
        self,
        pairs: PreparedPairs,
        tokens_per_step: int,
        seed: int,
        *,
        weights: Mapping[str, float] | None = None,
        regularization: SubwordRegularization | None = None,
        corruption: Corruption | None = None,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        """Stream the steps of `pairs`; of each step, the share of `rank` among `ranks` is collated.

        `weights` are the times that an epoch sees each pair of a corpus, by default 1; with `regularization` the text
        is segmented anew each time, and a `corruption` makes of it what is learned.
        """
        self.pairs, self.tokens_per_step, self.seed = pairs, tokens_per_step, seed
        self.weights, self.regularization, self.corruption = weights or {}, regularization, corruption
        self.rank, self.ranks = rank, ranks
        self.micro_batch_tokens: int | None = None
        """The limit of the micro-batches of steps yet to be collated; earlier ones can be cut again by `collate`."""

    def plan(self, epoch: int) -> list[Ints]:
        """Return the sentences of each step of `epoch`."""
        src_lengths, tgt_lengths = self.pairs.src_lengths, self.pairs.tgt_lengths
        rows = rows_of_epoch(self.pairs.corpora, self.weights, self.seed, epoch)
        if rows is not None:
            src_lengths, tgt_lengths = src_lengths[rows], tgt_lengths[rows]
        steps = steps_of_epoch(src_lengths, tgt_lengths, self.tokens_per_step, seed=self.seed, epoch=epoch)
        return steps if rows is None else [rows[step] for step in steps]

    def drawn(self, indices: Ints, epoch: int) -> tuple[Pairs, Ints]:
        """Return pairs that hold `indices` as `epoch` sees them, drawn anew if they are to be, and their numbers."""
        pairs: Pairs = self.pairs
        rows = indices
        if self.regularization is not None:
            pairs, rows = ResampledPairs(self.pairs, indices, self.regularization, epoch), np.arange(len(indices))
        if self.corruption is not None:
            pairs, rows = self.corruption.apply(pairs.sides(rows), indices, epoch), np.arange(len(indices))
        return pairs, rows

    def whole_batch(self, indices: Ints) -> Batch:
        """Collate pairs, as the first epoch sees them, into one batch, whatever the rank."""
        pairs, rows = self.drawn(indices, 0)
        return pairs.collate(rows)

    def collate(self, indices: Ints, micro_batch_tokens: int | None, epoch: int) -> list[Batch]:
        """Collate this rank's share of a step, which may be empty, into micro-batches."""
        return self._cut(*self.drawn(indices, epoch), micro_batch_tokens)

    def _cut(self, pairs: Pairs, indices: Ints, micro_batch_tokens: int | None) -> list[Batch]:
        share = np.array_split(indices, self.ranks)[self.rank]
        cut = micro_batches(share, pairs.src_lengths, pairs.tgt_lengths, micro_batch_tokens)
        return [pairs.collate(indices) for indices in cut]

    def from_position(self, epoch: int, offset: int) -> Generator[Step, None, None]:
        """Yield the steps from `offset` of `epoch` on, collated in a thread; another plans the next epoch meanwhile.

        Closing the iterator ends the threads; their errors are raised here.
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
                with ThreadPoolExecutor(1, "plan") as planner:
                    for step in self.steps(epoch, offset, planner):
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

    def steps(self, epoch: int, offset: int, planner: Executor | None = None) -> Iterator[Step]:
        """Yield the same steps without a thread; `planner` plans the next epoch during each."""
        plan = self.plan(epoch)
        while True:
            following = planner and planner.submit(self.plan, epoch + 1)
            for number in range(offset, len(plan)):
                is_last = number + 1 == len(plan)
                indices, size = plan[number], self.micro_batch_tokens
                # Every rank counts the labels of the whole step, so it draws all of its pairs.
                pairs, rows = self.drawn(indices, epoch)
                yield Step(
                    epoch=epoch,
                    offset=number,
                    next_epoch=epoch + is_last,
                    next_offset=0 if is_last else number + 1,
                    indices=indices,
                    target_tokens=pairs.labels(rows),
                    micro_batch_tokens=size,
                    micro_batches=self._cut(pairs, rows, size),
                )
            epoch, offset = epoch + 1, 0
            plan = following.result() if following else self.plan(epoch)

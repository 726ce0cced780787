"""Batches across requests: rows of calls from several threads are searched together, and none waits for long.

The translator of a request calls a `SharedEngine` like any other engine: the path from text to text is the one of the
command line.
"""

import threading
import time
from bisect import insort
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar, cast

from nmt.errors import DataError
from nmt.inference.protocol import Engine, Hypothesis, Matrix, Pair, Request, Row

T = TypeVar("T")
R = TypeVar("R")
ALIKE = 8  # pieces by which lengths in a batch may differ; besides, the longest may be twice the first
AHEAD = 4  # tasks of each worker that a request has waiting, so that a long one does not fill the queue
LONGEST = 60.0  # seconds that a batch may take that nobody waits for any more
NEVER = float("inf")
Work = Callable[[list[T]], list[R]]


class GoneError(Exception):
    """A request whose client has gone, or whose time is over."""


class Ticket:
    """A request: when its time is over, by time.monotonic(), and whether its client is still there."""

    def __init__(self, deadline: float = NEVER, chars: float = NEVER) -> None:
        self.deadline, self.is_cancelled = deadline, False
        self.chars = chars  # characters that it may still translate
        self.calls: list[Call] = []  # in progress
        self.waiting = 0  # items that wait for their turns

    def cancel(self) -> None:
        """End the request: its work that has not begun is not done, and who waits for it gets a GoneError."""
        self.is_cancelled = True
        for call in self.calls:
            call.is_done.set()

    def spend(self, chars: int) -> None:
        """Count characters to translate. Raises DataError beyond the most: a packed file may unpack to any number."""
        self.chars -= chars
        if self.chars < 0:
            raise DataError("the file unpacks to more text than one request may have")

    def add(self, call: "Call") -> None:
        """Add a call in progress."""
        self.calls = [one for one in self.calls if not one.is_done.is_set()] + [call]
        if self.is_cancelled:  # which `cancel` may have done before it could see the call
            call.is_done.set()

    @property
    def is_over(self) -> bool:
        return self.is_cancelled or time.monotonic() > self.deadline


@dataclass(eq=False)
class Call:
    """One call of the engine for one request: items with which the same is to be done."""

    ticket: Ticket
    key: object  # calls of equal keys do the same, and may share a batch
    work: Work[object, object]
    items: list[object]
    sizes: list[int]  # pieces of each item
    results: dict[int, object] = field(default_factory=dict)
    error: Exception | None = None
    is_done: threading.Event = field(default_factory=threading.Event)

    def take(self, index: int, result: object) -> None:
        self.results[index] = result
        if len(self.results) == len(self.items):
            self.is_done.set()

    def fail(self, error: Exception) -> None:
        self.error = error
        self.is_done.set()

    def wait(self) -> list[object]:
        """Wait for the results, in the order of the items. Raises what the engine raises, and GoneError."""
        left = self.ticket.deadline - time.monotonic()
        if self.items and not self.is_done.wait(None if left == NEVER else max(left, 0)):
            self.ticket.cancel()
        if self.error is not None:
            raise self.error
        if len(self.results) < len(self.items):
            raise GoneError
        return [self.results[index] for index in range(len(self.items))]


@dataclass(order=True, slots=True)
class Waiting:
    """An item that waits. The first items of a new request come before the later ones of a long request."""

    turn: int
    number: int
    index: int
    since: float = field(compare=False)
    call: Call = field(compare=False)

    @property
    def size(self) -> int:
        return self.call.sizes[self.index]


class Batcher:
    """Threads that take waiting items in turns of the requests, and do those of similar length together."""

    def __init__(self, engine: Engine, wait: float) -> None:
        """Start a thread for each worker of `engine`; a fresh item waits `wait` seconds for others to join it."""
        self.engine, self.wait = engine, wait
        self.batches = self.rows = 0  # done so far
        self._changed = threading.Condition()
        self._waiting: list[Waiting] = []  # in order
        self._turn = self._number = self._idle = 0
        self._is_closed = False
        self.threads: set[threading.Thread] = set()
        self._start()

    @property
    def waiting(self) -> int:
        """Number of items that wait."""
        return len(self._waiting)

    def close(self) -> None:
        """Let the threads end whenever nothing waits; a request in progress that adds a call starts them again."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def join(self) -> None:
        """Wait until the threads of a closed batcher have ended: one within an engine would abort the process."""
        for thread in list(self.threads):
            thread.join(LONGEST)

    def add(self, call: Call) -> None:
        """Let the items of `call` wait for their turns."""
        call.ticket.add(call)
        now, rows = time.monotonic(), self.engine.task_rows
        with self._changed:
            for index in range(len(call.items)):
                self._number += 1
                insort(self._waiting, Waiting(self._turn + call.ticket.waiting // rows, self._number, index, now, call))
                call.ticket.waiting += 1
            self._start()
            self._changed.notify_all()

    def _start(self) -> None:
        """Start the threads that do not run."""
        while len(self.threads) < self.engine.workers:
            thread = threading.Thread(target=self._work, daemon=True)
            self.threads.add(thread)
            thread.start()

    def _work(self) -> None:
        while batch := self._next():
            done = compute(batch)
            if done is None:  # one of several requests may be at fault: the others must not suffer
                for call in dict.fromkeys(one.call for one in batch):
                    compute([one for one in batch if one.call is call], alone=True)
            self.batches += 1
            self.rows += len(batch)

    def _next(self) -> list[Waiting]:
        """Wait for a batch; none where the batcher is closed and nothing waits."""
        with self._changed:
            self._idle += 1
            while (pause := self._pause()) is not None:
                if self._is_closed and not self._waiting:
                    self.threads.discard(threading.current_thread())
                    break
                self._changed.wait(pause if pause < NEVER else None)
            self._idle -= 1
            return self._choose() if self._waiting else []

    def _pause(self) -> float | None:
        """Return for how long to wait before the next batch; None to begin it."""
        self._waiting = [one for one in self._waiting if not one.call.is_done.is_set() and not one.call.ticket.is_over]
        if not self._waiting:
            return NEVER
        left = min(one.since for one in self._waiting) + self.wait - time.monotonic()
        is_full = len(self._waiting) >= self.engine.task_rows * self._idle
        return None if is_full or left <= 0 or self._is_closed else left

    def _choose(self) -> list[Waiting]:
        """Take the first item that waits, and those of its turn that are alike, a share of all."""
        first = self._waiting[0]
        self._turn = max(self._turn, first.turn)
        most = min(self.engine.task_rows, -(-len(self._waiting) // (self._idle + 1)))
        batch: list[Waiting] = []
        longest = 0
        for one in self._waiting:
            if one.turn > first.turn:  # the later rows of a long request would hold up those of a new one
                break
            size = max(longest, one.size)
            is_alike = first.size - ALIKE <= 2 * one.size and one.size <= 2 * first.size + ALIKE
            fits = not batch or size * (len(batch) + 1) <= self.engine.batch_tokens
            if one.call.key == first.call.key and is_alike and fits and len(batch) < most:
                batch.append(one)
                longest = size
        taken = {one.number for one in batch}
        for one in batch:
            one.call.ticket.waiting -= 1
        self._waiting = [one for one in self._waiting if one.number not in taken]
        return batch


def compute(batch: Sequence[Waiting], *, alone: bool = False) -> bool | None:
    """Do a batch. Where it fails, fail its calls if it is `alone` or of one call; otherwise return None."""
    try:
        results = batch[0].call.work([one.call.items[one.index] for one in batch])
        for one, result in zip(batch, results, strict=True):
            one.call.take(one.index, result)
    except Exception as error:  # any: whoever waits for it must hear of it
        if not alone and any(one.call is not batch[0].call for one in batch):
            return None
        batch[0].call.fail(error)
        return False
    return True


class SharedEngine:
    """The engine of a request: a share of the one behind `batcher`."""

    def __init__(self, batcher: Batcher, ticket: Ticket) -> None:
        self.batcher, self.ticket, self.engine = batcher, ticket, batcher.engine
        self.target_limit, self.batch_tokens = self.engine.target_limit, self.engine.batch_tokens
        self.task_rows, self.workers = self.engine.task_rows, self.engine.workers

    def search(self, batches: Iterable[list[Row]], request: Request) -> Iterator[list[list[Hypothesis]]]:
        return self._share(
            batches, request, lambda rows: next(iter(self.engine.search([rows], request))), lambda row: len(row.ids) + 1
        )

    def score(self, batches: Iterable[list[Pair]]) -> Iterator[list[list[float]]]:
        return self._share(batches, "score", lambda pairs: next(iter(self.engine.score([pairs]))), longer)

    def attention(self, batches: Iterable[list[Pair]], layer: int | None) -> Iterator[list[Matrix]]:
        return self._share(
            batches, ("attention", layer), lambda pairs: next(iter(self.engine.attention([pairs], layer))), longer
        )

    def _share(
        self, batches: Iterable[list[T]], key: object, work: Work[T, R], size: Callable[[T], int]
    ) -> Iterator[list[R]]:
        calls: deque[Call] = deque()
        most = AHEAD * self.task_rows * self.workers
        for items in batches:
            while calls and sum(len(call.items) for call in calls) + len(items) > most:
                yield cast("list[R]", calls.popleft().wait())
            call = Call(self.ticket, key, cast("Work[object, object]", work), [*items], [*map(size, items)])
            self.batcher.add(call)
            calls.append(call)
        while calls:
            yield cast("list[R]", calls.popleft().wait())


def longer(pair: Pair) -> int:
    """Return the length of the longer side, EOS included."""
    return 1 + max(map(len, pair))

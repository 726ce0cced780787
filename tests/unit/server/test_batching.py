"""Batches across requests: shared, fair, and free of those who have gone."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from nmt.config.decoding import DecodingConfig
from nmt.errors import DataError
from nmt.inference.protocol import Hypothesis, Matrix, Pair, Request, Row
from nmt.server.batching import Batcher, GoneError, SharedEngine, Ticket

REQUEST = Request(DecodingConfig())
BAD = 900  # the piece by which a row makes its batch fail


class Echo:
    """An engine that answers rows by their own ids, once `may_go` is set."""

    target_limit, batch_tokens, workers, task_rows = 64, 512, 1, 4

    def __init__(self) -> None:
        self.batches: list[list[list[int]]] = []
        self.may_go, self.is_busy = threading.Event(), threading.Event()
        self.may_go.set()

    def search(self, batches: Iterable[list[Row]], request: Request) -> Iterator[list[list[Hypothesis]]]:
        for batch in batches:
            self.batches.append([row.ids for row in batch])
            self.is_busy.set()
            self.may_go.wait(10)
            if any(BAD in row.ids for row in batch):
                raise ValueError("bad")
            yield [[Hypothesis(row.ids, 0.0)] * request.n_best for row in batch]

    def score(self, batches: Iterable[list[Pair]]) -> Iterator[list[list[float]]]:
        for batch in batches:
            yield [[float(sum(tgt))] for _, tgt in batch]

    def attention(self, batches: Iterable[list[Pair]], layer: int | None) -> Iterator[list[Matrix]]:
        for batch in batches:
            yield [[[float(layer or 0)]] for _ in batch]


def search(engine: SharedEngine, *rows: list[int], request: Request = REQUEST) -> list[list[int]]:
    (found,) = engine.search([[Row(ids) for ids in rows]], request)
    return [hypotheses[0].ids for hypotheses in found]


def occupied(engine: Echo, batcher: Batcher, pool: ThreadPoolExecutor) -> None:
    """Let the engine begin a batch that it does not end before `may_go`."""
    engine.may_go.clear()
    pool.submit(search, SharedEngine(batcher, Ticket()), [1])
    assert engine.is_busy.wait(10)


def begin(pool: ThreadPoolExecutor, batcher: Batcher, *calls: Callable[[], object]) -> None:
    """Begin `calls` in order, each of one row or more."""
    for call in calls:
        before = batcher.waiting
        pool.submit(call)
        end = time.monotonic() + 10
        while batcher.waiting == before:
            assert time.monotonic() < end
            time.sleep(0.001)


@pytest.fixture
def engine() -> Echo:
    return Echo()


@pytest.fixture
def batcher(engine: Echo) -> Iterator[Batcher]:
    batcher = Batcher(engine, 0.0)
    yield batcher
    engine.may_go.set()
    batcher.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def test_results_come_in_the_order_of_the_rows(batcher: Batcher) -> None:
    rows = [[5] * length for length in (3, 1, 40, 2, 7, 30, 1, 9)]
    assert search(SharedEngine(batcher, Ticket()), *rows) == rows


def test_several_batches_of_a_call_are_answered_in_order(batcher: Batcher) -> None:
    engine = SharedEngine(batcher, Ticket())
    found = engine.search([[Row([1])], [], [Row([2]), Row([3])]], REQUEST)
    assert [[one[0].ids for one in batch] for batch in found] == [[[1]], [], [[2], [3]]]
    assert list(engine.score([[([1], [2, 3])]])) == [[[5.0]]]
    assert list(engine.attention([[([1], [2])]], 3)) == [[[[3.0]]]]


def test_rows_of_requests_that_wait_share_a_batch(engine: Echo, batcher: Batcher, pool: ThreadPoolExecutor) -> None:
    occupied(engine, batcher, pool)
    calls = [lambda ids=ids: search(SharedEngine(batcher, Ticket()), ids) for ids in ([2], [3, 3], [4])]
    begin(pool, batcher, *calls)
    engine.may_go.set()
    pool.shutdown()
    assert engine.batches == [[[1]], [[2], [3, 3], [4]]]


def test_other_settings_and_other_lengths_do_not_share(
    engine: Echo, batcher: Batcher, pool: ThreadPoolExecutor
) -> None:
    occupied(engine, batcher, pool)
    other = Request(DecodingConfig(beam_size=2))
    begin(
        pool,
        batcher,
        lambda: search(SharedEngine(batcher, Ticket()), [2]),
        lambda: search(SharedEngine(batcher, Ticket()), [3], request=other),
        lambda: search(SharedEngine(batcher, Ticket()), [4] * 60),
        lambda: search(SharedEngine(batcher, Ticket()), [5]),
    )
    engine.may_go.set()
    pool.shutdown()
    assert engine.batches == [[[1]], [[2], [5]], [[3]], [[4] * 60]]


def test_a_batch_has_at_most_the_rows_of_a_task(engine: Echo, batcher: Batcher) -> None:
    search(SharedEngine(batcher, Ticket()), *[[2]] * 10)
    assert [len(batch) for batch in engine.batches] == [4, 4, 2]


def test_a_long_request_does_not_hold_up_a_short_one(engine: Echo, batcher: Batcher, pool: ThreadPoolExecutor) -> None:
    occupied(engine, batcher, pool)
    begin(
        pool,
        batcher,
        lambda: search(SharedEngine(batcher, Ticket()), *[[2]] * 40),
        lambda: search(SharedEngine(batcher, Ticket()), [3]),
    )
    engine.may_go.set()
    pool.shutdown()
    assert engine.batches[1:3] == [[[2]] * 4, [[3]]], "after the first rows of the long one, and alone"
    assert [len(batch) for batch in engine.batches[3:]] == [4] * 9


def test_a_request_of_many_batches_is_a_long_one_too(engine: Echo, batcher: Batcher, pool: ThreadPoolExecutor) -> None:
    occupied(engine, batcher, pool)
    shared = SharedEngine(batcher, Ticket())
    begin(
        pool,
        batcher,
        lambda: list(shared.search([[Row([2])] * 4] * 10, REQUEST)),
        lambda: search(SharedEngine(batcher, Ticket()), [3]),
    )
    engine.may_go.set()
    pool.shutdown()
    assert engine.batches[1:3] == [[[2]] * 4, [[3]]]


def test_the_work_of_a_client_who_has_gone_is_not_done(
    engine: Echo, batcher: Batcher, pool: ThreadPoolExecutor
) -> None:
    occupied(engine, batcher, pool)
    gone = Ticket()
    begin(
        pool,
        batcher,
        lambda: search(SharedEngine(batcher, gone), *[[2]] * 4),
        lambda: search(SharedEngine(batcher, Ticket()), [3]),
    )
    gone.cancel()
    engine.may_go.set()
    pool.shutdown()
    assert engine.batches == [[[1]], [[3]]]


def test_whoever_is_cancelled_or_late_is_told_at_once(engine: Echo, batcher: Batcher, pool: ThreadPoolExecutor) -> None:
    occupied(engine, batcher, pool)
    with pytest.raises(GoneError):
        search(SharedEngine(batcher, Ticket(time.monotonic() + 0.01)), [2])
    gone = Ticket()
    waiting = pool.submit(search, SharedEngine(batcher, gone), [2])
    gone.cancel()
    with pytest.raises(GoneError):
        waiting.result(10)
    engine.may_go.set()


def test_a_row_that_fails_fails_its_own_request_alone(engine: Echo, batcher: Batcher, pool: ThreadPoolExecutor) -> None:
    occupied(engine, batcher, pool)
    good = [pool.submit(search, SharedEngine(batcher, Ticket()), [number]) for number in (2, 3)]
    bad = pool.submit(search, SharedEngine(batcher, Ticket()), [BAD])
    while batcher.waiting < 3:
        time.sleep(0.001)
    engine.may_go.set()
    assert [one.result(10) for one in good] == [[[2]], [[3]]]
    with pytest.raises(ValueError, match="bad"):
        bad.result(10)


def test_a_fresh_row_waits_for_others(engine: Echo, pool: ThreadPoolExecutor) -> None:
    batcher = Batcher(engine, 5.0)
    calls = [lambda: search(SharedEngine(batcher, Ticket()), [2])] * 4
    began = time.monotonic()
    begin(pool, batcher, *calls[:3])
    pool.submit(calls[3])
    pool.shutdown()
    assert (engine.batches, time.monotonic() - began < 5) == ([[[2]] * 4], True)
    batcher.close()


def test_a_closed_batcher_ends_its_threads_once_nothing_waits(engine: Echo) -> None:
    batcher = Batcher(engine, 0.0)
    assert search(SharedEngine(batcher, Ticket()), [2]) == [[2]]
    assert all(thread.is_alive() for thread in batcher.threads)
    threads = list(batcher.threads)
    batcher.close()
    batcher.join()
    assert not any(thread.is_alive() for thread in threads)
    assert search(SharedEngine(batcher, Ticket()), [3], [4]) == [[3], [4]], "a request that has begun before goes on"


def test_who_joins_waits_for_the_batch_that_is_computed(
    engine: Echo, batcher: Batcher, pool: ThreadPoolExecutor
) -> None:
    occupied(engine, batcher, pool)
    batcher.close()
    joined = pool.submit(batcher.join)
    time.sleep(0.02)
    assert not joined.done()
    engine.may_go.set()
    joined.result(10)
    assert not batcher.threads


def test_a_ticket_has_so_many_characters() -> None:
    ticket = Ticket(chars=10)
    ticket.spend(4)
    ticket.spend(6)
    with pytest.raises(DataError, match=r"^the file unpacks to more text than one request may have$"):
        ticket.spend(1)
    Ticket().spend(10**12)


def test_a_call_of_a_ticket_that_is_over_ends_at_once(engine: Echo, batcher: Batcher, pool: ThreadPoolExecutor) -> None:
    occupied(engine, batcher, pool)
    gone = Ticket()
    gone.cancel()
    late = pool.submit(search, SharedEngine(batcher, gone), [2])
    with pytest.raises(GoneError):
        late.result(10)
    engine.may_go.set()


def test_a_long_request_has_few_rows_waiting_and_its_ticket_forgets_what_is_done(
    engine: Echo, batcher: Batcher, pool: ThreadPoolExecutor
) -> None:
    occupied(engine, batcher, pool)
    ticket = Ticket()
    rows = [[number] for number in range(2, 102)]
    found = pool.submit(
        lambda: [
            one[0].ids
            for batch in SharedEngine(batcher, ticket).search([[Row(ids)] for ids in rows], REQUEST)
            for one in batch
        ]
    )
    end = time.monotonic() + 10
    while batcher.waiting < 16:  # AHEAD tasks of 4 rows
        assert time.monotonic() < end
        time.sleep(0.001)
    time.sleep(0.01)
    assert batcher.waiting == 16
    engine.may_go.set()
    assert found.result(10) == rows
    assert len(ticket.calls) <= 17


def test_an_engine_that_answers_too_few_rows_fails_the_request_alone(engine: Echo, batcher: Batcher) -> None:
    engine.score = lambda batches: ([] for _ in batches)  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="zip"):
        list(SharedEngine(batcher, Ticket()).score([[([1], [2])]]))
    assert search(SharedEngine(batcher, Ticket()), [2]) == [[2]]


def test_many_threads_get_their_own_results(batcher: Batcher, pool: ThreadPoolExecutor) -> None:
    rows = [[[number] * (1 + number % 7)] * (1 + number % 5) for number in range(200)]
    found = pool.map(lambda each: search(SharedEngine(batcher, Ticket()), *each), rows)
    assert list(found) == rows
    assert batcher.rows == sum(map(len, rows))
    assert batcher.batches < batcher.rows

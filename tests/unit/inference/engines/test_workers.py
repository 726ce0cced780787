"""Processes that share the batches: order kept, the dead replaced, nobody left behind."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

import pytest
from processes import alive, wait_until

from nmt import console
from nmt.config.decoding import DecodingConfig
from nmt.config.inference import InferenceConfig
from nmt.errors import ArtifactError, NmtError, UsageError, WorkersError
from nmt.inference.engines.loading import EnginePlan
from nmt.inference.engines.workers import AHEAD, Host, Job, Workers
from nmt.inference.protocol import Engine, Hypothesis, Matrix, Request, Row

REQUEST = Request(DecodingConfig())
SLOW, KILL, LEAVE, BUG, STOP_ONCE = 901, 902, 903, 904, 905
"""What the engine of these tests does for a batch whose first row begins so; others it answers with their ids."""
PATIENCE = 30.0


class FakeEngine:
    """Echoes rows; the score of a hypothesis is the worker's process id."""

    target_limit, batch_tokens, workers, task_rows = 64, 512, 1, 32

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def search(self, batches: Iterable[list[Row]], request: Request) -> Iterator[list[list[Hypothesis]]]:
        for batch in batches:
            self.obey(batch[0].ids[0])
            yield [[Hypothesis(row.ids, os.getpid())] * request.n_best for row in batch]

    def score(self, batches: Iterable[list[tuple[list[int], list[int]]]]) -> Iterator[list[list[float]]]:
        for batch in batches:
            yield [[float(i) for i in tgt] for _, tgt in batch]

    def attention(
        self, batches: Iterable[list[tuple[list[int], list[int]]]], layer: int | None
    ) -> Iterator[list[Matrix]]:
        for _ in batches:
            raise UsageError(f"there is no decoder layer {layer}", hint="take 1")
            yield []

    def obey(self, order: int) -> None:
        if order == SLOW:
            time.sleep(0.2)
        elif order == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        elif order == LEAVE:
            os._exit(3)
        elif order == BUG:
            raise ZeroDivisionError("a bug of the engine")
        elif order == STOP_ONCE and not (self.folder / "stopped").exists():
            (self.folder / "new").write_text(str(os.getpid()))
            (self.folder / "new").rename(self.folder / "stopped")
            signal.pause()


@dataclass(frozen=True)
class FakePlan(EnginePlan):
    """Loads in no time, and writes down in what surroundings."""

    error: NmtError | None = None
    deadly: int | None = None
    """The worker that ends while it loads, from 0."""

    def load(self) -> Engine:
        print("a library that talks")
        print("a library that warns", file=sys.stderr)
        if self.error:
            raise self.error
        rank = os.environ["LOCAL_RANK"]
        if rank == str(self.deadly):
            os._exit(1)
        found = f"{self.inference.threads} {os.environ['OMP_NUM_THREADS']} {os.environ['LOCAL_WORLD_SIZE']}"
        (self.paths[0] / f"rank-{rank}").write_text(found)
        return FakeEngine(self.paths[0])


Start = Callable[..., Workers]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Return what starts workers with the engine of these tests, on a machine of four cores."""
    for module in ("loading", "workers"):
        monkeypatch.setattr(f"nmt.inference.engines.{module}.cores", lambda: 4)
    started = []

    def start(devices: int = 2, **settings: object) -> Workers:
        own = {name: settings.pop(name) for name in ("error", "deadly") if name in settings}
        inference = InferenceConfig.model_validate({"devices": devices, **settings})
        started.append(Workers(FakePlan([tmp_path], inference, **own)))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for workers in started:
        workers.close()


def rows(*ids: int) -> list[list[Row]]:
    """Return a batch of two rows for each of `ids`."""
    return [[Row([i]), Row([i, i])] for i in ids]


def ids(found: Iterable[list[list[Hypothesis]]]) -> list[int]:
    """Return the batches that were answered, as `rows` was told them."""
    batches = list(found)
    assert all([row[0].ids for row in batch] == [[batch[0][0].ids[0]], [batch[0][0].ids[0]] * 2] for batch in batches)
    return [batch[0][0].ids[0] for batch in batches]


def pids(workers: Workers) -> list[int]:
    return [worker.child.process.pid for worker in workers.living]


def test_results_come_in_the_order_of_the_batches_whoever_is_faster(start: Start) -> None:
    wanted = [SLOW, *range(10), SLOW, *range(10, 20)]
    found = list(start(3).search(rows(*wanted), REQUEST))
    assert ids(found) == wanted
    assert len({batch[0][0].score for batch in found}) == 3


def test_all_methods_of_an_engine_pass_through_with_their_arguments(start: Start) -> None:
    workers = start()
    assert (workers.target_limit, workers.batch_tokens) == (64, 512)
    ((row, _),) = workers.search(rows(7), Request(DecodingConfig(), n_best=3))
    assert len(row) == 3
    pairs = [([1], [number, number]) for number in range(9)]
    assert list(workers.score([[pair] for pair in pairs])) == [[[number, number]] for number in range(9)]
    with pytest.raises(UsageError, match=r"^there is no decoder layer 4 \(take 1\)$"):
        list(workers.attention([pairs], 4))


def test_batches_are_drawn_only_as_workers_become_free(start: Start) -> None:
    drawn = []

    def endless() -> Iterator[list[Row]]:
        for number in count():
            drawn.append(number)
            yield from rows(SLOW)

    found = start().search(endless(), REQUEST)
    assert drawn == []
    assert ids(islice(found, 3)) == [SLOW] * 3
    assert len(drawn) <= 3 + 2 * AHEAD + 2  # of those after the third, some may be done


def test_no_batches_no_results(start: Start) -> None:
    assert list(start().search([], REQUEST)) == []


def test_an_error_of_whoever_makes_the_batches_is_passed_on(start: Start) -> None:
    def broken() -> Iterator[list[Row]]:
        yield from rows(1, 2, 3)
        raise OSError("the disk")

    workers = start()
    with pytest.raises(OSError, match="the disk"):
        list(workers.search(broken(), REQUEST))
    assert ids(workers.search(rows(4, 5), REQUEST)) == [4, 5]


def test_what_is_left_half_read_does_not_disturb_what_comes_next(start: Start) -> None:
    workers = start()
    for order in (0, BUG):
        half = workers.search(rows(order, 1, SLOW, BUG, 2), REQUEST)
        if order == 0:
            assert next(half)[0][0].ids == [0]
        half.close()  # type: ignore[attr-defined]
        assert ids(workers.search(rows(*range(9)), REQUEST)) == list(range(9))


def test_a_batch_that_nobody_wants_any_more_is_not_begun_anew(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    workers = start(3)
    half = workers.search(rows(0, SLOW, SLOW, KILL), REQUEST)
    assert next(half)[0][0].ids == [0]
    half.close()  # type: ignore[attr-defined]
    assert ids(workers.search(rows(*range(9)), REQUEST)) == list(range(9))
    assert len(workers.living) == 2
    assert capsys.readouterr().err.count("has ended (killed by SIGKILL)") == 1


def test_two_calls_may_be_read_by_turns(start: Start) -> None:
    workers = start()
    pairs = [[([1], [number])] for number in range(9)]
    both = list(zip(workers.search(rows(*range(9)), REQUEST), workers.score(pairs), strict=True))
    assert ids(found for found, _ in both) == list(range(9))
    assert [scores for _, scores in both] == [[[number]] for number in range(9)]


def test_what_a_killed_worker_had_is_done_by_the_others(
    start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workers = start(3)
    wanted = [1, 2, STOP_ONCE, *range(10, 40)]

    def killing() -> Iterator[list[Row]]:
        for number, batch in enumerate(rows(*wanted)):
            if number == 6:
                wait_until((tmp_path / "stopped").exists)
                os.kill(int((tmp_path / "stopped").read_text()), signal.SIGKILL)
            yield batch

    assert ids(workers.search(killing(), REQUEST)) == wanted
    victim = int((tmp_path / "stopped").read_text())
    assert victim not in pids(workers)
    said = capsys.readouterr().err
    number = said[len("nmt: warning: worker ")]
    lines = 4 if " 4 lines" in said else 2  # the one it had begun; the next too, where it had one
    beginning = f"nmt: warning: worker {number} of 3 has ended (killed by SIGKILL): "
    assert said == f"{beginning}{lines} lines are done again by the others\n"


@pytest.mark.parametrize(("order", "how"), [(KILL, "killed by SIGKILL"), (LEAVE, "exit code 3")])
def test_a_batch_that_ends_two_workers_ends_the_translation(
    start: Start, capsys: pytest.CaptureFixture[str], order: int, how: str
) -> None:
    workers = start(3)
    with pytest.raises(WorkersError) as error:
        list(workers.search(rows(1, 2, 3, 4, order, 5, 6, 7, 8), REQUEST))
    assert str(error.value) == (
        f"the same batch of 2 lines has ended 2 workers, the last: {how} (if memory ran out, lower --batch-tokens)"
    )
    assert error.value.exit_code == 1
    assert capsys.readouterr().err.count(f" of 3 has ended ({how}): ") == 1
    assert ids(workers.search(rows(1, 2), REQUEST)) == [1, 2]


def test_the_death_of_the_last_worker_ends_the_translation(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    workers = start(1)
    with pytest.raises(WorkersError) as error:
        list(workers.search(rows(1, KILL, 2), REQUEST))
    assert str(error.value) == (
        "none of 1 workers is left, the last has ended: killed by SIGKILL "
        "(if memory ran out, lower --devices or --batch-tokens)"
    )
    assert capsys.readouterr().err == ""
    with pytest.raises(WorkersError, match=r"^no worker is left \(load the model again\)$"):
        list(workers.search(rows(1), REQUEST))


def test_workers_that_die_between_two_calls_are_missed_in_the_next_and_no_batch_is_blamed(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    workers = start(3)
    for worker in workers.living[:2]:
        os.kill(worker.child.process.pid, signal.SIGKILL)
    wait_until(lambda: not any(map(alive, pids(workers)[:2])))
    assert ids(workers.search(rows(*range(9)), REQUEST)) == list(range(9))
    assert capsys.readouterr().err.splitlines() == [
        f"nmt: warning: worker {number} of 3 has ended (killed by SIGKILL): the others go on" for number in (1, 2)
    ]


def test_a_batch_for_a_worker_that_has_just_died_is_done_by_another(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    workers = start()
    dead = workers.living[1]
    os.kill(dead.child.process.pid, signal.SIGKILL)
    wait_until(lambda: not alive(dead.child.process.pid))
    before = signal.getsignal(signal.SIGPIPE)
    try:
        console.end_with_pipe()  # as `nmt translate` does: then writing to nobody would end this process
        job = Job(lambda child: child.call(Host.search, rows(8)[0], REQUEST), lines=2)
        dead.give(job)
    finally:
        signal.signal(signal.SIGPIPE, before)
    assert ids(workers.search(rows(*range(9)), REQUEST)) == list(range(9))
    assert job.answer
    assert ids([job.answer.result()]) == [8]  # type: ignore[list-item]
    said = "nmt: warning: worker 2 of 2 has ended (killed by SIGKILL): 2 lines are done again by the others\n"
    assert capsys.readouterr().err.replace("4 lines", "2 lines") == said


def test_a_worker_that_dies_while_it_loads_is_done_without(start: Start, capsys: pytest.CaptureFixture[str]) -> None:
    workers = start(3, deadly=1)
    assert capsys.readouterr().err == "nmt: warning: worker 2 of 3 has ended (exit code 1): the others go on\n"
    assert ids(workers.search(rows(*range(9)), REQUEST)) == list(range(9))


def test_an_expected_failure_of_loading_is_raised_as_it_is(start: Start) -> None:
    with pytest.raises(ArtifactError) as error:
        start(error=ArtifactError("model: damaged", hint="copy it anew"))
    assert (str(error.value), error.value.exit_code) == ("model: damaged (copy it anew)", 4)


def test_a_bug_in_a_worker_is_raised_with_its_traceback(start: Start) -> None:
    workers = start()
    with pytest.raises(ZeroDivisionError, match=r"^a bug of the engine") as error:
        list(workers.search(rows(1, 2, BUG, 3), REQUEST))
    assert re.match(r"(?s)in a child process:\nTraceback.*in obey.*ZeroDivisionError", error.value.__notes__[0])
    assert ids(workers.search(rows(1, 2), REQUEST)) == [1, 2]


def test_an_engine_that_has_threads_of_its_own_gets_no_workers(start: Start) -> None:
    wanted = r"^the engine ctranslate2 translates in one process \(give it more --threads instead\)$"
    with pytest.raises(UsageError, match=wanted):
        start(engine="ctranslate2")


def test_workers_say_nothing(start: Start, capfd: pytest.CaptureFixture[str]) -> None:
    assert ids(start().search(rows(1, 2), REQUEST)) == [1, 2]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("given", "each"), [(None, 3), (5, 5)])
def test_workers_share_the_cores_unless_told_otherwise(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: int | None, each: int
) -> None:
    monkeypatch.setattr("nmt.inference.engines.workers.threads", lambda: 7)
    start(2, threads=given)
    assert [(tmp_path / f"rank-{rank}").read_text() for rank in range(2)] == [f"{each} {each} 2"] * 2


def test_no_worker_is_started_where_more_are_wanted_than_there_are_cores(start: Start, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        start(5, device="cpu")
    assert str(caught.value) == "5 processes share the cores, and 4 can be used here (lower --devices)"
    assert list(tmp_path.iterdir()) == []


def test_a_worker_has_at_least_one_thread(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nmt.inference.engines.workers.threads", lambda: 1)
    start(2)
    assert (tmp_path / "rank-1").read_text() == "1 1 2"


@pytest.mark.parametrize("how", ["closed", "forgotten"])
def test_workers_end_with_their_object_in_the_middle_of_a_batch(tmp_path: Path, how: str) -> None:
    workers = Workers(FakePlan([tmp_path], InferenceConfig(devices=2)))
    found = workers.search(rows(1, STOP_ONCE), REQUEST)
    next(found)
    wait_until((tmp_path / "stopped").exists)
    children = pids(workers)
    assert all(map(alive, children))
    if how == "closed":
        workers.close()
    else:
        del workers, found
    assert not any(map(alive, children))


def test_a_worker_in_the_middle_of_a_batch_ends_soon_after_the_process_that_started_it(tmp_path: Path) -> None:
    script = (
        "from test_workers import *\n"
        f"workers = Workers(FakePlan([Path({str(tmp_path)!r})], InferenceConfig(devices=2)))\n"
        "print(*pids(workers), flush=True)\n"
        "list(workers.search(rows(1, STOP_ONCE), REQUEST))\n"
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environ) as process:
        assert process.stdout
        children = [int(pid) for pid in process.stdout.readline().split()]
        wait_until((tmp_path / "stopped").exists)
        assert all(map(alive, children))
        process.kill()
        wait_until(lambda: not any(map(alive, children)))

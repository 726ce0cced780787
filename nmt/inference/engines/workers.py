"""Several processes with an engine each, which share the batches. The process that starts them is free of torch."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import traceback
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, Pipe, wait
from typing import TYPE_CHECKING, Any

from nmt import console, runtime
from nmt.errors import NmtError, UsageError, WorkersError
from nmt.inference.protocol import Hypothesis, Matrix, Request, Row

if TYPE_CHECKING:
    from nmt.inference.engines.loading import EnginePlan

AHEAD = 2
"""Batches in the hands of a worker: the one it computes, and the next."""
FATAL = 2
"""Workers that may end with the same batch before it is taken for the cause."""


@dataclass(eq=False)
class Job:
    """What one worker is to do."""

    call: tuple[Any, ...]
    """The method of the engine, the batch and further arguments; or the plan of the engine, to load it."""
    lines: int = 0
    again: bool = True
    """Whether another has to do it where the worker dies."""
    reply: tuple[bool, Any] | None = None
    """Whether it was done, and the result; where it was not, the error, or the traceback of a bug."""
    deaths: int = 0
    """Workers that ended while they did it."""

    def result(self) -> Any:
        """Return what came of it. Raises what the worker raised."""
        assert self.reply
        done, value = self.reply
        if done:
            return value
        if isinstance(value, NmtError):
            raise value
        raise RuntimeError(f"in a worker:\n{value}")


@dataclass(eq=False)
class Worker:
    """A process and the pipe to it."""

    number: int
    """From 1."""
    process: subprocess.Popen[bytes]
    pipe: Connection
    jobs: deque[Job] = field(default_factory=deque)
    """Handed over and not answered yet, in the order of the answers."""

    def give(self, job: Job) -> None:
        """Hand `job` over. To a dead worker as well: whoever reads its answers finds out."""
        self.jobs.append(job)
        with without_sigpipe(), suppress(OSError):
            self.pipe.send(job.call)

    def end(self) -> int:
        """End the process, if it has not ended; return its exit code, less than 0 for a signal."""
        self.pipe.close()
        self.process.kill()
        return self.process.wait()


class Workers:
    """The engine of a plan in `devices` processes, each with its own GPU or its share of the processor's threads.

    They end with this object, or with this process, however it ends.
    """

    def __init__(self, plan: EnginePlan, devices: int) -> None:
        """Start the processes and load the engine into each. Raises what loading raises, UsageError, WorkersError."""
        if devices < 1:
            raise UsageError(f"{devices} devices cannot translate", hint="take 1 or more")
        if plan.engine == "ctranslate2":
            raise UsageError("the engine ctranslate2 translates in one process", hint="give it more --threads instead")
        self.devices = devices
        self.workers: list[Worker] = []
        self.close = weakref.finalize(self, end_all, self.workers)
        self._waiting: deque[Job] = deque()  # of workers that have died
        plan = replace(plan, threads=plan.threads or max(1, runtime.cores() // devices))
        try:
            for number in range(1, devices + 1):
                self.workers.append(start(number, devices, plan))
            loading = [worker.jobs[0] for worker in self.workers]
            while any(worker.jobs for worker in self.workers):
                self._receive()
            self.target_limit: int = min([job.result() for job in loading if job.reply])
        except BaseException:
            self.close()
            raise

    def search(self, batches: Iterable[list[Row]], request: Request) -> Iterator[list[list[Hypothesis]]]:
        """Return for each row of each batch its hypotheses; see `Engine`. Raises WorkersError."""
        return self._spread("search", batches, request)

    def score(self, batches: Iterable[list[tuple[list[int], list[int]]]]) -> Iterator[list[list[float]]]:
        """Return the log-probabilities of the pieces of each pair; see `Engine`. Raises WorkersError."""
        return self._spread("score", batches)

    def attention(
        self, batches: Iterable[list[tuple[list[int], list[int]]]], layer: int | None
    ) -> Iterator[list[Matrix]]:
        """Return what the target pieces of each pair attend to; see `Engine`. Raises UsageError, WorkersError."""
        return self._spread("attention", batches, layer)

    def _spread(self, method: str, batches: Iterable[Sequence[Any]], *arguments: Any) -> Iterator[Any]:
        """Hand `batches` out as workers become free; yield the results in the order of the batches."""
        jobs = (Job((method, batch, *arguments), lines=len(batch)) for batch in batches)
        under_way: deque[Job] = deque()
        more = True
        try:
            while more or under_way:
                free = self._free()
                if free and more:
                    if more := (job := next(jobs, None)) is not None:
                        under_way.append(job)
                        free.give(job)
                elif under_way and under_way[0].reply:
                    yield under_way.popleft().result()
                else:
                    self._receive()
        finally:  # where whoever asked wants no more
            for job in under_way:
                job.again = False

    def _free(self) -> Worker | None:
        """Return a worker that may have another batch, after what the dead have left is handed out."""
        for worker in [worker for worker in self.workers if not worker.jobs and worker.process.poll() is not None]:
            self._bury(worker)  # before it gets a batch that would be blamed
        while self.workers:
            worker = min(self.workers, key=lambda worker: len(worker.jobs))
            if len(worker.jobs) >= AHEAD:
                return None
            if not self._waiting:
                return worker
            if (job := self._waiting.popleft()).again:
                worker.give(job)
        raise WorkersError("no worker is left", hint="load the model again")

    def _receive(self) -> None:
        """Wait until some workers answer, or die."""
        ready = wait([worker.pipe for worker in self.workers])
        for worker in [worker for worker in self.workers if worker.pipe in ready]:
            try:
                reply = worker.pipe.recv()
            except (EOFError, OSError):
                self._bury(worker)
            else:
                worker.jobs.popleft().reply = reply

    def _bury(self, worker: Worker) -> None:
        """Keep the batches of a dead worker for the others. Raises WorkersError where that would not help."""
        self.workers.remove(worker)
        left = [job for job in worker.jobs if job.again]
        self._waiting.extendleft(reversed(left))
        with suppress(subprocess.TimeoutExpired):
            worker.process.wait(1)  # for the exit code of its own
        code = worker.end()
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        if left and left[0] is worker.jobs[0]:  # what it did, for it does one after the other
            left[0].deaths += 1
            if left[0].deaths >= FATAL:
                raise WorkersError(
                    f"the same batch of {left[0].lines:,} lines has ended {FATAL} workers, the last: {how}",
                    hint="does it need more memory than there is? lower --batch-tokens",
                )
        if not self.workers:
            raise WorkersError(
                f"none of {self.devices} workers is left, the last has ended: {how}",
                hint="do they need more memory than there is? lower --devices or --batch-tokens",
            )
        again = f"{sum(job.lines for job in left):,} lines are begun anew by the others" if left else "the others go on"
        console.warn(f"worker {worker.number} of {self.devices} has ended ({how}): {again}")


def start(number: int, devices: int, plan: EnginePlan) -> Worker:
    """Start worker `number` of `devices`, and let it load `plan`.

    It is a new interpreter, not a fork: torch survives no fork. Nor is it one of `multiprocessing`, which would run
    the caller's script anew.
    """
    ours, theirs = Pipe()
    surroundings = {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "OMP_NUM_THREADS": str(plan.threads),
        # As under torchrun: see `devices.pick_device`.
        "LOCAL_RANK": str(number - 1),
        "LOCAL_WORLD_SIZE": str(devices),
    }
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", "from nmt.inference.engines.workers import serve; serve()"],
            stdin=theirs.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **surroundings},
        )
    worker = Worker(number, process, ours)
    worker.give(Job((plan,), again=False))
    return worker


def end_all(workers: list[Worker]) -> None:
    """End all of `workers`."""
    while workers:
        workers.pop().end()


@contextmanager
def without_sigpipe() -> Iterator[None]:
    """Let no write in the block end this process: `console.end_with_pipe` has made the signal deadly for a filter."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGPIPE})
    try:
        yield
    finally:
        if signal.SIGPIPE not in before and signal.SIGPIPE in signal.sigpending():
            signal.sigwait({signal.SIGPIPE})
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def serve() -> None:
    """Be a worker, whose standard input is the pipe to the process that started it, until that one ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; the other process ends this one
    pipe = Connection(0)
    calls: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()

    def listen() -> None:
        """Take calls while others are computed, so that neither side waits to write and the end comes at once."""
        try:
            while True:
                calls.put(pipe.recv())
        finally:
            os._exit(1)

    threading.Thread(target=listen, daemon=True).start()
    (plan,) = calls.get()
    done, engine = attempt(plan.load)
    pipe.send((done, engine.target_limit if done else engine))
    while True:
        method, batch, *arguments = calls.get()
        pipe.send(attempt(compute, getattr(engine, method), batch, *arguments))


def compute(method: Callable[..., Iterator[Any]], batch: Sequence[Any], *arguments: Any) -> Any:
    """Return what a method of an engine finds for one batch."""
    return next(method([batch], *arguments))


def attempt(work: Callable[..., Any], *arguments: Any) -> tuple[bool, Any]:
    """Return a `Job.reply`: what `work` returns, or what it raises."""
    try:
        return True, work(*arguments)
    except NmtError as error:
        return False, error
    except Exception:
        return False, traceback.format_exc()

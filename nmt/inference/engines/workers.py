"""Several processes with an engine each, which share the batches. The process that starts them is free of torch."""

import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar, cast

from nmt import console
from nmt.cores import NUMBER, cores, threads
from nmt.errors import UsageError, WorkersError
from nmt.inference.engines.loading import EnginePlan, check_device
from nmt.inference.protocol import TASK_ROWS, Engine, Hypothesis, Matrix, Pair, Request, Row
from nmt.processes import Answer, Child, ChildDiedError, wait_for

T = TypeVar("T")
R = TypeVar("R")
AHEAD = 2  # batches handed to a worker at a time: the one it computes, and the next
FATAL = 2  # number of workers that die at the same batch before it counts as the cause


class Host:
    """The engine of a worker. Its methods run in the worker, and take one batch."""

    engine: Engine

    def __init__(self, plan: EnginePlan) -> None:
        self.plan = plan

    def load(self) -> tuple[int, int]:
        """Load the engine; return its target limit and its `batch_tokens`."""
        self.engine = self.plan.load()
        return self.engine.target_limit, self.engine.batch_tokens

    def search(self, batch: list[Row], request: Request) -> list[list[Hypothesis]]:
        return next(self.engine.search([batch], request))

    def score(self, batch: list[Pair]) -> list[list[float]]:
        return next(self.engine.score([batch]))

    def attention(self, batch: list[Pair], layer: int | None) -> list[Matrix]:
        return next(self.engine.attention([batch], layer))


@dataclass(eq=False)
class Job:
    """A call of a method of `Host`."""

    call: Callable[[Child[Host]], None]
    lines: int = 0
    again: bool = True  # whether another worker must do it if its worker dies
    answer: Answer | None = None
    deaths: int = 0  # number of workers that died while they did it


@dataclass(eq=False)
class Worker:
    """A process and its jobs."""

    number: int  # from 1
    child: Child[Host]
    jobs: deque[Job] = field(default_factory=deque)
    """Jobs handed over and not answered yet, in the order of the answers."""

    def give(self, job: Job) -> None:
        """Hand over `job`, also to a dead worker: its death is noticed when its answers are read."""
        self.jobs.append(job)
        job.call(self.child)


class Workers:
    """An engine in several processes, each with its own GPU or a share of the CPU threads.

    The processes end with this object, and with this process however it ends. One thread at a time may call it.
    """

    task_rows = TASK_ROWS["cuda"]

    def __init__(self, plan: EnginePlan) -> None:
        """Start the processes and load the engine into each. Raises what loading raises, UsageError, WorkersError."""
        if plan.inference.engine == "ctranslate2":
            raise UsageError("the engine ctranslate2 translates in one process", hint="give it more --threads instead")
        self.workers = devices = plan.inference.devices
        if devices > cores():
            check_device(plan.inference)
        self.living: list[Worker] = []
        self.close = weakref.finalize(self, end_all, self.living)
        self._waiting: deque[Job] = deque()  # from dead workers
        each = plan.inference.threads or max(1, threads() // devices)
        plan = replace(plan, inference=plan.inference.model_copy(update={"threads": each}))
        try:
            self.living += [start(number, plan) for number in range(1, devices + 1)]
            loading = [worker.jobs[0] for worker in self.living]
            while any(worker.jobs for worker in self.living):
                self._receive()
            loaded = [cast("tuple[int, int]", job.answer.result()) for job in loading if job.answer]
            self.target_limit, self.batch_tokens = min(loaded)
        except BaseException:
            self.close()
            raise

    def search(self, batches: Iterable[list[Row]], request: Request) -> Iterator[list[list[Hypothesis]]]:
        return self._share(batches, lambda child, batch: child.call(Host.search, batch, request))

    def score(self, batches: Iterable[list[Pair]]) -> Iterator[list[list[float]]]:
        return self._share(batches, lambda child, batch: child.call(Host.score, batch))

    def attention(self, batches: Iterable[list[Pair]], layer: int | None) -> Iterator[list[Matrix]]:
        return self._share(batches, lambda child, batch: child.call(Host.attention, batch, layer))

    def _share(self, batches: Iterable[list[T]], call: Callable[[Child[Host], list[T]], None]) -> Iterator[R]:
        """Hand out `batches` as workers become free; yield the results in the order of the batches.

        Raises what the engine raises, and WorkersError.
        """

        def job_of(batch: list[T]) -> Job:
            return Job(lambda child: call(child, batch), len(batch))

        jobs = map(job_of, batches)
        pending: deque[Job] = deque()
        more = True
        try:
            while more or pending:
                free = self._free()
                if free and more:
                    if more := (job := next(jobs, None)) is not None:
                        pending.append(job)
                        free.give(job)
                elif pending and (answer := pending[0].answer):
                    pending.popleft()
                    yield cast("R", answer.result())
                else:
                    self._receive()
        finally:  # also where the caller wants no more results
            for job in pending:
                job.again = False

    def _free(self) -> Worker | None:
        """Return a worker that can take another batch, once the jobs of dead workers are handed out."""
        dead = [worker for worker in self.living if not worker.jobs and worker.child.process.poll() is not None]
        for worker in dead:
            self._bury(worker, worker.child.end())  # before it gets a batch, which would be blamed
        while self.living:
            worker = min(self.living, key=lambda worker: len(worker.jobs))
            if len(worker.jobs) >= AHEAD:
                return None
            if not self._waiting:
                return worker
            if (job := self._waiting.popleft()).again:
                worker.give(job)
        raise WorkersError("no worker is left", hint="load the model again")

    def _receive(self) -> None:
        ready = wait_for([worker.child for worker in self.living])
        for worker in [worker for worker in self.living if worker.child in ready]:
            try:
                answer = worker.child.receive()
            except ChildDiedError as death:
                self._bury(worker, str(death))
            else:
                worker.jobs.popleft().answer = answer

    def _bury(self, worker: Worker, how: str) -> None:
        """Remove a dead worker, and keep its jobs for the others. Raises WorkersError where that cannot help."""
        self.living.remove(worker)
        left = [job for job in worker.jobs if job.again]
        self._waiting.extendleft(reversed(left))
        if left and left[0] is worker.jobs[0]:  # the job it was doing
            left[0].deaths += 1
            if left[0].deaths >= FATAL:
                raise WorkersError(
                    f"the same batch of {left[0].lines:,} lines has ended {FATAL} workers, the last: {how}",
                    hint="if memory ran out, lower --batch-tokens",
                )
        if not self.living:
            raise WorkersError(
                f"none of {self.workers} workers is left, the last has ended: {how}",
                hint="if memory ran out, lower --devices or --batch-tokens",
            )
        again = f"{sum(job.lines for job in left):,} lines are done again by the others" if left else "the others go on"
        console.warn(f"worker {worker.number} of {self.workers} has ended ({how}): {again}")


def start(number: int, plan: EnginePlan) -> Worker:
    """Start worker `number`, from 1, and let it load `plan`."""
    environment = {
        NUMBER: str(plan.inference.threads),
        # As under torchrun: see `devices.pick_device`.
        "LOCAL_RANK": str(number - 1),
        "LOCAL_WORLD_SIZE": str(plan.inference.devices),
    }
    worker = Worker(number, Child(Host(plan), environment=environment, quiet=True))
    worker.give(Job(lambda child: child.call(Host.load), again=False))
    return worker


def end_all(workers: list[Worker]) -> None:
    while workers:
        workers.pop().child.end()

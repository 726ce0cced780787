"""Commands of nmt side by side, each a process of its own."""

import subprocess
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nmt import console, runtime
from nmt.cores import cores, threads
from nmt.processes import start_command

PAUSE = 0.1  # seconds between looks at the processes


@dataclass(frozen=True)
class Job:
    """A command of nmt."""

    name: str
    arguments: tuple[str, ...]
    log: Path  # what it prints is added to this file


@dataclass(frozen=True)
class Ended:
    """A job that has ended."""

    job: Job
    code: int
    seconds: float

    @property
    def last_line(self) -> str:
        """The last line that the job printed."""
        lines = self.job.log.read_text(encoding="utf-8", errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    @property
    def failure(self) -> str:
        """How it failed: its exit code, and the last line that it printed."""
        said = f": {self.last_line}" if self.last_line else ""
        return f"failed with exit code {self.code}{said}"


def count_places(due: int, jobs: int | None, memory: int, gpus: int = 0) -> int:
    """Return the number of jobs at once, of those that are `due`, each of which takes some bytes of `memory`.

    There are `jobs`, or as many as GPUs, or on a CPU as threads, and at most as many as GPUs, or as cores and memory
    allow.
    """
    if gpus:
        limit, reason = gpus, f"this machine has {gpus} GPUs"
    else:
        limit, reason = cores(), f"this machine has {cores()} cores"
        fitting = max(1, runtime.free_memory() // memory)
        if fitting < limit:
            limit, reason = fitting, "more may not fit into its memory"
    if jobs and jobs > limit:
        console.warn(f"--jobs {jobs}: {limit} at once, for {reason}")
    return min(jobs or (limit if gpus else min(limit, threads())), limit, due)


def run_jobs(jobs: Sequence[Job], places: Sequence[Mapping[str, str]]) -> Iterator[Ended]:
    """Run `jobs` in their order, as many at once as there are `places`; yield each when it ends.

    A place is the variables that the environment of a job has besides. Where the caller stops, jobs that run are
    terminated, so that a training saves a checkpoint, and waited for.
    """
    waiting, free = deque(jobs), deque(places)
    running: list[tuple[Job, Mapping[str, str], subprocess.Popen[bytes], float]] = []
    try:
        while waiting or running:
            while waiting and free:
                job, place = waiting.popleft(), free.popleft()
                job.log.parent.mkdir(parents=True, exist_ok=True)
                with job.log.open("ab") as log:
                    running.append((job, place, start_command(job.arguments, log, place), time.monotonic()))
            time.sleep(PAUSE)
            for one in [one for one in running if one[2].poll() is not None]:
                job, place, process, began = one
                running.remove(one)
                free.append(place)
                yield Ended(job, process.wait(), time.monotonic() - began)
    finally:
        for _, _, process, _ in running:
            process.terminate()
        for _, _, process, _ in running:
            process.wait()

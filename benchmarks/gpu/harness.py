"""The checks' harness: a process and a limit of time for each, and one line of JSON."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from gpu.stand_ins import MissingPackageError

Figures = dict[str, Any]


class SkippedError(Exception):
    """A check that this machine cannot make."""


@dataclass
class Bench:
    """What a check is given, and where it writes its results."""

    device: str  # `cuda`, or `cpu` for a try of the checks themselves
    quick: bool = False
    known: dict[str, Figures] = field(default_factory=dict)
    """Figures of the checks before it."""
    ends: float = float("inf")
    """When its time is over, by `time.monotonic`."""
    figures: Figures = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    @property
    def is_gpu(self) -> bool:
        return self.device == "cuda"

    @property
    def seconds_left(self) -> float:
        return self.ends - time.monotonic()

    def expect(self, condition: bool, failure: str) -> None:
        """Record `failure` unless `condition` holds; the check goes on and fails in the end."""
        if not condition:
            self.failures.append(failure)

    def needs_gpu(self) -> None:
        """Raise SkippedError on a CPU."""
        if not self.is_gpu:
            raise SkippedError("needs a GPU")


@dataclass(frozen=True)
class Check:
    """One check: its function, which writes figures and failures into a bench, and its time."""

    run: Callable[[Bench], None]
    seconds: float

    @property
    def title(self) -> str:
        return (self.run.__doc__ or "").split("\n")[0]


def result_of(check: Check, bench: Bench) -> Figures:
    """Make one check in this process; return its status, figures and reason."""
    try:
        check.run(bench)
    except (SkippedError, MissingPackageError) as skipped:
        return {"status": "skipped", "figures": bench.figures, "reason": str(skipped)}
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{last.filename.rpartition('/')[2]}:{last.lineno}"
        reason = f"{type(error).__name__} at {place}: {str(error).strip()[:500]}"
        return {"status": "failed", "figures": bench.figures, "reason": reason}
    reason = "; ".join(bench.failures)
    return {"status": "failed" if bench.failures else "ok", "figures": bench.figures, "reason": reason}


def run_check(name: str, check: Check, bench: Bench, left: float) -> Figures:
    """Make one check in a child process, which is ended when its time or what is `left` is over.

    The child is forked, so that the parent must not have started CUDA or threads; what breaks the child's context
    of CUDA breaks no later check.
    """
    # A quick try is no measurement, and other processes may slow it down.
    limit, began = min(check.seconds * (10 if bench.quick else 1), left), time.monotonic()
    found: Figures = {"name": name, "status": "skipped", "seconds": 0.0, "figures": {}, "reason": ""}
    if limit < min(check.seconds / 2, 10):
        return found | {"reason": "no time was left"}
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    bench.ends = began + 0.9 * limit

    def work(connection: Connection) -> None:
        os.setsid()  # so that the processes that it starts end with it
        connection.send(tidy(result_of(check, bench)))

    child = context.Process(target=work, args=(theirs,))
    child.start()
    theirs.close()
    is_late = not ours.poll(limit)
    try:
        if not is_late:
            found |= ours.recv()
        else:
            found |= {"status": "failed", "reason": f"not done after {limit:.0f} s"}
    except EOFError:
        child.join(5)
        found |= {"status": "failed", "reason": f"its process died, exit code {child.exitcode}"}
    child.join(0.0 if is_late else 5.0)
    if child.is_alive():
        os.killpg(child.pid or 0, signal.SIGKILL)
        child.join()
    return found | {"seconds": round(time.monotonic() - began, 1)}


def line_of(found: Figures) -> str:
    """Return the line of JSON of a check."""
    return json.dumps(found)


def tidy(value: Any) -> Any:
    """Return `value` with floats of four significant digits, and None in the place of what is not finite."""
    if isinstance(value, dict):
        return {str(key): tidy(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [tidy(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.4g}") if abs(value) < float("inf") else None
    return value

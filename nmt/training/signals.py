"""Ctrl-C and SIGTERM, which a training answers at the end of a step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nmt.errors import InterruptedTrainingError, TerminatedTrainingError


@contextmanager
def catching_signals() -> Iterator[list[int]]:
    """Yield a list that gets the number of the first SIGINT or SIGTERM; a second one acts as it always does."""
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _: Any) -> None:
        caught.append(number)
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def halt(number: int, step: int) -> None:
    """Raise what ends the program after signal `number`; `step` is saved."""
    kind = TerminatedTrainingError if number == signal.SIGTERM else InterruptedTrainingError
    raise kind(f"{signal.Signals(number).name}: stopped after step {step}, saved", hint="run it again to go on")

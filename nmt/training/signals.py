"""Ctrl-C and SIGTERM, to which a training reacts at the end of a step."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from nmt.errors import InterruptedTrainingError, TerminatedTrainingError


@contextmanager
def catching_signals() -> Iterator[list[int]]:
    """Yield a list that receives the number of the first SIGINT or SIGTERM; a second one has its usual effect."""
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # where Python allows no handlers
        yield caught
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, _frame: object) -> None:
        caught.append(number)
        restore()

    for number in before:
        signal.signal(number, note)
    try:
        yield caught
    finally:
        restore()


def halt(number: int, step: int) -> None:
    """Raise the error that ends the program after signal `number`, `step` being saved."""
    kind = TerminatedTrainingError if number == signal.SIGTERM else InterruptedTrainingError
    raise kind(f"{signal.Signals(number).name}: stopped after step {step}, saved", hint="run it again to go on")

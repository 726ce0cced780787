"""Ctrl-C, SIGTERM and SIGHUP, to which a training reacts at the end of a step."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from nmt.errors import HungUpTrainingError, InterruptedTrainingError, NmtError, TerminatedTrainingError
from nmt.startup import ENDINGS

KINDS: dict[int, type[NmtError]] = {1: HungUpTrainingError, 15: TerminatedTrainingError}
"""The errors of SIGHUP, which some systems lack, and of SIGTERM."""
TOGETHER = 5.0
"""Seconds in which a signal of a kind in `KINDS` counts once.

Where a service manager or a batch system signals all processes of a job, torchrun passes its own signal on as well.
"""


@contextmanager
def catching_signals() -> Iterator[list[int]]:
    """Yield a list that receives the number of the first signal that ends the program; a second one ends it at once.

    Of SIGTERM and SIGHUP only one that comes `TOGETHER` seconds later is a second one. A signal that is ignored stays
    so, as SIGHUP under `nohup`, but for SIGINT: a shell ignores it for a job in the background, and whoever sends it to
    a training wants it saved.
    """
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # where Python allows no handlers
        yield caught
        return
    handlers = {number: signal.getsignal(number) for number in ENDINGS}
    before = {
        number: handler
        for number, handler in handlers.items()
        if handler is not signal.SIG_IGN or number == signal.SIGINT
    }

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    began = 0.0

    def note(number: int, _frame: object) -> None:
        nonlocal began
        if caught:
            if caught != [number] or number not in KINDS or time.monotonic() - began >= TOGETHER:
                restore()
                signal.raise_signal(number)
            return
        began = time.monotonic()
        caught.append(number)

    for number in before:
        signal.signal(number, note)
    try:
        yield caught
    finally:
        restore()


def halt(number: int, step: int) -> None:
    """Raise the error that ends the program after signal `number`, `step` being saved."""
    kind = KINDS.get(number, InterruptedTrainingError)
    raise kind(f"{signal.Signals(number).name}: stopped after step {step}, saved", hint="run it again to go on")

"""The start and the end of the program: the signals that end it, and the numbers of the standard streams."""

import _thread
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType

Handler = Callable[[int, FrameType | None], object]
ENDINGS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
"""The signals that end the program, and what it says then; the exit code is 128 + their number."""
if hasattr(signal, "SIGHUP"):
    ENDINGS[signal.SIGHUP] = "hung up"

EXIT_CODE = 1
"""The exit code of the program, once it is known; until then that of a bug."""

SOON = 0.02  # seconds, in which a finalizer is at its end


def handle_endings(handler: Handler | signal.Handlers) -> None:
    """Let `handler` answer the signals that end the program, but for those ignored at its start: `nohup`, `&`."""
    for number in ENDINGS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def end_at_once(number: int, _frame: FrameType | None = None) -> None:
    """End the process by the exit code of signal `number`, with one line and nothing to clear away."""
    try:
        os.write(2, f"nmt: {ENDINGS[signal.Signals(number)]}\n".encode())
    finally:
        os._exit(128 + number)


def raise_again(lost: "sys.UnraisableHookArgs") -> None:
    """Let the exception of a signal come again that Python ignored, as it came within a finalizer; show any other.

    For `sys.unraisablehook`.
    """
    error = lost.exc_value
    if (
        not isinstance(error, KeyboardInterrupt | SystemExit)
        or threading.current_thread() is not threading.main_thread()
    ):
        sys.__unraisablehook__(lost)
        return
    kind, values = type(error), error.args

    def handler(_number: int, _frame: FrameType | None) -> None:
        raise kind(*values)

    signal.signal(signal.SIGINT, handler)
    threading.Timer(SOON, _thread.interrupt_main).start()


def end_without_cleanup() -> None:
    """End the process by its exit code, without waiting for what libraries do when Python ends."""
    os._exit(EXIT_CODE)


def open_closed_streams() -> None:
    """Open the null device for closed standard streams: the next open file would get their numbers, and their text."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)

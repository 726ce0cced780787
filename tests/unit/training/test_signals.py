"""Signals: the first is noted, the second acts as usual, and the handlers of before come back."""

import os
import signal
import threading

import pytest

from nmt.errors import InterruptedTrainingError, TerminatedTrainingError
from nmt.training.signals import catching_signals, halt

BOTH = (signal.SIGINT, signal.SIGTERM)


@pytest.mark.parametrize("number", BOTH)
def test_the_first_signal_is_noted_and_from_then_on_the_old_handlers_answer(number: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in BOTH]
    with catching_signals() as caught:
        assert [signal.getsignal(each) for each in BOTH] != before
        os.kill(os.getpid(), number)
        assert caught == [number]
        assert [signal.getsignal(each) for each in BOTH] == before
    assert [signal.getsignal(each) for each in BOTH] == before


def test_a_second_ctrl_c_interrupts_at_once() -> None:
    with catching_signals() as caught:
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert caught == [signal.SIGINT]


def test_the_handlers_come_back_after_an_error() -> None:
    before = [signal.getsignal(each) for each in BOTH]
    with pytest.raises(ValueError, match="out"), catching_signals():
        raise ValueError("out")
    assert [signal.getsignal(each) for each in BOTH] == before


def test_in_another_thread_no_signal_is_caught() -> None:
    before, seen = [signal.getsignal(each) for each in BOTH], []

    def work() -> None:
        with catching_signals() as caught:
            seen.append((caught, [signal.getsignal(each) for each in BOTH]))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [([], before)]


@pytest.mark.parametrize(
    ("number", "kind", "name", "code"),
    [(2, InterruptedTrainingError, "SIGINT", 130), (15, TerminatedTrainingError, "SIGTERM", 143)],
)
def test_the_end_names_the_signal_and_the_step(number: int, kind: type[Exception], name: str, code: int) -> None:
    with pytest.raises(kind) as caught:
        halt(number, 12)
    assert str(caught.value) == f"{name}: stopped after step 12, saved (run it again to go on)"
    assert getattr(caught.value, "exit_code", None) == code

"""Signals: the first is noted, the second acts as usual, and the handlers of before come back."""

import signal
import threading

import pytest

from nmt.errors import HungUpTrainingError, InterruptedTrainingError, TerminatedTrainingError
from nmt.training.signals import catching_signals, halt

ALL = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.mark.parametrize("number", ALL)
def test_a_signal_is_noted_and_the_old_handlers_come_back(number: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in ALL]
    with catching_signals() as caught:
        assert [signal.getsignal(each) for each in ALL] != before
        signal.raise_signal(number)
        assert caught == [number]
    assert [signal.getsignal(each) for each in ALL] == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_a_launcher_passes_on_counts_once_and_a_later_one_acts(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, acted = [100.0], []
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    before = signal.signal(number, lambda *_: acted.append(now[0]))
    try:
        with catching_signals() as caught:
            for now[0] in (100.0, 100.1, 104.9, 105.0, 105.1):
                signal.raise_signal(number)
        assert (caught, acted) == ([number], [105.0, 105.1])
    finally:
        signal.signal(number, before)


def test_a_signal_of_another_kind_acts_at_once() -> None:
    with catching_signals() as caught:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert caught == [signal.SIGTERM]


def test_a_second_ctrl_c_interrupts_at_once() -> None:
    with catching_signals() as caught:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert caught == [signal.SIGINT]


@pytest.mark.parametrize("number", ALL)
def test_a_signal_that_is_ignored_stays_so_but_for_that_of_a_job_in_the_background(number: signal.Signals) -> None:
    before = signal.signal(number, signal.SIG_IGN)  # as under nohup
    try:
        with catching_signals() as caught:
            signal.raise_signal(number)
            signal.raise_signal(number)
            assert caught == [number] * (number == signal.SIGINT)
            assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_the_handlers_come_back_after_an_error() -> None:
    before = [signal.getsignal(each) for each in ALL]
    with pytest.raises(ValueError, match="out"), catching_signals():
        raise ValueError("out")
    assert [signal.getsignal(each) for each in ALL] == before


def test_in_another_thread_no_signal_is_caught() -> None:
    before, seen = [signal.getsignal(each) for each in ALL], []

    def work() -> None:
        with catching_signals() as caught:
            seen.append((caught, [signal.getsignal(each) for each in ALL]))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [([], before)]


@pytest.mark.parametrize(
    ("number", "kind", "name", "code"),
    [
        (2, InterruptedTrainingError, "SIGINT", 130),
        (15, TerminatedTrainingError, "SIGTERM", 143),
        (1, HungUpTrainingError, "SIGHUP", 129),
    ],
)
def test_the_end_names_the_signal_and_the_step(number: int, kind: type[Exception], name: str, code: int) -> None:
    with pytest.raises(kind) as caught:
        halt(number, 12)
    assert str(caught.value) == f"{name}: stopped after step 12, saved (run it again to go on)"
    assert getattr(caught.value, "exit_code", None) == code

"""The checks of the trial by kills find what is wrong; the kills themselves are in tests/e2e/test_interruptions.py."""

import signal
from pathlib import Path

import pytest
from kills import differences, fault_of_double, fault_of_kill

HELD = "nmt: runs/x: in use by process 7 on host since noon: nmt run x\n"
TRACE = "Traceback (most recent call last):\nOSError"


def test_files_that_differ_are_named_but_for_the_times_in_some(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "model").mkdir(parents=True)
        for file in ("log.jsonl", "model/lock.json"):
            (tmp_path / name / file).write_text(name)
        (tmp_path / name / "same").write_text("same")
    assert differences(tmp_path / "a", tmp_path / "b") == []
    (tmp_path / "a" / "more").touch()
    (tmp_path / "b" / "same").write_text("other")
    (tmp_path / "b" / "log.jsonl").unlink()
    assert differences(tmp_path / "a", tmp_path / "b") == ["log.jsonl", "more", "same"]


@pytest.mark.parametrize(
    ("code", "said", "fault"),
    [
        (129, "nmt: hung up\n", ""),
        (-1, "", ""),
        (0, "", ""),
        (1, 'Traceback\n  File "<frozen site>", line 1\nKeyboardInterrupt\n', ""),
        (129, TRACE, "a traceback: OSError"),
        (4, "nmt: x", "exit code 4: ['nmt: x']"),
        (None, "", "hangs"),
    ],
)
def test_a_killed_process_ends_by_the_signal_and_in_order(code: int | None, said: str, fault: str) -> None:
    assert fault_of_kill(signal.SIGHUP, code, said) == fault


@pytest.mark.parametrize(
    ("first", "second", "fault"),
    [
        ((0, ""), (4, HELD), ""),
        ((4, HELD), (0, "text: running\n"), ""),
        ((0, ""), (0, ""), ""),
        ((4, HELD), (4, HELD), "exit codes [4, 4]"),
        ((0, ""), (None, ""), "exit codes [0, None]"),
        ((0, ""), (4, "nmt: damaged\n"), "says ['nmt: damaged']"),
        ((0, ""), (4, TRACE), "a traceback"),
    ],
)
def test_of_two_runs_one_ends_and_the_other_says_why_not(
    first: tuple[int | None, str], second: tuple[int | None, str], fault: str
) -> None:
    assert fault_of_double([first, second]) == fault

"""`--devices`: the text of one process, whatever happens to the processes, and none of them left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from select import select

import pytest
from conftest import Run, command, environment
from precisions import precisions
from processes import alive, wait_until

WORDS = ["A small dog sleeps", "The old man", "sees", "two", "green birds", "in the house", "and", "a child", "reads"]
LINES = [" ".join(WORDS[(number * step) % len(WORDS)] for step in range(1, 1 + number % 7)) for number in range(300)]
"""More than the first chunks hold; each seventh is blank."""
TEXT = "".join(line + "\n" for line in LINES).encode()
CPU = ["--device", "cpu", "--threads", "1"]
PATIENCE = 60.0


@pytest.fixture(scope="module")
def expected(nmt: Run, tiny_model: Path) -> bytes:
    """Translate TEXT by one process."""
    done = nmt("translate", tiny_model, *CPU, stdin=TEXT)
    assert done.code == 0, done.err
    return done.out.encode()


@contextmanager
def translating(model: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """Translate by two processes that are at work when the block begins, and wait for more text."""
    process = subprocess.Popen(
        command("translate", model, *CPU, "--devices", "2", *options),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdin
    assert process.stdout
    try:
        process.stdin.write(b"".join(TEXT.splitlines(keepends=True)[:40]))
        process.stdin.flush()
        assert select([process.stdout], [], [], PATIENCE)[0]  # the first chunk is done
        yield process
    finally:
        process.kill()
        process.communicate()


def children(process: subprocess.Popen[bytes]) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def test_two_devices_translate_as_one_does(nmt: Run, tiny_model: Path, expected: bytes) -> None:
    done = nmt("translate", tiny_model, *CPU, "--devices", "2", stdin=TEXT)
    assert (done.code, done.out.encode()) == (0, expected)
    assert len(done.lines) == len(LINES)
    assert all(line.startswith("nmt: warning: ") and "worker" not in line for line in done.messages)


def test_scores_and_alignments_are_those_of_one_device(nmt_here: Run, tiny_model: Path) -> None:
    stdin = b"".join(TEXT.splitlines(keepends=True)[:20])
    wanted = ["--n-best", "2", "--format", "jsonl", "--alignment"]
    one, two = (
        nmt_here("translate", tiny_model, *CPU, *wanted, "--devices", devices, stdin=stdin) for devices in ("1", "2")
    )
    assert one.code == 0, one.err
    assert two == one


@precisions
def test_a_worker_killed_in_the_middle_costs_a_warning_and_no_line(
    nmt_here: Run, tiny_model: Path, precision: str
) -> None:
    expected = nmt_here("translate", tiny_model, *CPU, "--precision", precision, stdin=TEXT).out.encode()
    with translating(tiny_model, "--precision", precision) as process:
        victim, _ = children(process)
        os.kill(victim, signal.SIGKILL)
        out, err = process.communicate(b"".join(TEXT.splitlines(keepends=True)[40:]), timeout=PATIENCE)
    assert process.returncode == 0
    assert out == expected
    said = [line for line in err.decode().splitlines() if "worker" in line]
    assert len(said) == 1
    assert said[0].startswith("nmt: warning: worker 1 of 2 has ended (killed by SIGKILL): ")


def test_where_all_workers_are_killed_it_says_so(tiny_model: Path) -> None:
    with translating(tiny_model) as process:
        workers = children(process)
        process.send_signal(signal.SIGSTOP)  # or it might give the batch of the first to the second in between
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not any(map(alive, workers)))
        process.send_signal(signal.SIGCONT)
        _, err = process.communicate(TEXT, timeout=PATIENCE)
    assert process.returncode == 1
    assert err.decode().splitlines()[-1] == (
        "nmt: none of 2 workers is left, the last has ended: killed by SIGKILL "
        "(if memory ran out, lower --devices or --batch-tokens)"
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_worker_outlives_the_command(tiny_model: Path, number: signal.Signals) -> None:
    with translating(tiny_model) as process:
        workers = children(process)
        assert len(workers) == 2
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE)
        wait_until(lambda: not any(map(alive, workers)))
    ends = {
        signal.SIGINT: (130, "nmt: interrupted\n"),
        signal.SIGTERM: (143, "nmt: terminated\n"),
        signal.SIGKILL: (-signal.SIGKILL, ""),
    }
    assert (process.returncode, err.decode()) == ends[number]


def test_ctrl_c_reaches_the_workers_too_and_they_say_nothing(tiny_model: Path) -> None:
    with translating(tiny_model) as process:
        workers = children(process)
        for pid in workers:
            os.kill(pid, signal.SIGINT)
        time.sleep(0.1)
        assert all(map(alive, workers))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err.decode()) == (130, "nmt: interrupted\n")


def test_the_command_ends_in_silence_when_its_reader_has_gone(tiny_model: Path) -> None:
    with translating(tiny_model) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        workers = children(process)
        process.stdout.close()
        process.stdin.write(TEXT)
        process.stdin.close()
        assert process.wait(PATIENCE) == -signal.SIGPIPE
        assert process.stderr.read() == b""
        wait_until(lambda: not any(map(alive, workers)))
        process.stdin = process.stdout = None  # nothing is left to be read


def test_a_gpu_that_is_not_there_is_refused_before_any_work(nmt: Run, tiny_model: Path) -> None:
    done = nmt(
        "translate", tiny_model, "--device", "cuda", "--devices", "2", stdin=TEXT, env={"CUDA_VISIBLE_DEVICES": ""}
    )
    assert (done.code, done.out) == (2, "")
    assert done.messages == ["nmt: no GPU that torch can use on this machine (take device cpu or auto)"]


def test_a_script_without_a_guard_may_use_devices_and_stays_free_of_torch(tiny_model: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from nmt import Translator\n"
        f"translator = Translator.load({str(tiny_model)!r}, device='cpu', devices=2)\n"
        "print(len(translator.translate(['A small dog.'] * 3)), 'torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, env=environment(), timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "3 False\n", "")

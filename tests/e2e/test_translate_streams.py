"""`nmt translate` as a part of a pipe: answers in time, bounded memory, odd bytes, and an end without a traceback."""

import os
import pty
import random
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from select import select
from typing import IO

import pytest
from conftest import Run, command, environment
from precisions import precisions

from nmt.tasks.grammar import generate

CPU = ["--device", "cpu", "--threads", "1"]
LINES = ["A small dog sleeps.", "The woman wants to see the old house.", "Do nine women talk about his boring parks?"]
PATIENCE = 60.0
INTERRUPTED = (130, "nmt: interrupted\n")


@contextmanager
def started(
    model: Path, *options: str, stdin: int = subprocess.PIPE, group: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    """Translate beside the test, in a process group of its own where `group`."""
    process = subprocess.Popen(
        command("translate", model, *CPU, *options),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        start_new_session=group,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def answer(process: subprocess.Popen[bytes], patience: float = PATIENCE) -> str | None:
    """Return the next line of output; None where it does not come in time."""
    assert process.stdout
    found = b""
    while not found.endswith(b"\n"):
        if not select([process.stdout], [], [], patience)[0]:
            return None
        block = os.read(process.stdout.fileno(), 1)
        assert block, process.communicate()[1].decode()
        found += block
    return found.decode().removesuffix("\n")


def ask(process: subprocess.Popen[bytes], line: str) -> None:
    assert process.stdin
    process.stdin.write(f"{line}\n".encode())
    process.stdin.flush()


@pytest.fixture(scope="module")
def expected(nmt: Run, tiny_model: Path) -> list[str]:
    said = nmt("translate", tiny_model, *CPU, stdin="".join(line + "\n" for line in LINES).encode())
    assert (said.code, said.surprises) == (0, [])
    return said.lines


# In time


def test_a_producer_that_writes_a_line_now_and_then_gets_each_answer_before_the_next(
    tiny_model: Path, expected: list[str]
) -> None:
    with started(tiny_model) as process:
        waits = []
        for line, translation in zip(LINES * 3, expected * 3, strict=True):
            before = time.monotonic()
            ask(process, line)
            assert answer(process) == translation
            waits.append(time.monotonic() - before)
            time.sleep(0.1)
        assert min(waits[1:]) < 1, "the first waits for the model, the others do not"
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert b"Traceback" not in err


def test_a_line_waits_for_others_as_long_as_it_is_told_to(tiny_model: Path, expected: list[str]) -> None:
    with started(tiny_model, "--max-wait-ms", "0") as process:
        ask(process, LINES[0])
        assert answer(process) == expected[0]
    with started(tiny_model, "--max-wait-ms", "60000") as process:
        for line in LINES[:2]:
            ask(process, line)
        assert answer(process, 4) is None
        out, _ = process.communicate(timeout=PATIENCE)
    assert out.decode().split("\n") == [*expected[:2], ""]


def test_a_line_that_is_typed_is_answered_at_once(tiny_model: Path, expected: list[str]) -> None:
    keyboard, terminal = pty.openpty()
    try:
        # However long a piped line would wait.
        with started(tiny_model, "--max-wait-ms", "60000", stdin=terminal) as process:
            for line, translation in zip(LINES, expected, strict=True):
                os.write(keyboard, f"{line}\n".encode())
                assert answer(process) == translation
            os.write(keyboard, b"\x04")
            assert process.wait(PATIENCE) == 0
    finally:
        os.close(keyboard)
        os.close(terminal)


def test_standard_input_may_be_a_file(tiny_model: Path, nmt_here: Run, tmp_path: Path) -> None:
    path = tmp_path / "text"
    # More than is read at once.
    path.write_bytes("".join(line + "\n" for line in LINES).encode() + b" " * 2**17 + b"\n" * 5000)
    with path.open("rb") as file:
        done = subprocess.run(
            command("translate", tiny_model, *CPU), stdin=file, capture_output=True, env=environment(), check=False
        )
    said = nmt_here("translate", tiny_model, *CPU, "-i", path)
    assert (done.returncode, done.stdout.decode()) == (0, said.out)
    assert len(said.lines) == 5003


def test_a_closed_standard_input_is_one_line(tiny_model: Path) -> None:
    line = f"{shlex.join(command('translate', tiny_model))} <&-"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=environment(), check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "nmt: standard input is closed\n")


# Odd bytes


def test_bytes_that_are_not_utf8_are_replaced_where_that_is_wanted_and_named_at_the_end(
    tiny_model: Path, nmt_here: Run, expected: list[str], tmp_path: Path
) -> None:
    text = LINES[0].encode() + b"\nna\xefve \xff\xff\n" + LINES[1].encode() + b"\nthe \xc3\n"
    said = nmt_here("translate", tiny_model, "--errors", "replace", stdin=text)
    assert (said.code, len(said.lines)) == (0, 4)
    assert said.lines[0::2] == expected[:2]
    assert said.surprises == ["nmt: warning: input lines not UTF-8, each wrong byte now U+FFFD: 2 (line 2, 4)"]
    (tmp_path / "text").write_bytes(text)
    assert nmt_here("translate", tiny_model, "--errors", "replace", "-i", tmp_path / "text") == said
    strict = nmt_here("translate", tiny_model, "--errors", "strict", stdin=text)
    assert (strict.code, strict.lines, len(strict.messages)) == (3, expected[:1], 1)
    assert strict.err.startswith("nmt: standard input:2: not UTF-8: byte 0xef at position 3")


def test_garbage_is_an_error_by_its_line_or_as_many_lines_out_as_in(tiny_model: Path, nmt: Run, nmt_here: Run) -> None:
    garbage = random.Random(1).randbytes(5000)
    said = nmt("translate", tiny_model, stdin=garbage)
    assert (said.code, said.out, len(said.messages)) == (3, "", 1)
    assert said.err.startswith("nmt: standard input:1: not UTF-8: ")
    replaced = nmt_here("translate", tiny_model, "--errors", "replace", "--beam-size", "1", stdin=garbage)
    assert replaced.code == 0
    assert len(replaced.lines) == garbage.count(b"\n") + (not garbage.endswith(b"\n"))


def test_a_line_of_a_megabyte_is_one_line_in_segments(tiny_model: Path, nmt: Run) -> None:
    long = "The old dog sleeps. " * 50_000
    quick = ["--beam-size", "1", "--max-length-ratio", "0.02", "--batch-tokens", "16384"]
    said = nmt("translate", tiny_model, *CPU, *quick, stdin=f"{LINES[0]}\n{long}\n{LINES[0]}\n".encode())
    assert (said.code, len(said.lines)) == (0, 3)
    assert said.lines[0] == said.lines[2]
    assert said.surprises == ["nmt: warning: input lines translated in segments: 1 (line 2)"]


# The end


def test_a_reader_that_goes_ends_it_in_silence(tiny_model: Path, expected: list[str]) -> None:
    line = f"yes {shlex.quote(LINES[0])} | {shlex.join(command('translate', tiny_model, *CPU))} | head -1"
    line += "; echo ${PIPESTATUS[1]}"
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, env=environment(), timeout=PATIENCE, check=False
    )
    assert (done.stdout, done.stderr) == (f"{expected[0]}\n{128 + signal.SIGPIPE}\n", "")


@pytest.mark.parametrize("group", [False, True])
@pytest.mark.parametrize("busy", [False, True])
def test_an_interrupt_is_one_line(tiny_model: Path, busy: bool, group: bool) -> None:
    with started(tiny_model, "--max-wait-ms", "0", group=group) as process:
        ask(process, LINES[0])
        assert answer(process)
        if busy:
            assert process.stdin
            process.stdin.write("".join(f"{LINES[1]} {number}\n" for number in range(1000)).encode())
            process.stdin.flush()
            assert answer(process)
        if group:
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err.decode()) == INTERRUPTED


def test_an_interrupt_leaves_no_output_and_nothing_beside_it(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"old\n")
    with started(tiny_model, "-o", str(tmp_path / "out")) as process:
        ask(process, LINES[0])
        end = time.monotonic() + PATIENCE
        while not any(path.stat().st_size for path in tmp_path.glob(".*.partial")):
            assert time.monotonic() < end
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err.decode()) == INTERRUPTED
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("out", b"old\n")]


def test_an_interrupt_while_it_starts_is_one_line(tiny_model: Path) -> None:
    for seconds in (0.3, 0.6, 0.9):
        with started(tiny_model) as process:
            time.sleep(seconds)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, err.decode()) == INTERRUPTED, seconds


INSIDE_EXEC = """\
from nmt import cli

def app(**_):
    try:
        exec("raise KeyboardInterrupt")
    except KeyboardInterrupt:
        return 130

cli.program = app
cli.main()
"""
"""Ctrl-C while a data class is made, which Python does by `exec`."""


def test_an_interrupt_inside_exec_still_ends_with_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "inside.py").write_text(INSIDE_EXEC)
    done = subprocess.run([sys.executable, "-m", "inside"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == INTERRUPTED


# Memory


def peak(model: Path, lines: int, precision: str) -> int:
    """Return the most memory, in KiB, that translating so many lines through a pipe took."""
    text = "".join(f"{source}\n" for source, _ in generate("test", 1000, 1)).encode()
    with started(model, "--beam-size", "1", "--max-extra-length", "0", "--precision", precision) as process:
        assert process.stdin
        assert process.stdout
        writer = threading.Thread(target=feed, args=(process.stdin, text, lines // 1000))
        writer.start()
        count, highest = 0, 0
        for _ in process.stdout:
            count += 1
            if count % 1000 == 0:
                status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
                highest = max(highest, *(int(row.split()[1]) for row in status.split("\n") if "VmHWM" in row))
        writer.join()
        process.stdin = None  # closed by the writer; `communicate` would flush it
        assert process.wait(PATIENCE) == 0
        assert count == lines
    return highest


def feed(pipe: IO[bytes], text: bytes, times: int) -> None:
    """Write `text` again and again, and close."""
    with pipe:
        for _ in range(times):
            pipe.write(text)


@pytest.mark.slow
@precisions
def test_memory_does_not_grow_with_the_lines(tiny_model: Path, precision: str) -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("no /proc here")
    few, many = (peak(tiny_model, lines, precision) for lines in (20_000, 100_000))
    print(f"{precision}: peak of 20,000 lines {few:,} KiB, of 100,000 lines {many:,} KiB")
    assert many < 1.1 * few

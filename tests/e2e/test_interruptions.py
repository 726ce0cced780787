"""Kill, Ctrl-C and a full disk at any moment: run again, and the end is the same, bit for bit."""

import json
import random
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, Run, command, environment, tree

from nmt.training.checkpoint import read_checkpoint

STEPS = 40
RECIPE = (
    TINY.replace("max_steps = 200", f"max_steps = {STEPS}")
    .replace("checkpoint_every = 50", "checkpoint_every = 5")
    .replace("validate_every = 100", "validate_every = 20")
    .replace("dropout = 0.1", "dropout = 0.1\nattention_dropout = 0.1")
)
PATIENCE = 120
"""Seconds after which a process that should have come further counts as hung."""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a log that may be in the writing."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def steps(folder: Path) -> list[int]:
    """Return the steps in the log of a run, in the order of the lines."""
    return [line["step"] for line in read_log(folder / "log.jsonl") if line["kind"] == "train"]


def start(*arguments: str | Path, preexec: Callable[[], None] | None = None) -> subprocess.Popen[bytes]:
    """Start the command in the background."""
    return subprocess.Popen(
        command(*arguments),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        preexec_fn=preexec,
    )


def wait_until(reached: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait until `process` has come so far; fail where it ends before."""
    end = time.monotonic() + PATIENCE
    while not reached():
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < end, "hangs"
        time.sleep(0.002)


def end_of(process: subprocess.Popen[bytes], how: signal.Signals) -> tuple[int, str]:
    """Send a signal; return how the process ended and what it had said."""
    process.send_signal(how)
    _, said = process.communicate(timeout=PATIENCE)
    return process.returncode, said.decode()


def without_speed(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out what differs between two runs of the same: time and memory."""
    measured = {"seconds", "tokens_per_second", "waiting", "memory_mib"}
    return [{key: value for key, value in line.items() if key not in measured} for line in log]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_run_killed_at_random_moments_ends_with_the_same_bytes_as_one_left_alone(
    nmt: Run, recipe: Path, tmp_path: Path, precision: str
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    options = ["--set", f"training.precision={precision}"]
    assert nmt("run", recipe, "--run-dir", whole, *options).code == 0

    rng = random.Random(f"kill {precision}")
    # The first somewhere in the data stages; the others around steps, be it between, in a save or in a validation.
    moments: list[tuple[Callable[[], bool], float]] = [((killed / "prepared").exists, rng.uniform(0, 0.2))]
    for step in sorted(rng.sample(range(1, STEPS - 3), 3)):
        moments.append((lambda step=step: len(steps(killed)) >= step, rng.uniform(0, 0.02)))  # type: ignore[misc]
    for reached, delay in moments:
        process = start("run", recipe, "--run-dir", killed, *options)
        wait_until(reached, process)
        time.sleep(delay)
        assert end_of(process, signal.SIGKILL)[0] == -signal.SIGKILL
        assert not (killed / "model").exists()

    last = nmt("run", recipe, "--run-dir", killed, *options)
    assert last.code == 0, last.err
    assert any(line.startswith("train: resuming after step ") for line in last.messages)
    for name in ("model/model.safetensors", "model/config.json", "evaluation/scores.json", "evaluation/test.de"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
    assert tree(killed / "checkpoints") == tree(whole / "checkpoints")
    assert tree(killed).keys() == tree(whole).keys(), "leftovers of the killed"
    assert steps(killed) == list(range(1, STEPS + 1))
    assert without_speed(read_log(killed / "log.jsonl")) == without_speed(read_log(whole / "log.jsonl"))


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_in_training_saves_and_the_end_is_that_of_a_run_left_alone(
    nmt_here: Run, recipe: Path, tmp_path: Path, how: signal.Signals, code: int
) -> None:
    folder, whole = tmp_path / "run", tmp_path / "whole"
    # More steps than can be done before the signal comes.
    long = ["--set", "training.max_steps=100000", "--set", "training.validate_every=100000"]
    process = start("run", recipe, "--run-dir", folder, *long)
    wait_until(lambda: len(steps(folder)) >= 7, process)
    ended, said = end_of(process, how)
    done = steps(folder)[-1]
    assert ended == code
    assert said.endswith(f"\nnmt: {how.name}: stopped after step {done}, saved (run it again to go on)\n")
    assert said.count("nmt: ") == 1
    end = ["--set", f"training.max_steps={done + 1}"]
    again = nmt_here("run", recipe, "--run-dir", folder, *end)
    assert again.code == 0
    assert f"train: resuming after step {done:,}" in again.messages
    assert steps(folder) == list(range(1, done + 2))
    assert nmt_here("run", recipe, "--run-dir", whole, *end).code == 0
    assert tree(folder / "checkpoints").keys() == tree(whole / "checkpoints").keys()
    assert (folder / "model/model.safetensors").read_bytes() == (whole / "model/model.safetensors").read_bytes()


def test_control_c_while_translating_is_one_line(tiny_model: Path) -> None:
    process = start("translate", tiny_model)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"Hello.\n" * 32)  # as many as are read before the first answer
    process.stdin.flush()
    assert process.stdout.readline().endswith(b"\n")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said.decode()) == (130, "nmt: interrupted\n")


def smallest_files(limit: int) -> Callable[[], None]:
    """Return what makes any write beyond `limit` bytes of a file fail, as a full disk does."""

    def restrict() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return restrict


def test_a_full_disk_in_training_is_one_line_and_the_last_checkpoint_stays_good(
    nmt_here: Run, recipe: Path, tmp_path: Path
) -> None:
    whole, full = tmp_path / "whole", tmp_path / "full"
    to = "training.max_steps={}".format
    assert nmt_here("run", recipe, "--run-dir", whole, "--set", to(12)).code == 0
    assert nmt_here("run", recipe, "--run-dir", full, "--set", to(10)).code == 0

    process = start("run", recipe, "--run-dir", full, "--set", to(12), preexec=smallest_files(50_000))
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 4
    messages = [line for line in said.decode().split("\n") if line.startswith("nmt: ")]
    assert len(messages) == 1
    assert "File too large" in messages[0]
    assert "Traceback" not in said.decode()
    checkpoints = sorted(path.name for path in (full / "checkpoints").glob("step-*"))
    assert checkpoints == ["step-00000005", "step-00000010"]
    assert read_checkpoint(full / "checkpoints" / "step-00000010").state.step == 10
    assert not list(full.rglob("*.partial"))

    again = nmt_here("run", recipe, "--run-dir", full, "--set", to(12))
    assert again.code == 0
    assert "train: resuming after step 10" in again.messages
    newest = "checkpoints/step-00000012/model.safetensors"
    assert (full / newest).read_bytes() == (whole / newest).read_bytes()


def test_a_full_disk_before_training_is_one_line_and_leaves_no_half_stage(recipe: Path, tmp_path: Path) -> None:
    process = start("prepare", recipe, "--run-dir", tmp_path / "run", preexec=smallest_files(20_000))
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 4
    assert [line for line in said.decode().split("\n") if line.startswith("nmt: ")] == said.decode().split("\n")[1:-1]
    assert "File too large" in said.decode()
    assert not list((tmp_path / "run").rglob("manifest.json"))
    assert not list((tmp_path / "run").rglob("*.partial"))


@pytest.mark.parametrize("flags", [[], ["-o", "/dev/full"]])
def test_an_output_that_is_full_is_one_line(tiny_model: Path, flags: list[str]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command("translate", tiny_model, *flags),
            input=b"Hello.\n",
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(),
            check=False,
        )
    assert (done.returncode, done.stderr.decode()) == (4, "nmt: output: No space left on device\n")


@pytest.mark.parametrize("words", [("translate",), ("tokenizer", "encode")])
def test_a_reader_that_leaves_early_ends_the_command_in_silence(tiny_model: Path, words: tuple[str, ...]) -> None:
    process = subprocess.Popen(
        command(*words, tiny_model),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdin.write(b"Hello.\n" * 2000)  # less than a pipe holds
    process.stdin.close()
    assert process.stdout.readline().endswith(b"\n")
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert (process.wait(PATIENCE), said) == (-signal.SIGPIPE, b"")

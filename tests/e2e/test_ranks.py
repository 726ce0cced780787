"""Several processes train one model: the update of one process, and no hang where one of them dies."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, Result, Run, tree
from launcher import PATIENCE, end_of, launch, workers
from torch.testing import assert_close

from nmt.training.checkpoint import Checkpoint, read_checkpoint

STEPS = 60
RECIPE = (
    TINY.replace("max_steps = 200", f"max_steps = {STEPS}")
    .replace("checkpoint_every = 50", "checkpoint_every = 10")
    .replace("validate_every = 100", "validate_every = 30")
)
CALM = [
    *("--set", "training.max_steps=20", "--set", "training.validate_every=20"),
    *("--set", "model.dropout=0", "--set", "optimizer.epsilon=1e-2"),
]
"""Without dropout nothing but rounding may tell one number of processes from another; Adam's usual epsilon would make
a whole step of a gradient that is nothing else, such as that of a key's bias."""


@pytest.fixture(scope="module")
def prepared(nmt_here: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepare the data once: a folder with the recipe and a run folder, `base`."""
    home = tmp_path_factory.mktemp("ranks")
    (home / "tiny.toml").write_text(RECIPE, encoding="utf-8")
    assert nmt_here("prepare", home / "tiny.toml", "--run-dir", home / "base").code == 0
    return home


@pytest.fixture
def begun(prepared: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Return what makes a run folder whose data are prepared."""
    return lambda name: shutil.copytree(prepared / "base", tmp_path / name)


def log_of(folder: Path) -> list[dict[str, Any]]:
    """Return the whole lines of a log that may be in the writing."""
    path = folder / "log.jsonl"
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def facts(folder: Path) -> list[dict[str, Any]]:
    """Return the log without what depends on time and memory."""
    timed = ("seconds", "tokens_per_second", "waiting", "memory_mib")
    return [{key: value for key, value in line.items() if key not in timed} for line in log_of(folder)]


def wait_for_step(folder: Path, step: int, process: subprocess.Popen[str]) -> None:
    """Wait until a training has come so far; fail where it ends before."""
    end = time.monotonic() + PATIENCE
    while not any(line["step"] >= step for line in log_of(folder)):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end, "hangs"
        time.sleep(0.005)


def newest(folder: Path) -> Checkpoint:
    """Read and verify the newest checkpoint."""
    return read_checkpoint(max((folder / "checkpoints").glob("step-*")))


def own_lines(said: Result) -> list[str]:
    """Return what nmt itself has said."""
    return [line for line in said.messages if re.match(r"(nmt|step|train|text|tokenizer|prepare|bundle)\b.*:", line)]


def test_ranks_and_passes_change_an_update_by_nothing_but_rounding(
    nmt_here: Run, prepared: Path, begun: Callable[[str], Path]
) -> None:
    folders = {name: begun(name) for name in ("one", "two", "cut", "two cut")}
    recipe, cut = prepared / "tiny.toml", ["--set", "batching.micro_batch_tokens=300"]
    assert nmt_here("train", recipe, "--run-dir", folders["one"], *CALM).code == 0
    assert nmt_here("train", recipe, "--run-dir", folders["cut"], *CALM, *cut).code == 0
    said = end_of(launch(2, "train", recipe, "--run-dir", folders["two"], *CALM))
    assert said.code == 0, said.err
    assert end_of(launch(2, "train", recipe, "--run-dir", folders["two cut"], *CALM, *cut)).code == 0

    one = newest(folders["one"])
    dev = [line for line in log_of(folders["one"]) if line["kind"] == "dev"]
    for name in ("two", "cut", "two cut"):
        other = newest(folders[name])
        assert other.state.step == one.state.step == 20
        # Adam divides by the size of the gradient: where that is near 0, its rounding shows in the update.
        assert_close(other.weights(), one.weights(), rtol=1e-4, atol=2e-5)
        (found,) = [line for line in log_of(folders[name]) if line["kind"] == "dev"]
        assert found["loss"] == pytest.approx(dev[0]["loss"], rel=1e-5)
        assert found["signature"] == dev[0]["signature"]
        assert (folders[name] / "model" / "model.safetensors").is_file()

    # The first rank alone prints and writes, each line once.
    lines = own_lines(said)
    assert said.out == ""
    assert max(Counter(lines).values()) == 1
    assert [line for line in lines if line.startswith("step 7 of ")]
    assert lines[-1] == f"bundle: {folders['two'] / 'model'}"
    assert [line["step"] for line in log_of(folders["two"]) if line["kind"] == "train"] == list(range(1, 21))
    assert tree(folders["two"]).keys() == tree(folders["one"]).keys()


@pytest.fixture(scope="module")
def whole(prepared: Path) -> Path:
    """Train with two ranks, with dropout, without an interruption."""
    folder = shutil.copytree(prepared / "base", prepared / "whole")
    said = end_of(launch(2, "train", prepared / "tiny.toml", "--run-dir", folder))
    assert said.code == 0, said.err
    return folder


def same_end(folder: Path, whole: Path) -> None:
    """Fail unless both runs ended with the same bits."""
    assert tree(folder / "checkpoints") == tree(whole / "checkpoints")
    for name in ("model.safetensors", "config.json"):
        assert (folder / "model" / name).read_bytes() == (whole / "model" / name).read_bytes()
    assert facts(folder) == facts(whole)


@pytest.mark.parametrize("victim", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_killed_rank_ends_the_job_by_name_and_the_next_goes_on_to_the_same_bits(
    nmt_here: Run, prepared: Path, whole: Path, begun: Callable[[str], Path], victim: int
) -> None:
    folder, recipe = begun("killed"), prepared / "tiny.toml"
    process = launch(2, "train", recipe, "--run-dir", folder)
    wait_for_step(folder, 25, process)
    os.kill(workers(process)[victim], signal.SIGKILL)
    began = time.monotonic()
    said = end_of(process)
    assert said.code != 0
    assert time.monotonic() - began < PATIENCE
    errors = [line for line in said.messages if line.startswith("nmt: ")]
    assert errors == [
        f"nmt: rank {1 - victim}: rank {victim} of this job is gone "
        "(the launcher says why; run it again to go on from what was saved)"
    ]
    assert f"local_rank: {victim}" in said.err
    assert not (folder / "model").exists()
    assert newest(folder).state.step >= 20
    assert newest(folder).state.ranks == 2

    alone = shutil.copytree(folder, folder.with_name("alone"))
    again = end_of(launch(2, "train", recipe, "--run-dir", folder))
    assert again.code == 0, again.err
    assert sum(line.startswith("train: resuming after step ") for line in again.messages) == 1
    same_end(folder, whole)

    if victim:
        # One process takes over what two began, and says what is no longer exact.
        last = nmt_here("train", recipe, "--run-dir", alone)
        assert last.code == 0
        assert (
            "nmt: warning: trained by 2 processes so far, now by 1: the sentences of each step stay, but dropout and "
            "rounding differ from an uninterrupted run"
        ) in last.messages
        assert newest(alone).state.ranks == 1
        assert newest(alone).state.step == STEPS


def test_a_launcher_that_restarts_a_killed_rank_ends_with_the_same_bits(
    prepared: Path, whole: Path, begun: Callable[[str], Path]
) -> None:
    folder = begun("restarted")
    process = launch(2, "train", prepared / "tiny.toml", "--run-dir", folder, restarts=1)
    wait_for_step(folder, 25, process)
    os.kill(workers(process)[1], signal.SIGKILL)
    said = end_of(process)
    assert said.code == 0, said.err
    assert any(line.startswith("train: resuming after step ") for line in said.messages)
    same_end(folder, whole)


def test_a_launcher_told_to_stop_saves_and_the_next_goes_on_to_the_same_bits(
    prepared: Path, whole: Path, begun: Callable[[str], Path]
) -> None:
    folder, recipe = begun("stopped"), prepared / "tiny.toml"
    process = launch(2, "train", recipe, "--run-dir", folder)
    wait_for_step(folder, 13, process)
    process.terminate()
    said = end_of(process)
    assert said.code != 0
    (halted,) = (folder / "checkpoints").glob("halt-*")
    step = read_checkpoint(halted).state.step
    assert any(line.startswith(f"nmt: SIGTERM: stopped after step {step}, saved") for line in said.messages)
    again = end_of(launch(2, "train", recipe, "--run-dir", folder))
    assert again.code == 0, again.err
    assert f"train: resuming after step {step}" in again.messages
    same_end(folder, whole)


def test_what_only_the_first_rank_notices_ends_the_others_soon(prepared: Path, begun: Callable[[str], Path]) -> None:
    folder = begun("damaged")
    (folder / "checkpoints" / "step-00000010").mkdir(parents=True)
    said = end_of(launch(2, "train", prepared / "tiny.toml", "--run-dir", folder))
    assert said.code != 0
    errors = [line for line in said.messages if line.startswith("nmt: ")]
    assert len(errors) <= 2
    message = "state.json: missing, so this is no checkpoint (no older checkpoint is whole"
    assert sum(message in line for line in errors) == 1

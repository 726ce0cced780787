"""`nmt study in-context-regression` and `softmax-regression`, killed and continued: the same bytes."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import tree

TINY = {
    "in-context-regression": "networks=linear masks=causal layers=2 dimension=2 examples=4 fewest_examples=2 queries=2 "
    "tests=8 fitting=5 descent_steps=2 d_model=8 heads=2 steps=2000 warmup_steps=2 batch=8",
    "softmax-regression": "norms=1 rows=4 columns=2 tests=8 d_model=8 heads=2 steps=2000 warmup_steps=2 batch=8",
}
CELL = {"in-context-regression": "linear,causal,layers=2", "softmax-regression": "norm=1"}
PLOTS = {"in-context-regression": ("by-examples", "by-layers"), "softmax-regression": ("by-norm",)}


def command(study: str, folder: Path, *options: str) -> list[str]:
    fields = [part for field in TINY[study].split() for part in ("--set", field)]
    return [sys.executable, "-m", "nmt", "study", study, "--quick", "--run-dir", str(folder), *fields, *options]


def made(folder: Path) -> dict[str, bytes]:
    """Return what the study made, without times and messages."""
    timed = {"time.json", "times.json", "lock.json"}
    return {
        name: content
        for name, content in tree(folder).items()
        if not name.startswith("logs") and Path(name).name not in timed
    }


@pytest.mark.parametrize("study", TINY)
def test_a_study_that_is_killed_goes_on_and_makes_the_same_bytes(study: str, tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    checkpoints = killed / "cells" / CELL[study] / "checkpoints"
    with subprocess.Popen(command(study, killed, "--only", CELL[study]), stderr=subprocess.PIPE) as process:
        while not list(checkpoints.glob("step-*")) and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (killed / "cells" / CELL[study] / "result.json").exists()
    for folder in (killed, whole):
        ended = subprocess.run(command(study, folder), capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
    assert "resuming after step" in (killed / "logs" / f"{CELL[study]}.log").read_text(encoding="utf-8")
    assert made(killed) == made(whole)
    files = {"study.json", "study.md", *(f"{name}.{kind}" for name in PLOTS[study] for kind in ("png", "svg"))}
    assert files <= made(whole).keys()

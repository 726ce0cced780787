"""`nmt study` as a user types it: killed and run again, and what it refuses."""

import json
import subprocess
from pathlib import Path

import pytest
from conftest import Run, command, environment
from processes import alive, wait_until

from nmt.files import entries, read_record

FEW = ["tasks=mode", "families=decoder-only", "positions=learned,rotary", "starts=random", "test_lengths=5,50"]
FEW += ["pairs=300", "test_pairs=5", "d_model=16", "layers=1", "steps=100", "warmup_steps=5", "tokens_per_step=100"]
FIELDS = [part for field in FEW for part in ("--set", field)]
FIRST = "mode-decoder-only-learned-random-seed1"


def test_a_study_that_was_killed_goes_on_and_has_the_same_bytes(
    nmt_here: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processes.PATIENCE", 200.0)  # two programs start before the first checkpoint
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    study = ["study", "length-generalization", "--quick", *FIELDS, "--jobs", "1"]
    said = nmt_here(*study, "--run-dir", whole, "--json")
    assert said.code == 0, said.err
    assert json.loads(said.out)["results"].keys() == {FIRST, "mode-decoder-only-rotary-zero-seed1"}
    process = subprocess.Popen(
        command(*study, "--run-dir", killed), cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL
    )
    run = killed / "cells" / FIRST / "run"
    wait_until(lambda: bool(entries(run / "checkpoints", "step-*")))
    holder = read_record(run / ".in-use", pid=int)
    assert holder is not None
    process.kill()
    process.wait()
    wait_until(lambda: not alive(holder["pid"]))
    assert not (killed / "cells" / FIRST / "result.json").exists()
    again = nmt_here(*study, "--run-dir", killed)
    assert again.code == 0, again.err
    assert "study: 2 cells, 0 finished; 1 at once" in again.err
    assert "resum" in (killed / "logs" / f"{FIRST}.log").read_text(encoding="utf-8")
    for name in ("study.json", "study.md", "exact-match.png", "exact-match.svg"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()
    assert again.lines[0].split() == [
        *("task", "family", "positions", "start", "5", "50", "paper", "measured"),
    ]
    assert nmt_here(*study, "--run-dir", killed, "--table").out == again.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lenght-generalization"], "No such command 'lenght-generalization'. Did you mean 'length-generalization'?"),
        (
            ["length-generalization", "--set", "task=copy"],
            "--set task=copy: unknown key task (did you mean 'tasks'?)",
        ),
        (
            ["length-generalization", "--set", "tasks=copi"],
            "--set tasks=copi: tasks.0 = 'copi': must be 'copy', 'copy-unique',",
        ),
        (
            ["length-generalization", "--quick", "--set", "steps=20"],
            "mode-decoder-only-learned-zero-seed1: optimizer.warmup_steps = 50 must be under training.max_steps = 20",
        ),
        (["length-generalization", "--only", "x"], "--only x: the study has no such cell (one of 396 is copy-"),
        (
            ["length-generalization", "--quick", "--seed", "7", "--only", "x"],
            "--only x: the study has no such cell (one of 24 is mode-decoder-only-learned-zero-seed7)",
        ),
        (
            ["length-generalization", "--quick", "--table"],
            "runs/study-length-generalization-quick: no such folder of a study (run it without --table)",
        ),
        (
            ["length-generalization", "--table"],
            "runs/study-length-generalization: no such folder of a study (run it without --table)",
        ),
    ],
)
def test_what_cannot_run_is_one_line_and_leaves_nothing(
    words: list[str], message: str, nmt_here: Run, tmp_path: Path
) -> None:
    said = nmt_here("study", *words, cwd=tmp_path)
    assert (said.code, said.out, len(said.messages)) == (2, "", 1)
    assert message in said.err
    assert not list(tmp_path.iterdir())

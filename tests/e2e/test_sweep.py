"""`nmt sweep` as a user types it: killed and run again, with failures, and what it refuses."""

import json
import subprocess
from pathlib import Path

import pytest
from conftest import Run, TinyRun, command, environment
from processes import alive, wait_until

from nmt.files import read_json, read_record


def test_a_sweep_that_was_killed_goes_on_and_the_failure_of_a_run_ends_no_other(
    tiny: TinyRun, nmt_here: Run, tmp_path: Path
) -> None:
    """Of three runs the first is finished, the second is killed with the sweep, and the third cannot run."""
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(
        tiny.recipe.read_text(encoding="utf-8")
        + "[sweep.long]\ntraining = { max_steps = 220, checkpoint_every = 10 }\n"
        + "[sweep.bad]\ntokenizer.vocab_size = 300\n",
        encoding="utf-8",
    )
    sweep = tmp_path / "runs" / "tiny-sweep"
    done = tiny.copy(sweep / "base-seed1") / "lock.json"
    long = tiny.copy(sweep / "long-seed1")
    (sweep / "bad-seed1").write_text("a file, where a folder should be", encoding="utf-8")
    before = done.stat().st_mtime_ns
    process = subprocess.Popen(
        command("sweep", recipe, "--jobs", "1"), cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL
    )
    wait_until(lambda: (long / "checkpoints" / "step-00000210").exists())
    holder = read_record(long / ".in-use", pid=int)
    assert holder is not None
    process.kill()
    process.wait()
    wait_until(lambda: not alive(holder["pid"]))
    again = nmt_here("sweep", recipe, "--jobs", "1", "--json", cwd=tmp_path)
    assert again.code == 7
    assert "sweep: 3 runs, 1 finished; 1 at once" in again.err
    refused = "failed with exit code 4: nmt: runs/tiny-sweep/bad-seed1: File exists"
    assert f"bad-seed1: {refused}" in again.err
    assert again.messages[-1].startswith(f"nmt: {recipe}: 1 of 3 runs failed: bad-seed1 {refused}")
    variants = json.loads(again.out)["variants"]
    assert [row["name"] for row in variants] == ["base", "long"]
    assert variants[0]["costs"].keys() == variants[1]["costs"].keys() >= {"train GFLOP/s", "test lines/s"}
    assert all(row["intervals"]["test"][0]["low"] <= row["quantities"]["test BLEU"]["mean"] for row in variants)
    assert read_json(long / "lock.json")["results"]["train"]["counts"]["steps"] == 220
    assert "resum" in (sweep / "logs" / "long-seed1.log").read_text(encoding="utf-8")
    assert done.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "one run is no sweep (give --set with several values, or --seeds, or a recipe with [sweep.NAME])"),
        (
            ["--set", "model.heads=1,3"],
            "variant heads=3: --set model.heads=3: model: heads = 3 must divide d_model = 32",
        ),
        (["--set", "model.heads"], "--set model.heads: not of the form section.key=value"),
        (["--seeds", "2", "--data-dir", "nowhere"], "--data-dir nowhere: no such folder"),
        (["--seeds", "2", "--table"], "runs/tiny-sweep: no such folder of a sweep (run it without --table)"),
    ],
)
def test_what_cannot_run_is_one_line_and_leaves_nothing(
    options: list[str], message: str, tiny: TinyRun, nmt_here: Run, tmp_path: Path
) -> None:
    result = nmt_here("sweep", tiny.recipe, *options, cwd=tmp_path)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert len(result.messages) == 1
    assert not list(tmp_path.iterdir())


def test_a_lock_is_no_recipe_of_a_sweep(nmt_here: Run) -> None:
    result = nmt_here("sweep", "runs/mine/lock.json", "--seeds", "2")
    message = "nmt: runs/mine/lock.json: a lock, not a recipe (`nmt recipe show LOCK` prints its recipe)\n"
    assert result == (2, "", message)

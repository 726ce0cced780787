"""The script for SLURM of docs/many-machines.md, with stand-ins for SLURM's commands on this machine."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, TINY, Run, environment, tree
from launcher import PATIENCE

SRUN = """\
#!/bin/bash
# As srun: one process on each machine, here two on this one; a SIGTERM goes to all; the exit code is the largest.
pids=()
for machine in 1 2; do "$@" & pids+=($!); done
trap 'kill -TERM "${pids[@]}"' TERM
code=0
for pid in "${pids[@]}"; do
    wait "$pid"; one=$?
    while kill -0 "$pid" 2>/dev/null; do wait "$pid"; one=$?; done
    [ "$one" -gt "$code" ] && code=$one
done
exit "$code"
"""
SCONTROL = """\
#!/bin/bash
if [ "$1" = show ]; then printf '%s\\n' localhost localhost; else echo "$@" >> "$REQUEUED"; fi
"""


def script() -> str:
    """Return the script of the page."""
    (found,) = re.findall(
        r"```bash\n(#!/bin/bash\n#SBATCH.*?)```", (ROOT / "docs" / "many-machines.md").read_text("utf-8"), re.DOTALL
    )
    return str(found)


def test_the_script_is_one_that_bash_understands(tmp_path: Path) -> None:
    (tmp_path / "mine.sbatch").write_text(script(), encoding="utf-8")
    done = subprocess.run(["bash", "-n", tmp_path / "mine.sbatch"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def cluster(nmt_here: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the script for it, SLURM's commands, and a run whose data are prepared."""
    folder = tmp_path_factory.mktemp("cluster")
    recipe = TINY.replace("max_steps = 200", "max_steps = 60").replace("checkpoint_every = 50", "checkpoint_every = 40")
    (folder / "mine.toml").write_text(recipe, encoding="utf-8")
    assert nmt_here("prepare", folder / "mine.toml", "--run-dir", folder / "base").code == 0
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    here = {"--nproc-per-node 8": "--nproc-per-node 1", "=ib0": "=lo", ":29500": f":{port}", "/shared": str(folder)}
    text = script()
    for theirs, ours in here.items():
        assert theirs in text
        text = text.replace(theirs, ours)
    (folder / "mine.sbatch").write_text(text, encoding="utf-8")
    (folder / "bin").mkdir()
    for name, content in (("srun", SRUN), ("scontrol", SCONTROL)):
        (folder / "bin" / name).write_text(content, encoding="utf-8")
        (folder / "bin" / name).chmod(0o755)
    return folder


def start(cluster: Path) -> subprocess.Popen[str]:
    """Start the job in a session of its own, as SLURM does, with the variables of SLURM that the script reads."""
    path = os.pathsep.join([str(cluster / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]])
    job = {"SLURM_JOB_ID": "17", "SLURM_JOB_NODELIST": "node[1-2]", "SLURM_JOB_NUM_NODES": "2"}
    return subprocess.Popen(
        ["bash", cluster / "mine.sbatch"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment({**job, "PATH": path, "REQUEUED": str(cluster / "requeued")}),
        start_new_session=True,
    )


def end_of(job: subprocess.Popen[str]) -> tuple[int, str]:
    """Wait for the end of the job, and return its exit code and output; a hang is a failure."""
    try:
        output = job.communicate(timeout=2 * PATIENCE)[0]
    except subprocess.TimeoutExpired:
        os.killpg(job.pid, signal.SIGKILL)
        raise
    return job.returncode, output


@pytest.mark.slow
def test_a_job_that_is_told_to_stop_is_queued_again_and_ends_with_the_same_bits(cluster: Path) -> None:
    run, requeued = cluster / "runs" / "mine", cluster / "requeued"
    shutil.copytree(cluster / "base", run)
    code, said = end_of(start(cluster))
    assert (code, requeued.exists()) == (0, False), said
    whole = run.rename(cluster / "whole")

    shutil.copytree(cluster / "base", run)
    job, until = start(cluster), time.monotonic() + PATIENCE
    while not (run / "log.jsonl").exists() or (run / "log.jsonl").read_text(encoding="utf-8").count("\n") < 10:
        assert job.poll() is None, end_of(job)
        assert time.monotonic() < until, "hangs"
        time.sleep(0.01)
    job.send_signal(signal.SIGTERM)
    code, said = end_of(job)
    (halted,) = (run / "checkpoints").glob("halt-*")
    step = int(halted.name.removeprefix("halt-"))
    assert f"nmt: SIGTERM: stopped after step {step}, saved" in said
    assert (code, requeued.read_text(encoding="utf-8")) == (0, "requeue 17\n"), said

    code, said = end_of(start(cluster))
    assert (code, requeued.read_text(encoding="utf-8")) == (0, "requeue 17\n"), said
    assert f"train: resuming after step {step}" in said
    assert tree(run / "checkpoints") == tree(whole / "checkpoints")
    assert (run / "model" / "model.safetensors").read_bytes() == (whole / "model" / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_a_job_whose_training_fails_fails_and_is_not_queued_again(cluster: Path) -> None:
    run = shutil.copytree(cluster / "base", cluster / "runs" / "mine", dirs_exist_ok=True)
    (cluster / "requeued").unlink(missing_ok=True)
    shutil.rmtree(run / "checkpoints", ignore_errors=True)
    (run / "checkpoints" / "step-00000010").mkdir(parents=True)  # which is damaged
    code, said = end_of(start(cluster))
    assert code != 0
    assert "state.json: missing, so this is no checkpoint" in said
    assert not (cluster / "requeued").exists()

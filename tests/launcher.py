"""Jobs of several ranks, as torchrun starts them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from conftest import Result, environment

PATIENCE = 60
"""Seconds in which a job of several processes has to end, whatever happened to them."""


def launch(ranks: int, *arguments: str | Path, restarts: int = 0) -> subprocess.Popen[str]:
    """Start torchrun with so many processes of `nmt` on this machine."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--monitor-interval", "0.1"]
    counts = ["--nproc-per-node", str(ranks), "--max-restarts", str(restarts)]
    return subprocess.Popen(
        [*launcher, *counts, "-m", "nmt", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        text=True,
    )


def end_of(process: subprocess.Popen[str]) -> Result:
    """Wait for the end of a job; a hang is a failure."""
    try:
        out, err = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        for pid in workers(process):
            os.kill(pid, signal.SIGKILL)
        process.kill()
        raise
    return Result(process.returncode, out, err)


def workers(process: subprocess.Popen[str]) -> list[int]:
    """Return the process ids of the ranks, in order."""
    found = {}
    for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        variables = dict(part.partition(b"=")[::2] for part in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
        if b"RANK" in variables:
            found[int(variables[b"RANK"])] = int(pid)
    return [found[rank] for rank in sorted(found)]

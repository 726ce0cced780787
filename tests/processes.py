"""Processes that a test looks at from outside."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE = 60.0


def wait_until(reached: Callable[[], bool], process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait until something holds, while `process` runs."""
    end = time.monotonic() + PATIENCE
    while not reached():
        assert process is None or process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < end, "hangs"
        time.sleep(0.002)


def alive(pid: int) -> bool:
    """Tell whether a process runs that is not of this one's children, or not waited for."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        # Its first thread may have ended before the others, which still hold its files open.
        return state != "Z" or len(list(Path(f"/proc/{pid}/task").iterdir())) > 1
    except OSError:
        return False


def in_group(group: int) -> set[int]:
    """Return the processes of a group that are alive."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, (state, _, pgid) = path.parent.name, path.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it has ended meanwhile
            continue
        if int(pgid) == group and state != "Z":
            found.add(int(pid))
    return found

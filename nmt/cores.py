"""The cores that the process may use, and OpenMP's threads on them. Free of torch."""

import math
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

NUMBER = "OMP_NUM_THREADS"
WAITING = {"GOMP_SPINCOUNT": "5000", "KMP_BLOCKTIME": "1"}
"""How long a thread that waits spins before it sleeps: rounds for GNU's OpenMP, milliseconds for LLVM's and Intel's.

Their defaults are 300,000 rounds and 200 milliseconds. A thread that spins for so long holds a core that the one it
waits for may need, where other processes are busy too.
"""


def cores() -> int:
    """Return the number of cores that this process may use: its affinity, within the quotas of its control groups.

    A part of a core counts as one.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return math.ceil(min(allowed, cpu_quota()))


def cpu_quota() -> float:
    """Return the cores whose time the control groups allow; infinite where they set no limit."""
    quotas = [math.inf]
    for group in control_groups("cpu"):
        for names in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):  # of version 2, of version 1
            with suppress(OSError, ValueError):  # missing, or "max"
                quota, period = map(int, " ".join((group / name).read_text("ascii") for name in names).split())
                quotas += [quota / period] * (quota > 0)
    return min(quotas)


def control_groups(controller: str) -> Iterator[Path]:
    """Yield the folders of the control groups that hold this process, each after the groups within it; see cgroups(7).

    Those of version 1 with `controller`, and those of version 2. In a container the outermost one is the container's.
    """
    with suppress(OSError):
        groups = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
        paths = {name: path for _, controllers, path in groups for name in controllers.split(",")}
        for line in Path("/proc/self/mountinfo").read_text().splitlines():
            mount, _, filesystem = line.partition(" - ")
            root, point = mount.split()[3:5]
            kind, _, options = filesystem.split(maxsplit=2)
            name = "" if kind == "cgroup2" else controller
            if name in paths and (kind == "cgroup2" or (kind == "cgroup" and controller in options.split(","))):
                path = Path(paths[name])
                inner = path.relative_to(root).parts if path.is_relative_to(root) else ()
                yield from (Path(point, *inner[:depth]) for depth in range(len(inner), -1, -1))


def threads() -> int:
    """Return the threads to compute with: those that the user's environment asks for, or one for each physical core.

    Two threads of a core share its units for products, so that a second one gains nothing.
    """
    asked = os.environ.get(NUMBER, "").partition(",")[0]
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    siblings = set()
    try:
        for core in os.sched_getaffinity(0):
            siblings.add(Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list").read_text())
    except (OSError, AttributeError):
        return cores()
    return min(len(siblings), cores())


def configure_openmp() -> bool:
    """Set the number of OpenMP's threads and how long they spin; settings of the user's environment stay.

    To be called before torch is loaded, which reads them once. Return False where it was loaded before: what is set now
    holds for child processes alone.
    """
    settings = {} if os.environ.keys() & {"OMP_WAIT_POLICY", *WAITING} else WAITING
    if NUMBER not in os.environ and hasattr(os, "sched_getaffinity"):  # torch knows the fast cores of other systems
        settings = {**settings, NUMBER: str(threads())}
    os.environ.update(settings)
    return not settings or "torch" not in sys.modules

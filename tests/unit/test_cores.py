"""The cores that may be used, not those of the machine; and what OpenMP is told before torch is loaded."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import environment

from nmt import cores

V2_MOUNT = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
V1_MOUNTS = (
    "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
    "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset"
)
Files = Callable[..., None]


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> Files:
    """Return a function that replaces files of the system by those given, others being missing; eight cores may run."""

    def replace(groups: str = "", mounts: str = "", **quotas: str) -> None:
        known = {"/proc/self/cgroup": groups, "/proc/self/mountinfo": mounts, **quotas}

        def read_text(path: Path, *_: object) -> str:
            if str(path) not in known:
                raise FileNotFoundError(path)
            return known[str(path)]

        monkeypatch.setattr(Path, "read_text", read_text)

    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    return replace


def test_the_cores_are_those_that_the_process_may_run_on(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    files()
    assert cores.cores() == 8
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert cores.cores() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores.cores() == 1


@pytest.mark.parametrize(
    ("limit", "count"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("250000 100000", 3),
        ("10000 100000", 1),
        ("9900000 100000", 8),
        ("?", 8),
    ],
)
def test_a_quota_of_version_2_counts_and_a_part_of_a_core_is_one(files: Files, limit: str, count: int) -> None:
    files("0::/job\n", V2_MOUNT, **{"/sys/fs/cgroup/job/cpu.max": f"{limit}\n"})
    assert cores.cores() == count


def test_the_least_quota_of_nested_groups_counts(files: Files) -> None:
    outer = {"/sys/fs/cgroup/a/cpu.max": "300000 100000\n", "/sys/fs/cgroup/a/b/c/cpu.max": "max 100000\n"}
    files("0::/a/b/c\n", V2_MOUNT, **outer)
    assert cores.cores() == 3
    files("0::/a/b/c\n", V2_MOUNT, **outer, **{"/sys/fs/cgroup/a/b/cpu.max": "100000 50000\n"})
    assert cores.cores() == 2
    files("0::/a/b/c\n", V2_MOUNT, **{"/sys/fs/cgroup/cpu.max": "500000 100000\n"})
    assert cores.cores() == 5


@pytest.mark.parametrize(("quota", "count"), [("-1", 8), ("150000", 2), ("400000", 4)])
def test_a_quota_of_version_1_lies_in_two_files_beside_the_unified_hierarchy(
    files: Files, quota: str, count: int
) -> None:
    groups = "3:cpuset:/other\n4:cpu,cpuacct:/docker/a:b\n1:name=systemd:/\n0::/docker/a:b\n"
    quotas = {"cpu.cfs_quota_us": f"{quota}\n", "cpu.cfs_period_us": "100000\n"}
    folder = "/sys/fs/cgroup/cpu,cpuacct/docker/a:b"
    files(groups, f"{V2_MOUNT}\n{V1_MOUNTS}", **{f"{folder}/{name}": text for name, text in quotas.items()})
    assert cores.cores() == count


@pytest.mark.parametrize("path", ["/docker/abc/inner", "/elsewhere", "/../elsewhere"])
def test_in_a_container_the_mount_is_its_own_group(files: Files, path: str) -> None:
    mount = "33 31 0:30 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu"
    quotas = {"cpu.cfs_quota_us": "100000", "cpu.cfs_period_us": "50000"}
    files(f"4:cpu:{path}\n", mount, **{f"/sys/fs/cgroup/cpu/{name}": text for name, text in quotas.items()})
    assert cores.cores() == 2
    inner = {f"/sys/fs/cgroup/cpu/inner/{name}": text for name, text in (quotas | {"cpu.cfs_quota_us": "9"}).items()}
    files("4:cpu:/docker/abc/inner\n", mount, **inner)
    assert cores.cores() == 1


def test_one_thread_for_each_physical_core_within_the_quota(files: Files) -> None:
    files()
    assert cores.threads() == 8  # nothing is known of their siblings
    siblings = {
        f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list": f"{core % 4},{core % 4 + 4}\n"
        for core in range(8)
    }
    files(**siblings)
    assert (cores.cores(), cores.threads()) == (8, 4)
    files("0::/\n", V2_MOUNT, **siblings, **{"/sys/fs/cgroup/cpu.max": "300000 100000"})
    assert (cores.cores(), cores.threads()) == (3, 3)


@pytest.mark.parametrize(("given", "count"), [("3", 3), ("12,2", 12), ("", 8), ("0", 8), ("many", 8)])
def test_the_users_number_of_threads_wins(
    files: Files, monkeypatch: pytest.MonkeyPatch, given: str, count: int
) -> None:
    files()
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert cores.threads() == count


NAMES = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", *cores.WAITING)


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, "")  # so that what a test sets is unset after it
        monkeypatch.delenv(name)


def settings_now() -> dict[str, str]:
    return {name: os.environ[name] for name in NAMES if name in os.environ}


DEFAULTS = {**cores.WAITING, "OMP_NUM_THREADS": "8"}


@pytest.mark.parametrize(
    ("given", "settings"),
    [
        ({}, DEFAULTS),
        ({"OMP_NUM_THREADS": "2"}, {**DEFAULTS, "OMP_NUM_THREADS": "2"}),
        *(({name: "7"}, {"OMP_NUM_THREADS": "8", name: "7"}) for name in ("OMP_WAIT_POLICY", *cores.WAITING)),
    ],
)
def test_openmp_is_configured_where_the_user_has_not(
    files: Files, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], settings: dict[str, str]
) -> None:
    files()
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    os.environ.update(given)
    assert cores.configure_openmp()
    assert settings_now() == settings


def test_it_is_said_once_that_torch_was_loaded_before(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    files()
    monkeypatch.setitem(sys.modules, "torch", sys)
    assert [cores.configure_openmp() for _ in range(2)] == [False, True]
    assert settings_now() == DEFAULTS  # for child processes


def test_other_systems_than_linux_choose_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    cores.configure_openmp()
    assert settings_now() == cores.WAITING


@pytest.mark.parametrize(
    ("program", "is_late"),
    [
        ("from nmt import Translator; import torch", False),
        ("import torch; import nmt; nmt.Translator; nmt.Candidate", True),
    ],
)
def test_a_caller_that_imported_torch_first_is_warned_once(program: str, is_late: bool) -> None:
    fast = (
        "import sys, types; sys.modules['nmt.inference.translator'] = types.SimpleNamespace(Translator=1, Candidate=2)"
    )
    program = program.replace("import torch", "sys.modules['torch'] = sys")  # torch itself takes seconds
    program = f"{fast}; {program}; import os; print(os.environ['GOMP_SPINCOUNT'])"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{cores.WAITING['GOMP_SPINCOUNT']}\n"
    assert done.stderr.startswith("nmt: warning: torch was imported before Translator" if is_late else "")
    assert done.stderr.count("\n") == is_late

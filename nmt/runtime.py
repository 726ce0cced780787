"""Device, threads, allocator, and the record of the environment. Imports torch inside functions."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from nmt.errors import UsageError

if TYPE_CHECKING:
    import torch

PACKAGES = ("torch", "sentencepiece", "sacrebleu", "datasets", "safetensors", "numpy", "pydantic")


def keep_freed_memory() -> None:
    """Tell glibc's malloc to keep the pages that are freed, instead of mapping and clearing them anew each step.

    Costs some peak memory and saves hundreds of thousands of page faults a step; other C libraries are left
    as they are. The constants are those of malloc.h.
    """
    mmap_max, trim_threshold, top_pad = -4, -1, -2
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(mmap_max, 0)
    mallopt(trim_threshold, 2**31 - 1)
    mallopt(top_pad, 64 * 2**20)


def bound_kernels() -> None:
    """Let oneDNN, which computes bfloat16 on a CPU, keep what it made for the last 64 shapes of a product, not 1,024.

    Batches of ever new shapes would fill gigabytes. To be called before the first product; what the user has set in the
    environment stays.
    """
    for variable in ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY"):  # its own cache, and PyTorch's above it
        os.environ.setdefault(variable, "64")


def return_freed_memory() -> None:
    """Give the pages that `keep_freed_memory` kept back to the system."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):
        return


@contextmanager
def watching_memory(device: torch.device) -> Iterator[Callable[[], int]]:
    """Yield what tells, after the block, how many bytes more than before the block took at its peak."""
    import torch

    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield lambda: torch.cuda.max_memory_reserved(device) - before
        return
    return_freed_memory()
    forget_peak()
    before = process_memory("VmRSS")
    yield lambda: process_memory("VmHWM") - before


def forget_peak() -> None:
    """Let Linux count the process's peak memory from now on; elsewhere it goes on as it is."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def process_memory(field: str) -> int:
    """Return a field of Linux's record of this process, in bytes; elsewhere the peak, whatever the field."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def peak_memory(device: torch.device) -> int:
    """Return the most bytes that this process had, of the GPU's memory where it trains there."""
    import torch

    return torch.cuda.max_memory_reserved(device) if device.type == "cuda" else process_memory("VmHWM")


def free_memory(device: torch.device) -> int:
    """Return the bytes that this process may still take, by what the device or the system and its groups allow."""
    import torch

    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    with suppress(OSError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
        with suppress(OSError, ValueError):  # without a limit the file says "max"
            group = Path("/sys/fs/cgroup")
            limit, used = (int((group / name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current"))
            free = min(free, limit - used)
        return free
    return sys.maxsize


def compiler_works(device: torch.device) -> bool:
    """Tell whether torch.compile can make code for `device` on this machine."""
    import torch

    try:
        return bool(torch.compile(lambda x: x + 1)(torch.ones(2, device=device)).sum() == 4)
    except Exception:  # whatever a missing or broken compiler makes it raise
        return False


def pick_device(name: str) -> torch.device:
    """Return the device called `name`: `auto`, `cpu` or `cuda`. Raises UsageError where it is missing.

    Where several processes were started on this machine, each gets a GPU of its own, by torchrun's LOCAL_RANK.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("no GPU that torch can use on this machine", hint="take device cpu or auto")
    if name != "cuda":
        return torch.device(name)
    place, count = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
    if place >= count:
        wanted = os.environ.get("LOCAL_WORLD_SIZE", place + 1)
        raise UsageError(
            f"{wanted} processes want a GPU each, and torch can use {count} on this machine", hint="start no more"
        )
    return torch.device(name, place)


def cores() -> int:
    """Return how many of the processor's cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def set_threads(count: int | None) -> None:
    """Let torch use `count` threads; None leaves its own choice, the processor's cores."""
    import torch

    if count is not None:
        torch.set_num_threads(count)


def versions() -> dict[str, str]:
    """Return the versions of nmt, Python and the packages that results depend on."""
    from nmt.version import __version__

    found = {"nmt": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, str | int]:
    """Return what of the machine may change a result's bits or its speed."""
    import torch

    record: dict[str, str | int] = {
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
    }
    if torch.cuda.is_available():
        record["gpu"] = torch.cuda.get_device_name()
        record["cuda"] = torch.version.cuda or ""
    return record

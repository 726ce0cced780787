"""Device, threads, allocator, and the record of the environment. Imports torch inside functions."""

from __future__ import annotations

import ctypes
import os
import platform
from importlib.metadata import PackageNotFoundError, version
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


def return_freed_memory() -> None:
    """Give the pages that `keep_freed_memory` kept back to the system.

    Batches of many shapes leave gaps that no other fits: called now and then, this bounds them.
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError, TypeError):
        return


def pick_device(name: str) -> torch.device:
    """Return the device called `name`: `auto`, `cpu` or `cuda`. Raises UsageError where it is missing."""
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("no GPU that torch can use on this machine", hint="take device cpu or auto")
    return torch.device(name)


def set_threads(count: int | None) -> None:
    """Let torch use `count` threads; None leaves its own choice, the processor's cores."""
    import torch

    if count is not None:
        torch.set_num_threads(count)


def versions() -> dict[str, str]:
    """Return the versions of nmt, Python and the packages that results depend on."""
    import nmt

    found = {"nmt": nmt.__version__, "python": platform.python_version()}
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

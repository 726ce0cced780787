"""The device that computes: its choice, its memory, its compiler, and the record of the machine."""

import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from nmt import runtime
from nmt.errors import UsageError

PRODUCT_SIZE, PRODUCT_TRIALS = 1024, 5  # rows of the matrices that a processor's rate is measured with, and products


def pick_device(name: str, processes: int = 1) -> torch.device:
    """Return the device called `name`: `auto`, `cpu` or `cuda`. Raises UsageError where it is missing.

    Where several processes were started on this machine, each gets a GPU of its own, by torchrun's LOCAL_RANK;
    `processes` are those that this one will start.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("no GPU that torch can use on this machine", hint="take device cpu or auto")
    if name != "cuda":
        return torch.device(name)
    rank, count = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
    if max(rank + 1, processes) > count:
        wanted = max(int(os.environ.get("LOCAL_WORLD_SIZE", rank + 1)), processes)
        raise UsageError(
            f"{wanted} processes want a GPU each, and torch can use {count} on this machine", hint="start no more"
        )
    return torch.device(name, rank)


def find_gpu() -> tuple[str, bool] | None:
    """Return the name of the GPU, and whether it has instructions for bfloat16; None without a GPU."""
    if not torch.cuda.is_available():
        return None
    return torch.cuda.get_device_name(), torch.cuda.is_bf16_supported(including_emulation=False)


def bfloat16_gain() -> float:
    """Return the rate of this processor's bfloat16 matrix products, as a multiple of float32's.

    Instructions for bfloat16 do not tell: with them one processor is twice as fast as in float32, another half as fast.
    """
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        matrix = torch.ones(PRODUCT_SIZE, PRODUCT_SIZE, dtype=dtype)
        torch.mm(matrix, matrix)  # which prepares the kernel
        times = []
        for _ in range(PRODUCT_TRIALS):
            start = time.perf_counter()
            torch.mm(matrix, matrix)
            times.append(time.perf_counter() - start)
        seconds[dtype] = min(times)
    return seconds[torch.float32] / seconds[torch.bfloat16]


def compiler_works(device: torch.device) -> bool:
    """Return whether torch.compile can generate code for `device` on this machine."""
    try:
        return bool(torch.compile(lambda x: x + 1)(torch.ones(2, device=device)).sum() == 4)
    except Exception:  # a missing or broken compiler may raise anything
        return False


@contextmanager
def measuring_memory(device: torch.device) -> Iterator[Callable[[], int]]:
    """Measure the peak memory of a block, in bytes above its start; the function yielded returns it afterwards."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        yield lambda: torch.cuda.max_memory_reserved(device) - before
        return
    runtime.return_freed_memory()
    runtime.reset_peak_memory()
    before = runtime.process_memory("VmRSS")
    yield lambda: runtime.process_memory("VmHWM") - before


def peak_memory(device: torch.device) -> int:
    """Return the peak memory of this process in bytes, of the GPU where it computes there."""
    return torch.cuda.max_memory_reserved(device) if device.type == "cuda" else runtime.process_memory("VmHWM")


def free_memory(device: torch.device) -> int:
    """Return the bytes that this process may still take on `device`."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return runtime.free_memory()


def machine() -> dict[str, str | int]:
    """Return the properties of the machine that may change a result's bits or its speed."""
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

"""The device that computes: its choice, its memory, its compiler, and the record of the machine."""

import os
import platform
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import distributed

from nmt import runtime
from nmt.errors import UsageError

WORKSPACES = (":4096:8", ":16:8")
"""The settings of CUBLAS_WORKSPACE_CONFIG with which cuBLAS is deterministic."""

DRIVER = Path("/proc/driver/nvidia/version")
"""Where NVIDIA's driver says its version, on Linux."""
PRODUCT_SIZE, PRODUCT_TRIALS = 1024, 5  # rows of the matrices that a processor's rate is measured with, and products


def kind_of_device(name: str) -> str:
    """Return `cpu` or `cuda` for the device called `name`: `auto` takes a GPU if there is one."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def pick_device(name: str, processes: int = 1) -> torch.device:
    """Return the device called `name`: `auto`, `cpu` or `cuda`; prepare a GPU. Raises UsageError where it is missing.

    Where several processes were started on this machine, each gets a GPU of its own, by torchrun's LOCAL_RANK;
    `processes` are those that this one will start.
    """
    name = kind_of_device(name)
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
    # cuDNN's attention builds a plan for each new shape of a batch, which takes up to half a second.
    torch.backends.cuda.enable_cudnn_sdp(False)
    # Batches of ever new shapes would leave gaps in the memory. Read when CUDA starts; a setting of the user stays.
    if not {"PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_HIP_ALLOC_CONF"} & os.environ.keys():
        os.environ["PYTORCH_ALLOC_CONF"] = "expandable_segments:True"
    device = torch.device(name, rank)
    if processes == 1:
        torch.cuda.set_device(device)  # what names no device would start CUDA on the first GPU too
    return device


def compute_deterministically() -> None:
    """Make torch compute the same bits each time, and fail where it cannot.

    Raises UsageError where the environment gives cuBLAS workspaces with which it does not.
    """
    workspaces = os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", WORKSPACES[0])
    if workspaces not in WORKSPACES:
        message = f"CUBLAS_WORKSPACE_CONFIG = {workspaces}: with it cuBLAS is not deterministic"
        raise UsageError(message, hint=f"unset it, or take {' or '.join(WORKSPACES)}")
    torch.use_deterministic_algorithms(True)
    # Costs time, and nothing here reads memory that it has not written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # a property


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
        here = min(int(os.environ.get("LOCAL_WORLD_SIZE", 1)), torch.cuda.device_count())
        record["gpu"] = ", ".join(dict.fromkeys(map(torch.cuda.get_device_name, range(here))))
        record["gpus"] = int(os.environ.get("WORLD_SIZE", 1))
        record["driver"] = driver_version()
        record["cuda"] = torch.version.cuda or ""
        record["cudnn"] = torch.backends.cudnn.version() or ""
        if distributed.is_available() and distributed.is_nccl_available():
            record["nccl"] = ".".join(map(str, torch.cuda.nccl.version()))
    return record


def driver_version() -> str:
    """Return the version of NVIDIA's driver; an empty string where it is not known."""
    found = re.search(r"\d{3,}\.\d[\d.]*", DRIVER.read_text(encoding="utf-8")) if DRIVER.exists() else None
    return found[0] if found else ""

"""Devices: which is picked, what of its memory is free, what a block takes of it, the record of the machine."""

import os
import subprocess
import sys

import pytest
import torch
from conftest import environment

from nmt import devices, runtime
from nmt.errors import UsageError

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


def test_every_process_takes_a_gpu_of_its_own_and_too_many_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    for rank in range(2):
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        assert str(devices.pick_device("auto")) == str(devices.pick_device("cuda")) == f"cuda:{rank}"
        assert str(devices.pick_device("cpu")) == "cpu"
    monkeypatch.setenv("LOCAL_RANK", "2")
    wanted = r"^3 processes want a GPU each, and torch can use 2 on this machine \(start no more\)$"
    with pytest.raises(UsageError, match=wanted):
        devices.pick_device("auto")


def test_a_process_alone_takes_the_first_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    for variable in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(variable, raising=False)
    assert devices.pick_device("auto") == GPU
    with pytest.raises(UsageError, match=r"^3 processes want a GPU each, and torch can use 1 on this machine"):
        devices.pick_device("cuda", processes=3)
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(UsageError, match=r"^2 processes want a GPU each, and torch can use 1 on this machine"):
        devices.pick_device("cuda")


def test_without_a_gpu_auto_is_the_cpu_and_cuda_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert devices.pick_device("auto") == CPU
    with pytest.raises(UsageError) as caught:
        devices.pick_device("cuda")
    assert str(caught.value) == "no GPU that torch can use on this machine (take device cpu or auto)"


def test_free_memory_of_a_gpu_includes_what_torch_has_reserved_and_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.mem_get_info", lambda _: (1000, 5000))
    monkeypatch.setattr("torch.cuda.memory_reserved", lambda _: 300)
    monkeypatch.setattr("torch.cuda.memory_allocated", lambda _: 120)
    assert devices.free_memory(GPU) == 1180


def test_free_memory_of_a_cpu_is_the_process_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "free_memory", lambda: 77)
    assert devices.free_memory(CPU) == 77


def test_peak_memory_is_that_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.max_memory_reserved", lambda _: 5)
    monkeypatch.setattr(runtime, "process_memory", {"VmHWM": 6}.__getitem__)
    assert (devices.peak_memory(GPU), devices.peak_memory(CPU)) == (5, 6)


def test_a_block_on_a_gpu_is_measured_above_what_was_allocated_before(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: calls.append("empty"))
    monkeypatch.setattr("torch.cuda.reset_peak_memory_stats", lambda _: calls.append("reset"))
    monkeypatch.setattr("torch.cuda.memory_allocated", lambda _: 100)
    monkeypatch.setattr("torch.cuda.max_memory_reserved", lambda _: 450)
    with devices.measuring_memory(GPU) as taken:
        calls.append("block")
    assert (taken(), calls) == (350, ["empty", "reset", "block"])


MEASURING = """\
import torch
from nmt import devices, runtime
runtime.keep_freed_memory()
filler = [torch.ones(2**20) for _ in range(100)]  # freed, not given back: what is measured may come to lie in it
del filler
with devices.measuring_memory(torch.device("cpu")) as taken:
    torch.ones(200 * 10**6 // 4).sum()
print(taken())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forgets a peak")
def test_the_memory_that_a_block_takes_on_a_cpu_is_measured() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURING], capture_output=True, check=True, env=environment(), timeout=120
    )
    assert int(done.stdout) == pytest.approx(200e6, rel=0.2)


def test_the_compiler_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.compile", lambda function: function)
    assert devices.compiler_works(CPU)
    monkeypatch.setattr("torch.compile", lambda _: lambda x: x)  # which computes something else
    assert not devices.compiler_works(CPU)

    def broken(_: object) -> None:
        raise RuntimeError("no C++ compiler")

    monkeypatch.setattr("torch.compile", broken)
    assert not devices.compiler_works(CPU)


def test_the_gain_of_bfloat16_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]

    def multiply(a: torch.Tensor, _: torch.Tensor) -> None:
        clock[0] += 3.0 if a.dtype == torch.bfloat16 else 1.5

    monkeypatch.setattr("torch.mm", multiply)
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    assert devices.bfloat16_gain() == 0.5


def test_the_record_of_the_machine_names_its_gpu_where_it_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    record = devices.machine()
    assert record.keys() == {"platform", "processor", "capability", "cores", "threads"}
    assert (record["cores"], record["threads"]) == (os.cpu_count(), torch.get_num_threads())
    assert all(record.values())
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "A100")
    monkeypatch.setattr("torch.version.cuda", "13.0")
    assert devices.machine() == {**record, "gpu": "A100", "cuda": "13.0"}


def test_the_gpu_is_found_by_name_with_its_own_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert devices.find_gpu() is None
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "H100")
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert devices.find_gpu() == ("H100", False)

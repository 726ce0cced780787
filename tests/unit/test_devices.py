"""Devices: which is picked, what of its memory is free, what a block takes of it, the record of the machine."""

import os
import subprocess
import sys
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path

import pytest
import torch
from conftest import environment
from torch.backends.cuda import cudnn_sdp_enabled

from nmt import devices, runtime
from nmt.errors import UsageError, explain

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[torch.device]]:
    """Let torch find two GPUs, and list those that become the current one."""
    current: list[torch.device] = []
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.set_device", current.append)
    for variable in ("LOCAL_RANK", "LOCAL_WORLD_SIZE", "WORLD_SIZE", "PYTORCH_CUDA_ALLOC_CONF"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PYTORCH_ALLOC_CONF", "")  # so that it is taken back afterwards
    monkeypatch.delenv("PYTORCH_ALLOC_CONF")
    yield current
    torch.backends.cuda.enable_cudnn_sdp(True)


def test_every_process_takes_a_gpu_of_its_own_and_too_many_are_refused(
    gpus: list[torch.device], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    for rank in range(2):
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        device = devices.pick_device("auto")
        assert str(device) == str(devices.pick_device("cuda")) == f"cuda:{rank}"
        assert gpus[-1] == device
        assert str(devices.pick_device("cpu")) == "cpu"
    monkeypatch.setenv("LOCAL_RANK", "2")
    wanted = r"^3 processes want a GPU each, and torch can use 2 on this machine \(start no more\)$"
    with pytest.raises(UsageError, match=wanted):
        devices.pick_device("auto")
    assert len(gpus) == 4


def test_a_process_alone_takes_the_first_gpu(gpus: list[torch.device], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert devices.pick_device("auto") == GPU
    with pytest.raises(UsageError, match=r"^3 processes want a GPU each, and torch can use 1 on this machine"):
        devices.pick_device("cuda", processes=3)
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(UsageError, match=r"^2 processes want a GPU each, and torch can use 1 on this machine"):
        devices.pick_device("cuda")
    assert gpus == [GPU]


def test_a_process_that_starts_others_uses_no_gpu_itself(gpus: list[torch.device]) -> None:
    devices.pick_device("cuda", processes=2)
    assert gpus == []


@pytest.mark.usefixtures("gpus")
def test_on_a_gpu_cudnn_computes_no_attention_and_the_memory_has_no_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cudnn_sdp_enabled()
    devices.pick_device("cpu")
    assert cudnn_sdp_enabled()
    assert "PYTORCH_ALLOC_CONF" not in os.environ
    devices.pick_device("cuda")
    assert not cudnn_sdp_enabled()
    assert os.environ.pop("PYTORCH_ALLOC_CONF") == "expandable_segments:True"
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", "max_split_size_mb:64")
    devices.pick_device("cuda")
    assert "PYTORCH_ALLOC_CONF" not in os.environ


@pytest.fixture
def lax(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let torch take any algorithms again after a test."""
    monkeypatch.setattr("torch.utils.deterministic.fill_uninitialized_memory", True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("lax")
def test_deterministic_algorithms_have_workspaces_of_one_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":8:8")
    with pytest.raises(UsageError) as caught:
        devices.compute_deterministically()
    assert str(caught.value) == (
        "CUBLAS_WORKSPACE_CONFIG = :8:8: with it cuBLAS is not deterministic (unset it, or take :4096:8 or :16:8)"
    )
    assert not torch.are_deterministic_algorithms_enabled()
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    devices.compute_deterministically()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert torch.are_deterministic_algorithms_enabled()
    assert not attrgetter("utils.deterministic.fill_uninitialized_memory")(torch)
    with pytest.raises(RuntimeError) as failed:
        torch.zeros(3).put_(torch.tensor([1]), torch.ones(1))
    assert explain(failed.value) == (
        "training.deterministic = true, but put_ does not have a deterministic implementation in torch on this device "
        "(set it to false)"
    )


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


def test_the_record_of_a_machine_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    record = devices.machine()
    assert record.keys() == {"platform", "processor", "capability", "cores", "threads"}
    assert (record["cores"], record["threads"]) == (os.cpu_count(), torch.get_num_threads())
    assert all(record.values())


@pytest.mark.usefixtures("gpus")
def test_the_record_of_the_machine_names_the_gpus_of_the_run_and_what_drives_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    driver = tmp_path / "version"
    driver.write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\n")
    monkeypatch.setattr(devices, "DRIVER", driver)
    monkeypatch.setattr("torch.cuda.get_device_name", ["A100", "H100"].__getitem__)
    monkeypatch.setattr("torch.version.cuda", "13.0")
    monkeypatch.setattr("torch.backends.cudnn.version", lambda: 91900)
    monkeypatch.setattr("torch.distributed.is_nccl_available", lambda: True)
    monkeypatch.setattr("torch.cuda.nccl.version", lambda: (2, 28, 9))
    versions = {"driver": "580.65.06", "cuda": "13.0", "cudnn": 91900, "nccl": "2.28.9"}
    record = devices.machine()
    assert record == {**record, "gpu": "A100", "gpus": 1, **versions}
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert devices.machine() == {**record, "gpu": "A100, H100", "gpus": 4}
    driver.unlink()
    assert devices.machine()["driver"] == ""


def test_the_gpu_is_found_by_name_with_its_own_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert devices.find_gpu() is None
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "H100")
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert devices.find_gpu() == ("H100", False)

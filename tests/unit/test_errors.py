"""The expected failures: their exit codes, which scripts rely on, and their hints."""

import errno
import os

import pytest
import torch

from nmt import errors
from nmt.errors import NmtError, UsageError, explain, explaining_shortage, is_out_of_memory, storage_error

CODES = {
    "NmtError": 1,
    "UsageError": 2,
    "RecipeError": 2,
    "DataError": 3,
    "ArtifactError": 4,
    "FailedRunsError": 7,
    "ForgottenError": 8,
    "NotReproducedError": 6,
    "StorageError": 4,
    "DivergedError": 5,
    "InterruptedTrainingError": 130,
    "TerminatedTrainingError": 143,
    "HungUpTrainingError": 129,
    "InUseError": 4,
    "RankError": 1,
    "WorkersError": 1,
}


def test_every_failure_has_its_exit_code() -> None:
    found = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, NmtError)}
    assert {name: kind.exit_code for name, kind in found.items()} == CODES


@pytest.mark.parametrize(("hint", "text"), [(None, "it broke"), ("", "it broke"), ("mend it", "it broke (mend it)")])
def test_a_hint_stands_behind_the_message(hint: str | None, text: str) -> None:
    assert str(NmtError("it broke", hint=hint)) == text


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENOTEMPTY, errno.EMFILE, errno.ELOOP, errno.ENOENT])
def test_an_error_of_the_system_names_its_file(number: int) -> None:
    failure = storage_error(OSError(number, os.strerror(number), "runs/x/log.jsonl"))
    assert (str(failure), failure.exit_code) == (f"runs/x/log.jsonl: {os.strerror(number)}", 4)


def test_an_error_of_the_system_without_a_file_is_that_of_standard_output_where_a_disk_is_full() -> None:
    assert str(storage_error(OSError(errno.ENOSPC, "No space left on device"))) == "output: No space left on device"
    assert str(storage_error(OSError(errno.EMFILE, "Too many open files"))) == "the system: Too many open files"
    assert str(storage_error(OSError("of no number"))) == "the system: of no number"
    assert str(storage_error(OSError())) == "the system: OSError"


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError(), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you"), True),
        (torch.AcceleratorError("CUDA error: out of memory\nCUDA kernel errors might be reported later", 2), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"), True),
        (RuntimeError("NCCL error: unhandled cuda error\nCuda failure 2 'out of memory'"), True),
        (RuntimeError("CUDA error: device-side assert triggered"), False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm`"), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_a_full_memory_is_told_from_other_failures(error: Exception, full: bool) -> None:
    assert is_out_of_memory(error) == full


def test_a_full_memory_is_explained_and_other_failures_are_not() -> None:
    with pytest.raises(UsageError) as caught, explaining_shortage("the model does not fit", "take a smaller one"):
        raise RuntimeError("CUDA error: out of memory")
    assert str(caught.value) == "the model does not fit (take a smaller one)"
    with pytest.raises(RuntimeError, match="shapes differ"), explaining_shortage("", ""):
        raise RuntimeError("shapes differ")


def test_errors_of_torch_that_are_no_bugs_have_a_line() -> None:
    failed = RuntimeError("cumsum_cuda_kernel does not have a deterministic implementation, but you set ...")
    assert explain(failed) == (
        "training.deterministic = true, but cumsum_cuda_kernel does not have a deterministic implementation "
        "in torch on this device (set it to false)"
    )
    assert explain(MemoryError()).startswith("out of memory (")
    assert explain(RuntimeError("shapes differ")) == ""

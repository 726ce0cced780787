"""Checks of memory: micro-batches that fit, and a step that runs out of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from gpu import workload
from gpu.harness import Bench
from gpu.workload import difference, gradient_of, make_updater, pick, size_of

from nmt import devices
from nmt.config.training import TrainingConfig
from nmt.data.encoding.batching import Ints
from nmt.data.encoding.steps import StepStream
from nmt.errors import UsageError, is_out_of_memory
from nmt.model.protocol import Model
from nmt.training import memory
from nmt.training.updater import Updater


@contextmanager
def little_memory(device: torch.device, room: int) -> Iterator[None]:
    """Leave PyTorch `room` bytes of the GPU beyond what is allocated now."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved(device) + room) / total, device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)


def micro_batches(bench: Bench) -> None:
    """The size of micro-batches where there is little memory, and where there is none."""
    device, size = pick(bench), size_of(bench)
    updater = make_updater(size, device)
    stream = workload.make_stream(size, 3)
    whole = memory.longest_step(stream.pairs, stream)
    cost = memory.micro_batch_cost(updater, stream, TrainingConfig())
    smallest = cost(min(memory.SMALLEST, whole))
    bench.figures |= {"whole": whole, "smallest_mib": smallest / 2**20, "free_gib": devices.free_memory(device) / 2**30}
    bench.figures["fits"] = memory.fit(cost, whole, memory.room_for_micro_batches(updater))
    if not bench.is_gpu:
        return
    with little_memory(device, 2 * smallest):
        fitting = memory.fit(cost, whole, 2 * smallest)
        by_error = memory.fit(cost, whole, 2**50)  # only the allocator says no
    bench.figures |= {"fits_in_little": fitting, "fits_by_error": by_error}
    bench.expect(fitting < whole or bench.quick, "a whole step seemed to fit into little memory")
    bench.expect(by_error < whole or bench.quick, "no error of memory was seen")
    with little_memory(device, 2**20):
        try:
            memory.fit(cost, whole, 2**50)
            bench.failures.append("a megabyte sufficed")
        except UsageError as error:
            bench.figures["none"] = str(error)


def out_of_memory(bench: Bench) -> None:
    """A step that runs out of memory: it is known as such, done again in halves, and leaves nothing behind."""
    bench.needs_gpu()
    device, size = pick(bench), size_of(bench)
    updater = make_updater(size, device, "float32", dropout=0.0)
    stream = workload.make_stream(size, 2)
    indices = stream.plan(0)[0]
    batch = stream.pairs.collate(indices)
    _, expected = gradient_of(updater, batch)
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved(device)
    peak = torch.cuda.max_memory_allocated(device) - torch.cuda.memory_allocated(device)
    with little_memory(device, int(0.7 * peak)):
        try:
            gradient_of(updater, batch)
            bench.failures.append("the step fitted into 70% of its memory")
        except Exception as error:
            bench.figures["error"] = f"{type(error).__name__}: {str(error)[:120]}"
            bench.expect(is_out_of_memory(error), "the error is not known as one of memory")
        torch.cuda.empty_cache()
        count, found = in_parts(updater, stream, indices)
    torch.cuda.empty_cache()
    after = torch.cuda.memory_reserved(device)
    bench.figures |= {"micro_batches": count, "gradient": difference(found, expected)}
    bench.figures |= {"reserved_mib_before": before / 2**20, "reserved_mib_after": after / 2**20}
    bench.expect(bench.figures["gradient"] <= 1e-5, "the gradient of the parts is not that of the whole")
    bench.expect(after <= 1.05 * before + 2**26, "memory is left reserved")


def in_parts(updater: Updater[Model], stream: StepStream, indices: Ints) -> tuple[int, torch.Tensor]:
    """Return the gradient of a step in as many micro-batches as it needs, and their number."""
    longest = int(memory.longer_sides(stream.pairs)[indices].max())
    size = len(indices) * longest
    while True:
        size //= 2
        batches = stream.collate(indices, size, 0)
        tokens = sum(batch.target_tokens for batch in batches)
        try:
            moved = [batch.to(updater.device) for batch in batches]
            updater.accumulate(moved, seed=1, smoothing=0.1, tokens=tokens)
            return len(batches), updater.flat_gradient.double().cpu()
        except Exception as error:
            if not is_out_of_memory(error) or size <= longest:
                raise
        torch.cuda.empty_cache()

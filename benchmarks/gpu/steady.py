"""Checks of what must hold over many updates: no waiting, no cost of new shapes, the same bits, bad updates."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from gpu import workload
from gpu.harness import Bench
from gpu.workload import Laps, make_updater, pick, size_of, update
from torch import Tensor

from nmt import devices
from nmt.config.training import Precision
from nmt.data.encoding.dataset import Batch
from nmt.data.encoding.steps import StepStream
from nmt.files import digest
from nmt.model.protocol import Model
from nmt.training.checkpoint import EMA, MOMENTS, WEIGHTS
from nmt.training.updater import Updater


@contextmanager
def never_waiting(bench: Bench) -> Iterator[None]:
    """Raise RuntimeError where the block makes the host wait for the GPU."""
    if bench.is_gpu:
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        if bench.is_gpu:
            torch.cuda.set_sync_debug_mode("default")


def waits(bench: Bench) -> None:
    """Updates of each precision during which the host never waits for the GPU."""
    bench.needs_gpu()
    device, size = pick(bench), size_of(bench)
    batches = workload.some_batches(size, 20)
    variants: list[tuple[Precision, float]] = [("bfloat16", 0.0), ("bfloat16", 0.1), ("float32", 0.0)]
    for precision, attention_dropout in variants:
        updater = make_updater(size, device, precision, attention_dropout=attention_dropout)
        update(updater, batches[0])
        with never_waiting(bench):
            for step, batch in enumerate(batches, start=2):
                update(updater, batch, step)
        workload.wait(device)
    bench.figures["updates"] = len(variants) * len(batches)


def shapes(bench: Bench) -> None:
    """Hundreds of batch shapes: none is slow for being new, and the reserved memory stays as it is."""
    device, size = pick(bench), size_of(bench)
    stream = workload.make_stream(size, 9 if bench.quick else 320)
    plan = workload.largest_first(stream)
    updater = make_updater(size, device, attention_dropout=0.0)
    reserved: list[int] = []
    of_token: list[float] = []
    seen = set()
    laps = Laps(device)
    laps.mark()
    for step, indices in enumerate(plan, start=1):
        batch = stream.pairs.collate(indices)
        update(updater, batch, step)
        laps.mark()
        of_token.append(batch.src.numel() + batch.labels.numel())
        seen.add((*batch.src.shape, batch.labels.size(1)))
        reserved.append(torch.cuda.memory_reserved(device) if bench.is_gpu else 0)
        if bench.seconds_left < 30 and not bench.quick:
            break
    times = [1000 * ms / tokens for ms, tokens in zip(laps.times(), of_token, strict=True)][10:]
    median, slowest = statistics.median(times), max(times)
    growth = reserved[-1] / reserved[len(reserved) // 3] if reserved[-1] else 1.0
    bench.figures |= {"steps": len(of_token), "shapes": len(seen), "us_a_padded_token": median}
    bench.figures |= {
        "slowest_over_median": slowest / median,
        "reserved_growth": growth,
        "reserved_gib": reserved[-1] / 2**30,
    }
    bench.expect(growth <= 1.1, f"the reserved memory grew by {growth - 1:.0%} after a third of the steps")
    if bench.is_gpu:
        bench.expect(slowest <= 2 * median, f"a step took {slowest / median:.1f} times the median of a token")
        del updater
        # Attention with dropout takes the padded batches, and with them a kernel of the choice of PyTorch.
        bench.figures["cudnn_slowdown"] = price_of_cudnn(
            bench, make_updater(size, device, attention_dropout=0.1), stream
        )


def price_of_cudnn(bench: Bench, updater: Updater[Model], stream: StepStream) -> float:
    """Return how many times as long steps of new shapes take with cuDNN attention, for the record."""
    times: list[float] = []
    plan = stream.plan(0)[:20]
    for indices in plan:
        update(updater, stream.pairs.collate(indices))
    for is_on in (False, True):
        torch.backends.cuda.enable_cudnn_sdp(is_on)
        laps = Laps(updater.device)
        laps.mark()
        for indices in plan:
            update(updater, stream.pairs.collate(indices))
            laps.mark()
            if bench.seconds_left < 5:
                break
        times.append(statistics.mean(laps.times()))
    torch.backends.cuda.enable_cudnn_sdp(False)
    return times[1] / times[0]


@dataclass(frozen=True)
class Snapshot:
    """The state of an updater in memory, which is restored as a checkpoint is."""

    files: dict[str, dict[str, Tensor]]

    @classmethod
    def of(cls, updater: Updater[Model]) -> Snapshot:
        return cls({file: {name: t.clone() for name, t in part.items()} for file, part in updater.state().items()})

    def weights(self) -> dict[str, Tensor]:
        return dict(self.files[WEIGHTS])

    def moments(self) -> dict[str, Tensor]:
        return dict(self.files[MOMENTS])

    def bundle_weights(self) -> dict[str, Tensor]:
        return dict(self.files[EMA if EMA in self.files else WEIGHTS])

    def digest(self) -> str:
        """Return a digest of every tensor's bytes."""
        tensors = (tensor for part in self.files.values() for tensor in part.values())
        return digest("".join(digest(tensor.cpu().numpy().tobytes()) for tensor in tensors))


def digest_after(updater: Updater[Model], batches: list[Batch], first: int) -> str:
    for step, batch in enumerate(batches, start=first):
        update(updater, batch, step)
    return Snapshot.of(updater).digest()


def same_bits(bench: Bench) -> None:
    """Whether two trainings, and one that is resumed, have the same bits; on a GPU for the record."""
    compare_bits(bench, must_be_same=not bench.is_gpu)


def deterministic(bench: Bench) -> None:
    """The same bits twice, and after a resume, by `training.deterministic`."""
    devices.compute_deterministically()
    compare_bits(bench, must_be_same=True)


def compare_bits(bench: Bench, *, must_be_same: bool) -> None:
    """Train twice, and a third time with a resume halfway."""
    device = pick(bench)
    size = workload.TINY if bench.quick else workload.Size({}, 8000, 4000, 100)
    count = 1 if bench.quick else 15
    batches = workload.some_batches(size, 2 * count)
    updaters = [make_updater(size, device) for _ in range(3)]
    first, second = (digest_after(updater, batches, 1) for updater in updaters[:2])
    digest_after(updaters[2], batches[:count], 1)
    halfway = Snapshot.of(updaters[2])
    resumed = make_updater(size, device, seed=2)
    resumed.restore(halfway)  # type: ignore[arg-type]
    third = digest_after(resumed, batches[count:], count + 1)
    bench.figures |= {"updates": 2 * count, "same_twice": first == second, "same_resumed": first == third}
    if must_be_same:
        bench.expect(first == second, "two trainings have other bits")
        bench.expect(first == third, "a resumed training has other bits")


def guard(bench: Bench) -> None:
    """An update whose gradient or loss is abnormal changes no weight and no moment, without waiting."""
    device, size = pick(bench), workload.TINY
    for precision in ("float32", "bfloat16"):
        updater = make_updater(size, device, precision)
        (batch,) = workload.some_batches(size, 1)
        for step in range(1, 4):
            update(updater, batch, step)
        before = Snapshot.of(updater)
        poisons = (float("nan"), float("inf"))
        for number, poison in enumerate(poisons):
            workload.accumulate(updater, batch)
            with never_waiting(bench):
                updater.flat_gradient[number::1000].fill_(poison)
                updater.apply(4 + number, rate=1e-3, tokens=batch.target_tokens)
        after = Snapshot.of(updater)
        changed = [
            name
            for file in before.files
            for name, tensor in before.files[file].items()
            if not name.startswith("guard.") and not torch.equal(tensor, after.files[file][name])
        ]
        bench.figures[precision] = {"skipped": updater.guard.counts()[0], "changed": len(changed)}
        bench.expect(not changed, f"{precision}: {', '.join(changed[:3])} changed by an abnormal update")
        bench.expect(updater.guard.counts() == (2, 2), f"{precision}: counted as {updater.guard.counts()}")

"""Measurements of training: milliseconds a step and where they go, the host's share, and the hours of a whole run."""

from __future__ import annotations

import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from gpu import workload
from gpu.correctness import of_graphs
from gpu.harness import Bench, Figures, SkippedError
from gpu.workload import Laps, accumulate, make_updater, median_ms, pick, size_of, update
from torch._dynamo.utils import counters
from torch.profiler import ProfilerActivity, profile

from nmt.config.training import TrainingConfig
from nmt.data.encoding.dataset import Batch
from nmt.training.checkpoint import Checkpoints, TrainingState
from nmt.training.checkpoint_writer import CheckpointWriter
from nmt.training.loss import smoothed_loss
from nmt.training.updater import Updater

TARGETS = {"H200": 60, "H100": 75}
"""Minutes of 100,000 steps of the paper's base model on one card."""


def eager(bench: Bench) -> None:
    """A step of the base model as it is without compilation: bfloat16, and float32 for comparison."""
    speed_of(
        bench, {"bfloat16": {}, "float32": {"precision": "float32"}, "attention_dropout": {"attention_dropout": 0.1}}
    )


def compiled(bench: Bench) -> None:
    """A step of the base model with compiled layers."""
    with workload.eager_backend(bench):
        graphs = speed_of(bench, {"bfloat16": {"compiled": True}})
    bench.figures |= of_graphs(bench, graphs)


def speed_of(bench: Bench, variants: dict[str, dict[str, Any]]) -> list[int]:
    """Measure each variant on the same steps: the median, the host's time to launch, kernels, the busy share.

    Returns the number of compiled graphs after each step of the last one.
    """
    graphs: list[int] = []
    device, size = pick(bench), size_of(bench)
    count = 4 if bench.quick else 40
    batches = workload.some_batches(size, count)
    for name, settings in variants.items():
        updater = make_updater(size, device, **settings)
        counters.clear()  # of the graph by which the compiler was tried
        for batch in batches[:3]:
            update(updater, batch)
        workload.wait(device)
        laps, began = Laps(device), time.perf_counter()
        laps.mark()
        for step, batch in enumerate(batches[3:], start=1):
            update(updater, batch, step)
            laps.mark()
            graphs.append(counters["stats"]["unique_graphs"])
            if bench.seconds_left < 20 and step >= 8:
                break
        launched = 1000 * (time.perf_counter() - began) / (len(laps.marks) - 1)
        times = laps.times()
        tokens = statistics.mean(batch.target_tokens for batch in batches)
        figures: Figures = {"ms": statistics.median(times), "slowest_ms": max(times), "host_ms": launched}
        figures |= {"target_tokens_per_second": tokens / statistics.mean(times) * 1000}
        if bench.is_gpu:
            figures |= {"peak_gib": torch.cuda.max_memory_reserved(device) / 2**30}
        bench.figures[name] = figures | kernels(updater, batches[:3], bench)
        del updater
        if bench.is_gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
    return graphs


def kernels(updater: Updater[Any], batches: list[Batch], bench: Bench) -> Figures:
    """Profile some updates; return the kernels a step, the share of the time they take, and the longest of them."""
    if not bench.is_gpu:
        return {}
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        began = time.perf_counter()
        for batch in batches:
            update(updater, batch)
        workload.wait(updater.device)
        seconds = time.perf_counter() - began
    rows = [row for row in profiler.key_averages() if row.self_device_time_total > 0]
    busy = sum(row.self_device_time_total for row in rows) / 1e6
    longest = sorted(rows, key=lambda row: -row.self_device_time_total)[:12]
    return {
        "kernels": sum(row.count for row in rows) / len(batches),
        "busy_share": busy / seconds,
        "longest_ms": {row.key[:60]: row.self_device_time_total / 1e3 / len(batches) for row in longest},
    }


def parts(bench: Bench) -> None:
    """The parts of a step: the copy to the device, forward and backward, the loss, the optimizer."""
    device, size = pick(bench), size_of(bench)
    batch = workload.some_batches(size, 1)[0]
    updater = make_updater(size, device)
    count = 2 if bench.quick else 10
    update(updater, batch)
    moved = batch.to(device)
    generator = updater.working.generator.weight
    hidden = torch.randn(batch.target_tokens, generator.size(1), dtype=generator.dtype, device=device).requires_grad_()

    def loss() -> None:
        smoothed_loss(hidden, generator, moved.real_labels, smoothing=0.1)[0].backward()
        generator.grad = None

    work = {
        "copy": lambda: batch.to(device),
        "accumulate": lambda: accumulate(updater, batch),
        "loss": loss,
        "apply": lambda: updater.apply(1, rate=1e-9, tokens=batch.target_tokens),
    }
    for name, function in work.items():
        bench.figures[f"{name}_ms"] = median_ms(device, function, count)
    whole = bench.figures["accumulate_ms"] + bench.figures["apply_ms"]
    bench.figures["loss_share"] = bench.figures["loss_ms"] / whole


def host(bench: Bench) -> None:
    """The work of the host: planning, collating, and the share of a step in which training waits for batches."""
    device, size = pick(bench), size_of(bench)
    steps = 8 if bench.quick else 120
    began = time.perf_counter()
    stream = workload.make_stream(size, steps)
    made = time.perf_counter()
    plan = stream.plan(0)
    bench.figures["plan_us_a_pair"] = 1e6 * (time.perf_counter() - made) / len(stream.pairs)
    bench.figures["making_pairs_s"] = made - began
    began = time.perf_counter()
    for indices in plan[:20]:
        stream.collate(indices, None, 0)
    bench.figures["collate_ms"] = 1000 * (time.perf_counter() - began) / len(plan[:20])
    updater = make_updater(size, device)
    waited = 0.0
    with closing(stream.from_position(0, 0)) as source:
        for number in range(steps - 2):
            asked = time.perf_counter()
            step = next(source)
            waited += (time.perf_counter() - asked) if number >= 4 else 0.0
            if number == 4:
                workload.wait(device)
                began = time.perf_counter()
            update(updater, step.micro_batches[0], number + 1)
            if number % 10 == 9:
                updater.guard.counts()  # as the loop does, which waits for the device
    workload.wait(device)
    bench.figures["step_ms"] = 1000 * (time.perf_counter() - began) / (steps - 6)
    bench.figures["waiting_share"] = waited / (time.perf_counter() - began)
    if bench.is_gpu:
        bench.expect(bench.figures["waiting_share"] < 0.05, "training waits for batches")


def checkpoint(bench: Bench) -> None:
    """The seconds in which a checkpoint stops the training, and those until it is on the disk."""
    device, size = pick(bench), size_of(bench)
    updater = make_updater(size, device)
    update(updater, workload.some_batches(size, 1)[0])
    stopped, whole = [], []
    with tempfile.TemporaryDirectory() as folder, CheckpointWriter(Checkpoints(Path(folder), 2), device) as writer:
        for step in range(1, 3 if bench.quick else 5):
            workload.wait(device)
            began = time.perf_counter()
            writer.save(TrainingState(step=step), updater.state(), {})
            stopped.append(time.perf_counter() - began)
            writer.wait()
            whole.append(time.perf_counter() - began)
        newest = writer.store.paths()[-1]
        bench.figures["mib"] = sum(file.stat().st_size for file in newest.iterdir()) / 2**20
    # The first one also takes the pinned memory.
    bench.figures |= {"first_seconds": stopped[0], "seconds": min(stopped[1:]), "until_written": min(whole[1:])}


def hour(bench: Bench) -> None:
    """The minutes of 100,000 steps of the paper's base model, from what was measured before."""
    steps = {
        f"{check} {name}": row["ms"]
        for check in ("eager", "compiled")
        for name, row in bench.known.get(check, {}).items()
        if isinstance(row, dict) and name == "bfloat16"
    }
    if not steps:
        raise SkippedError("needs the figures of eager or compiled")
    config = TrainingConfig()
    best = min(steps, key=lambda name: steps[name])
    saving = bench.known.get("checkpoint", {}).get("seconds")
    validating = bench.known.get("validation", {}).get("seconds")
    if saving is None or validating is None:
        bench.figures["without"] = [
            name for name, value in (("checkpoint", saving), ("validation", validating)) if value is None
        ]
    count = config.max_steps
    seconds = {
        "steps": steps[best] / 1000 * count,
        "checkpoints": (saving or 0.0) * count / config.checkpoint_every,
        "validations": (validating or 0.0) * count / config.validate_every,
    }
    minutes = sum(seconds.values()) / 60
    bench.figures |= {"fastest": best, "minutes": minutes, "minutes_of": {k: v / 60 for k, v in seconds.items()}}
    card = bench.known.get("facts", {}).get("gpu", "")
    target = next((limit for name, limit in TARGETS.items() if name in card), None)
    bench.figures["target_minutes"] = target
    if target is not None and not bench.quick:
        bench.expect(minutes <= target, f"{minutes:.0f} minutes by {best}, not {target}")

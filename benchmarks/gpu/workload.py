"""The model and the sentences of the checks: the paper's base model at 25,000 tokens a side, or toys."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from gpu.harness import Bench, SkippedError
from torch import Tensor

from nmt import devices
from nmt.config.model import ModelConfig
from nmt.config.training import OptimizerConfig, Precision
from nmt.data.encoding.batching import Ints
from nmt.data.encoding.dataset import Batch, Pairs, PreparedPairs
from nmt.data.encoding.steps import StepStream
from nmt.model.families import build
from nmt.model.protocol import Model
from nmt.training.updater import Updater, UpdateResult

TOY: dict[str, Any] = {"d_model": 32, "heads": 4, "ffn": 64, "encoder_layers": 1, "decoder_layers": 1, "max_length": 64}
RATE = 1e-4


@dataclass(frozen=True)
class Size:
    """A model, its vocabulary, and the tokens of a step."""

    model: dict[str, Any]
    vocabulary: int
    tokens: int
    longest: int  # pieces of a side


BASE = Size({}, 37_000, 25_000, 100)
TINY = Size(TOY, 300, 400, 24)


def size_of(bench: Bench) -> Size:
    return TINY if bench.quick else BASE


class RandomPairs(Pairs):
    """Sentence pairs of random ids, with lengths as those of news in subwords: log-normal, the sides alike."""

    def __init__(self, count: int, size: Size, seed: int = 1) -> None:
        random = np.random.default_rng(seed)
        src = random.lognormal(np.log(min(24, size.longest / 2)), 0.6, count)
        tgt = src * random.lognormal(0.03, 0.2, count)
        self.src_lengths, self.tgt_lengths = (
            np.clip(side, 1, size.longest).astype(np.int64) + 1 for side in (src, tgt)
        )
        self.ids = random.integers(4, size.vocabulary, 1_000_000 + size.longest, dtype=np.uint16)
        self.corpora = {"train": (0, count)}

    def __len__(self) -> int:
        return len(self.src_lengths)

    def sides(self, indices: Ints) -> tuple[list[Any], list[Any]]:
        source = [self._row(index, int(self.src_lengths[index]) - 1) for index in indices.tolist()]
        return source, [self._row(index + 7919, int(self.tgt_lengths[index]) - 1) for index in indices.tolist()]

    def _row(self, index: int, length: int) -> Any:
        start = index * 131 % 1_000_000
        return self.ids[start : start + length]


def make_pairs(size: Size, steps: int) -> PreparedPairs:
    """Return pairs for at least `steps` steps."""
    return cast("PreparedPairs", RandomPairs(int(1.3 * steps * size.tokens / min(24, size.longest / 2)), size))


def make_stream(size: Size, steps: int) -> StepStream:
    return StepStream(make_pairs(size, steps), size.tokens, 1)


def some_batches(size: Size, count: int, rows: int | None = None) -> list[Batch]:
    """Return the first batches of a stream on the CPU, with at most `rows` pairs each."""
    stream = make_stream(size, count)
    return [stream.pairs.collate(indices[:rows]) for indices in stream.plan(0)[:count]]


def pick(bench: Bench) -> torch.device:
    """Return the device by the way that nmt takes, which sets what is to be set for it."""
    return devices.pick_device(bench.device)


def make_model(size: Size, device: torch.device, seed: int = 1, **changed: Any) -> Model:
    """Return a random model; the same weights on every device."""
    torch.manual_seed(seed)
    config = ModelConfig.model_validate(size.model | changed)
    return build(config, size.vocabulary, size.vocabulary).to(device)


def make_updater(
    size: Size, device: torch.device, precision: Precision = "bfloat16", *, compiled: bool = False, **changed: Any
) -> Updater[Any]:
    if compiled and not devices.compiler_works(device):
        raise SkippedError("torch.compile finds no compiler that works")
    return Updater(make_model(size, device, **changed), OptimizerConfig(), precision, compiled=compiled)


def update(updater: Updater[Any], batch: Batch, step: int = 1) -> UpdateResult:
    """Take one whole update with a batch of the host."""
    accumulate(updater, batch, step)
    return updater.apply(step, rate=RATE, tokens=batch.target_tokens)


def accumulate(updater: Updater[Any], batch: Batch, seed: int = 1) -> None:
    moved = batch.to(updater.device)
    updater.accumulate([moved], seed=seed, smoothing=0.1, tokens=moved.target_tokens)


def gradient_of(updater: Updater[Any], batch: Batch) -> tuple[float, Tensor]:
    """Return the loss of `batch`, summed, and the gradient as a float64 vector of the host."""
    accumulate(updater, batch)
    return float(updater.loss_sums[0]), updater.flat_gradient.double().cpu()


def difference(mine: Tensor, other: Tensor) -> float:
    """Return the norm of the difference, relative to that of `other`."""
    return float((mine - other).norm() / other.norm())


def wait(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Laps:
    """Times of laps in milliseconds: by events of the GPU, so that the host does not wait, or by the clock."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.marks: list[Any] = []

    def mark(self) -> None:
        """End a lap and begin the next."""
        if self.device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self.marks.append(event)
        else:
            self.marks.append(time.perf_counter())

    def times(self) -> list[float]:
        """Return the milliseconds of each lap. Waits for the device."""
        wait(self.device)
        pairs = zip(self.marks, self.marks[1:], strict=False)
        if self.device.type == "cuda":
            return [float(begin.elapsed_time(end)) for begin, end in pairs]
        return [1000 * (end - begin) for begin, end in pairs]


def median_ms(device: torch.device, work: Callable[[], object], count: int, warm_up: int = 2) -> float:
    """Return the median milliseconds of `work`."""
    for _ in range(warm_up):
        work()
    laps = Laps(device)
    laps.mark()
    for _ in range(count):
        work()
        laps.mark()
    return statistics.median(laps.times())


@contextmanager
def eager_backend(bench: Bench) -> Iterator[None]:
    """Let torch.compile trace without generating code in a quick try, which is to take seconds."""
    compile_it, works = torch.compile, devices.compiler_works
    if bench.quick:
        torch.compile = partial(compile_it, backend="eager")
        devices.compiler_works = lambda device: device is not None
    try:
        yield
    finally:
        torch.compile = compile_it
        devices.compiler_works = works


def largest_first(stream: StepStream) -> Sequence[Ints]:
    """Return the steps of an epoch, the one of most padded tokens first: what it allocates serves all others."""
    pairs, plan = stream.pairs, stream.plan(0)
    padded = [len(step) * int(pairs.src_lengths[step].max() + pairs.tgt_lengths[step].max()) for step in plan]
    first = int(np.argmax(padded))
    return [plan[first], *plan[:first], *plan[first + 1 :]]

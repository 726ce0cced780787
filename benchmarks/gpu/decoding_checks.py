"""Checks and measurements of decoding: the same translations as on a CPU, alone and in batches, and their speed."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from gpu import workload
from gpu.harness import Bench
from gpu.workload import make_model, pick, size_of

from nmt.config.decoding import DecodingConfig
from nmt.data.encoding.batching import by_tokens
from nmt.inference.engines.native import NativeEngine
from nmt.inference.protocol import Hypothesis, Request, Row
from nmt.model.protocol import Model
from nmt.training.objectives import translation_loss

# A random model never ends a sentence: the limit of the length stands for the length that it would learn.
REQUEST = Request(DecodingConfig(max_extra_length=0))
SENTENCES = 3000  # of a usual dev set


def make_rows(bench: Bench, count: int) -> list[Row]:
    pairs = workload.RandomPairs(count, size_of(bench), seed=5)
    return rows_of(pairs)


def rows_of(pairs: workload.RandomPairs) -> list[Row]:
    return [Row(ids.tolist()) for ids in pairs.sides(np.arange(len(pairs)))[0]]


def model_for(bench: Bench, device: torch.device) -> Model:
    """Return a random model whose choices are seldom close."""
    model = make_model(size_of(bench), device).eval()
    with torch.no_grad():
        model.generator.weight.mul_(3)
    return model


def translate(models: Sequence[Model], rows: list[Row], batch_tokens: int) -> list[Hypothesis]:
    """Return the best hypothesis of each row, by batches of similar length as those of `nmt translate`."""
    batches = by_tokens([len(row.ids) + 1 for row in rows], batch_tokens)
    found: list[Hypothesis] = [Hypothesis([], 0.0)] * len(rows)
    results = NativeEngine(models).search(([rows[index] for index in batch] for batch in batches), REQUEST)
    for batch, hypotheses in zip(batches, results, strict=True):
        for index, best in zip(batch, hypotheses, strict=True):
            found[index] = best[0]
    return found


def compare(bench: Bench, name: str, mine: list[Hypothesis], other: list[Hypothesis], at_least: float) -> None:
    """Compare translations: so many are the same, and the others have nearly the same score."""
    pairs = list(zip(mine, other, strict=True))
    same = sum(one.ids == two.ids for one, two in pairs) / len(pairs)
    worst = max(abs(one.score - two.score) / max(abs(two.score), 1e-9) for one, two in pairs)
    bench.figures[name] = {"same": same, "score": worst}
    bench.expect(same >= at_least, f"{name}: {same:.1%} of the translations are the same")
    bench.expect(worst <= 1e-4, f"{name}: a score differs by {worst:.1e} of its value")


def translations(bench: Bench) -> None:
    """Translations in float32 against those of the CPU, of each sentence alone, in larger batches, and an ensemble."""
    device, host = pick(bench), torch.device("cpu")
    rows = make_rows(bench, 12 if bench.quick else 200)
    model = model_for(bench, device)
    mine = translate([model], rows, 4096)
    compare(bench, "cpu", mine, translate([model_for(bench, host)], rows, 4096), 0.99)
    few = rows[: 6 if bench.quick else 40]
    compare(bench, "alone", [translate([model], [row], 4096)[0] for row in few], mine[: len(few)], 0.97)
    compare(bench, "large batches", translate([model], rows, 32_768), mine, 0.99)
    compare(bench, "an ensemble of itself", translate([model, model], few, 4096), mine[: len(few)], 0.97)


def decoding_speed(bench: Bench) -> None:
    """Sentences a second by tokens of a batch and precision, and whether new shapes cost time."""
    device = pick(bench)
    rows = make_rows(bench, 12 if bench.quick else 4000)
    for kind in (torch.float32, torch.bfloat16):
        model = model_for(bench, device).to(kind)
        for tokens in (256, 512) if bench.quick else (4096, 16_384, 32_768):
            some = rows[: len(rows) // 4] if tokens == 4096 else rows
            times = []
            for _ in range(2):
                began = time.perf_counter()
                translate([model], some, tokens)
                workload.wait(device)
                times.append(time.perf_counter() - began)
                if bench.seconds_left < 20 and not bench.quick:
                    break
            name = f"{str(kind)[6:]} {tokens}"
            bench.figures[name] = {"lines_per_second": len(some) / times[-1], "first_over_second": times[0] / times[-1]}
            if bench.is_gpu and len(times) == 2 and tokens != 4096:  # the first one warms up
                bench.expect(
                    times[0] < 1.5 * times[1], f"{name}: new shapes take {times[0] / times[1]:.1f} times as long"
                )


def validation(bench: Bench) -> None:
    """The seconds of a validation: the loss and the translation of 3,000 sentences."""
    device, size = pick(bench), size_of(bench)
    model = model_for(bench, device)
    count = 12 if bench.quick else SENTENCES
    pairs = workload.RandomPairs(count, size, seed=6)
    longest = np.maximum(pairs.src_lengths, pairs.tgt_lengths).tolist()
    tokens = NativeEngine([model]).batch_tokens
    began = time.perf_counter()
    with torch.inference_mode():
        for indices in by_tokens(longest, tokens):
            float(translation_loss(model, pairs.collate(indices).to(device), smoothing=0.0)[1])
    done = time.perf_counter()
    translate([model], rows_of(pairs), tokens)
    ended = time.perf_counter()
    bench.figures |= {"loss_seconds": done - began, "translation_seconds": ended - done, "seconds": ended - began}

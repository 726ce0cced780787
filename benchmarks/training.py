"""Time training: nmt beside plain loops over torch.nn.Transformer and beside other toolkits, interleaved.

    python benchmarks/training.py [--run-dir RUN] [--contestants a,b,c] [--rounds 3] [--steps 10] [--json FILE]

RUN is a run folder whose data is prepared (`nmt prepare`) with a joint tokenizer; by default a corpus is generated.
Each contestant runs in a process of its own, in turn, `rounds` times; figures are medians of real target tokens (EOS
included) a second. Other toolkits are those that `make bench-peers` has installed. The contestants `products-*` are the
limit of the machine: they compute the model's products with weights, forward and backward, and nothing else.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import date
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contestants import CONTESTANTS, TCMALLOC, Contestant, Settings, choose, write_corpus

if TYPE_CHECKING:
    from nmt.data.encoding.dataset import Batch

SIZE = {"d_model": 256, "ffn": 1024, "heads": 4, "encoder_layers": 3, "decoder_layers": 3}
TOKENS_PER_STEP = 4096


def prepare(folder: Path) -> Path:
    """Generate and encode a corpus; return its run folder."""
    recipe = folder / "bench.toml"
    recipe.write_text(
        'name = "bench"\n[languages]\nsource = "en"\ntarget = "de"\n'
        '[data.train]\nbuiltin = "train"\npairs = 20000\n[tokenizer]\nvocab_size = 8000\n'
    )
    command = [sys.executable, "-m", "nmt", "prepare", str(recipe), "--run-dir", str(folder / "run"), "--no-cache"]
    subprocess.run(command, check=True)
    return folder / "run"


def work(contestant: str, run: Path, warm_up: int, steps: int) -> dict[str, float]:
    """Train for `steps` after the warm-up; return tokens a second and a step, products with weights, peak memory."""
    import torch

    from nmt.data.encoding.dataset import PreparedPairs
    from nmt.data.encoding.steps import StepStream
    from nmt.data.encoding.tokenizer import Tokenizer
    from nmt.runtime import bound_kernels, keep_freed_memory

    kind, precision = contestant.split("-")
    if kind == "nmt":
        keep_freed_memory()
        bound_kernels()
    vocabulary = Tokenizer.load(run / "tokenizer").target_size
    torch.manual_seed(1)
    update = {"nmt": nmt_update, "torch": torch_update, "products": products_update}[kind](vocabulary, precision)
    pairs = PreparedPairs(run / "prepared" / "ids" / "train")
    stream = StepStream(pairs, TOKENS_PER_STEP, 1)
    batches: Iterator[Batch] = (batch for step in stream.steps(0, 0) for batch in step.micro_batches)
    for batch in islice(batches, warm_up):
        update(batch)
    if kind == "products":  # the limit has no code to generate for new shapes
        batches = iter(timed := list(islice(batches, steps)))
        for batch in timed:
            update(batch)
    tokens, flop, started = 0, 0, time.perf_counter()
    for batch in islice(batches, steps):
        update(batch)
        tokens += batch.target_tokens
        flop += sum(6 * math.prod(shape) for shape in products(batch, vocabulary))
    seconds = time.perf_counter() - started
    return {
        "tokens_per_second": tokens / seconds,
        "gflop_per_second": flop / seconds / 1e9,
        "tokens_per_step": tokens / steps,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def nmt_update(vocabulary: int, precision: str) -> Callable[..., None]:
    """Return nmt's own update."""
    from nmt.config.model import ModelConfig
    from nmt.config.training import OptimizerConfig
    from nmt.data.encoding.tokenizer import PAD_ID
    from nmt.model.encoder_decoder import Transformer
    from nmt.training.updater import Updater

    model = Transformer(ModelConfig(**SIZE), vocabulary, vocabulary, pad_id=PAD_ID)  # type: ignore[arg-type]
    updater = Updater(model, OptimizerConfig(), "bfloat16" if precision == "bfloat16" else "float32")

    def update(batch: Batch) -> None:
        updater.accumulate([batch], seed=1, smoothing=0.1, tokens=batch.target_tokens)
        updater.apply(1, rate=1e-4, tokens=batch.target_tokens)

    return update


def torch_update(vocabulary: int, precision: str) -> Callable[..., None]:
    """Return the update that one would write with torch alone: nn.Transformer, cross_entropy, Adam, autocast."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    from nmt.data.encoding.tokenizer import PAD_ID

    width = SIZE["d_model"]
    embedding = nn.Embedding(vocabulary, width)
    positions = torch.randn(512, width)  # what they hold does not change the time
    transformer = nn.Transformer(
        width, SIZE["heads"], SIZE["encoder_layers"], SIZE["decoder_layers"], SIZE["ffn"], 0.1, batch_first=True
    )
    parameters = [*embedding.parameters(), *transformer.parameters()]
    adam = torch.optim.Adam(parameters, lr=1e-4, betas=(0.9, 0.98), eps=1e-9)

    def embed(ids: torch.Tensor) -> torch.Tensor:
        return F.dropout(embedding(ids) * width**0.5 + positions[: ids.size(1)], 0.1)

    def update(batch: Batch) -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            hidden = transformer(
                embed(batch.src),
                embed(batch.tgt_in),
                tgt_mask=nn.Transformer.generate_square_subsequent_mask(batch.tgt_in.size(1)),
                src_key_padding_mask=batch.src == PAD_ID,
                memory_key_padding_mask=batch.src == PAD_ID,
                tgt_is_causal=True,
            )
            logits = F.linear(hidden, embedding.weight)
        loss = F.cross_entropy(
            logits.float().flatten(0, 1), batch.labels.flatten(), ignore_index=PAD_ID, label_smoothing=0.1
        )
        adam.zero_grad()
        loss.backward()
        adam.step()

    return update


def products(batch: Batch, vocabulary: int) -> Iterator[tuple[int, int, int]]:
    """Yield rows, inputs and outputs of each product with weights, on as many rows as `batch` has real tokens.

    The batched products of attention are left out: how they are computed is a choice of the implementation, as
    padding is.
    """
    from nmt.data.encoding.tokenizer import PAD_ID

    d, ffn = SIZE["d_model"], SIZE["ffn"]
    feed_forward = [(d, ffn), (ffn, d)]
    of_source = [(d, 3 * d), (d, d), *feed_forward] * SIZE["encoder_layers"] + [(d, 2 * d)] * SIZE["decoder_layers"]
    of_target = [(d, 3 * d), (d, d), (d, d), (d, d), *feed_forward] * SIZE["decoder_layers"] + [(d, vocabulary)]
    for rows, shapes in ((int((batch.src != PAD_ID).sum()), of_source), (batch.target_tokens, of_target)):
        yield from ((rows, *shape) for shape in shapes)


def products_update(vocabulary: int, precision: str) -> Callable[..., None]:
    """Return the products of an update: of each, the forward one and the two of its backward pass."""
    import torch

    dtype = getattr(torch, precision)
    memory = [torch.randn(2 * TOKENS_PER_STEP * vocabulary).to(dtype) for _ in range(3)]

    def matrix(number: int, rows: int, columns: int) -> torch.Tensor:
        return memory[number][: rows * columns].view(rows, columns)

    def update(batch: Batch) -> None:
        for rows, inputs, outputs in products(batch, vocabulary):
            x, gradient, weight = matrix(0, rows, inputs), matrix(1, rows, outputs), matrix(2, outputs, inputs)
            torch.mm(x, weight.T)
            torch.mm(gradient, weight)
            torch.mm(gradient.T, x)

    return update


def measure(run: Path, contestants: list[Contestant], settings: Settings, rounds: int) -> dict[str, dict[str, Any]]:
    """Run the contestants in turn; return the figures of each, medians and extremes over the rounds."""
    found: dict[str, list[dict[str, Any]]] = {contestant.name: [] for contestant in contestants}
    with tempfile.TemporaryDirectory() as corpus:
        if any(contestant.adapter for contestant in contestants):
            write_corpus(run, Path(corpus))
        for number in range(rounds):
            for contestant in contestants:
                found[contestant.name].append(contestant.run(run, Path(corpus), settings))
                print(f"round {number + 1} of {rounds}: {contestant.name} is done", file=sys.stderr)
    figures: dict[str, dict[str, Any]] = {}
    for name, results in found.items():
        speeds = [result["tokens_per_second"] for result in results]
        figures[name] = {
            "median": statistics.median(speeds),
            "min": min(speeds),
            "max": max(speeds),
            "tokens_per_step": statistics.median(result["tokens_per_step"] for result in results),
            "peak_mib": max(result["peak_mib"] for result in results),
        }
        figures[name] |= {"version": results[0]["version"]} if "version" in results[0] else {}
    for precision in ("float32", "bfloat16"):
        if limit := found.get(f"products-{precision}"):
            rate = statistics.median(result["gflop_per_second"] for result in limit)
            for name, results in found.items():
                if "gflop_per_second" in results[0] and precision in name:
                    rates = [result["gflop_per_second"] for result in results]
                    figures[name] |= {
                        "gflop_per_second": statistics.median(rates),
                        "share_of_limit": statistics.median(rates) / rate,
                    }
    return figures


def show(figures: dict[str, dict[str, Any]], left_out: dict[str, str]) -> None:
    """Print the table: figures, the share of the limit, ratios to the two marks, who is left out."""
    shipped = {c.name: figures[c.name]["median"] for c in CONTESTANTS if c.name in figures and c.is_float32_as_shipped}
    marks = [max(shipped, key=lambda name: shipped[name])] if shipped else []
    marks += ["torch-bfloat16-tcmalloc"] if "torch-bfloat16-tcmalloc" in figures else []
    columns = ("tok/s", "min", "max", "a step", "MiB", "GFLOP/s", "share")
    print(f"{'':24}" + "".join(f"{column:>8}" for column in columns) + "".join(f"  x {mark}" for mark in marks))
    for name, row in figures.items():
        values = "".join(f"{row[key]:8,.0f}" for key in ("median", "min", "max", "tokens_per_step", "peak_mib"))
        values += (
            f"{row['gflop_per_second']:8,.0f}{row['share_of_limit']:8.1%}" if "share_of_limit" in row else " " * 16
        )
        ratios = "".join(f"{row['median'] / figures[mark]['median']:{len(mark) + 4}.2f}" for mark in marks)
        print(f"{name:24}{values}{ratios}")
    for name, reason in left_out.items():
        print(f"{name:24}left out: {reason}; see `make bench-peers`")


def write_record(
    path: Path, figures: dict[str, dict[str, Any]], left_out: dict[str, str], settings: dict[str, Any]
) -> None:
    """Write the figures with all that they depend on; `settings` say how many `threads` there were."""
    from nmt.devices import machine
    from nmt.runtime import versions

    tcmalloc = TCMALLOC.with_name(".ready")
    record = {
        "date": date.today().isoformat(),
        "command": shlex.join(sys.argv),
        "machine": machine() | {"threads": settings["threads"]},
        "versions": versions() | ({"tcmalloc": tcmalloc.read_text()} if tcmalloc.exists() else {}),
        "settings": settings,
        "figures": figures,
        "left_out": left_out,
    }
    path.write_text(json.dumps(record, indent=2) + "\n")


def main() -> None:
    """Run the contestants in turn and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run-dir", type=Path)
    parser.add_argument("--contestants", help=", ".join(contestant.name for contestant in CONTESTANTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warm-up", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--contestant", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contestant:
        print(json.dumps(work(options.contestant, options.run_dir, options.warm_up, options.steps)))
        return
    contestants, left_out = choose(options.contestants, CONTESTANTS)
    settings = Settings(SIZE, TOKENS_PER_STEP, options.warm_up, options.steps, options.threads)
    with tempfile.TemporaryDirectory() as scratch:
        figures = measure(options.run_dir or prepare(Path(scratch)), contestants, settings, options.rounds)
    show(figures, left_out)
    if options.json:
        write_record(options.json, figures, left_out, asdict(settings))


if __name__ == "__main__":
    main()

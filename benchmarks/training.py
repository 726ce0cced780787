"""Time training: nmt's update beside a plain loop over torch.nn.Transformer, interleaved, on the same batches.

    python benchmarks/training.py [--run-dir RUN] [--rounds 3] [--steps 10] [--json FILE]

RUN is a run folder whose data is prepared (`nmt prepare`); by default a corpus is generated. Each contestant runs
in a process of its own, in turn, `rounds` times; figures are medians of real target tokens (EOS included) a second.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

WARM_UP = 3
CONTESTANTS = ("nmt-float32", "nmt-bfloat16", "torch-float32", "torch-bfloat16")
SIZE = {"d_model": 256, "ffn": 1024, "heads": 4, "encoder_layers": 3, "decoder_layers": 3}
TOKENS_PER_STEP = 4096


def prepare(folder: Path) -> Path:
    """Generate and encode a corpus; return its run folder."""
    recipe = folder / "bench.toml"
    recipe.write_text(
        'name = "bench"\n[languages]\nsource = "en"\ntarget = "de"\n'
        '[data.train]\nbuiltin = "train"\npairs = 20000\n[tokenizer]\nvocab_size = 8000\n'
    )
    subprocess.run([sys.executable, "-m", "nmt", "prepare", str(recipe), "--run-dir", str(folder / "run")], check=True)
    return folder / "run"


def work(contestant: str, run: Path, steps: int) -> dict[str, float]:
    """Train for `steps` after the warm-up; return tokens a second and peak memory."""
    import torch

    from nmt.config import BatchingConfig
    from nmt.data.batching import StepStream
    from nmt.data.dataset import Batch, PreparedPairs
    from nmt.data.tokenizer import Tokenizer
    from nmt.runtime import keep_freed_memory

    kind, precision = contestant.split("-")
    if kind == "nmt":
        keep_freed_memory()
    vocabulary = Tokenizer.load(run / "tokenizer").target_size
    torch.manual_seed(1)
    update = nmt_update(vocabulary, precision) if kind == "nmt" else torch_update(vocabulary, precision)
    pairs = PreparedPairs(run / "prepared" / "ids" / "train")
    stream = StepStream(pairs, BatchingConfig(tokens_per_step=TOKENS_PER_STEP), 1)
    batches: Iterator[Batch] = (batch for step in stream.steps(0, 0) for batch in step.micro_batches)
    for batch in islice(batches, WARM_UP):
        update(batch)
    tokens, started = 0, time.perf_counter()
    for batch in islice(batches, steps):
        update(batch)
        tokens += batch.target_tokens
    seconds = time.perf_counter() - started
    return {
        "tokens_per_second": tokens / seconds,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def nmt_update(vocabulary: int, precision: str) -> Callable[..., None]:
    """Return nmt's own update."""
    from nmt.config import ModelConfig, OptimizerConfig
    from nmt.data.dataset import Batch
    from nmt.data.tokenizer import PAD_ID
    from nmt.model.transformer import Transformer
    from nmt.training.engine import Engine

    model = Transformer(ModelConfig(**SIZE), vocabulary, vocabulary, pad_id=PAD_ID)  # type: ignore[arg-type]
    engine = Engine(model, OptimizerConfig(), "bfloat16" if precision == "bfloat16" else "float32")

    def update(batch: Batch) -> None:
        engine.update([batch], rate=1e-4, seed=1, smoothing=0.1)

    return update


def torch_update(vocabulary: int, precision: str) -> Callable[..., None]:
    """Return the update that one would write with torch alone: nn.Transformer, cross_entropy, Adam, autocast."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    from nmt.data.dataset import Batch
    from nmt.data.tokenizer import PAD_ID

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


def main() -> None:
    """Run the contestants in turn and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run-dir", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--contestant", choices=CONTESTANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contestant:
        print(json.dumps(work(options.contestant, options.run_dir, options.steps)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        run = options.run_dir or prepare(Path(scratch))
        found: dict[str, list[dict[str, float]]] = {name: [] for name in CONTESTANTS}
        for _ in range(options.rounds):
            for name in CONTESTANTS:
                command = [sys.executable, __file__, "--contestant", name, "--run-dir", str(run)]
                done = subprocess.run([*command, "--steps", str(options.steps)], check=True, capture_output=True)
                found[name].append(json.loads(done.stdout))
    figures = {}
    for name, results in found.items():
        speeds = [result["tokens_per_second"] for result in results]
        figures[name] = {
            "median": statistics.median(speeds),
            "min": min(speeds),
            "max": max(speeds),
            "peak_mib": max(result["peak_mib"] for result in results),
        }
    print(f"{'':16} {'tok/s':>8} {'min':>8} {'max':>8} {'MiB':>7} {'x torch-float32':>16}")
    for name, row in figures.items():
        ratio = row["median"] / figures["torch-float32"]["median"]
        speeds_of = " ".join(f"{row[key]:8,.0f}" for key in ("median", "min", "max"))
        print(f"{name:16} {speeds_of} {row['peak_mib']:7,.0f} {ratio:16.2f}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""Compare architectures of equal numbers of parameters: training and translation, interleaved on one machine.

    python benchmarks/architectures.py RUN [--rounds 5] [--steps 8]

RUN is a run folder with prepared ids of a joint tokenizer. The models are untrained, as their speed does not depend on
the weights. In each round every model takes the same steps of training, and translates the same sources greedily into
hypotheses of the length of their sources. Figures are medians over the rounds: real target tokens a second, and
operations a second, counted by `nmt.model.size`, with their ratio to those of the first model in the same round.
"""

import argparse
import statistics
import time
from itertools import islice
from pathlib import Path

import torch

from nmt.config.decoding import DecodingConfig
from nmt.config.model import STACKS, ModelConfig
from nmt.config.training import OptimizerConfig
from nmt.data.encoding.dataset import PreparedPairs
from nmt.data.encoding.steps import Step, StepStream
from nmt.data.encoding.tokenizer import Tokenizer
from nmt.inference.protocol import Request, Row
from nmt.inference.search import search
from nmt.model.families import build
from nmt.model.preparation import prepare
from nmt.model.protocol import Model
from nmt.model.size import operations_of_training
from nmt.runtime import bound_kernels, keep_freed_memory
from nmt.training.updater import Updater

SHAPE = {"d_model": 128, "ffn": 512, "heads": 4, "norm": "pre", "dropout": 0.15}
LAYERS = {"encoder-decoder": 3, "decoder-only": 7, "prefix-lm": 7}
"""Layers of each stack, with which the models have as many parameters."""
OPTIMIZER = OptimizerConfig(algorithm="muon", learning_rate=1e-4)
TOKENS_PER_STEP, SENTENCES = 2048, 100


def make(family: str, vocabulary: int) -> Model:
    torch.manual_seed(1)
    stacks = dict.fromkeys(STACKS[family], LAYERS[family])
    return build(ModelConfig.model_validate({"architecture": family, **SHAPE, **stacks}), vocabulary, vocabulary)


def train(updater: Updater[Model], steps: list[Step], pairs: PreparedPairs) -> tuple[float, float]:
    """Take `steps`; return target tokens and operations a second."""
    began = time.perf_counter()
    for number, step in enumerate(steps, 1):
        updater.accumulate(step.micro_batches, seed=number, smoothing=0.1, tokens=step.target_tokens)
        updater.apply(number, rate=1e-4, tokens=step.target_tokens)
    seconds = time.perf_counter() - began
    total = sum(
        operations_of_training(
            updater.model, pairs.src_lengths[step.indices].astype(float), pairs.tgt_lengths[step.indices].astype(float)
        )
        for step in steps
    )
    return sum(step.target_tokens for step in steps) / seconds, total / seconds


def translate(model: Model, rows: list[Row]) -> float:
    """Translate `rows` by greedy search, each to as many pieces as it has; return target tokens a second."""
    longest = max(len(row.ids) for row in rows)
    decoding = DecodingConfig(beam_size=1, min_length=longest, max_extra_length=0)
    began = time.perf_counter()
    found = search([model], rows, Request(decoding))
    return sum(len(best.ids) + 1 for best, *_ in found) / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8)
    options = parser.parse_args()
    keep_freed_memory()
    bound_kernels()
    ids = next(path for path in (options.run / "ids", options.run / "prepared" / "ids") if path.is_dir())
    pairs, vocabulary = PreparedPairs(ids / "train"), Tokenizer.load(options.run / "tokenizer").target_size
    updaters = {family: Updater(make(family, vocabulary), OPTIMIZER) for family in LAYERS}
    prepared = {family: prepare(make(family, vocabulary), "float32") for family in LAYERS}
    rows = [Row(pairs.sides(torch.tensor([index]).numpy())[0][0].tolist()) for index in range(SENTENCES)]
    stream = StepStream(pairs, TOKENS_PER_STEP, 1).steps(0, 0)
    found: dict[str, list[tuple[float, float, float]]] = {family: [] for family in LAYERS}
    for number in range(options.rounds + 1):
        steps = list(islice(stream, options.steps))
        for family in LAYERS:
            figures = (*train(updaters[family], steps, pairs), translate(prepared[family], rows))
            if number:  # the first round warms up
                found[family].append(figures)
    first = found[next(iter(LAYERS))]
    print(
        "| Architecture | Parameters | Training, tokens/s | ratio | GFLOP/s | ratio | Greedy search, tokens/s | ratio |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for family, rounds in found.items():
        cells = [family, f"{sum(p.numel() for p in updaters[family].model.parameters()):,}"]
        for column, (unit, form) in enumerate([(1, ",.0f"), (1e9, ".1f"), (1, ",.0f")]):
            ratio = statistics.median(ours[column] / base[column] for ours, base in zip(rounds, first, strict=True))
            cells += [format(statistics.median(each[column] for each in rounds) / unit, form), f"{ratio:.2f}"]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()

"""Shared parts of the adapters of the toolkits: their task, the clock, the line they print.

An adapter runs in its toolkit's own environment, so nothing here imports nmt.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

PAD, UNK, BOS, EOS = "<pad>", "<unk>", "<s>", "</s>"
"""The special pieces; the vocabulary begins with them, in this order."""


@dataclass(frozen=True)
class Task:
    """The corpus, the model and the length of a timed training."""

    corpus: Path
    """Folder with `train.src` and `train.tgt`, pieces separated by spaces, and `vocabulary.txt`, one piece a line."""
    scratch: Path
    """Empty folder for what the toolkit writes."""
    warm_up: int
    """Steps before the clock starts."""
    steps: int
    """Timed steps."""
    tokens_per_step: int
    """Target tokens of a step, as the toolkit counts them."""
    threads: int
    """Threads to compute with; OMP_NUM_THREADS says the same."""
    size: dict[str, int]
    """Sizes of the model: d_model, ffn, heads, encoder_layers, decoder_layers."""

    @property
    def vocabulary(self) -> list[str]:
        """The pieces in the order of their ids."""
        return (self.corpus / "vocabulary.txt").read_text(encoding="utf-8").rstrip("\n").split("\n")


class Clock:
    """Times the steps after the warm-up by the batches that pass through it, loading included."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.tokens = 0
        self.seconds = 0.0

    def watch(self, batches: Iterable[T], tokens: Callable[[T], int]) -> Iterator[T]:
        """Yield the batches of all steps; the last step has ended when one more is asked for."""
        stream = iter(batches)
        for _ in range(self.task.warm_up):
            yield next(stream)
        started = time.perf_counter()
        for _ in range(self.task.steps):
            batch = next(stream)
            self.tokens += tokens(batch)
            yield batch
        self.seconds = time.perf_counter() - started


def read_task() -> Task:
    """Read the task from the command line, one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("task", type=json.loads)
    values: dict[str, Any] = parser.parse_args().task
    return Task(**{**values, "corpus": Path(values["corpus"]), "scratch": Path(values["scratch"])})


def report(package: str, task: Task, tokens: float, seconds: float, *, who: int = resource.RUSAGE_SELF) -> None:
    """Print the result as one line of JSON; `tokens` are real target tokens, EOS included."""
    result = {
        "tokens_per_second": tokens / seconds,
        "tokens_per_step": tokens / task.steps,
        "peak_mib": resource.getrusage(who).ru_maxrss / 1024,
        "version": f"{package} {version(package)}",
    }
    print(json.dumps(result))

"""Shared parts of the adapters that translate: their task, the batches, the clock, the lines they print.

An adapter runs in its toolkit's own environment, so nothing here imports nmt.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

Rows = list[list[str]]
"""Sentences in pieces, without BOS and EOS."""
Search = Callable[[Iterable[Rows], int], Iterator[Rows]]
"""From batches and a beam size to the best hypotheses of each batch, in order."""
Translate = Callable[[list[str], int], list[tuple[str, int]]]
"""From lines and a beam size to translations, each with the number of pieces that were decoded, EOS included."""


@dataclass(frozen=True)
class Task:
    """The text of a timed translation, and its settings."""

    single: bool
    """One line at a time, each clocked; else all of them."""
    text: Path
    """Lines to translate."""
    lines: int
    """How many of them, from the first."""
    output: Path
    """Where the translations of all lines go, and how many pieces each has."""
    bundle: Path
    """Folder with `model.safetensors`, `config.json`, `tokenizer.model`, and what adapters have made of them."""
    engine: str
    """Engine and precision: `native-float32`, `ctranslate2-int8`."""
    threads: int
    """Threads of a process or, in CTranslate2, of a worker; OMP_NUM_THREADS says the same."""
    workers: int
    """Processes or workers that translate different batches."""
    batch: int
    """Sentences of a batch; nmt counts padded tokens."""
    beam_size: int
    length_penalty: float
    extra_length: int
    """Largest number of pieces that a hypothesis may have more than its source, or than the longest of its batch."""

    @property
    def precision(self) -> str:
        """The precision alone."""
        return self.engine.partition("-")[2]

    @property
    def sizes(self) -> dict[str, Any]:
        """The model's sizes as `config.json` names them: d_model, ffn, heads, norm, and so on."""
        sizes: dict[str, Any] = json.loads((self.bundle / "config.json").read_text(encoding="utf-8"))["model"]
        return sizes

    def limit(self, rows: Rows) -> int:
        """Return the most pieces that a hypothesis of the batch `rows` may have, EOS included."""
        return max(map(len, rows)) + self.extra_length + 1


def batched(task: Task, search: Search) -> Translate:
    """Make of `search` what translates lines: pieces, batches of like length, the longest first, and text again."""
    from sentencepiece import SentencePieceProcessor

    tokenizer = SentencePieceProcessor(model_file=str(task.bundle / "tokenizer.model"))

    def translate(lines: list[str], beam_size: int) -> list[tuple[str, int]]:
        rows = tokenizer.encode(lines, out_type=str)
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]), reverse=True)
        batches = [order[start : start + task.batch] for start in range(0, len(order), task.batch)]
        found: dict[int, tuple[list[str], int]] = {}
        searched = search(([rows[index] for index in batch] for batch in batches), beam_size)
        for batch, hypotheses in zip(batches, searched, strict=True):
            limit = task.limit([rows[index] for index in batch])  # where some toolkits end without EOS
            counts = [min(len(pieces) + 1, limit) for pieces in hypotheses]
            found.update(zip(batch, zip(hypotheses, counts, strict=True), strict=True))
        best = [found[index] for index in range(len(rows))]
        texts = tokenizer.decode([pieces for pieces, _ in best])
        return [(text, count) for text, (_, count) in zip(texts, best, strict=True)]

    return translate


def renamed(weights: Mapping[str, Tensor], patterns: Mapping[str, str]) -> dict[str, Tensor]:
    """Rename nmt's `weights` by regular expressions, one after the other; keys and values become two matrices."""
    parts: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if "key_value" in name:
            parts[name.replace("key_value", "key")], parts[name.replace("key_value", "value")] = tensor.chunk(2)
        else:
            parts[name] = tensor
    names = {name: name for name in parts}
    for pattern, replacement in patterns.items():
        names = {name: re.sub(pattern, replacement, new) for name, new in names.items()}
    return {names[name]: tensor.contiguous() for name, tensor in parts.items()}


def run(package: str, load: Callable[[Task], Translate]) -> None:
    """Do the task of the command line and print its figures as one line of JSON.

    One line at a time: the first translation is printed by itself, as soon as it is there.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("task", type=json.loads)
    values: dict[str, Any] = parser.parse_args().task
    task = Task(**{**values, **{name: Path(values[name]) for name in ("text", "output", "bundle")}})
    lines = task.text.read_text(encoding="utf-8").split("\n")[: task.lines]
    translate = load(task)
    figures: dict[str, Any] = {"version": f"{package} {version(package)}"}
    if task.single:
        print(translate(lines[:1], task.beam_size)[0][0], flush=True)
        for name, beam_size in (("beam", task.beam_size), ("greedy", 1)):
            figures[name] = [milliseconds(translate, line, beam_size) for line in lines]
    else:
        started = time.perf_counter()
        found = translate(lines, task.beam_size)
        figures["seconds"] = time.perf_counter() - started
        task.output.write_text(json.dumps(found), encoding="utf-8")
    print(json.dumps(figures))


def milliseconds(translate: Translate, line: str, beam_size: int) -> float:
    """Translate `line` and return how long it took."""
    started = time.perf_counter()
    translate([line], beam_size)
    return 1000 * (time.perf_counter() - started)

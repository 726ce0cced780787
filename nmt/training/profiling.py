"""Profiling of a training for some seconds: memory of a micro-batch, speed of training and translation."""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from nmt.inference.engines.native import NativeEngine
from nmt.inference.translator import Translator
from nmt.training.loop import Trainer

SECONDS = 10.0  # time for micro-batches of growing size, and again for the speed of training
MAX_MICRO_BATCHES = 100  # micro-batches whose speed is measured
MAX_SENTENCES = 32  # dev sentences whose translation is measured


class MemoryTrials:
    """Measures the memory of micro-batches while there is time, then extrapolates in proportion to the last one."""

    def __init__(self, cost: Callable[[int], int]) -> None:
        self.cost = cost
        self.taken: dict[int, int] = {}  # bytes by padded tokens
        self.largest = 0  # padded tokens of the largest micro-batch that was measured
        self.began = time.perf_counter()

    def __call__(self, tokens: int) -> int:
        """Return the bytes that a micro-batch of `tokens` padded tokens takes."""
        # A micro-batch of twice the size takes about as long as all before it.
        if self.largest and time.perf_counter() - self.began > SECONDS / 2:
            self.taken[tokens] = self.taken[self.largest] * tokens // self.largest
        else:
            self.taken[tokens] = self.cost(tokens)
            self.largest = tokens
        return self.taken[tokens]


def compile_now(trainer: Trainer) -> None:
    """Compute a small micro-batch as padded and as not padded, so that all layers that are to be compiled are."""
    updater, last = trainer.updater, len(trainer.pairs) - 1
    batch = trainer.steps.whole_batch(np.array([0, last])).to(updater.device)
    for src_padded in (True, False):
        updater.accumulate([replace(batch, src_padded=src_padded)], seed=0, smoothing=0.1, tokens=1)
    finish(updater.device)


def training_speed(trainer: Trainer, micro_batch_tokens: int) -> tuple[float, float]:
    """Return the target tokens a second of forward and backward, and the seconds of an update; weights stay.

    The micro-batches are the training's first ones, of at most `micro_batch_tokens` padded tokens a side.
    """
    updater, smoothing = trainer.updater, trainer.config.label_smoothing
    trainer.steps.micro_batch_tokens = micro_batch_tokens
    batches = (batch for step in trainer.steps.steps(0, 0) for batch in step.micro_batches)

    def accumulate() -> int:
        batch = next(batches)
        tokens = batch.target_tokens
        updater.accumulate([batch.to(updater.device)], seed=0, smoothing=smoothing, tokens=tokens)
        finish(updater.device)
        return tokens

    def update(step: int) -> None:
        updater.apply(step, rate=0.0, tokens=1)
        finish(updater.device)

    accumulate()  # the first calls are slower
    update(1)
    began, tokens = time.perf_counter(), 0
    for _ in range(MAX_MICRO_BATCHES):
        tokens += accumulate()
        if time.perf_counter() - began > SECONDS:
            break
    ended = time.perf_counter()
    update(2)
    return tokens / (ended - began), time.perf_counter() - ended


def translation_speed(trainer: Trainer) -> float:
    """Return the seconds that a dev sentence takes, its translation being as long as the source."""
    # An untrained model never ends a sentence: the length limit stands for the length that it will learn.
    decoding = trainer.recipe.decoding.model_copy(update={"max_extra_length": 0})
    engine = NativeEngine([trainer.updater.eval_model.eval()])
    translator = Translator(engine, trainer.tokenizer, decoding, max_length=trainer.recipe.model.max_length)
    sample = trainer.dev.sources[:: -(-len(trainer.dev.sources) // MAX_SENTENCES)]
    began = time.perf_counter()
    translator.translate(sample)
    return (time.perf_counter() - began) / len(sample)


def finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)

"""Try a training for some seconds: what a pass takes of the memory, how fast it trains and translates."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from nmt.inference.engines.native import NativeEngine
from nmt.inference.translator import Translator
from nmt.training.loop import Trainer

SECONDS = 10.0
"""Time for passes of growing size, and again for the speed of training."""
PASSES = 100
"""Passes whose speed is measured, at most."""
TRANSLATED = 32
"""Dev sentences that are translated, at most."""


class Trials:
    """Passes of growing size while there is time; then their need in proportion to the last one's."""

    def __init__(self, need: Callable[[int], int]) -> None:
        self.need = need
        self.taken: dict[int, int] = {}
        """Bytes by padded tokens."""
        self.tried = 0
        """Padded tokens of the largest pass that was made."""
        self.began = time.perf_counter()

    def __call__(self, tokens: int) -> int:
        """Return the bytes that a pass of so many padded tokens takes."""
        # A pass of twice the size takes about as long as all before it.
        if self.tried and time.perf_counter() - self.began > SECONDS / 2:
            self.taken[tokens] = self.taken[self.tried] * tokens // self.tried
        else:
            self.taken[tokens] = self.need(tokens)
            self.tried = tokens
        return self.taken[tokens]


def training_speed(trainer: Trainer, pass_tokens: int) -> tuple[float, float]:
    """Return the target tokens a second of forward and backward, and the seconds of an update; weights stay.

    The passes are the training's first ones, of at most `pass_tokens` padded tokens a side.
    """
    engine, config = trainer.engine, trainer.config
    trainer.steps.micro_batch_tokens = pass_tokens
    passes = (batch for step in trainer.steps.steps(0, 0) for batch in step.micro_batches)

    def accumulate() -> int:
        batch = next(passes)
        tokens = batch.target_tokens
        engine.accumulate([batch.to(engine.device)], seed=0, smoothing=config.label_smoothing, tokens=tokens)
        finish(engine.device)
        return tokens

    def update(step: int) -> None:
        engine.apply(step, rate=0.0, tokens=1)
        finish(engine.device)

    accumulate()  # the first ones are slower
    update(1)
    began, tokens = time.perf_counter(), 0
    for _ in range(PASSES):
        tokens += accumulate()
        if time.perf_counter() - began > SECONDS:
            break
    passed = time.perf_counter()
    update(2)
    return tokens / (passed - began), time.perf_counter() - passed


def translation_speed(trainer: Trainer) -> float:
    """Return the seconds that a dev sentence takes, its translation being as long as the source."""
    # Untrained, the model ends no sentence by itself: the longest that is allowed stands for what it will learn.
    decoding = trainer.plan.decoding.model_copy(update={"max_extra_length": 0})
    model = trainer.engine.shipping.eval()
    translator = Translator(
        NativeEngine([model]), trainer.tokenizer, decoding, max_length=trainer.plan.model.max_length
    )
    sources = trainer.dev.sources
    chosen = sources[:: -(-len(sources) // TRANSLATED)]
    began = time.perf_counter()
    translator.translate(chosen)
    return (time.perf_counter() - began) / len(chosen)


def finish(device: torch.device) -> None:
    """Wait for a GPU to have done all that it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)

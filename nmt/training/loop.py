"""The training loop, from the newest checkpoint to the last step."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nmt import console
from nmt.config import (
    BatchingConfig,
    DecodingConfig,
    EvaluationConfig,
    ModelConfig,
    OptimizerConfig,
    TrainingConfig,
)
from nmt.data.batching import Step, StepStream
from nmt.data.dataset import PreparedPairs
from nmt.data.tokenizer import PAD_ID, Tokenizer
from nmt.errors import ArtifactError, DivergedError, InterruptedTrainingError, TerminatedTrainingError
from nmt.evaluation.metrics import resolve_tokenizer
from nmt.inference.translator import Translator
from nmt.model.transformer import Transformer
from nmt.runtime import keep_freed_memory, pick_device, return_freed_memory
from nmt.training.checkpoint import Checkpoints, TrainingState, refuse_other
from nmt.training.engine import Engine, UpdateResult, step_seed
from nmt.training.journal import Clock, Log, Meter
from nmt.training.optimizer import learning_rate
from nmt.training.validation import DevSet, Validation, validate

METRICS = {"bleu": "BLEU", "loss": "loss"}
"""How people write `training.best_metric`."""


TRIM_EVERY = 50
"""Steps after which freed memory goes back to the system: about a gigabyte less at the peak, for 1% of the time."""


@dataclass(frozen=True)
class TrainingPlan:
    """The sections of a recipe that training reads."""

    model: ModelConfig
    batching: BatchingConfig
    optimizer: OptimizerConfig
    training: TrainingConfig
    decoding: DecodingConfig
    evaluation: EvaluationConfig
    target_language: str

    def identity(self, data: str) -> dict[str, Any]:
        """Return what shapes the updates, `data` being the digest of the prepared ids.

        A checkpoint goes on only under the same; how often to log, save and validate is free to change.
        """
        training = self.training
        return {
            "data": data,
            "model": self.model.model_dump(exclude={"preset"}),
            "batching": self.batching.model_dump(),
            "optimizer": self.optimizer.model_dump(),
            "training": training.model_dump(include={"seed", "label_smoothing", "precision"}),
            "max_steps": training.max_steps if self.optimizer.schedule == "linear" else None,
        }


def train(
    plan: TrainingPlan,
    tokenizer: Tokenizer,
    pairs: PreparedPairs,
    dev: DevSet,
    *,
    data: str,
    checkpoints: Path,
    log: Path,
) -> TrainingState:
    """Train to the end, from the newest whole checkpoint if there is one; return the last state.

    `data` is the digest of the prepared ids. Killed at any instant and called again, it ends with the same
    bits, on a CPU with as many threads. Raises ArtifactError where the checkpoints are another recipe's and
    DivergedError where the loss is no longer a number.
    """
    config = plan.training
    keep_freed_memory()
    device = pick_device(config.device)
    torch.manual_seed(config.seed)
    sizes = tokenizer.source_size, tokenizer.target_size
    model = Transformer(plan.model, *sizes, pad_id=PAD_ID).to(device)
    engine = Engine(model, plan.optimizer, config.precision)
    store = Checkpoints(checkpoints, config.keep_checkpoints)
    identity = plan.identity(data)
    state = resume(engine, store, identity)
    if state.metric != config.best_metric:
        state.metric, state.best, state.best_step, state.stale = config.best_metric, None, None, 0
    if state.step > config.max_steps:
        raise ArtifactError(
            f"{checkpoints}: trained for {state.step} steps, beyond training.max_steps = {config.max_steps}",
            hint="take another --run-dir, or delete the folder checkpoints to train anew",
        )
    if is_tired(state, config) or state.step == config.max_steps:
        console.log(f"train: step {state.step:,} was the last one; nothing to do")
        return state

    translator = Translator(model, tokenizer, plan.decoding, max_length=plan.model.max_length)
    tokenize = resolve_tokenizer(plan.evaluation.tokenize, plan.target_language)
    journal, meter = Log(log, resume_after=state.step), Meter()
    steps = StepStream(pairs, plan.batching, config.seed)
    stream = steps.from_position(state.epoch, state.offset)
    with (
        closing(stream),
        console.Progress("train", config.max_steps, done=state.step, unit="steps") as progress,
        catching_signals() as signals,
    ):
        clock = Clock(state.step)
        for batches in stream:
            rate = learning_rate(state.step + 1, plan.optimizer, d_model=plan.model.d_model, max_steps=config.max_steps)
            result = engine.update(
                [batch.to(device) for batch in batches.micro_batches],
                rate=rate,
                seed=step_seed(config.seed, state.step),
                smoothing=config.label_smoothing,
            )
            advance(state, batches)
            meter.add(result, clock.lap())
            last = state.step == config.max_steps
            if state.step % TRIM_EVERY == 0:
                return_freed_memory()
            progress.update(state.step)
            if state.step % config.log_every == 0 or last:
                check_finite(result, state.step)
                left = clock.left(state.step, config.max_steps)
                report(state, meter.summary(), rate, left, config, journal, progress)
            if state.step % config.validate_every == 0 or last:
                check_finite(result, state.step)
                found = validate(model, translator, dev, tokenize=tokenize, lowercase=plan.evaluation.lowercase)
                if judge(state, found, config):
                    store.save_best(state, model.weights(), identity)
                journal.write(
                    kind="dev", step=state.step, loss=found.loss, perplexity=found.perplexity,
                    bleu=found.bleu, signature=found.signature,
                )  # fmt: skip
                best = " best so far" if state.best_step == state.step else ""
                progress.say(
                    f"step {state.step:,}: dev loss {found.loss:.3f}, perplexity {found.perplexity:.2f}, "
                    f"BLEU {found.bleu:.2f}{best}"
                )
            last = last or is_tired(state, config)
            regular = state.step % config.checkpoint_every == 0 or last
            if regular or signals:
                check_finite(result, state.step)
                store.save(state, *engine.state(), identity, halting=not regular)
            if last:
                break
            if signals:
                halt(signals[0], state.step)
            clock.start_lap()
    if is_tired(state, config):
        console.log(
            f"train: stopped early: {state.stale} validations without a better dev {METRICS[config.best_metric]}"
        )
    return state


@contextmanager
def catching_signals() -> Iterator[list[int]]:
    """Yield a list that gets the number of the first SIGINT or SIGTERM; a second one acts as it always does."""
    caught: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield caught
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(number: int, _: Any) -> None:
        caught.append(number)
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def halt(number: int, step: int) -> None:
    """Raise what ends the program after signal `number`; `step` is saved."""
    kind = TerminatedTrainingError if number == signal.SIGTERM else InterruptedTrainingError
    raise kind(f"{signal.Signals(number).name}: stopped after step {step}, saved", hint="run it again to go on")


def is_tired(state: TrainingState, config: TrainingConfig) -> bool:
    """Tell whether `patience` is at its end."""
    return config.patience is not None and state.stale >= config.patience


def resume(engine: Engine, store: Checkpoints, identity: dict[str, Any]) -> TrainingState:
    """Restore the newest whole checkpoint and return its state; a fresh one where there is none."""
    found, damage = store.newest()
    for message in damage:
        console.warn(f"{message}; going on from an older checkpoint")
    if found is None:
        return TrainingState()
    refuse_other(found.path, found.identity, identity)
    try:
        engine.restore(found.weights(), found.moments())
    except (ValueError, KeyError) as error:
        raise ArtifactError(f"{found.path}: does not hold this model: {error}") from None
    console.log(f"train: resuming after step {found.state.step:,}")
    return found.state


def advance(state: TrainingState, step: Step) -> None:
    """Move `state` behind `step`."""
    state.step += 1
    state.epoch, state.offset = step.next_epoch, step.next_offset


def judge(state: TrainingState, found: Validation, config: TrainingConfig) -> bool:
    """Note in `state` whether `found` is the best so far, and return it."""
    value = found.bleu if config.best_metric == "bleu" else found.loss
    better: Callable[[float, float], bool] = float.__gt__ if config.best_metric == "bleu" else float.__lt__
    if state.best is None or better(value, state.best):
        state.best, state.best_step, state.stale = value, state.step, 0
        return True
    state.stale += 1
    return False


def report(
    state: TrainingState,
    values: dict[str, float],
    rate: float,
    left: float,
    config: TrainingConfig,
    journal: Log,
    progress: console.Progress,
) -> None:
    """Write one line of progress."""
    journal.write(kind="train", step=state.step, epoch=state.epoch, learning_rate=rate, **values)
    best = "" if state.best is None else f", best dev {METRICS[config.best_metric]} {state.best:.2f}"
    line = (
        f"loss {values['loss']:.3f}, perplexity {values['perplexity']:.2f}, "
        f"{values['tokens_per_second']:,.0f} target tokens/s, learning rate {rate:.2e}"
        f"{best}, {console.duration(left)} left"
    )
    progress.update(state.step, line)
    progress.log(f"step {state.step:,} of {config.max_steps:,}: {line}")


def check_finite(result: UpdateResult, step: int) -> None:
    """Raise DivergedError where the loss or the gradient of update `step` is not a number."""
    for name, value in (("loss", float(result.loss)), ("gradient norm", float(result.gradient_norm))):
        if not math.isfinite(value):
            raise DivergedError(
                f"the {name} is {value} at step {step}",
                hint="lower optimizer.learning_rate, lengthen warmup_steps, or set optimizer.clip_norm",
            )

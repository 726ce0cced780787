"""The training loop: `train()`, and one update in `Engine`."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from nmt import console
from nmt.config import (
    BatchingConfig,
    DecodingConfig,
    EvaluationConfig,
    ModelConfig,
    OptimizerConfig,
    Precision,
    TrainingConfig,
)
from nmt.data.batching import Step, StepStream
from nmt.data.dataset import Batch, PreparedPairs
from nmt.data.tokenizer import PAD_ID, Tokenizer
from nmt.errors import ArtifactError, DivergedError
from nmt.evaluation.metrics import tokenizer_for
from nmt.files import differing, digest, write_text
from nmt.inference.translator import Translator
from nmt.model.transformer import Transformer
from nmt.runtime import keep_freed_memory, pick_device, return_freed_memory
from nmt.training.checkpoint import Checkpoints, TrainingState, moments_of, restore_moments
from nmt.training.loss import smoothed_loss
from nmt.training.optimizer import learning_rate, make_adam
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


class Engine:
    """Float32 weights and their optimizer, with a copy of the weights in the precision that computes."""

    def __init__(self, model: Transformer, config: OptimizerConfig, precision: Precision) -> None:
        self.model = model
        self.names = list(model.weights())
        self.parameters: list[Tensor] = list(model.parameters())
        self.clip_norm = config.clip_norm
        self.optimizer = make_adam(self.parameters, config)
        # In bfloat16 the whole pass runs on a copy of the weights, cast once an update: no cast within it.
        self.working = model if precision == "float32" else copy.deepcopy(model).bfloat16()
        self.working_parameters: list[Tensor] = list(self.working.parameters())
        self.gradients = [torch.zeros_like(parameter) for parameter in self.parameters]
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            parameter.grad = gradient

    def update(self, batches: list[Batch], *, rate: float, seed: int, smoothing: float) -> UpdateResult:
        """Take one optimizer step over all of `batches`, the micro-batches of the step.

        The loss is divided by the real target tokens of them all, so the cut into micro-batches does not
        change the update. `seed` decides the dropout: no generator has a state that outlives a step.
        """
        torch.manual_seed(seed)
        self.working.train()
        tokens = sum(batch.target_tokens for batch in batches)
        torch._foreach_zero_(self.gradients)
        total_loss = total_nll = torch.zeros((), device=self.gradients[0].device)
        for batch in batches:
            real = batch.labels != PAD_ID
            logits = self.working(batch.src, batch.tgt_in, real)
            loss, nll = smoothed_loss(logits, batch.labels[real], smoothing=smoothing)
            (loss / tokens).backward()
            if self.working is not self.model:
                for gradient, parameter in zip(self.gradients, self.working_parameters, strict=True):
                    gradient += cast("Tensor", parameter.grad)
                    parameter.grad = None
            total_loss, total_nll = total_loss + loss.detach(), total_nll + nll
        norm = torch.nn.utils.get_total_norm(self.gradients)
        if self.clip_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(self.parameters, self.clip_norm, norm)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.cast()
        return UpdateResult(total_loss, total_nll, norm, tokens)

    @torch.no_grad()
    def cast(self) -> None:
        """Bring the copy up to date with the weights."""
        if self.working is not self.model:
            torch._foreach_copy_(self.working_parameters, self.parameters)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return the weights and the optimizer's moments, by name."""
        return self.model.weights(), moments_of(self.optimizer, self.names)

    def restore(self, weights: dict[str, Tensor], moments: dict[str, Tensor]) -> None:
        """Put back what `state` returned. Raises ValueError where it is another model's."""
        self.model.load_weights(weights)
        restore_moments(self.optimizer, self.names, moments)
        self.cast()


@dataclass(frozen=True)
class UpdateResult:
    """What one update saw; tensors, so that nothing waits for the device."""

    loss: Tensor
    """Smoothed loss, summed over the tokens, in nats."""
    nll: Tensor
    """The same without smoothing."""
    gradient_norm: Tensor
    """Before clipping."""
    tokens: int
    """Real target tokens, EOS included."""


class Log:
    """`log.jsonl`: one object a line, in the order of the steps, also over interruptions."""

    def __init__(self, path: Path, *, resume_after: int) -> None:
        """Open the log, without the lines of the steps after `resume_after`, which will be done again."""
        self.path = path
        kept = []
        for line in path.read_text(encoding="utf-8").split("\n") if path.exists() else []:
            try:
                if json.loads(line)["step"] <= resume_after:
                    kept.append(line + "\n")
            except (ValueError, KeyError, TypeError):
                continue  # a line that was being written when the run was killed
        write_text(path, "".join(kept))

    def write(self, **values: Any) -> None:
        """Append one object."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")


class Meter:
    """Sums since the last log line; validations and checkpoints do not count as training time."""

    def __init__(self) -> None:
        self.results: list[UpdateResult] = []
        self.seconds = 0.0

    def add(self, result: UpdateResult, seconds: float) -> None:
        """Count one update."""
        self.results.append(result)
        self.seconds += seconds

    def summary(self) -> dict[str, float]:
        """Return the means, and start anew."""
        tokens = sum(result.tokens for result in self.results)
        nll = sum(float(result.nll) for result in self.results) / tokens
        values = {
            "loss": round(sum(float(result.loss) for result in self.results) / tokens, 5),
            "perplexity": round(math.exp(min(nll, 700.0)), 4),
            "gradient_norm": round(float(self.results[-1].gradient_norm), 4),
            "tokens_per_second": round(tokens / self.seconds, 1),
            "seconds_per_step": round(self.seconds / len(self.results), 4),
        }
        self.results, self.seconds = [], 0.0
        return values


def step_seed(seed: int, step: int) -> int:
    """Return the seed of update `step`; neighbours share nothing."""
    return int(digest(f"{seed}/{step}")[:15], 16)


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
    if state.step > config.max_steps:
        raise ArtifactError(
            f"{checkpoints}: trained for {state.step} steps, beyond training.max_steps = {config.max_steps}",
            hint="take another --run-dir, or delete the folder checkpoints to train anew",
        )
    if state.stopped or state.step == config.max_steps:
        console.log(f"train: step {state.step:,} was the last one; nothing to do")
        return state

    translator = Translator(model, tokenizer, plan.decoding, max_length=plan.model.max_length)
    tokenize = plan.evaluation.tokenize
    tokenize = tokenizer_for(plan.target_language) if tokenize == "auto" else tokenize
    journal, meter = Log(log, resume_after=state.step), Meter()
    steps = StepStream(pairs, plan.batching, config.seed)
    stream = steps.from_position(state.epoch, state.offset)
    with closing(stream), console.Progress("train", config.max_steps, done=state.step, unit="steps") as progress:
        for batches in stream:
            started = time.perf_counter()
            rate = learning_rate(state.step + 1, plan.optimizer, d_model=plan.model.d_model, max_steps=config.max_steps)
            result = engine.update(
                [batch.to(device) for batch in batches.micro_batches],
                rate=rate,
                seed=step_seed(config.seed, state.step),
                smoothing=config.label_smoothing,
            )
            advance(state, batches)
            meter.add(result, time.perf_counter() - started)
            last = state.step == config.max_steps
            if state.step % TRIM_EVERY == 0:
                return_freed_memory()
            progress.update(state.step)
            if state.step % config.log_every == 0 or last:
                check_finite(result, state.step)
                report(state, meter.summary(), rate, config, journal, progress)
            if state.step % config.validate_every == 0 or last:
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
            state.stopped = config.patience is not None and state.stale >= config.patience
            if state.step % config.checkpoint_every == 0 or last or state.stopped:
                check_finite(result, state.step)
                store.save(state, *engine.state(), identity)
            if last or state.stopped:
                break
    if state.stopped:
        console.log(
            f"train: stopped early: {state.stale} validations without a better dev {METRICS[config.best_metric]}"
        )
    return state


def resume(engine: Engine, store: Checkpoints, identity: dict[str, Any]) -> TrainingState:
    """Restore the newest whole checkpoint and return its state; a fresh one where there is none."""
    found, damage = store.newest()
    for message in damage:
        console.warn(f"{message}; going on from an older checkpoint")
    if found is None:
        return TrainingState()
    if keys := differing(found.identity, identity):
        raise ArtifactError(
            f"{found.path}: a checkpoint of another recipe: it differs in {', '.join(keys)}",
            hint="take another --run-dir, or delete the folder checkpoints to train anew",
        )
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
    config: TrainingConfig,
    journal: Log,
    progress: console.Progress,
) -> None:
    """Write one line of progress."""
    journal.write(kind="train", step=state.step, epoch=state.epoch, learning_rate=rate, **values)
    left = console.duration((config.max_steps - state.step) * values["seconds_per_step"])
    best = "" if state.best is None else f", best dev {METRICS[config.best_metric]} {state.best:.2f}"
    line = (
        f"loss {values['loss']:.3f}, perplexity {values['perplexity']:.2f}, "
        f"{values['tokens_per_second']:,.0f} target tokens/s, learning rate {rate:.2e}{best}, {left} left"
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

"""The record of a training while it runs: the log file, the live panel, TensorBoard."""

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

import torch

from nmt import console, runtime, strict_json
from nmt.files import is_missing, naming, write_text
from nmt.training.checkpoint import TrainingState
from nmt.training.updater import UpdateResult
from nmt.training.validation import Validation, perplexity

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

METRICS = {"strict-f1": "strict F1", "bleu": "BLEU", "chrf": "chrF", "loss": "loss"}
"""Names of `training.best_metric` in messages."""
CURVES = ("loss", "perplexity", "bleu", "chrf", "learning_rate", "gradient_norm", "tokens_per_second")
"""The values of the log that TensorBoard shows."""
ROWS = ("stage", "train", "dev", "best dev", "guard", "optimizer", "speed", "memory", "skipped")
"""The rows of the live panel, from top to bottom; empty ones are left out."""


class LogFile:
    """`log.jsonl`: one JSON object a line, in the order of the steps, also over interruptions."""

    def __init__(self, path: Path, *, resume_after: int) -> None:
        """Open the file; drop the lines of the steps after `resume_after`, which will be repeated."""
        self.path = path
        kept = []
        with naming(path):
            written = "" if is_missing(path) else path.read_text(encoding="utf-8", errors="replace")
        for line in written.split("\n"):
            try:
                if json.loads(line)["step"] <= resume_after:
                    kept.append(line + "\n")
            except (ValueError, KeyError, TypeError):
                continue  # a line that a killed run had not finished
        write_text(path, "".join(kept))

    def write(self, values: Mapping[str, object]) -> None:
        """Append one object; NaN and infinity, which JSON lacks, become null."""
        with naming(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(strict_json.dumps(values) + "\n")


class Interval:
    """The updates since the last line of the log, and the seconds spent on data and on updates."""

    def __init__(self) -> None:
        self.results: list[UpdateResult] = []
        self.waiting = self.computing = 0.0
        self.mark = time.perf_counter()

    def lap(self) -> float:
        """Return the seconds since the last lap."""
        before, self.mark = self.mark, time.perf_counter()
        return self.mark - before

    def close(self) -> dict[str, float | None]:
        """Return means over tokens, the last gradient norm, tokens, time and speed; start anew. Waits for the device.

        Skipped updates, whose loss is NaN, count in nothing but the time; where there were no others, loss, perplexity
        and gradient norm are None.
        """
        names = ("loss", "nll", "gradient_norm")
        columns = [torch.stack([getattr(result, name) for result in self.results]).tolist() for name in names]
        rows = zip(*columns, (result.tokens for result in self.results), strict=True)
        taken = [row for row in rows if all(map(math.isfinite, row))]
        # Reading the results has waited for the queued work of the device.
        self.computing += self.lap()
        tokens = sum(row[3] for row in taken)
        seconds = self.computing + self.waiting
        values: dict[str, float | None] = {"loss": None, "perplexity": None, "gradient_norm": None}
        if taken:
            values = {
                "loss": round(sum(row[0] for row in taken) / tokens, 5),
                "perplexity": round(perplexity(sum(row[1] for row in taken) / tokens), 4),
                "gradient_norm": round(taken[-1][2], 4),
            }
        values |= {"tokens": tokens, "seconds": round(seconds, 3), "tokens_per_second": round(tokens / seconds, 1)}
        values["waiting"] = round(self.waiting / seconds, 4)
        self.results, self.waiting, self.computing = [], 0.0, 0.0
        return values


class TrainingLog:
    """The record of one training: log.jsonl, the live panel, TensorBoard.

    It measures the time of the loop in laps: `data_ready` and `add_update` end one, `start_lap` discards one.
    """

    def __init__(
        self, path: Path | None, *, resume_after: int, max_steps: int, tensorboard: Path | None, shown: bool
    ) -> None:
        """Open the record of a training that resumes after step `resume_after`.

        `path` is the log file and `tensorboard` the folder of TensorBoard; None writes none. Nothing is printed unless
        `shown`. Raises UsageError where TensorBoard is asked for and not installed.
        """
        self._curves = None if tensorboard is None else summary_writer(tensorboard, resume_after)
        self._file = None if path is None else LogFile(path, resume_after=resume_after)
        self._shown = shown
        self._progress = console.Progress("train", max_steps, done=resume_after, unit="steps", shown=shown)
        self._rows = dict.fromkeys(ROWS, "")
        self._max_steps, self._updates = max_steps, 0
        self._stage, self._stage_fact = "", dict[str, str]()  # the stage, where the training has some
        self._interval = Interval()
        self._began = time.perf_counter()

    def __enter__(self) -> Self:
        self._progress.__enter__()
        self._began = time.perf_counter()
        self.start_lap()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.__exit__()
        if self._curves is not None:
            self._curves.close()

    def set_stage(self, title: str, name: str) -> None:
        """Name the stage in all later lines: `title` for people, `name` in the log file."""
        self._stage = title
        self._stage_fact = {"stage": name}
        self._show({"stage": title})

    def data_ready(self) -> None:
        """Count the time of this lap as waiting for data."""
        self._interval.waiting += self._interval.lap()

    def add_update(self, result: UpdateResult) -> None:
        """Count one update, and the time of this lap as computing. Does not wait for the device."""
        self._updates += 1
        self._interval.results.append(result)
        self._interval.computing += self._interval.lap()

    def start_lap(self) -> None:
        """Discard the time of this lap: validations and checkpoints are not training."""
        self._interval.lap()

    def show_step(self, step: int) -> None:
        """Move the progress bar to `step`; cheap enough for every step."""
        self._progress.update(step, self._left(step))

    def train_line(
        self, state: TrainingState, rate: float, *, memory: int, skipped: int, tokens_seen: Mapping[str, int]
    ) -> dict[str, float | None]:
        """Record the updates since the last line, at least one, and return their values. Waits for the device.

        `rate` is the learning rate, `memory` the peak in bytes, `skipped` the updates skipped so far, `tokens_seen` the
        target tokens of each corpus since the last line.
        """
        means = self._interval.close()
        values = {"learning_rate": rate, **means, "memory_mib": round(memory / 2**20), "skipped": skipped}
        total = max(sum(tokens_seen.values()), 1)
        corpora = {name: round(count / total, 4) for name, count in tokens_seen.items()}
        shares = {"corpora": corpora} if len(corpora) > 1 else {}
        self.record("train", state.step, {**self._stage_fact, "epoch": state.epoch, **values, **shares})
        loss = "no update taken, all were skipped"
        optimizer = f"learning rate {rate:.1e}"
        if means["loss"] is not None:
            loss = f"loss {means['loss']:.3f}, perplexity {means['perplexity']:.2f}"
            optimizer += f", gradient norm {means['gradient_norm']:.2f}"
        speed, waiting = f"{means['tokens_per_second']:,.0f} target tokens/s", f"{means['waiting']:.1%}"
        size, best = f"{memory / 1e9:.1f} GB", best_dev(state)
        rows = {"train": loss, "best dev": best, "optimizer": optimizer, "memory": size}
        rows |= {"speed": f"{speed}, waiting for data {waiting}", "skipped": f"{skipped:,} so far" if skipped else ""}
        self._show(rows)
        if self._shown:
            facts = [loss, speed, optimizer, f"waiting {waiting}", f"memory {size}"]
            facts += [f"skipped updates {skipped:,}" if skipped else "", best and f"best dev {best}"]
            facts.append(self._left(state.step))
            self._progress.log(
                f"{self._where}step {state.step:,} of {self._max_steps:,}: {', '.join(filter(None, facts))}"
            )
        return values

    def dev_line(self, state: TrainingState, dev: Validation) -> None:
        """Record the validation `dev` after `state.step`, which `state` has ranked already."""
        sets = {name: dev_values(part) for name, part in dev.parts.items()}
        values = {**self._stage_fact, **dev_values(dev), **({"sets": sets} if sets else {})}
        self.record("dev", state.step, values)
        facts = f"loss {dev.loss:.3f}, perplexity {dev.perplexity:.2f}"
        for metric, name in METRICS.items():
            if metric in values and metric != "loss":
                own = ", ".join(f"{each} {found[metric]:.2f}" for each, found in sets.items())
                facts += f", {name} {values[metric]:.2f}" + (f" ({own})" if own else "")
        self._show({"dev": f"{facts} at step {state.step:,}", "best dev": best_dev(state)})
        best = " best so far" if state.best_step == state.step else ""
        self.say(f"{self._where}step {state.step:,}: dev {facts}{best}")

    def guard_line(self, state: TrainingState, metric: str) -> None:
        """Record the last score of the guard in `state`, beside the one before the fine-tuning."""
        scores = {"score": state.guard_score, "start": state.guard_start}
        self.record("guard", state.step, {**self._stage_fact, "metric": metric, **scores})
        facts = f"{metric} {state.guard_score:.2f}, {state.guard_start:.2f} before the fine-tuning"
        self._show({"guard": f"{facts} at step {state.step:,}"})
        self.say(f"{self._where}step {state.step:,}: guard {facts}")

    @property
    def _where(self) -> str:
        return f"{self._stage}, " if self._stage else ""

    def say(self, text: str) -> None:
        if self._shown:
            self._progress.say(text)

    def record(self, kind: str, step: int, values: Mapping[str, object]) -> None:
        """Append an event at `step` to the log file, and add the points of the curves."""
        if self._file is not None:
            self._file.write({"kind": kind, "step": step, **values})
        if self._curves is not None and kind in ("train", "dev"):
            for name in CURVES:
                if values.get(name) is not None:
                    self._curves.add_scalar(f"{kind}/{name}", values[name], step)

    def _show(self, rows: Mapping[str, str]) -> None:
        self._rows.update(rows)
        self._progress.show((label, facts) for label, facts in self._rows.items() if facts)

    def _left(self, step: int) -> str:
        """Estimate the time left after `step`, from the mean of all steps so far, validations included."""
        if not self._updates:
            return ""
        seconds = (time.perf_counter() - self._began) / self._updates * (self._max_steps - step)
        return f"{console.duration(seconds)} left"


def dev_values(dev: Validation) -> dict[str, float | str]:
    """Return the loss, the perplexity and the scores of a validation, as far as it has them."""
    scores = {"bleu": dev.bleu, "signature": dev.signature, "chrf": dev.chrf, "chrf_signature": dev.chrf_signature}
    scores |= {"bracket-f1": dev.bracket_f1, "strict-f1": dev.strict_f1, "strict-f1_signature": dev.strict_signature}
    known = {name: value for name, value in scores.items() if value is not None}
    return {"loss": dev.loss, "perplexity": dev.perplexity, **known}


def best_dev(state: TrainingState) -> str:
    """Return the best score on dev so far; nothing where there is none."""
    return "" if state.best is None else f"{METRICS[state.metric]} {state.best:.2f} at step {state.best_step:,}"


def import_summary_writer() -> "type[SummaryWriter]":
    """Return the class of TensorBoard's writers. Raises UsageError where the package is missing."""
    package = runtime.import_extra("torch.utils.tensorboard", "tensorboard", "training.tensorboard = true")
    return cast("type[SummaryWriter]", package.SummaryWriter)


def summary_writer(folder: Path, resume_after: int) -> "SummaryWriter":
    """Open the curves in `folder`, where TensorBoard drops the points after step `resume_after`.

    Raises UsageError where the package is missing.
    """
    return import_summary_writer()(folder, purge_step=resume_after + 1, flush_secs=10)

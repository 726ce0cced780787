"""What is written down of the training while it runs: the log file, the live panel, TensorBoard."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from nmt import console
from nmt.errors import UsageError
from nmt.files import write_text
from nmt.training.checkpoint import TrainingState
from nmt.training.updater import UpdateResult
from nmt.training.validation import Validation

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

METRICS = {"bleu": "BLEU", "loss": "loss"}
"""How people write `training.best_metric`."""
CURVES = ("loss", "perplexity", "bleu", "learning_rate", "gradient_norm", "tokens_per_second")
"""What TensorBoard shows of the values in the log."""
ROWS = ("train", "dev", "best dev", "optimizer", "speed", "memory", "skipped")
"""The rows of the live panel, from above; the empty ones are left out."""


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

    def write(self, values: Mapping[str, Any]) -> None:
        """Append one object; JSON has no NaN and no infinity, they become null."""
        finite = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in values.items()
        }
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(finite, allow_nan=False) + "\n")


class Window:
    """The updates since the last line: what they saw, and the seconds that went into data and into them."""

    def __init__(self) -> None:
        self.results: list[UpdateResult] = []
        self.waiting = self.computing = 0.0
        self.mark = time.perf_counter()

    def lap(self) -> float:
        """Return the seconds since the last call."""
        before, self.mark = self.mark, time.perf_counter()
        return self.mark - before

    def close(self) -> dict[str, float | None]:
        """Return means over the tokens, the last gradient norm and the speed; start anew. Waits for the device.

        Updates that were skipped, their loss or gradient being no number, count in nothing but the time; where
        there were no others, loss, perplexity and gradient norm are None.
        """
        columns = [
            torch.stack([getattr(result, name) for result in self.results]).tolist()
            for name in ("loss", "nll", "gradient_norm")
        ]
        rows = zip(*columns, (result.tokens for result in self.results), strict=True)
        taken = [row for row in rows if all(map(math.isfinite, row))]
        # The device works on what was queued until here: reading has waited for it.
        self.computing += self.lap()
        tokens = sum(row[3] for row in taken)
        seconds = self.computing + self.waiting
        values: dict[str, float | None] = {"loss": None, "perplexity": None, "gradient_norm": None}
        if taken:
            values = {
                "loss": round(sum(row[0] for row in taken) / tokens, 5),
                "perplexity": round(math.exp(min(sum(row[1] for row in taken) / tokens, 700.0)), 4),
                "gradient_norm": round(taken[-1][2], 4),
            }
        values["tokens_per_second"] = round(tokens / seconds, 1)
        values["waiting"] = round(self.waiting / seconds, 4)
        self.results, self.waiting, self.computing = [], 0.0, 0.0
        return values


class Journal:
    """All that is written down of a training while it runs: log.jsonl, the live panel, TensorBoard.

    The time of the loop is measured in laps: `waited`, `add`, and `start_lap` where something else came between.
    """

    def __init__(
        self, path: Path | None, *, resume_after: int, max_steps: int, tensorboard: Path | None, shown: bool
    ) -> None:
        """Take up the journal of a training that goes on after step `resume_after`.

        `path` is the log file and `tensorboard` the folder of TensorBoard's; None writes none. Unless `shown`
        nothing is said. Raises UsageError where TensorBoard is asked for and not installed.
        """
        self._curves = None if tensorboard is None else summary_writer(tensorboard, resume_after)
        self._log = None if path is None else Log(path, resume_after=resume_after)
        self._shown = shown
        self._progress = console.Progress("train", max_steps, done=resume_after, unit="steps", shown=shown)
        self._rows = dict.fromkeys(ROWS, "")
        self._max_steps, self._updates = max_steps, 0
        self._window = Window()
        self._began = time.perf_counter()

    def __enter__(self) -> Journal:
        self._progress.__enter__()
        self._began = time.perf_counter()
        self.start_lap()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.__exit__()
        if self._curves is not None:
            self._curves.close()

    def waited(self) -> None:
        """Count the time of this lap as waiting: the data of the next step are there."""
        self._window.waiting += self._window.lap()

    def add(self, result: UpdateResult) -> None:
        """Count one update and the time since `waited`. Does not wait for the device."""
        self._updates += 1
        self._window.results.append(result)
        self._window.computing += self._window.lap()

    def start_lap(self) -> None:
        """Forget the time since `add` or the last line: validations and checkpoints are not training."""
        self._window.lap()

    def update(self, step: int) -> None:
        """Move the live line to `step`; cheap enough for every step."""
        self._progress.update(step, self._left(step))

    def train_line(
        self, state: TrainingState, rate: float, *, memory: int, skipped: int, seen: Mapping[str, int]
    ) -> dict[str, float | None]:
        """Write down the updates since the last line, of which there is one at least, and return the values.

        `rate` is the learning rate, `memory` the peak in bytes, `skipped` the updates skipped so far, `seen` the target
        tokens of each corpus since the last line. Waits for the device.
        """
        found = self._window.close()
        values = {"learning_rate": rate, **found, "memory_mib": round(memory / 2**20), "skipped": skipped}
        total = max(sum(seen.values()), 1)
        shares = {"corpora": {name: round(count / total, 4) for name, count in seen.items()}} if len(seen) > 1 else {}
        self._write("train", state.step, {"epoch": state.epoch, **values, **shares})
        loss = "no update taken, all were skipped"
        optimizer = f"learning rate {rate:.1e}"
        if found["loss"] is not None:
            loss = f"loss {found['loss']:.3f}, perplexity {found['perplexity']:.2f}"
            optimizer += f", gradient norm {found['gradient_norm']:.2f}"
        speed, waiting = f"{found['tokens_per_second']:,.0f} target tokens/s", f"{found['waiting']:.1%}"
        size, best = f"{memory / 1e9:.1f} GB", best_dev(state)
        self._show(
            {
                "train": loss,
                "best dev": best,
                "optimizer": optimizer,
                "speed": f"{speed}, waiting for data {waiting}",
                "memory": size,
                "skipped": f"{skipped:,} so far" if skipped else "",
            }
        )
        if self._shown:
            facts = [
                *(loss, speed, optimizer, f"waiting {waiting}", f"memory {size}"),
                *(f"skipped updates {skipped:,}" if skipped else "", best and f"best dev {best}"),
                self._left(state.step),
            ]
            self._progress.log(f"step {state.step:,} of {self._max_steps:,}: {', '.join(filter(None, facts))}")
        return values

    def dev_line(self, state: TrainingState, found: Validation) -> None:
        """Write down the validation after `state.step`; `state` has judged it already."""
        self._write(
            "dev",
            state.step,
            {"loss": found.loss, "perplexity": found.perplexity, "bleu": found.bleu, "signature": found.signature},
        )
        facts = f"loss {found.loss:.3f}, perplexity {found.perplexity:.2f}, BLEU {found.bleu:.2f}"
        self._show({"dev": f"{facts} at step {state.step:,}", "best dev": best_dev(state)})
        best = " best so far" if state.best_step == state.step else ""
        self.say(f"step {state.step:,}: dev {facts}{best}")

    def event(self, step: int, kind: str, values: Mapping[str, Any]) -> None:
        """Write down in the log alone what happened at `step`."""
        self._write(kind, step, values)

    def say(self, text: str) -> None:
        """Print a line that stays."""
        if self._shown:
            self._progress.say(text)

    def _write(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        """Append to the log, and draw what is a curve."""
        if self._log is not None:
            self._log.write({"kind": kind, "step": step, **values})
        if self._curves is not None and kind in ("train", "dev"):
            for name in CURVES:
                if values.get(name) is not None:
                    self._curves.add_scalar(f"{kind}/{name}", values[name], step)

    def _show(self, rows: Mapping[str, str]) -> None:
        """Renew some rows of the panel."""
        self._rows.update(rows)
        self._progress.show((label, facts) for label, facts in self._rows.items() if facts)

    def _left(self, step: int) -> str:
        """Say how long it takes from `step` to the last one, by all since the beginning, validations too."""
        if not self._updates:
            return ""
        seconds = (time.perf_counter() - self._began) / self._updates * (self._max_steps - step)
        return f"{console.duration(seconds)} left"


def best_dev(state: TrainingState) -> str:
    """Write the best score on dev so far; nothing where there is none."""
    return "" if state.best is None else f"{METRICS[state.metric]} {state.best:.2f} at step {state.best_step:,}"


def summary_writer(folder: Path, resume_after: int) -> SummaryWriter:
    """Open the curves in `folder`; TensorBoard drops those points after step `resume_after` that it finds there.

    Raises UsageError where the package is missing.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UsageError(
            "training.tensorboard = true needs a package that is not installed",
            hint='pip install "nmt[tensorboard]"',
        ) from error
    return SummaryWriter(folder, purge_step=resume_after + 1, flush_secs=10)

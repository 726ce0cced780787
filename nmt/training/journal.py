"""What is written down of the training while it runs: the log file, the clock, the sums between two lines."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

from nmt.files import write_text
from nmt.training.engine import UpdateResult


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


class Clock:
    """Laps of single steps, with the wait for data, and an estimate of the end with all that lies between."""

    def __init__(self, step: int) -> None:
        self.first_step = step
        self.began = self.lap_began = time.perf_counter()

    def start_lap(self) -> None:
        """Start to measure a step; what came since the last lap is not training."""
        self.lap_began = time.perf_counter()

    def lap(self) -> float:
        """Return the seconds of the step that ends now."""
        return time.perf_counter() - self.lap_began

    def left(self, step: int, max_steps: int) -> float:
        """Estimate the seconds until `max_steps`, from all since the beginning."""
        return (time.perf_counter() - self.began) / (step - self.first_step) * (max_steps - step)


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
        }
        self.results, self.seconds = [], 0.0
        return values

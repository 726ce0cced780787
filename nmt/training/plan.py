"""What a training reads of a recipe, and where it reads and writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt.config.data import DataConfig
from nmt.config.decoding import DecodingConfig, EvaluationConfig
from nmt.config.model import ModelConfig
from nmt.config.training import BatchingConfig, OptimizerConfig, TrainingConfig


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
    init: str | None = None
    """SHA-256 of the weights that the training begins with, where they are not drawn."""
    protect: str | None = None
    """Regular expression of what translations of dev keep as it is."""
    corpora: DataConfig | None = None
    """The training corpora with their weights; None: each pair once an epoch."""
    sampling: float | None = None
    """As in `tokenizer.sampling`."""

    def identity(self, data: str) -> dict[str, Any]:
        """Return what shapes the updates, `data` being the digest of the prepared ids.

        A checkpoint goes on only under the same; how a step is cut, how often to log, save and validate is free
        to change.
        """
        training = self.training
        return {
            "data": data,
            "init": self.init,
            "model": self.model.model_dump(exclude={"preset"}),
            "batching": self.batching.model_dump(include={"tokens_per_step"}),
            "optimizer": self.optimizer.model_dump(),
            "training": training.model_dump(include={"seed", "label_smoothing", "precision", "ema_decay"}),
            "max_steps": training.max_steps if self.optimizer.schedule == "linear" else None,
            **({"sampling": self.sampling} if self.sampling else {}),
            **(self.corpora.given_weights if self.corpora else {}),
        }


@dataclass(frozen=True)
class TrainingFiles:
    """Where a training reads and writes."""

    checkpoints: Path
    log: Path
    lock: Path
    """The run's lock, which keeps what was fitted to the memory."""
    tensorboard: Path
    diverged: Path
    """The sentences of the step where it went wrong."""

"""What a training is made from, and where it reads and writes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nmt.config.recipe import Recipe
from nmt.files import JsonObject


@dataclass(frozen=True)
class TrainingPlan:
    """A recipe, and the digest of the weights that its training starts from."""

    recipe: Recipe
    init: str | None = None
    """SHA-256 of these weights; None: they are random."""

    def identity(self, data: str) -> JsonObject:
        """Return the inputs of the updates, `data` being the digest of the prepared ids.

        A checkpoint is resumed only under the same. How a step is cut, how often to log, save and validate may change.
        """
        recipe, training = self.recipe, self.recipe.training
        sampling = recipe.tokenizer.sampling
        return {
            "data": data,
            "init": self.init,
            "model": recipe.model.model_dump(exclude={"preset"}),
            "batching": recipe.batching.model_dump(include={"tokens_per_step"}),
            "optimizer": recipe.optimizer.model_dump(),
            "training": training.model_dump(include={"seed", "label_smoothing", "precision", "ema_decay"}),
            "max_steps": training.max_steps if recipe.optimizer.schedule == "linear" else None,
            **({"sampling": sampling} if sampling else {}),
            **recipe.data.given_weights,
        }


@dataclass(frozen=True)
class TrainingFiles:
    """Where a training reads and writes."""

    checkpoints: Path
    log: Path
    lock: Path
    """The run's lock, which keeps the size of the micro-batches."""
    tensorboard: Path
    diverged: Path
    """The sentences of the step where the training diverged."""

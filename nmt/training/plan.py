"""The inputs of a training, and the paths that it reads and writes."""

from dataclasses import dataclass
from pathlib import Path

from nmt.config.compatibility import RECIPE, knobs_with
from nmt.config.recipe import Recipe
from nmt.config.section import Effect
from nmt.files import JsonObject

UPDATES: frozenset[Effect] = frozenset({"updates"})
"""The effect of the knobs that a checkpoint is bound to."""


@dataclass(frozen=True)
class TrainingPlan:
    """A recipe, and the digest of the weights that its training starts from."""

    recipe: Recipe
    init: str | None = None
    """SHA-256 of these weights; None: they are random."""

    def identity(self, data: str) -> JsonObject:
        """Return the inputs of the updates, `data` being the digest of the prepared ids.

        A checkpoint is resumed only under the same knobs that affect updates, see `changed_inputs`; others may change.
        """
        is_linear = self.recipe.optimizer.schedule == "linear"
        return {
            "data": data,
            "init": self.init,
            "max_steps": self.recipe.training.max_steps if is_linear else None,
            RECIPE: knobs_with(UPDATES, self.recipe),
        }


@dataclass(frozen=True)
class TrainingFiles:
    """The paths that a training reads and writes."""

    checkpoints: Path
    log: Path
    lock: Path
    """The run's lock, which keeps the size of the micro-batches."""
    tensorboard: Path
    diverged: Path
    """The sentences of the step where the training diverged."""

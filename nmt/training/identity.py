"""The identity of a training: the inputs of its updates, which a checkpoint is bound to."""

from nmt.config.compatibility import RECIPE, knobs_with
from nmt.config.recipe import Recipe
from nmt.config.section import Effect
from nmt.files import JsonObject

UPDATES: frozenset[Effect] = frozenset({"updates"})  # the effect of the knobs that a checkpoint is bound to


def identity_of(recipe: Recipe, data: str, init: str | None) -> JsonObject:
    """Return the inputs of the updates.

    `data` is the digest of the prepared ids, `init` the SHA-256 of the initial weights, None where they are random. A
    checkpoint is resumed only under the same knobs that affect updates, see `changed_inputs`; others may change.
    """
    max_steps = recipe.training.max_steps if recipe.optimizer.schedule == "linear" else None
    return {"data": data, "init": init, "max_steps": max_steps, RECIPE: knobs_with(UPDATES, recipe)}

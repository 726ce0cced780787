"""The stages of a training: which corpora a step draws from, and when one stage gives way to the next.

All of it follows from the recipe and the `TrainingState`, so that a training resumes in the middle of any stage.
"""

from collections.abc import Mapping

from nmt import console
from nmt.config.curriculum import StageConfig
from nmt.config.recipe import Recipe
from nmt.files import JsonObject
from nmt.training.checkpoint import TrainingState
from nmt.training.log import TrainingLog
from nmt.training.optimizer import learning_rate

WHOLE = "training"  # name of the only stage of a recipe without stages


class Curriculum:
    """The stages of a recipe, in their order; without any, the whole training is one."""

    def __init__(self, recipe: Recipe, pairs: Mapping[str, int]) -> None:
        """Take the stages of `recipe`, whose training corpora have this number of `pairs`."""
        self.recipe, self.pairs = recipe, dict(pairs)
        self.is_given = bool(recipe.training.stages)
        whole = StageConfig(name=WHOLE, steps=recipe.training.max_steps, patience=recipe.training.patience)
        self.stages = recipe.training.stages or [whole]

    def stage(self, state: TrainingState) -> StageConfig:
        """Return the stage of the next step."""
        return self.stages[len(state.stage_ends)]

    def title(self, state: TrainingState) -> str:
        """Return the stage for messages: `stage 2 of 3, general`."""
        return f"stage {len(state.stage_ends) + 1} of {len(self.stages)}, {self.stage(state).name}"

    def announce(self, state: TrainingState, log: TrainingLog) -> None:
        """Say which stage the next step is of, and write down where it begins."""
        stage, title = self.stage(state), self.title(state)
        log.set_stage(title, stage.name)
        if state.step == began(state):
            console.log(f"train: {title}, begins after step {state.step:,}")
            # At its first step: resumed just before it, the log drops that line and gets it again.
            log.record("stage", state.step + 1, {"name": stage.name, "corpora": self.shares(stage)})
        self.log_shares(state, f"{title}: ")

    def weights(self, stage: StageConfig) -> dict[str, float]:
        """Return how often an epoch of `stage` sees each pair of each corpus."""
        chosen: Mapping[str, float]
        if isinstance(stage.corpora, dict):
            chosen = stage.corpora
        else:
            names = self.pairs if stage.corpora is None else stage.corpora
            chosen = self.recipe.data.weights({name: count for name, count in self.pairs.items() if name in names})
        return {name: chosen.get(name, 0.0) for name in self.pairs}

    def shares(self, stage: StageConfig) -> dict[str, dict[str, float]]:
        """Return the weight and the share of each corpus in an epoch of `stage`."""
        return self.recipe.data.shares(self.pairs, self.weights(stage))

    def log_shares(self, state: TrainingState, where: str = "") -> None:
        """Log the share of each corpus in an epoch of the stage, where there are several."""
        if len(self.pairs) > 1:
            shares = self.shares(self.stage(state)).items()
            facts = (f"{name} {its['share']:.1%} (weight {its['weight']:.3g})" for name, its in shares if its["weight"])
            console.log(f"train: {where}pairs of an epoch: {', '.join(facts)}")

    def last_step(self, state: TrainingState) -> int:
        """Return the number of the last step that the stage may take."""
        number = len(state.stage_ends)
        if steps := self.stages[number].steps:
            return began(state) + steps
        return self.recipe.training.max_steps - sum(stage.steps or 0 for stage in self.stages[number + 1 :])

    def is_over(self, state: TrainingState) -> bool:
        """Return whether the stage has taken its last step, or lost its patience."""
        patience, stale = self.stage(state).patience, state.stage_stale if self.is_given else state.stale
        return state.step >= self.last_step(state) or (patience is not None and stale >= patience)

    def is_last(self, state: TrainingState) -> bool:
        """Return whether no stage follows that has a step left."""
        following = self.stages[len(state.stage_ends) + 1 :]
        return not following or state.step >= self.recipe.training.max_steps

    def advance(self, state: TrainingState) -> None:
        """Begin the next stage, with a new epoch."""
        state.stage_ends.append(state.step)
        state.stage_best, state.stage_stale = None, 0
        if state.offset:
            state.epoch, state.offset = state.epoch + 1, 0

    def learning_rate(self, state: TrainingState) -> float:
        """Return the learning rate of the last update, which belongs to the stage of the state."""
        stage, before, last = self.stage(state), 0, self.recipe.training.max_steps
        if stage.restart_schedule:
            before, last = began(state), self.last_step(state)
        width, optimizer = self.recipe.model.d_model, self.recipe.optimizer
        rate = learning_rate(state.step - before, optimizer, d_model=width, max_steps=last - before)
        return rate * stage.learning_rate_factor

    def taken(self, state: TrainingState) -> list[JsonObject]:
        """Return the steps and the corpora of each stage that has begun, for the record of the training."""
        bounds = [0, *state.stage_ends, state.step]
        return [
            {"name": stage.name, "first": first + 1, "last": last, "corpora": self.shares(stage)}
            for stage, first, last in zip(self.stages, bounds[:-1], bounds[1:], strict=False)
        ]


def began(state: TrainingState) -> int:
    """Return the number of steps before the stage of the next step."""
    return state.stage_ends[-1] if state.stage_ends else 0

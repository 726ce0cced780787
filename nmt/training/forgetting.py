"""The guard of a fine-tuning: how much of its score on general text a model has lost.

Networks forget what they are no longer trained on (McCloskey and Cohen 1989, "Catastrophic interference").
"""

from nmt import console
from nmt.config.curriculum import GuardConfig
from nmt.config.training import TrainingConfig
from nmt.errors import ArtifactError, ForgottenError
from nmt.files import digest_json
from nmt.training.checkpoint import TrainingState
from nmt.training.log import METRICS, TrainingLog
from nmt.training.validation import DevSet, Validation

DECIMALS = 4  # to which a loss of score is compared with the bound


class ForgettingGuard:
    """Compares the scores of general text, `text`, with the one before the fine-tuning."""

    def __init__(self, config: GuardConfig, text: DevSet) -> None:
        self.config, self.text = config, text
        self.digest = digest_json([config.metric, text.sources, text.references])

    def bind(self, state: TrainingState, *, is_initial: bool) -> None:
        """Bind `state` to the text; `is_initial` says whether the training began with the weights of another model.

        Raises ArtifactError where its scores are those of another text or metric, or the first of them is not known.
        """
        if state.guard_start is None and state.step > 0 and (is_initial or state.stage_ends):
            raise ArtifactError(
                "this training began without a guard, so that its score before the fine-tuning is not known",
                hint="take another --run-dir, or delete the folder checkpoints to train anew",
            )
        if state.guard_start is not None and state.guard_set != self.digest:
            raise ArtifactError(
                "the guard of this training began with another text: data.guard or training.guard.metric changed",
                hint="take another --run-dir, or delete the folder checkpoints to train anew",
            )
        state.guard_set = self.digest

    def begin(self, state: TrainingState, validation: Validation, log: TrainingLog) -> None:
        """Record in `state` the score before the fine-tuning, that of `validation`."""
        start = self.score(validation)
        state.guard_start = state.guard_score = start
        name, bound = METRICS[self.config.metric], self.config.bound
        log.say(f"train: guard: {name} {start:.2f} before the fine-tuning, which may lose {bound:g}")

    def compare(self, state: TrainingState, validation: Validation, log: TrainingLog) -> None:
        """Record in `state` the score of a later `validation`."""
        state.guard_score = self.score(validation)
        log.guard_line(state, METRICS[self.config.metric])

    def score(self, validation: Validation) -> float:
        score: float = getattr(validation, self.config.metric)
        return score


def lost(state: TrainingState, guard: GuardConfig) -> float:
    """Return by how much the last score of the guard is worse than the first; negative where it is better."""
    if state.guard_start is None or state.guard_score is None:
        return 0.0
    loss = state.guard_start - state.guard_score
    return round(-loss if guard.metric == "loss" else loss, DECIMALS)


def is_beyond(state: TrainingState, guard: GuardConfig | None) -> bool:
    """Return whether the last validation lost more than the guard allows; never without a guard."""
    return guard is not None and not lost(state, guard) <= guard.bound  # nor is NaN within it


def check_end(state: TrainingState, config: TrainingConfig) -> None:
    """Say so where the guard has ended the training.

    Raises ForgottenError where no validation before that can be bundled.
    """
    guard = config.guard
    if guard is None or not is_beyond(state, guard):
        return
    name, loss = METRICS[guard.metric], lost(state, guard)
    facts = f"{name} {state.guard_score:.2f} loses {loss:.2f}, more than training.guard.bound = {guard.bound:g}"
    if state.best_step is None:
        raise ForgottenError(
            f"the guard ended the training at its first validation, step {state.step:,}: {facts}; nothing is bundled",
            hint="lower optimizer.learning_rate or training.validate_every, or replay more general text",
        )
    console.log(
        f"train: the guard ended the training at step {state.step:,}: {facts}; the best validation before is that of "
        f"step {state.best_step:,}"
    )

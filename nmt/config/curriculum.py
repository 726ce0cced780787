"""The stages of a training, and the guard of a fine-tuning."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import PositiveFloat, field_validator, model_validator

from nmt.config.section import Affects, Count, Effect, Name, Section

MOST_WEIGHT = 1000  # of a corpus in a stage
GuardMetric = Literal["bleu", "chrf", "loss"]


class StageConfig(Section):
    """A stage of the training, `[[training.stages]]`: its corpora, and when it ends."""

    name: Annotated[Name, Affects()]
    """Its name in messages, in the log and for `--set training.stages.NAME.steps=1000`."""
    corpora: list[Name] | dict[Name, float] | None = None
    """The corpora of this stage: their names, with the weights that they have in [data], or a table of names and
    weights, how often an epoch of this stage sees each pair; by default all corpora."""
    steps: Count | None = None
    """Optimizer steps; with `patience` at most these. Without, the stage goes on for as long as its patience lasts and
    `training.max_steps` leaves the steps of later stages."""
    patience: Count | None = None
    """End the stage after this number of validations in a row that are no better than the best one of the stage; by
    default it ends by `steps` alone."""
    learning_rate_factor: PositiveFloat = 1.0
    """Times the learning rate of the schedule."""
    restart_schedule: bool = False
    """Count the steps of the schedule from the beginning of the stage: a new warm-up, and a linear schedule that falls
    to 0 at the end of the stage. By default the schedule goes on."""

    @field_validator("corpora", mode="before")
    @classmethod
    def weights_are_positive(cls, corpora: object) -> object:
        """Name the weight that is none, where a message would say that a table is no list."""
        for name, weight in corpora.items() if isinstance(corpora, dict) else ():
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight <= MOST_WEIGHT:
                raise ValueError(f"the weight of {name} is over 0 and up to {MOST_WEIGHT}")
        return corpora

    @model_validator(mode="after")
    def it_ends(self) -> Self:
        if self.steps is None and self.patience is None:
            raise ValueError(f"stage {self.name!r} has no end: give steps or patience")
        if self.corpora is not None and not self.corpora:
            raise ValueError(f"stage {self.name!r} has no corpora: name some, or leave corpora out for all")
        return self

    @property
    def corpus_names(self) -> list[str]:
        """The names of its corpora; none where it takes all."""
        return list(self.corpora or [])


class GuardConfig(Section):
    """A limit to what a fine-tuning may lose on general text, `[data.guard]`.

    The score before training, or, without `init_from`, at the end of the first stage, is compared with that of each
    validation. The first one that loses more than `bound` ends the training; the best validation before it is bundled.
    """

    affects: ClassVar[frozenset[Effect]] = frozenset({"training"})
    metric: GuardMetric = "bleu"
    """The score that is compared: BLEU or chrF of translations, or the loss of a target piece."""
    bound: PositiveFloat = 0.5
    """The most that may be lost: points of BLEU or chrF, or nats of loss."""

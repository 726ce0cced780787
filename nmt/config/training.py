"""The sections [batching], [optimizer] and [training]."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from nmt.config.section import Affects, Section

Precision = Literal["float32", "bfloat16"]


class BatchingConfig(Section):
    """What one optimizer step sees."""

    tokens_per_step: PositiveInt = 25_000
    """A step takes sentences of like length until the real tokens, EOS included, of either side reach this;
    padding never counts [V17, section 5.1]."""
    micro_batch_tokens: Annotated[PositiveInt | Literal["auto"] | None, Affects()] = "auto"
    """Cut a step into passes of at most so many padded tokens a side; `auto` finds, before the first step, the largest
    that fit into the memory, `none` makes a step one pass. The update is the same."""


class OptimizerConfig(Section):
    """Adam and its schedule [V17, section 5.3]."""

    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Adam's decay of the first moment."""
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.98
    """Adam's decay of the second moment."""
    epsilon: PositiveFloat = 1e-9
    """Adam's epsilon."""
    warmup_steps: PositiveInt = 4000
    """Steps of linear warm-up."""
    learning_rate: PositiveFloat | None = None
    """Peak of the schedule; by default the paper's d_model^-0.5 * warmup_steps^-0.5."""
    schedule: Literal["inverse-sqrt", "linear"] = "inverse-sqrt"
    """After the warm-up: fall with 1/sqrt(step), as in the paper, or linearly to 0 at `training.max_steps`."""
    clip_norm: PositiveFloat | None = None
    """Scale the gradient down to this norm where it is longer."""


class TrainingConfig(Section):
    """Length, precision and bookkeeping of the training."""

    seed: Annotated[NonNegativeInt, Affects("tokenizer", "updates")] = 1
    """Seed of weights, order, dropout and tokenizer sample."""
    max_steps: Annotated[PositiveInt, Affects("training")] = 100_000
    """Optimizer steps."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the target probability spread evenly over the vocabulary [S16; V17, section 5.4]."""
    precision: Precision = "float32"
    """Of forward and backward passes; weights and Adam's moments are float32 always."""
    device: Annotated[Literal["auto", "cpu", "cuda"], Affects()] = "auto"
    """Where to train; `auto` takes a GPU if there is one."""
    compile: Annotated[bool, Affects()] = False
    """Compile the layers by torch.compile, for a GPU; without a working compiler they run as they are."""
    checkpoint_every: Annotated[PositiveInt, Affects("training")] = 1000
    """Steps between checkpoints."""
    keep_checkpoints: Annotated[PositiveInt, Affects("training")] = 5
    """Newest checkpoints kept; the best are kept besides."""
    average_checkpoints: Annotated[PositiveInt, Affects("training", "bundle")] = 5
    """The bundle holds the mean of the weights of so many checkpoints [V17, section 6.1]."""
    average: Annotated[Literal["last", "best"], Affects("training", "bundle")] = "last"
    """Which checkpoints are averaged: the newest, or those with the best `best_metric`."""
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of an exponential moving average of the weights, which is then validated and shipped in their place; by
    default none."""
    validate_every: Annotated[PositiveInt, Affects("training")] = 1000
    """Steps between validations on dev."""
    best_metric: Annotated[Literal["bleu", "loss"], Affects("training")] = "bleu"
    """What of dev names the best checkpoint and drives early stopping."""
    patience: Annotated[PositiveInt | None, Affects("training")] = None
    """Stop after so many validations without a better one; by default never."""
    log_every: Annotated[PositiveInt, Affects()] = 100
    """Steps between lines in the log."""
    init_from: Annotated[str | None, Affects()] = None
    """Begin with the weights of this model folder, of this checkpoint, or of the newest whole one in this folder of
    checkpoints, and take its tokenizer over: [tokenizer] is then not used. A relative path lies as the data files do;
    by default weights are drawn."""
    tensorboard: Annotated[bool, Affects()] = False
    """Write the curves for TensorBoard as well, to `tensorboard/` in the run folder; needs `nmt[tensorboard]`."""

    @model_validator(mode="after")
    def keep_what_is_averaged(self) -> Self:
        if self.average == "last" and self.average_checkpoints > self.keep_checkpoints:
            raise ValueError(
                f"average_checkpoints = {self.average_checkpoints} needs keep_checkpoints of at least that, "
                f"not {self.keep_checkpoints}"
            )
        return self

"""The fields and the grid of the study of in-context regression."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from nmt.config.section import Count
from nmt.config.training import OptimizerConfig
from nmt.studies.base import Cell, StudyConfig

Kind = Literal["lsa", "linear", "softmax"]
Mask = Literal["prefix", "causal"]
Width = Annotated[PositiveInt, Field(le=4096)]
Number = Annotated[PositiveInt, Field(le=10_000)]
Scale = Annotated[float, Field(gt=0, le=1000)]
Depth = Annotated[PositiveInt, Field(le=1000)]
BETA2 = 0.98  # Adam's, as in the recipes
ESTIMATORS = "estimators"  # the cell of the closed forms
ONE_VALUED = {"least squares": "least squares", "ridge": "ridge", "online": "one pass of online descent"}
"""Estimators without steps, and their names in the table."""
DESCENTS = {"descent": "gradient descent", "causal descent": "causal descent"}


class NetworkConfig(StudyConfig):
    """The fields of the networks of vectors that a study trains."""

    d_model: Width = 64
    """Width of the networks."""
    heads: Number = 4
    """Heads of each layer."""
    steps: Count = 100_000
    """Updates of a network."""
    batch: Number = 64
    """Sequences of an update (64 in Ding et al. 2023, section 5)."""
    learning_rate: PositiveFloat = 2e-3
    """Peak of the learning rate, which then falls linearly to 0."""
    warmup_steps: Count = 1000
    """Updates of linear warm-up."""
    clip_norm: PositiveFloat = 1.0
    """Scale a gradient of a larger norm down to this one."""

    @model_validator(mode="after")
    def network_is_possible(self) -> Self:
        """Refuse a width or a warm-up that contradicts another number."""
        if self.d_model % self.heads or self.d_model % 2:
            raise ValueError(f"d_model = {self.d_model} must be even, and divisible by heads = {self.heads}")
        if self.warmup_steps >= self.steps:
            raise ValueError(f"warmup_steps = {self.warmup_steps} must be under steps = {self.steps}")
        return self

    @property
    def optimizer(self) -> OptimizerConfig:
        """The settings of the training: Adam with a linear schedule."""
        return OptimizerConfig(
            learning_rate=self.learning_rate,
            warmup_steps=self.warmup_steps,
            schedule="linear",
            beta2=BETA2,
            clip_norm=self.clip_norm,
        )


class RegressionConfig(NetworkConfig):
    """The fields of the study."""

    quick: ClassVar[Mapping[str, object]] = {
        "dimension": 5,
        "examples": 20,
        "fewest_examples": 5,
        "layers": [1, 2, 4],
        "d_model": 32,
        "heads": 2,
        "ffn": 64,
        "steps": 4000,
        "warmup_steps": 200,
        "tests": 1000,
    }
    networks: list[Kind] = Field(default=["lsa", "linear", "softmax"])
    """Kinds of networks: `lsa`, attention with `model.attention_kernel = "linear"` and a residual sum alone, the linear
    self-attention of the papers; `linear` and `softmax`, these kernels with LayerNorm before each sub-layer."""
    masks: list[Mask] = Field(default=["prefix", "causal"])
    """What examples see: `prefix`, all examples, or `causal`, themselves and the earlier ones."""
    layers: list[Depth] = Field(default=[1, 2, 3, 4, 6, 8, 12])
    """Layers of the networks."""
    dimension: Width = 16
    """Inputs of a function (16 in Ding et al. 2023, section 5)."""
    examples: Number = 40
    """Most examples of a sequence in training (40 in Ding et al. 2023, section 5)."""
    fewest_examples: Number = 16
    """Fewest examples of a sequence in training; the number is drawn between."""
    queries: Number = 20
    """Queries of a sequence."""
    noise: Annotated[float, Field(ge=0, le=1000)] = 0.1
    """Standard deviation of the noise of the examples' values, whose own is 1."""
    test_input_scale: Scale = 2.0
    """The shift of the inputs at test: their standard deviation, which is 1 in training."""
    test_weight_scale: Scale = 2.0
    """The shift of the functions at test: the factor of their weights."""
    tests: Number = 2000
    """Sequences of a test."""
    fitting: Number = 500
    """Sequences on which the rates of the descents are fitted."""
    descent_steps: Annotated[PositiveInt, Field(le=100)] = 32
    """Most steps of gradient descent that networks are compared with."""
    ffn: Width = 256
    """Width of the feed-forward layers."""
    feed_forward: bool = False
    """Whole layers of a Transformer in `linear` and `softmax`; else attention alone, as in the theory."""

    @model_validator(mode="after")
    def numbers_agree(self) -> Self:
        """Refuse numbers that contradict each other."""
        if self.fewest_examples > self.examples:
            raise ValueError(f"fewest_examples = {self.fewest_examples} must be at most examples = {self.examples}")
        return self


@dataclass(frozen=True)
class RegressionCell(Cell):
    """A network, or without layers the estimators."""

    kind: Kind = "softmax"
    mask: Mask = "prefix"
    layers: int = 0

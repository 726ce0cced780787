"""In-context regression: which estimator of a function a network becomes (Garg et al. 2022; Ding et al. 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from nmt.config.section import Count
from nmt.studies.base import Cell, Results, Rows, Study, StudyConfig

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from nmt.files import JsonObject

Kind = Literal["lsa", "linear", "softmax"]
Mask = Literal["prefix", "causal"]
Width = Annotated[PositiveInt, Field(le=4096)]
Number = Annotated[PositiveInt, Field(le=10_000)]
Scale = Annotated[float, Field(gt=0, le=1000)]
Depth = Annotated[PositiveInt, Field(le=1000)]
ESTIMATORS = "estimators"  # the cell of the closed forms
ONE_VALUED = {"least squares": "least squares", "ridge": "ridge", "online": "one pass of online descent"}
"""Estimators without steps, and their names in the table."""
DESCENTS = {"descent": "gradient descent", "causal descent": "causal descent"}


class RegressionConfig(StudyConfig):
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
    d_model: Width = 64
    """Width of the networks."""
    heads: Number = 4
    """Heads of each layer."""
    ffn: Width = 256
    """Width of the feed-forward layers."""
    feed_forward: bool = False
    """Whole layers of a Transformer in `linear` and `softmax`; else attention alone, as in the theory."""
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
    def numbers_agree(self) -> Self:
        if self.fewest_examples > self.examples:
            raise ValueError(f"fewest_examples = {self.fewest_examples} must be at most examples = {self.examples}")
        if self.d_model % self.heads or self.d_model % 2:
            raise ValueError(f"d_model = {self.d_model} must be even, and divisible by heads = {self.heads}")
        if self.warmup_steps >= self.steps:
            raise ValueError(f"warmup_steps = {self.warmup_steps} must be under steps = {self.steps}")
        return self


@dataclass(frozen=True)
class RegressionCell(Cell):
    """A network, or without layers the estimators."""

    kind: Kind = "softmax"
    mask: Mask = "prefix"
    layers: int = 0


class InContextRegression(Study[RegressionConfig, RegressionCell]):
    """Train networks on sequences of random linear functions, and find the estimator that each is closest to.

    A sequence is (x_1, y_1) to (x_n, y_n) and queries (x, 0), whose values are to be predicted. With the prefix mask
    the examples see each other; with the causal one they see the earlier ones. Queries see all examples in both, and
    the loss is theirs alone, so that the masks differ in nothing else. Losses are compared by the number of examples
    with least squares, ridge regression, and steps of gradient descent.
    """

    name = "in-context-regression"
    config = RegressionConfig
    says = (
        "von Oswald et al. 2023 (section 2): a layer of linear attention can make one step of gradient descent. "
        "Ding et al. 2023 (sections 4, 5): with the prefix mask layers converge to the least squares, with the causal "
        "mask to one pass of online gradient descent, which need not be optimal however many examples there are; "
        "prefix models had lower errors than causal ones in all of their settings."
    )

    def cells(self, config: RegressionConfig) -> list[RegressionCell]:
        networks = [
            RegressionCell(f"{kind},{mask},layers={layers}", kind, mask, layers)
            for layers in config.layers
            for kind in config.networks
            for mask in config.masks
        ]
        return [RegressionCell(ESTIMATORS), *networks]

    def run(self, cell: RegressionCell, config: RegressionConfig, folder: Path) -> JsonObject:
        from nmt.studies.regression_cell import estimate_cell, train_cell  # start-up time

        return train_cell(cell, config, folder) if cell.layers else estimate_cell(config)

    def table(self, config: RegressionConfig, results: Results) -> Rows:
        rows = [
            network_row(cell, config, results[cell.name])
            for cell in self.cells(config)
            if cell.name in results and cell.layers
        ]
        return [*rows, *(estimator_rows(config, results[ESTIMATORS]) if ESTIMATORS in results else [])]

    def plot(self, config: RegressionConfig, results: Results) -> dict[str, Figure]:
        from nmt.studies.regression_plots import by_examples, by_layers  # start-up time

        cells = [cell for cell in self.cells(config) if cell.name in results and cell.layers]
        return {"by-examples": by_examples(config, cells, results), "by-layers": by_layers(config, cells, results)}


def network_row(cell: RegressionCell, config: RegressionConfig, result: JsonObject) -> dict[str, str]:
    """Return the row of a network: its losses, and the descents that are closest, with their distances."""
    head = {"model": cell.kind, "mask": cell.mask, "layers": str(cell.layers)}
    if result["diverged"]:
        return {
            **head,
            **losses_of(config, None),
            **dict.fromkeys(distances_of(None), f"diverged: {result['diverged']}"),
        }
    losses = {"losses": result["losses"], "shifted": result["shifted"]}
    return {**head, **losses_of(config, losses), **distances_of(result["distances"])}


def losses_of(config: RegressionConfig, losses: JsonObject | None) -> dict[str, str]:
    """Return the columns of losses; empty without."""
    counts, scales = (
        (config.fewest_examples, config.examples, 2 * config.examples),
        {
            "inputs": config.test_input_scale,
            "weights": config.test_weight_scale,
        },
    )
    by_count = {
        f"loss, {n} examples": None if losses is None else losses["losses"][str(n)] for n in dict.fromkeys(counts)
    }
    shifted = {
        f"{name} * {scale:g}": None if losses is None else losses["shifted"][name] for name, scale in scales.items()
    }
    return {name: "" if value is None else figure(value) for name, value in {**by_count, **shifted}.items()}


def distances_of(distances: JsonObject | None) -> dict[str, str]:
    """Return the columns of the closest estimators; empty without."""
    columns = {}
    for name, title in DESCENTS.items():
        step, distance = closest(distances[name]) if distances else (0, 0.0)
        columns[f"steps of {title}"] = f"{step} ({figure(distance)})" if distances else ""
    return {**columns, **{f"to {name}": figure(distances[name]) if distances else "" for name in ("ridge", "online")}}


def closest(distances: list[float]) -> tuple[int, float]:
    """Return the number of steps, from 1, of the least of `distances`, and this."""
    step = min(range(len(distances)), key=distances.__getitem__)
    return step + 1, distances[step]


def estimator_rows(config: RegressionConfig, result: JsonObject) -> Rows:
    """Return the rows of the estimators; of a descent those of 1, 2, 4 ... steps."""
    steps = [2**power for power in range(config.descent_steps.bit_length()) if 2**power <= config.descent_steps]
    chosen: dict[str, tuple[str, int | None]] = {title: (name, None) for name, title in ONE_VALUED.items()}
    chosen |= {f"{title}, {k}": (name, k) for name, title in DESCENTS.items() for k in steps}

    def pick(losses: JsonObject, name: str, step: int | None) -> float:
        return losses[name] if step is None else losses[name][step - 1]

    rows = []
    for title, (name, step) in chosen.items():
        losses = {
            part: {key: pick(of, name, step) for key, of in result[part].items()} for part in ("losses", "shifted")
        }
        head = {"model": title, "mask": "", "layers": ""}
        rows.append({**head, **losses_of(config, losses), **distances_of(None)})
    return rows


def figure(value: float) -> str:
    """Write a loss or a distance for the table."""
    return f"{value:.2g}" if value < 0.01 else f"{value:.3f}" if value < 100 else f"{value:.1e}"

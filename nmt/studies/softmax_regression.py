"""Softmax regression: how near one update of self-attention comes to a step of gradient descent (Li et al. 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, PositiveFloat

from nmt.config.section import Count
from nmt.studies.base import Cell, Results, Rows, Study
from nmt.studies.in_context_regression import figure
from nmt.studies.regression_fields import NetworkConfig, Number, Scale, Width

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from nmt.files import JsonObject


class SoftmaxRegressionConfig(NetworkConfig):
    """The fields of the study."""

    quick: ClassVar[Mapping[str, object]] = {"steps": 3000, "d_model": 32}
    norms: list[Scale] = Field(default=[0.5, 1.0, 2.0, 4.0])
    """Lengths of the rows of A and of x, the R of the papers' bounds."""
    rates: list[Scale] = Field(default=[0.1, 1.0, 10.0])
    """Rates of the step of gradient descent that the update is compared with."""
    rows: Number = 16
    """Rows of A, and numbers of b."""
    columns: Width = 4
    """Columns of A, and numbers of x."""
    tests: Number = 2000
    """Problems of the test."""
    steps: Count = 30_000
    """Updates of a training."""
    learning_rate: PositiveFloat = 3e-3
    """Peak of the learning rate, which then falls linearly to 0."""
    warmup_steps: Count = 200
    """Updates of linear warm-up."""


@dataclass(frozen=True)
class SoftmaxCell(Cell):
    """Problems of one norm."""

    norm: float


class SoftmaxRegressionStudy(Study[SoftmaxRegressionConfig, SoftmaxCell]):
    """Train one layer of softmax self-attention to make the step of gradient descent on softmax regression.

    The problem is min over x of |softmax(A x) - b|^2 / 2. The tokens are the rows of A with their numbers of b, and x,
    which sees them; the layer's update of x is compared with the negative gradient, and softmax(A x) after both, for
    rows of A and x of several lengths and for several rates.
    """

    name = "softmax-regression"
    config = SoftmaxRegressionConfig
    says = (
        "Li et al. 2023 (arXiv 2304.13276) bound the change of softmax(A x) by n^1.5 exp(10 R^2) times that of x, of a "
        "step of gradient descent, and by as much times that of A, of an update of self-attention; from the two bounds "
        "being alike they conclude that both are similar. They measure no distance between the two."
    )

    def cells(self, config: SoftmaxRegressionConfig) -> list[SoftmaxCell]:
        return [SoftmaxCell(f"norm={norm:g}", norm) for norm in config.norms]

    def run(self, cell: SoftmaxCell, config: SoftmaxRegressionConfig, folder: Path) -> JsonObject:
        from nmt.studies.softmax_cell import train_cell  # start-up time

        return train_cell(cell, config, folder)

    def table(self, config: SoftmaxRegressionConfig, results: Results) -> Rows:
        return [row_of(cell, config, results[cell.name]) for cell in self.cells(config) if cell.name in results]

    def plot(self, config: SoftmaxRegressionConfig, results: Results) -> dict[str, Figure]:
        from nmt.studies.regression_plots import by_norm  # start-up time

        cells = {cell.norm: results[cell.name] for cell in self.cells(config) if cell.name in results}
        return {"by-norm": by_norm(cells, config.rates)}


def row_of(cell: SoftmaxCell, config: SoftmaxRegressionConfig, result: JsonObject) -> dict[str, str]:
    """Return the row of a norm: of the update, and of each rate, as shares of those of the step."""
    head = {"norm": f"{cell.norm:g}"}
    if result["diverged"]:
        return {
            **head,
            "error of the update": f"diverged: {result['diverged']}",
            **dict.fromkeys(rate_columns(config), ""),
        }
    columns = {title: figure(result["rates"][f"{rate:g}"][key]) for title, (rate, key) in rate_columns(config).items()}
    return {**head, "error of the update": figure(result["error"]), **columns}


def rate_columns(config: SoftmaxRegressionConfig) -> dict[str, tuple[float, str]]:
    """Return the columns of each rate, with the key of their numbers."""
    titles = {"error": "error of f", "step": "loss after the step", "attention": "after the update"}
    return {f"rate {rate:g}: {title}": (rate, key) for rate in config.rates for key, title in titles.items()}

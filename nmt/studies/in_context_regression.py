"""In-context regression: which estimator of a function a network becomes (Garg et al. 2022; Ding et al. 2023)."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from nmt.studies.base import Results, Rows, Study
from nmt.studies.regression_fields import DESCENTS, ESTIMATORS, ONE_VALUED, RegressionCell, RegressionConfig

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from nmt.files import JsonObject


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


NEAR = [*(f"steps of {title}" for title in DESCENTS.values()), "to ridge", "to online"]
"""The columns of what is near to a network."""


def loss_columns(config: RegressionConfig) -> dict[str, tuple[str, str]]:
    """Return the columns of losses, with the part of a result and the key of their numbers."""
    counts = dict.fromkeys((config.fewest_examples, config.examples, 2 * config.examples))
    return {
        **{f"loss, {count} examples": ("losses", str(count)) for count in counts},
        f"inputs * {config.test_input_scale:g}": ("shifted", "inputs"),
        f"weights * {config.test_weight_scale:g}": ("shifted", "weights"),
    }


def network_row(cell: RegressionCell, config: RegressionConfig, result: JsonObject) -> dict[str, str]:
    """Return the row of a network: its losses, and the descents that are closest, with their distances."""
    head, columns = {"model": cell.kind, "mask": cell.mask, "layers": str(cell.layers)}, loss_columns(config)
    if result["diverged"]:
        diverged = {"median": f"diverged: {result['diverged']}"}
        return {**head, **dict.fromkeys(columns, ""), **diverged, **dict.fromkeys(NEAR, "")}
    losses = {title: figure(result[part][key]) for title, (part, key) in columns.items()}
    distances = result["distances"]
    near = [closest(distances[name]) for name in DESCENTS]
    texts = [*(f"{step} ({figure(distance)})" for step, distance in near), figure(distances["ridge"])]
    texts.append(figure(distances["online"]))
    return {**head, **losses, "median": figure(result["median"]), **dict(zip(NEAR, texts, strict=True))}


def closest(distances: list[float | None]) -> tuple[int, float | None]:
    """Return the number of steps, from 1, of the least of `distances`, and this; see `figure`."""
    step = min(range(len(distances)), key=lambda index: inf if (value := distances[index]) is None else value)
    return step + 1, distances[step]


def estimator_rows(config: RegressionConfig, result: JsonObject) -> Rows:
    """Return the rows of the estimators; of a descent those of 1, 2, 4 ... steps."""
    steps = [2**power for power in range(config.descent_steps.bit_length())]
    rows = []
    for name, title in ONE_VALUED.items():
        losses = {column: figure(result[part][key][name]) for column, (part, key) in loss_columns(config).items()}
        rows.append({"model": title, "mask": "", "layers": "", **losses, **dict.fromkeys(["median", *NEAR], "")})
    for name, title in DESCENTS.items():
        for step in steps:
            losses = {
                column: figure(result[part][key][name][step - 1])
                for column, (part, key) in loss_columns(config).items()
            }
            head = {"model": f"{title}, {step}", "mask": "", "layers": ""}
            rows.append({**head, **losses, **dict.fromkeys(["median", *NEAR], "")})
    return rows


def figure(value: float | None) -> str:
    """Write a loss or a distance for the table; JSON has null for one that is not finite."""
    if value is None:
        return "not finite"
    return f"{value:.2g}" if value < 0.01 else f"{value:.3f}" if value < 100 else f"{value:.1e}"

"""A study that takes no time: sums of numbers, saved after each, which can be killed at one of them."""

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from matplotlib.figure import Figure
from pydantic import Field

from nmt.files import JsonObject, read_json, write_json
from nmt.studies.base import Cell, Results, Rows, Study, StudyConfig


class ToyConfig(StudyConfig):
    """The fields of the toy."""

    quick: ClassVar[Mapping[str, object]] = {"limits": [2, 3]}
    limits: list[int] = Field(default=[3, 5, 8])
    """The last number of each sum."""
    word: str | None = None
    """A word."""


@dataclass(frozen=True)
class ToyCell(Cell):
    limit: int


class Toy(Study[ToyConfig, ToyCell]):
    """Add up the first numbers."""

    name = "toy"
    config = ToyConfig
    says = "Gauss says n(n + 1)/2."

    def cells(self, config: ToyConfig) -> list[ToyCell]:
        return [ToyCell(f"limit={limit}", limit) for limit in config.limits]

    def run(self, cell: ToyCell, config: ToyConfig, folder: Path) -> JsonObject:
        state: Any = read_json(folder / "state.json") or {"number": 0, "sum": config.seed}
        while state["number"] < cell.limit:
            number = state["number"] + 1
            if os.environ.get("TOY_DIES_AT") == f"{cell.limit}:{number}":
                os.kill(os.getpid(), signal.SIGKILL)
            state = {"number": number, "sum": state["sum"] + number}
            write_json(folder / "state.json", state)
        return {"sum": state["sum"]}

    def table(self, config: ToyConfig, results: Results) -> Rows:
        return [
            {
                "numbers": str(cell.limit),
                "says": str(cell.limit * (cell.limit + 1) // 2),
                "sum": f"{results[cell.name]['sum']}",
            }
            for cell in self.cells(config)
            if cell.name in results
        ]

    def plot(self, config: ToyConfig, results: Results) -> dict[str, Figure]:  # noqa: ARG002
        figure = Figure(figsize=(3, 2))
        figure.add_subplot().plot([result["sum"] for result in results.values()])
        return {"sums": figure}

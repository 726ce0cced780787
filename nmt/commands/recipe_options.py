"""The options of the commands that open a recipe."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import Field, PositiveInt

from nmt.commands.options import MOST_WORKERS, OptionsOf
from nmt.config.section import Flag, Section
from nmt.config.toml import load_recipe, recipe_names, to_toml
from nmt.errors import UsageError

if TYPE_CHECKING:
    from nmt.pipeline.run import Run


class RunConfig(Section):
    """Where a recipe runs, and with which changes."""

    data_dir: Path | None = None
    """Folder of the recipe's relative file names; by default that of the recipe."""
    run_dir: Path | None = None
    """The run folder; by default runs/NAME."""
    overrides: Annotated[list[str], Flag("--set", "KEY=VALUE")] = Field(default_factory=list)
    """Override section.key of the recipe; may be given several times."""
    init_from: Annotated[Path | None, Flag(metavar="MODEL")] = None
    """Fine-tune this bundle or checkpoint: sets training.init_from."""
    workers: Annotated[PositiveInt, Field(le=MOST_WORKERS)] | None = None
    """Processes that prepare data, whose number changes nothing; by default one a core."""


RecipeName = Annotated[
    str,
    typer.Argument(metavar="RECIPE", help="A TOML file, or the name of one in recipes/.", autocompletion=recipe_names),
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override section.key of the recipe.")
]
Where = Annotated[RunConfig, OptionsOf("Options")]
WhereTrained = Annotated[RunConfig, OptionsOf("Options", only=("data_dir", "run_dir", "overrides", "init_from"))]


def open_run(recipe: str, where: RunConfig) -> Run:
    """Load `recipe` and bind it to its folders."""
    init_from = where.init_from
    given = [f"training.init_from={to_toml(str(init_from.absolute()))}"] if init_from else []
    loaded = load_recipe(recipe, [*where.overrides, *given])
    if where.data_dir is not None and not where.data_dir.is_dir():
        raise UsageError(f"--data-dir {where.data_dir}: no such folder")
    from nmt.pipeline.run import Run  # start-up time

    return Run(loaded, data_dir=where.data_dir, run_dir=where.run_dir, workers=where.workers)


def run_recipe(recipe: str, where: RunConfig, last: str = "evaluate") -> None:
    """Run the stages of `recipe` up to `last`, and show the results of the last of all."""
    began = time.monotonic()
    run = open_run(recipe, where)
    from nmt.pipeline.pipeline import run_stages, show_results  # start-up time, and after the recipe's own errors

    run_stages(run, last)
    if last == "evaluate" and run.ranks.is_main:
        show_results(run, time.monotonic() - began)

"""The command `sweep`: variants of a recipe, each with several seeds, and one table of their scores."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import Field, PositiveInt

from nmt.commands.group import new_app
from nmt.commands.options import MOST_WORKERS, OptionsOf, command
from nmt.commands.recipe_options import RunConfig, check_data_dir
from nmt.config.section import Flag, Section
from nmt.config.toml import load_recipe, recipe_names
from nmt.errors import FailedRunsError, UsageError
from nmt.experiments.variants import make_variants
from nmt.locks import holding_folder

app = new_app("Sweep over settings.")


class SweepConfig(Section):
    """The variants of a sweep, and how they run."""

    overrides: Annotated[list[str], Flag("--set", "KEY=VALUES")] = Field(default_factory=list)
    """Override section.key of the recipe; several values, between commas, are a variant each. Several options make a
    grid. A value with a comma is a list or stands in quotes."""
    variants: Annotated[list[str], Flag("--variant", "NAME...")] = Field(default_factory=list)
    """Take these variants of [sweep] in the recipe alone, of which `base` is the recipe itself."""
    seeds: Annotated[PositiveInt, Field(le=1000)] = 1
    """Runs of each variant, with consecutive seeds from training.seed."""
    jobs: Annotated[PositiveInt, Field(le=MOST_WORKERS)] | None = None
    """Runs at once, which divide the threads; by default, and at most, as many as the cores, or GPUs, and the memory
    allow."""
    run_dir: Path | None = None
    """The folder of the run folders, the table and the plot; by default runs/NAME-sweep."""
    table: bool = False
    """Run nothing: compare the runs that are finished."""
    json_output: Annotated[bool, Flag("--json")] = False
    """Print the comparison as JSON."""


@command(app, "nmt sweep demo --set model.heads=1,4,8,16 --seeds 3", "sweep")
def compare_variants(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE", help="A TOML file, or the name of one in recipes/.", autocompletion=recipe_names
        ),
    ],
    *,
    settings: Annotated[SweepConfig, OptionsOf("Options")],
    where: Annotated[RunConfig, OptionsOf("Options", only=("data_dir", "no_cache"))],
) -> None:
    """Run variants of RECIPE, each with several seeds, and compare their scores in a table and a plot.

    Variants are the values of --set, and the tables [sweep.NAME] of the recipe, which may change several keys. Each
    run is an ordinary one, in a folder of its own. A sweep that was ended, in whatever way, continues when it is run
    again. If a run fails the others go on, and the exit code is 7.

    A second table has the 95% interval of BLEU, and the speed, memory and time of training and translation.
    """
    if recipe.endswith(".json"):
        raise UsageError(f"{recipe}: a lock, not a recipe", hint="`nmt recipe show LOCK` prints its recipe")
    loaded = load_recipe(recipe)
    common, variants = make_variants(loaded.recipe.sweep, settings.overrides, settings.variants)
    check_data_dir(where)
    folder = settings.run_dir or Path("runs") / f"{loaded.recipe.name}-sweep"
    if settings.table and not folder.is_dir():
        raise UsageError(f"{folder}: no such folder of a sweep", hint="run it without --table")
    from nmt.experiments import sweep, sweep_table  # start-up time

    planned = sweep.plan_sweep(
        recipe, common, variants, settings.seeds, folder, where.data_dir, no_cache=where.no_cache
    )
    if len(planned.runs) == 1 and not settings.variants:
        hint = "give --set with several values, or --seeds, or a recipe with [sweep.NAME]"
        raise UsageError(f"{recipe}: one run is no sweep", hint=hint)
    failed: list[str] = []
    if not settings.table:
        with holding_folder(folder):
            failed = sweep.run_sweep(planned, settings.jobs)
    sweep_table.compare(planned, as_json=settings.json_output)
    if failed:
        message = f"{recipe}: {len(failed)} of {len(planned.runs)} runs failed: {'; '.join(failed)}"
        raise FailedRunsError(message, hint="run the sweep again for these")

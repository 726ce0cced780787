"""The options of the commands that open a recipe."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import Field, PositiveInt

from nmt import console
from nmt.commands.options import MOST_WORKERS, OptionsOf
from nmt.config.section import Flag, Section
from nmt.config.toml import load_recipe, recipe_names, to_toml
from nmt.errors import UsageError
from nmt.pipeline.lock import INPUTS, Locked
from nmt.pipeline.recipe_file import locked_recipe
from nmt.pipeline.stage_cache import StageCache

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
    locked: Annotated[Path | None, Flag(metavar="LOCK")] = None
    """Run only if recipe, data and code of nmt are those of this lock.json; other differences are named."""
    strict: bool = False
    """With a lock, run only if packages, machine and threads are the same too."""
    workers: Annotated[PositiveInt, Field(le=MOST_WORKERS)] | None = None
    """Processes that prepare data, whose number changes nothing; by default one a core."""
    no_cache: Annotated[bool, Flag(environment="NMT_NO_CACHE")] = False
    """Prepare the data here, and keep nothing in the cache of stages that runs share."""
    dry_run: bool = False
    """Say of each stage whether it would run, and why; write nothing."""
    no_report: Annotated[bool, Flag(environment="NMT_NO_REPORT")] = False
    """Write no report.html at the end."""


RecipeName = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE",
        help="A TOML file, the name of one in recipes/, or a lock.json, to whose data and code the run is held.",
        autocompletion=recipe_names,
    ),
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override section.key of the recipe.")
]
Where = Annotated[RunConfig, OptionsOf("Options")]
CHECKED = ("data_dir", "run_dir", "overrides", "init_from", "locked", "strict")
WhereChecked = Annotated[RunConfig, OptionsOf("Options", only=CHECKED)]
WherePrepared = Annotated[RunConfig, OptionsOf("Options", only=(*CHECKED, "workers", "no_cache", "dry_run"))]
WhereTrained = Annotated[RunConfig, OptionsOf("Options", only=(*CHECKED, "no_cache", "dry_run"))]
WhereReproduced = Annotated[RunConfig, OptionsOf("Options", only=(*CHECKED, "workers", "no_cache", "no_report"))]


def check_data_dir(where: RunConfig) -> None:
    """Raise UsageError where --data-dir is given and missing."""
    if where.data_dir is not None and not where.data_dir.is_dir():
        raise UsageError(f"--data-dir {where.data_dir}: no such folder")


def open_run(recipe: str, where: RunConfig, *, suffix: str = "", refused: frozenset[str] = INPUTS) -> Run:
    """Load `recipe`, which may be a lock, and bind it to its folders, and to its lock or that of `where`.

    The name of the run folder ends in `suffix`. Differences from the lock are `refused` in these parts of it.
    """
    init_from, path = where.init_from, Path(recipe)
    given = [f"training.init_from={to_toml(str(init_from.absolute()))}"] if init_from else []
    overrides, is_lock = [*where.overrides, *given], path.suffix == ".json"
    lock = where.locked or (path if is_lock else None)
    if where.strict and lock is None:
        raise UsageError("--strict is for a lock", hint="add --locked LOCK")
    locked = Locked.read(lock, refused=refused, strict=where.strict) if lock else None
    loaded = locked_recipe(path, overrides) if is_lock else load_recipe(recipe, overrides)
    check_data_dir(where)
    from nmt.pipeline.run import Run  # start-up time

    run_dir = where.run_dir or Path("runs") / f"{loaded.recipe.name}{suffix}"
    cache = None if where.no_cache else StageCache.of_run()
    return Run(loaded, data_dir=where.data_dir, run_dir=run_dir, workers=where.workers, locked=locked, cache=cache)


def run_recipe(recipe: str, where: RunConfig, last: str = "evaluate") -> None:
    """Run the stages of `recipe` up to `last`, and show the results of the last of all."""
    began = time.monotonic()
    run = open_run(recipe, where)
    # Start-up time, and after the recipe's own errors.
    from nmt.pipeline.pipeline import refuse_forgotten, run_stages, show_results

    run_stages(run, last, dry_run=where.dry_run)
    if where.dry_run:
        return
    if run.locked and run.ranks.is_main:
        console.log(run.locked.compare(run.results))
    if last == "evaluate" and run.ranks.is_main:
        show_results(run, time.monotonic() - began)
        if not where.no_report:
            write_report_of(run)
    if last != "prepare" and run.ranks.is_main:
        refuse_forgotten(run)


def write_report_of(run: Run) -> None:
    """Write the report of a run that is done, and say where it is."""
    from nmt.experiments.report import report_after_run  # start-up time

    report_after_run(run.folder)

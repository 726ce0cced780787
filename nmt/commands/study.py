"""The commands `study`: one for each study, whose help has the study's fields."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, PositiveInt

from nmt.commands.group import new_app
from nmt.commands.options import MOST_WORKERS, OptionsOf, command
from nmt.config.section import Flag, Section, Seed
from nmt.studies.base import AnyStudy, configure, described
from nmt.studies.catalogue import STUDIES

app = new_app("Run a study: many small trainings, and a table of what papers say beside what was measured.")


class StudyOptions(Section):
    """How a study runs."""

    quick: bool = False
    """Take the values of the quick form, which ends within 20 minutes on two cores."""
    overrides: Annotated[list[str], Flag("--set", "FIELD=VALUE")] = Field(default_factory=list)
    """Set a field of the study, as listed above; a list is written with commas."""
    seed: Seed | None = None
    """Seed of the study, as by --set."""
    only: Annotated[list[str], Flag("--only", "CELL...")] = Field(default_factory=list)
    """Run these cells of the grid alone, by the names of their folders; one is run without a table at the end."""
    jobs: Annotated[PositiveInt, Field(le=MOST_WORKERS)] | None = None
    """Cells at once, with one thread each; by default, and at most, as many as the cores and the memory allow."""
    run_dir: Path | None = None
    """The folder of the cells, the table and the plots; by default runs/study-NAME, or runs/study-NAME-quick."""
    table: bool = False
    """Run nothing: show the cells that are finished."""
    json_output: Annotated[bool, Flag("--json")] = False
    """Print the results and the table as JSON."""


def register(study: AnyStudy) -> None:
    """Make the command of a study."""

    def run(*, settings: Annotated[StudyOptions, OptionsOf("Options")]) -> None:
        config = configure(study, settings.overrides, is_quick=settings.quick, seed=settings.seed)
        folder = settings.run_dir or Path("runs") / f"study-{study.name}{'-quick' if settings.quick else ''}"
        from nmt.studies.runner import StudyRun, run_study  # start-up time

        run_study(
            StudyRun(study, config, folder),
            settings.only,
            settings.jobs,
            table_only=settings.table,
            as_json=settings.json_output,
        )

    run.__doc__ = "\n\n".join([study.__doc__ or "", "Fields of the study, for --set:", *described(study)])
    command(app, f"nmt study {study.name} --quick", study.name)(run)


for one in STUDIES:
    register(one)

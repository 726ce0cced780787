"""Studies run: the cells that are not finished, side by side and resumable, and all that is written of them.

The folder of a study:

- `lock.json`: the study, its fields, and the sessions, that is versions, code and machine
- `cells/NAME/`: what a cell made; `result.json` is there once it is finished, and `time.json`
- `logs/NAME.log`: the messages of a cell
- `study.json`: fields, results and table, the same bytes for the same fields; `study.md`, the table; and the plots
- `times.json`: the seconds of each cell, and the sessions
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from nmt import console, devices, runtime
from nmt.config.section import shown
from nmt.config.toml import suggest, to_toml
from nmt.cores import NUMBER
from nmt.errors import ArtifactError, FailedRunsError, RecipeError, UsageError
from nmt.experiments.jobs import Ended, Job, count_places, run_jobs
from nmt.experiments.plotting import save_picture
from nmt.experiments.sweep_table import markdown_table
from nmt.files import JsonObject, differences, is_missing, read_record, write_json, write_text
from nmt.locks import holding_folder
from nmt.pipeline.lock import with_session
from nmt.studies.base import AnyStudy, Cell, Results, StudyConfig

FORMAT = 1  # of `lock.json`
THREADS = 1  # of a cell: for small models several processes get more done than several threads


@dataclass(frozen=True)
class StudyRun:
    """A study with its fields and its folder."""

    study: AnyStudy
    config: StudyConfig
    folder: Path

    @property
    def lock(self) -> Path:
        return self.folder / "lock.json"

    def cell_folder(self, cell: Cell) -> Path:
        return self.folder / "cells" / cell.name

    def result_of(self, cell: Cell) -> JsonObject | None:
        """Return what a cell found; None where it is not finished."""
        return read_record(self.cell_folder(cell) / "result.json")

    def results(self) -> Results:
        """Return what the finished cells found, by name, in the order of the grid."""
        found = {cell.name: self.result_of(cell) for cell in self.study.cells(self.config)}
        return {name: result for name, result in found.items() if result is not None}

    def chosen(self, names: Sequence[str]) -> list[Cell]:
        """Return the cells with these names, or all. Raises UsageError for a name of none."""
        cells = {cell.name: cell for cell in self.study.cells(self.config)}
        for name in names:
            if name not in cells:
                hint = f"one of {len(cells)} is {next(iter(cells))}" if not (near := suggest(name, cells)) else None
                raise UsageError(f"--only {name}: the study has no such cell{near}", hint=hint)
        return [cells[name] for name in dict.fromkeys(names)] or [*cells.values()]

    @property
    def identity(self) -> JsonObject:
        """The study and its fields, as the lock has them."""
        return {"study": self.study.name, "config": self.config.model_dump()}

    def begin(self) -> None:
        """Write the lock. Raises RecipeError where the folder is of another study or of other fields."""
        record = self.recorded()
        machine = {**devices.machine(), "threads": THREADS}
        now = {"versions": runtime.versions(), "machine": machine, "code": runtime.code()}
        sessions = with_session(record.get("sessions", []), now, "study")
        if record.get("sessions") != sessions:
            write_json(self.lock, {"format": FORMAT, **self.identity, "sessions": sessions})

    def recorded(self) -> JsonObject:
        """Return the lock, empty where there is none.

        Raises ArtifactError where it is damaged or of a newer nmt, RecipeError where it is of another study or of
        other fields.
        """
        if is_missing(self.lock):
            return {}
        record = read_record(self.lock, study=str, config=dict, sessions=list)
        if record is None or record.get("format") != FORMAT or not all(isinstance(s, dict) for s in record["sessions"]):
            hint = "take another --run-dir, or the nmt that wrote it"
            raise ArtifactError(f"{self.lock}: damaged, or not the lock of a study of format {FORMAT}", hint=hint)
        wanted = self.identity
        for key, values in differences({key: record[key] for key in wanted}, wanted).items():
            name, before, now = key.removeprefix("config."), *map(shown, values)
            message = f"{self.folder}: begun with {name} = {before}, not {now}"
            raise RecipeError(message, hint="take another --run-dir, or the values that it began with")
        return record

    def job(self, cell: Cell) -> Job:
        """Return the command that makes a cell."""
        fields = [part for key, value in self.config for part in ("--set", f"{key}={to_toml(value)}")]
        options = ["--run-dir", str(self.folder), "--only", cell.name, *fields]
        return Job(cell.name, ("study", self.study.name, *options), self.folder / "logs" / f"{cell.name}.log")

    def outcome(self, cell: Cell, ended: Ended) -> tuple[bool, str]:
        """Return whether a cell was made, and how long it took or what went wrong."""
        if ended.code:
            return False, ended.failure
        if self.result_of(cell) is None:
            return False, "failed: it ended without a result"
        return True, console.duration(ended.seconds)


def run_study(run: StudyRun, names: Sequence[str], jobs: int | None, *, table_only: bool, as_json: bool) -> None:
    """Make the cells with these names, or all, that are not finished, and print the table of all that are.

    One cell that is named alone is made by this process, without a table. Raises FailedRunsError where cells failed.
    """
    cells = run.chosen(names)
    if table_only:
        if is_missing(run.lock):
            raise UsageError(f"{run.folder}: no such folder of a study", hint="run it without --table")
        run.recorded()
    elif len(names) == 1:
        run.begin()
        make_cell(run, cells[0])
        return
    failed: list[str] = []
    if not table_only:
        with holding_folder(run.folder):
            run.begin()
            failed = make_cells(run, cells, jobs)
    if run.results() or not failed:
        show(run, as_json=as_json)
    if failed:
        message = f"{run.study.name}: {len(failed)} of {len(cells)} cells failed: {'; '.join(failed)}"
        raise FailedRunsError(message, hint="run the study again for these")


def make_cell(run: StudyRun, cell: Cell) -> None:
    """Make a cell in this process, if it is not finished, with one thread."""
    folder = run.cell_folder(cell)
    if run.result_of(cell) is not None:
        console.log(f"{cell.name}: finished")
        return
    os.environ[NUMBER] = str(THREADS)
    torch.set_num_threads(THREADS)
    with holding_folder(folder):
        began = time.monotonic()
        result = run.study.run(cell, run.config, folder)
        write_json(folder / "time.json", {"seconds": round(time.monotonic() - began, 1)})
        write_json(folder / "result.json", result)
    console.log(f"{cell.name}: its result is {folder / 'result.json'}")


def make_cells(run: StudyRun, cells: Sequence[Cell], jobs: int | None) -> list[str]:
    """Make those of `cells` that are not finished, each in a process of its own; return the failed ones."""
    due = {cell.name: cell for cell in cells if run.result_of(cell) is None}
    done, failed = len(cells) - len(due), list[str]()
    if not due:
        console.log(f"study: all {len(cells)} cells are finished")
        return failed
    count = count_places(len(due), jobs, run.study.memory)
    at_once = f"{count} at once, one thread each"
    console.log(f"study: {len(cells)} cells, {done} finished; {at_once}; messages in {run.folder / 'logs'}")
    place = {NUMBER: str(THREADS), "NMT_NO_REPORT": "1"}
    try:
        with console.Progress("study", len(cells), done=done, unit="cells") as progress:
            for ended in run_jobs([run.job(cell) for cell in due.values()], [place] * count):
                done += 1
                is_made, said = run.outcome(due[ended.job.name], ended)
                failed += [] if is_made else [f"{ended.job.name} {said}"]
                progress.say(f"{ended.job.name}: {said} ({done} of {len(cells)})")
                progress.update(done)
    except (KeyboardInterrupt, SystemExit):  # which a signal raises
        console.log("study: ended before its cells were; the same command continues it")
        raise
    return failed


def show(run: StudyRun, *, as_json: bool) -> None:
    """Print the table of the finished cells, and write it with all numbers and the plots into the folder.

    Raises UsageError where no cell is finished.
    """
    study, results, total = run.study, run.results(), len(run.study.cells(run.config))
    if not results:
        raise UsageError(f"{run.folder}: no cell of this study is finished", hint="run it without --table")
    if len(results) < total:
        console.warn(f"{total - len(results)} of {total} cells are not finished, and not in the table")
    rows = study.table(run.config, results)
    config = run.config.model_dump()
    record = {"study": study.name, "config": config, "table": rows, "says": study.says, "results": results}
    folder, head, cells = run.folder, list(rows[0]), [list(row.values()) for row in rows]
    write_json(folder / "study.json", record)
    write_text(folder / "study.md", f"{markdown_table(head, cells)}\n\n{study.says}\n")
    seconds = {name: (read_record(folder / "cells" / name / "time.json") or {}).get("seconds") for name in results}
    write_json(folder / "times.json", {"seconds": seconds, "sessions": run.recorded()["sessions"]})
    figures = study.plot(run.config, results)
    for name, figure in figures.items():
        for ending in ("png", "svg"):
            save_picture(figure, folder / f"{name}.{ending}")
    if as_json:
        console.json_out(record)
    else:
        console.whole_table(head, cells)
        console.out(f"\n{study.says}")
    console.log(f"the same as JSON and Markdown, and the plots, in {folder}: study.json, .md, {', '.join(figures)}")

"""The commands `checkpoints`: the checkpoints of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmt import console
from nmt.commands.group import new_app
from nmt.commands.options import command
from nmt.config.section import LARGEST
from nmt.errors import ArtifactError, UsageError
from nmt.locks import holding_folder, holding_output
from nmt.run_folder import RunFolder

if TYPE_CHECKING:
    from nmt.training.checkpoint import Checkpoints

app = new_app("List, verify and average the checkpoints of a run.")
RunOrFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run folder, runs/NAME, or the folder checkpoints in it.")
]


def open_checkpoints(path: Path) -> tuple[RunFolder, Checkpoints]:
    """Return the run folder at `path`, or around it, and its checkpoints. Raises ArtifactError where it has none."""
    from nmt.training.checkpoint import Checkpoints  # imports torch

    run = RunFolder(path)
    store = Checkpoints(run.checkpoints, keep=1)
    if not run.checkpoints.is_dir():
        run, store = RunFolder(path.absolute().parent), Checkpoints(path, keep=1)
    if not store.all_paths():
        raise ArtifactError(f"{path}: no checkpoint in it", hint="take a run folder, runs/NAME, that was trained")
    return run, store


@command(app, "nmt checkpoints list runs/demo", "list")
def checkpoints_list(run: RunOrFolder) -> None:
    """List the checkpoints of RUN with step, epoch, size and dev score, each verified by its digests."""
    found = open_checkpoints(run)[1].survey()
    states = [finding.state for finding in found if finding.state]
    dev = {step: f"{state.metric} {value:.4g}" for state in states for value, step in state.ranked}
    rows = []
    for finding in found:
        epoch = f"{finding.state.epoch:,}" if finding.state else ""
        size, score = f"{finding.size / 1e6:,.1f} MB", dev.get(finding.step, "")
        rows.append([finding.path.name, f"{finding.step:,}", epoch, size, score, finding.verdict])
    console.table(["checkpoint", "step", "epoch", "size", "dev", "state"], rows)


@command(app, "nmt checkpoints verify runs/demo", "verify")
def checkpoints_verify(run: RunOrFolder) -> None:
    """Verify every checkpoint of RUN by its digests, a line each; exit 4 where one is not whole."""
    found = open_checkpoints(run)[1].survey()
    for finding in found:
        console.out(f"{finding.path.name}: {finding.verdict}")
    if damage := [finding.damage for finding in found if finding.damage]:
        raise ArtifactError(f"{len(damage)} of {len(found)} checkpoints are not whole, first {damage[0]}")


@command(app, "nmt checkpoints average runs/demo --best 5 -o averaged", "average")
def checkpoints_average(
    run: RunOrFolder,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="The new bundle.")],
    last: Annotated[
        int | None, typer.Option(min=1, max=LARGEST, help="Number of newest checkpoints to average.")
    ] = None,
    best: Annotated[
        int | None, typer.Option(min=1, max=LARGEST, help="Number of checkpoints to average, the best on dev.")
    ] = None,
) -> None:
    """Write a bundle with the mean of other checkpoints of RUN; by default those that its recipe names."""
    from nmt.pipeline.bundle import average_run  # start-up time

    if last and best:
        raise UsageError("--last and --best exclude each other")
    folder, store = open_checkpoints(run)
    with holding_folder(folder.path), holding_output(output):  # a training deletes checkpoints, which are read here
        names = average_run(folder, store.folder, output, count=last or best, of="best" if best else "last")
    console.log(f"averaged {', '.join(names)}: {output}")

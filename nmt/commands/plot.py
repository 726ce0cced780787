"""The command `plot`: the curves of runs for a paper."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from nmt import console
from nmt.commands.group import new_app
from nmt.commands.options import command

if TYPE_CHECKING:
    from nmt.experiments.curves import Axis

app = new_app("Plot runs.")
AxisName = StrEnum("AxisName", ["steps", "tokens", "hours"])


@command(app, "nmt plot runs/adam runs/muon --curves dev_loss bleu -o curves.pdf")
def plot(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders, runs/NAME, with scores.")],
    *,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="FILE", help="Write this .pdf, .svg, .png or other picture."),
    ],
    curves: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME...",
            help="Curves to draw: loss, dev_loss, perplexity, dev_perplexity, bleu, chrf, learning_rate, "
            "gradient_norm, speed; by default loss, dev_loss and bleu.",
        ),
    ] = None,
    axis: Annotated[AxisName, typer.Option("--by", help="What the curves are drawn by.")] = AxisName.steps,
    labels: Annotated[
        list[str] | None, typer.Option(metavar="TEXT...", help="Labels of the runs; by default their names.")
    ] = None,
    width: Annotated[float, typer.Option(min=2, max=30, help="Width of the picture in inches.")] = 5.5,
) -> None:
    """Draw the curves of runs for a paper: together, and distinct by colour, by dashes and by markers.

    --by tokens and --by hours need logs of this version of nmt.
    """
    from nmt.experiments import plotting as work  # start-up time

    work.plot(
        runs, output, curves=curves or work.DEFAULT, labels=labels or [], axis=cast("Axis", axis.value), width=width
    )
    console.log(f"plot: drawn to {output}")

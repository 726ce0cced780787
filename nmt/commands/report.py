"""The command `report`: a finished run as one page."""

from pathlib import Path
from typing import Annotated

import typer

from nmt import console
from nmt.commands.group import new_app
from nmt.commands.options import command
from nmt.errors import UsageError

app = new_app("Report runs.")
PAGES = (".html", ".htm")  # endings of the output


@command(app, "nmt report runs/demo")
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, runs/NAME, with scores.")],
    *,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write this .html, and its figures to a .json beside it."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as one JSON object, and write no file.")
    ] = False,
) -> None:
    """Write the report of RUN as one HTML file: scores, curves, data, translations, the lock.

    By default it is RUN/report.html. It needs no network and no script. Its figures are in RUN/report.json too.
    """
    path = output or run / "report.html"
    if path.suffix.lower() not in PAGES:
        raise UsageError(f"-o {path}: not the name of a page", hint=f"name it {' or '.join(PAGES)}")
    if as_json and output:
        raise UsageError("--json writes no file", hint="leave out -o, or --json")
    from nmt.experiments import report as work  # start-up time

    facts = work.report_of(run)
    if as_json:
        console.json_out(facts)
    else:
        work.write_report(facts, path)
        console.log(f"report: written to {path}")

"""The command `report`: a finished run, or several, as one page."""

from pathlib import Path
from typing import Annotated

import typer

from nmt import console
from nmt.commands.compare import Scores, Test
from nmt.commands.group import new_app
from nmt.commands.options import command
from nmt.errors import UsageError
from nmt.files import check_output
from nmt.run_folder import RunFolder

app = new_app("Report runs.")
PAGES = (".html", ".htm")  # endings of the output


@command(app, "nmt report runs/demo")
def report(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run folders; several are compared with the first."),
    ],
    *,
    test: Test = None,
    line_scores: Scores = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write this .html, and its figures to a .json beside it."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the figures as one JSON object, and write no file.")
    ] = False,
) -> None:
    """Write the report of RUN as one HTML file: scores, curves, data, translations, the lock.

    By default it is RUN/report.html. It needs no network and no script. Its figures are in RUN/report.json too. With
    several runs it shows their curves together, their scores with significance, and what they differ in. --scores adds
    those of a neural metric that were made elsewhere.
    """
    if output is None and len(runs) > 1 and not as_json:
        raise UsageError("the report of several runs needs a name", hint="add -o FILE.html")
    path = output or runs[0] / "report.html"
    if path.suffix.lower() not in PAGES:
        raise UsageError(f"-o {path}: not the name of a page", hint=f"name it {' or '.join(PAGES)}")
    if as_json and output:
        raise UsageError("--json writes no file", hint="leave out -o, or --json")
    for run in runs:
        if not run.is_file():  # of which the work says more
            RunFolder(run).check()
    if not as_json:
        check_output(path)
    from nmt.commands import reporting as work  # start-up time

    facts = work.report(runs, test, line_scores or (), None if as_json else path)
    if as_json:
        console.json_out(facts)
    else:
        console.log(f"report: written to {path}")

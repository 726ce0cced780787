"""The command `compare`: why runs differ, and by how much."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from nmt import console
from nmt.commands import compare_tables, score_tables
from nmt.commands.evaluate import AsLatex, Metric, NoSignificance
from nmt.commands.group import new_app
from nmt.commands.options import command
from nmt.errors import UsageError

app = new_app("Compare runs.")
Runs = Annotated[
    list[Path],
    typer.Argument(metavar="RUN...", help="Run folders, or lock.json files; the first one is the baseline."),
]
Chosen = Annotated[
    list[Metric] | None,
    typer.Option(
        "--metrics",
        metavar="NAME...",
        help="Metrics to compute and test: bleu, chrf, chrf++, ter; of trees bracket-f1, strict-f1. By default bleu "
        "and chrf, and of trees those of brackets too.",
    ),
]
Test = Annotated[
    str | None, typer.Option(metavar="NAME", help="Compare this test set; by default all that runs share.")
]
Scores = Annotated[
    list[str] | None,
    typer.Option(
        "--scores",
        metavar="METRIC:VERSION=FILE...",
        help="Scores of the lines that were made elsewhere, a file for each run: comet:wmt22-comet-da=FILE.",
    ),
]
Lines = Annotated[
    int, typer.Option(min=0, metavar="N", help="Lines of each test set to show, those on which runs differ most.")
]


@command(app, "nmt compare runs/seed1 runs/seed2 runs/deep1 runs/deep2", "compare")
def compare_runs(
    runs: Runs,
    *,
    test: Test = None,
    chosen: Chosen = None,
    line_scores: Scores = None,
    no_significance: NoSignificance = False,
    lines: Lines = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object with all values.")] = False,
    as_latex: AsLatex = False,
) -> None:
    """Say why runs differ from the first one, from which stage and step on, and whether it matters.

    Compared are recipes, data, environments, results of the stages, trainings, and scores: over the lines of the test
    sets that all runs share, with paired tests as in nmt evaluate, and over the seeds of each setting.
    """
    from nmt.commands import comparison  # start-up time

    if as_json and as_latex:
        raise UsageError("--json and --latex are two ways of printing", hint="give one of them")
    differences, scores = comparison.compare(
        runs, test, chosen or (), line_scores or (), is_tested=not no_significance, lines=lines
    )
    for remark in [*differences.said, *scores.said]:
        console.warn(remark)
    if as_json:
        console.json_out({**asdict(differences), "scores": asdict(scores)})
    elif as_latex:
        for test, systems in scores.tests.items():
            console.out(f"% {test}\n{score_tables.latex(systems)}")
    else:
        compare_tables.show(differences, scores)

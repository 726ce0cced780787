"""The work of the command `report`: it reads runs and scores of their lines, and gathers the facts."""

from collections.abc import Sequence
from pathlib import Path

from nmt.commands.comparison import lines_of
from nmt.commands.evaluation import read_scores
from nmt.errors import UsageError
from nmt.experiments.compare import Compared, open_runs
from nmt.experiments.compared_scores import shared_tests
from nmt.experiments.report import comparison_of, report_of, write_report
from nmt.files import JsonObject


def report(paths: Sequence[Path], test: str | None, line_scores: Sequence[str], page: Path | None) -> JsonObject:
    """Return the facts of a run, or of several that are compared, and write the `page` if it is named.

    `line_scores` are scores of the lines of a test set, and `test` names it. Raises NmtError.
    """
    facts = _gather(paths, test, line_scores)
    if page is not None:
        write_report(facts, page)
    return facts


def _gather(paths: Sequence[Path], test: str | None, line_scores: Sequence[str]) -> JsonObject:
    if len(paths) == 1 and not line_scores:
        if test is not None:
            raise UsageError("--test chooses the lines of --scores, or those of several runs", hint="leave it out")
        return report_of(paths[0])
    runs = open_runs(paths) if len(paths) > 1 else [Compared.open(paths[0])]
    tests, beside = shared_tests(runs, test), None
    if line_scores:
        beside = read_scores(line_scores, [run.name for run in runs], lines_of(runs, tests))
    if len(runs) > 1:
        return comparison_of(runs, tests, beside)
    return report_of(paths[0], beside and {tests[0]: beside[runs[0].name]})

"""The work of the command `compare`: it reads runs and scores of their lines, and compares them."""

from collections.abc import Collection, Sequence
from pathlib import Path

from nmt.commands.evaluation import read_scores
from nmt.errors import UsageError
from nmt.experiments.compare import Compared, Differences, compare_runs, open_runs
from nmt.experiments.compared_scores import ComparedScores, compare_scores, shared_tests


def compare(
    paths: Sequence[Path],
    test: str | None,
    metrics: Collection[str],
    line_scores: Sequence[str],
    *,
    is_tested: bool,
    lines: int,
) -> tuple[Differences, ComparedScores]:
    """Compare runs, on the test set that is named or all that they share. Raises NmtError."""
    runs = open_runs(paths)
    tests = shared_tests(runs, test)
    beside = None
    if line_scores:
        number = lines_of(runs, tests)
        beside = read_scores(line_scores, [run.name for run in runs], number)
    scores = compare_scores(runs, tests, metrics=metrics, beside=beside, is_tested=is_tested, lines=lines)
    return compare_runs(runs), scores


def lines_of(runs: Sequence[Compared], tests: Sequence[str]) -> int:
    """Return the lines of the only test set, which scores of lines are about. Raises UsageError where it is not one."""
    if len(tests) != 1:
        raise UsageError(
            f"--scores are of one test set, not of {', '.join(tests) or 'none'}", hint="choose it: --test NAME"
        )
    for run in runs:
        if run.run is None:
            raise UsageError(f"{run.name}: a lock alone, without the lines of --scores", hint="name the run folder")
    first = runs[0].run
    return len(first.lines(tests[0]).sources) if first else 0

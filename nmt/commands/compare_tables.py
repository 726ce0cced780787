"""What `nmt compare` prints: tables of what differs, scores, lines, and a summary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nmt import console
from nmt.commands import score_tables
from nmt.config.section import cut
from nmt.config.toml import to_toml

if TYPE_CHECKING:
    from nmt.experiments.compare import Differences, Reason, Training
    from nmt.experiments.compared_scores import ComparedScores, Line, Setting
    from nmt.files import Json
    from nmt.pipeline.lock import InputDifference

DIGITS = 12  # of a SHA-256 that are shown
POINTS = 8  # steps of the curves that are shown
NAMED = 5  # inputs that the summary names
SIGNIFICANT = 0.05
ONE_SEED_EACH = (
    "each has one seed, so that all figures are about these models; runs with other seeds (--set training.seed=2) "
    "show how much a setting varies."
)
ABOUT_SETTINGS = (
    "p (runs), of an exact permutation test, is about settings, whichever the seed; p (ar) and p (bs) are about these "
    "models."
)
ABOUT_GROUPS = (
    "runs that differ in the seed, and in nothing else of recipe, data and initial model that changes results"
)
ENVIRONMENT = ("code", "versions", "machine")


def show(differences: Differences, scores: ComparedScores) -> None:
    """Print what differs, what is the same in a line each, the scores, and a line of summary for each run."""
    show_inputs(differences)
    show_results(differences)
    show_trainings(differences)
    for test, found in scores.lines.items():
        if found.lines:
            console.heading(f"Lines of {test} that differ most", f" by chrF ({found.signature})")
            for line in found.lines:
                show_line(line)
            console.out("")
    for test, systems in scores.tests.items():
        console.heading(f"Scores of {test}", f", compared with {differences.runs[0]}")
        score_tables.show(systems)
        console.out("")
    show_settings(scores.settings)
    show_summary(differences, scores)


def show_inputs(differences: Differences) -> None:
    """Print a table of each part of the locks that differs, and a line of those that are the same."""
    same = []
    found = {
        "Recipe": [each for each in differences.inputs if each.part == "recipe" and each.changes_results],
        "Recipe, keys that change no result": [
            each for each in differences.inputs if each.part == "recipe" and not each.changes_results
        ],
        "Data, by SHA-256": [each for each in differences.inputs if each.part == "data"],
        "Initial model": [each for each in differences.inputs if each.part == "init"],
        "Environment": [each for each in differences.inputs if each.part in ENVIRONMENT],
    }
    for title, inputs in found.items():
        rows = [[each.key.removeprefix("recipe."), *(cell(each, value) for value in each.values)] for each in inputs]
        if title == "Environment" and len(set(differences.commits.values())) > 1:
            rows.append(["code.commit", *(differences.commits.get(name, "not recorded") for name in differences.runs)])
        if rows:
            show_table(title, ["", *differences.runs], rows)
        elif title != "Recipe, keys that change no result":
            same.append(title.partition(",")[0].lower())
    if differences.filters:
        rows = [
            [step, *("" if row.get(name) is None else f"{row[name]:,}" for name in differences.runs)]
            for step, row in differences.filters.items()
        ]
        show_table("Pairs that differ, by corpus and step", ["", *differences.runs], rows)
    if same:
        console.heading("The same in all runs:", f" {', '.join(same)}\n")


def show_table(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    console.heading(title)
    console.whole_table(headers, rows)
    console.out("")


def cell(found: InputDifference, value: Json) -> str:
    """Write a value of an input for a table."""
    match found.part:
        case "recipe":
            return cut(to_toml(value))
        case "data" | "init" if isinstance(value, str):
            return value[:DIGITS]
        case "data":
            return "missing" if value is None else cut(str(value))
    return "not recorded" if value in (None, "") else cut(str(value))


def show_results(differences: Differences) -> None:
    """Print which stages made the bits of the baseline, or a line where all did."""
    names = differences.runs[1:]
    words = {True: "same", False: "other", None: "not recorded"}
    if all(is_same for row in differences.bits.values() for is_same in row.values()):
        console.heading("Results:", f" the same bits in all stages: {', '.join(differences.bits) or 'none'}\n")
        return
    rows = [[stage, *(words[row[name]] for name in names)] for stage, row in differences.bits.items()]
    show_table(f"Results, bit by bit beside {differences.runs[0]}", ["", *names], rows)


def show_trainings(differences: Differences) -> None:
    """Print the figures of the trainings that are recorded of any run, and their curves at the same steps."""
    rows = [[name, *figures(training)] for name, training in differences.trainings.items()]
    headers = ["", "steps", "target tokens", "time", "best on dev"]
    filled = [not index or any(row[index] for row in rows) for index in range(len(headers))]
    headers, *rows = (
        [cell or "not recorded" * (place > 0) for place, cell in enumerate(row) if filled[place]]
        for row in [headers, *rows]
    )
    if len(headers) > 1:
        show_table("Training", headers, rows)
    for curve, runs in differences.curves.items():
        steps = spread(list(next(iter(runs.values()))))
        rows = [
            [name, *(f"{points[step]:.{2 if 'BLEU' in curve else 3}f}" for step in steps)]
            for name, points in runs.items()
        ]
        show_table(f"{curve[0].upper()}{curve[1:]} by step", ["", *(f"{step:,}" for step in steps)], rows)


def figures(training: Training) -> list[str]:
    """Return the cells of a training, empty where something is not recorded."""
    best = ""
    if training.best is not None:
        digits, metric = (
            (2, console.metric_name(training.metric)) if training.metric in console.METRICS else (3, training.metric)
        )
        best = f"{metric} {training.best:.{digits}f} at step {training.best_step:,}"
    return [
        "" if training.steps is None else f"{training.steps:,}",
        "" if training.tokens is None else f"{training.tokens:,}",
        "" if training.seconds is None else console.duration(training.seconds),
        best,
    ]


def spread(steps: Sequence[int]) -> list[int]:
    """Return at most POINTS of `steps`, evenly spread, the last one among them.

    >>> spread(range(1, 17))
    [2, 4, 6, 8, 10, 12, 14, 16]
    """
    return (
        [steps[len(steps) * point // POINTS - 1] for point in range(1, POINTS + 1)] if len(steps) > POINTS else [*steps]
    )


def show_line(line: Line) -> None:
    """Print a line of a test set; on a terminal, words are marked in which runs differ from the baseline."""
    runs: dict[str, list[str]] = {}
    for name, text in line.hypotheses.items():
        runs.setdefault(text, []).append(name)
    width = max(len(", ".join(names)) for names in [*runs.values(), ["reference"]])
    console.out(f"  line {line.number:,}")
    for label, text in (("source", line.source), ("reference", line.reference)):
        console.out(f"  {label:<{width}}         {text}")
    for names in runs.values():
        console.marked(f"  {', '.join(names):<{width}}  {line.chrf[names[0]]:5.1f}  ", line.parts[names[0]])


def show_settings(settings: Sequence[Setting]) -> None:
    """Print the scores of settings over their runs, or a line where each has one seed alone."""
    again = [
        f"  {run}: the same setting and seed as {one}, and not counted"
        for setting in settings
        for run, one in setting.repeats.items()
    ]
    if all(len(setting.runs) == 1 for setting in settings):
        console.heading("Settings:", f" {ONE_SEED_EACH}")
        console.out("\n".join([*again, ""]))
        return
    console.heading("Settings", f": {ABOUT_GROUPS}")
    for setting in settings:
        seeds = f"seed{'s' * (len(setting.seeds) > 1)} {', '.join(map(str, setting.seeds))}"
        console.out(f"  {setting.runs[0]}: {', '.join(setting.runs)} ({seeds})")
    for line in again:
        console.out(line)
    for test in settings[0].scores:
        rows = []
        for setting in settings:
            for metric, each in setting.scores[test].items():
                low, high, mean = (console.figure(metric, value) for value in (each.low, each.high, each.mean))
                row = [setting.runs[0], console.metric_name(metric), str(len(setting.runs)), mean]
                row += ["", ""] if each.std is None else [console.figure(metric, each.std), f"{low} to {high}"]
                row.append("" if each.difference is None else console.figure(metric, each.difference, "+"))
                row += ["", ""] if each.test is None else [f"{value:.4f}" for value in each.test]
                rows.append(row)
        headers = [f"{test}, setting", "metric", "runs", "mean", "std", "range", "difference", "p (runs)", "smallest p"]
        console.whole_table(headers, rows)
    console.out(ABOUT_SETTINGS)
    console.out("")


def show_summary(differences: Differences, scores: ComparedScores) -> None:
    """Print for each run but the baseline why it differs, from where on, and by how much."""
    base, *others = differences.runs
    columns = [(test, metric) for test, systems in scores.tests.items() for metric in systems[base]]
    several = len(scores.tests) > 1
    headers = ["", "differs in", "from"]
    headers += [f"{test} " * several + console.metric_name(metric) for test, metric in columns]
    rows = []
    for name in others:
        reason = differences.reasons[name]
        row = [name, named(reason), origin(reason)]
        for test, metric in columns:
            score, other = scores.tests[test][name][metric], scores.tests[test][base][metric]
            p = score["difference"]["randomization_p"] if "difference" in score else 1
            row.append(console.figure(metric, score["score"] - other["score"], "+") + "*" * (p < SIGNIFICANT))
        rows.append(row)
    is_tested = any("difference" in score for systems in scores.tests.values() for score in systems[others[0]].values())
    console.heading(f"Summary, beside {base}", f"; * p (ar) < {SIGNIFICANT}" if is_tested else "")
    console.whole_table(headers, rows)


def named(reason: Reason) -> str:
    """Name the first few inputs that differ."""
    if not reason.inputs:
        if reason.unrecorded:
            return f"nothing that is recorded; not recorded: {', '.join(reason.unrecorded)}"
        return "nothing" if reason.is_known and reason.stage is None else "nothing that is recorded"
    names = [name.removeprefix("recipe.") for name in reason.inputs]
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def origin(reason: Reason) -> str:
    """Say from where on results differ: the stage, and the step of the training."""
    if not reason.is_known:
        return "not recorded"
    if reason.stage is None:
        return "same bits"
    return f"{reason.stage}, step {reason.step:,}" if reason.stage == "train" and reason.step else reason.stage

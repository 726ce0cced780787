"""The comparison of the variants of a sweep: scores and costs over seeds, as table, JSON, CSV, Markdown and picture."""

import csv
import io
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from nmt import console
from nmt.errors import UsageError
from nmt.evaluation.metrics import BRACKETS
from nmt.evaluation.significance import TESTED, Interval
from nmt.experiments import costs
from nmt.experiments.finished_run import FinishedRun
from nmt.experiments.plotting import save_picture
from nmt.experiments.sweep import Sweep, SweepRun
from nmt.files import JsonObject, write_json, write_text
from nmt.inference.bundle import WEIGHTS
from nmt.model.tensors import read_shapes

NAMES = {**console.METRICS, "perplexity": "perplexity"}
SHOWN = (*BRACKETS, *TESTED)
"""Metrics of the columns, if they are recorded."""
LEGEND = "Mean ± standard deviation of the sample [minimum, maximum] over the seeds; dev is of the best checkpoint"
WIDTH, ROW, MARGIN = 4.5, 0.28, 1.0  # inches: the width of a panel, the height of a variant, the height of all else


@dataclass(frozen=True)
class Spread:
    """A quantity over the runs of a variant."""

    values: list[float]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """The standard deviation of the sample, by one less than its size; None of one value."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    def summary(self) -> JsonObject:
        low, high = min(self.values), max(self.values)
        return {"mean": self.mean, "standard_deviation": self.deviation, "min": low, "max": high}

    def __str__(self) -> str:
        if self.deviation is None:
            return f"{self.mean:.2f}"
        return f"{self.mean:.2f} ± {self.deviation:.2f} [{min(self.values):.2f}, {max(self.values):.2f}]"


@dataclass(frozen=True)
class Row:
    """A variant in the comparison."""

    name: str
    overrides: list[str]
    parameters: int
    seeds: list[int]
    folders: list[str]
    quantities: dict[str, Spread]  # by column: `dev perplexity`, `test BLEU`
    costs: dict[str, Spread]  # by the names of `costs.columns_of`
    intervals: dict[str, list[Interval | None]]  # of BLEU over the lines, by test set, one of each seed

    def as_json(self) -> JsonObject:
        spreads = {
            key: {name: {**spread.summary(), "values": spread.values} for name, spread in values.items()}
            for key, values in (("quantities", self.quantities), ("costs", self.costs))
        }
        return {**asdict(self), **spreads}


def compare(sweep: Sweep, *, as_json: bool) -> None:
    """Print the comparison of the finished runs, and write it into the folder of the sweep.

    Raises UsageError where no run is finished.
    """
    finished = sweep.finished()
    if not finished:
        raise UsageError(f"{sweep.folder}: no run of this sweep is finished", hint="run it without --table")
    rows = [row_of(list(group)) for _, group in groupby(finished, key=lambda pair: pair[0].variant)]
    columns = list(dict.fromkeys(name for row in rows for name in row.quantities))
    signatures = signatures_of([run for _, run in finished])
    if missing := len(sweep.runs) - len(finished):
        console.warn(f"{missing} of {len(sweep.runs)} runs are not finished, and not in the table")
    for quantity, found in signatures.items():
        if len(found) > 1:
            console.warn(f"{quantity} has several signatures, so that its scores cannot be compared")
    record = {
        "recipe": finished[0][1].recipe.name,
        "runs": len(sweep.runs),
        "signatures": signatures,
        "variants": [row.as_json() for row in rows],
    }
    lines = [f"{name}: {signature}" for name, found in signatures.items() for signature in found]
    write_json(sweep.folder / "sweep.json", record)
    write_text(sweep.folder / "sweep.csv", as_csv(rows, columns))
    write_text(sweep.folder / "sweep.md", as_markdown(rows, columns, lines))
    for ending in ("png", "svg"):
        draw(rows, [name for name in columns if name.endswith("BLEU")], sweep.folder / f"sweep.{ending}")
    if as_json:
        console.json_out(record)
    else:
        console.whole_table(*cells(rows, columns))
        console.out("\n".join(["", LEGEND, *lines, ""]))
        console.whole_table(*cost_cells(rows))
        console.out(f"\n{costs.LEGEND}")
    console.log(f"the same as a table, and a picture, in {sweep.folder}: sweep.json, .csv, .md, .png, .svg")


def row_of(group: Sequence[tuple[SweepRun, FinishedRun]]) -> Row:
    """Return the row of the finished runs of one variant."""
    values: dict[str, list[float]] = {}
    spent: dict[str, list[float]] = {}
    intervals: dict[str, list[Interval | None]] = {}
    for _, run in group:
        best = best_validation(run)
        found = {f"dev {NAMES[name]}": best[name] for name in ("perplexity", "bleu") if best.get(name) is not None}
        for test, scores in run.scores.items():
            found |= {f"{test} {NAMES[name]}": scores[name].score for name in SHOWN if name in scores}
            intervals.setdefault(test, []).append(costs.bleu_interval(run, test))
        for collected, of_run in ((values, found), (spent, costs.costs_of(run))):
            for name, value in of_run.items():
                collected.setdefault(name, []).append(value)
    first, run = group[0]
    return Row(
        first.variant.name,
        list(first.variant.overrides),
        sum(map(math.prod, read_shapes(run.folder.bundle / WEIGHTS).values())),
        [one.seed for one, _ in group],
        [str(run.folder.path) for _, run in group],
        {name: Spread(found) for name, found in values.items()},
        {name: Spread(found) for name, found in spent.items()},
        intervals,
    )


def best_validation(run: FinishedRun) -> JsonObject:
    """Return the validation of the best checkpoint; nothing where the log has lost it."""
    trained = run.lock.results["train"].counts if "train" in run.lock.results else None
    step = (trained or {}).get("best_step")
    return next((event for event in reversed(run.log) if event.get("kind") == "dev" and event["step"] == step), {})


def signatures_of(runs: Sequence[FinishedRun]) -> dict[str, list[str]]:
    """Return the signatures of the scores of the tests, by metric, each once."""
    found: dict[str, dict[str, None]] = {}
    for run in runs:
        for test, scores in run.scores.items():
            for name in SHOWN:
                if name in scores:
                    found.setdefault(f"{test} {NAMES[name]}", {})[scores[name].signature] = None
    return {name: list(signatures) for name, signatures in found.items()}


def cells(rows: Sequence[Row], columns: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Return the head and the cells of the table."""
    lines = [
        [row.name, f"{row.parameters:,}", str(len(row.seeds))]
        + [str(row.quantities[name]) if name in row.quantities else "-" for name in columns]
        for row in rows
    ]
    return ["variant", "parameters", "seeds", *columns], lines


def cost_cells(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Return the head and the cells of the table of costs: intervals of the first seed, and means."""
    tests, names = cost_columns(rows)
    lines = []
    for row in rows:
        first = [row.intervals.get(test, [None])[0] for test in tests]
        means = [row.costs[name].mean if name in row.costs else None for name in names]
        lines.append(
            [row.name, *("-" if one is None else f"[{one['low']:.2f}, {one['high']:.2f}]" for one in first)]
            + ["-" if mean is None else f"{mean:,.{0 if mean >= 100 else 1}f}" for mean in means]
        )
    return ["variant", *(f"{test} BLEU 95%" for test in tests), *names], lines


def cost_columns(rows: Sequence[Row]) -> tuple[list[str], list[str]]:
    """Return the test sets of all rows, and the names of their costs."""
    tests = list(dict.fromkeys(test for row in rows for test in row.intervals))
    return tests, costs.columns_of(tests)


def as_markdown(rows: Sequence[Row], columns: Sequence[str], signatures: Sequence[str]) -> str:
    """Return both tables in Markdown, with what each variant changes, and the signatures between them."""
    head, lines = cells(rows, columns)
    head.insert(1, "changes")
    for row, line in zip(rows, lines, strict=True):
        line.insert(1, ", ".join(f"`{override}`" for override in row.overrides))
    signed = "\n".join(f"- {line}" for line in signatures)
    legends = (f"{legend}.".replace("\n", ".\n") for legend in (LEGEND, costs.LEGEND))
    parts = [markdown_table(head, lines), next(legends), signed, markdown_table(*cost_cells(rows)), next(legends)]
    return "\n\n".join(parts) + "\n"


def markdown_table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    table = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in table)


def as_csv(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """Return the table with a column for each number; intervals are those of the first seed."""
    text = io.StringIO()
    parts, ends = list(Spread([0.0]).summary()), ("low", "high")
    tests, names = cost_columns(rows)
    writer = csv.writer(text, lineterminator="\n")
    heads = [f"{name} {part}" for name in [*columns, *names] for part in parts]
    heads += [f"{test} BLEU {end}" for test in tests for end in ends]
    writer.writerow(["variant", "changes", "parameters", "seeds", *heads])
    for row in rows:
        spreads = row.quantities | row.costs
        summaries = [spreads[name].summary() if name in spreads else {} for name in [*columns, *names]]
        numbers = [summary.get(part) for summary in summaries for part in parts]
        first = [dict(row.intervals.get(test, [None])[0] or {}) for test in tests]
        numbers += [interval.get(end) for interval in first for end in ends]
        writer.writerow([row.name, " ".join(row.overrides), row.parameters, len(row.seeds), *numbers])
    return text.getvalue()


def draw(rows: Sequence[Row], columns: Sequence[str], path: Path) -> None:
    """Draw a panel for each of `columns` to `path`, an .svg or a .png; the same numbers give the same bytes.

    A row is a variant: each run a circle, the mean a diamond, the line its standard deviation.
    """
    with rc_context({"font.size": 9}):
        size = (WIDTH * len(columns) + 1, ROW * len(rows) + MARGIN)
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
        for axes, column in zip(panels, columns, strict=True):
            for place, row in enumerate(rows):
                if column not in row.quantities:
                    continue
                spread = row.quantities[column]
                axes.plot(spread.values, [place] * len(spread.values), "o", color="#56b4e9", fillstyle="none")
                axes.errorbar(spread.mean, place, xerr=spread.deviation, fmt="D", color="#0072b2", ms=4, capsize=3)
            if column in rows[0].quantities:
                axes.axvline(rows[0].quantities[column].mean, color="#999999", ls=":", lw=1, zorder=0)
            axes.set_title(column, loc="left", fontsize=9)
            axes.grid(axis="x", color="#dddddd", lw=0.5)
            axes.set_axisbelow(True)
        panels[0].set_yticks(range(len(rows)), [row.name for row in rows])
        panels[0].set_ylim(len(rows) - 0.5, -0.5)  # downwards
        save_picture(figure, path)

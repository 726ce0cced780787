"""Scores with their intervals, differences and signatures, as tables for people and for papers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from nmt import console

if TYPE_CHECKING:
    from nmt.evaluation.significance import TestedScore

Name = TypeVar("Name", bound=str)
HEADERS = ["system", "metric", "score", "95% interval", "difference", "95% interval", "p (ar)", "p (bs)"]
LATEX = str.maketrans(
    {char: f"\\{char}" for char in "&%$#_{}"} | {"\\": r"\textbackslash{}", "~": r"\~{}", "^": r"\^{}"}
)


def show(results: Mapping[str, Mapping[Name, TestedScore]]) -> None:
    """Print a row for each system and metric, and then the signatures of the figures; no width cuts either."""
    console.whole_table(*figures(results))
    console.out("")
    console.whole_table(["metric", "signature"], signatures(results))


def show_brackets(brackets: Mapping[str, Mapping[str, float]]) -> None:
    """Print what EVALB prints of each system, and the numbers of lines."""
    names = list(next(iter(brackets.values())))
    rows = [
        [
            name.replace("_", " "),
            *(f"{each[name]:,.{0 if isinstance(each[name], int) else 2}f}" for each in brackets.values()),
        ]
        for name in names
    ]
    console.out("")
    console.whole_table(["brackets", *brackets], rows)


def figures(results: Mapping[str, Mapping[Name, TestedScore]]) -> tuple[list[str], list[list[str]]]:
    """Return the headers and rows of the table of figures, without the columns that are empty."""
    rows = [_row(system, name, score) for system, scores in results.items() for name, score in scores.items()]
    filled = [any(column) for column in zip(*rows, strict=True)]
    headers, *rest = (
        [cell for cell, is_filled in zip(row, filled, strict=True) if is_filled] for row in [HEADERS, *rows]
    )
    return headers, rest


def _row(system: str, name: str, score: TestedScore) -> list[str]:
    row = [system, console.metric_name(name), console.figure(name, score["score"]), "", "", "", "", ""]
    if interval := score.get("interval"):
        row[3] = f"[{console.figure(name, interval['low'])}, {console.figure(name, interval['high'])}]"
    if difference := score.get("difference"):
        value, low, high = (console.figure(name, difference[key], "+") for key in ("value", "low", "high"))
        row[4:] = [
            value,
            f"[{low}, {high}]",
            f"{difference['randomization_p']:.4f}",
            f"{difference['bootstrap_p']:.4f}",
        ]
    return row


def signatures(results: Mapping[str, Mapping[Name, TestedScore]]) -> list[list[str]]:
    """Return rows of metric and signature, which is the same for all systems: of the scores, `bs` and `ar`."""
    rows = []
    for name, score in list(results.values())[-1].items():
        metric = console.metric_name(name)
        rows.append([metric, score["signature"]])
        if interval := score.get("interval"):
            rows.append([metric, interval["signature"]])
        if difference := score.get("difference"):
            rows.append([metric, difference["randomization_signature"]])
    return rows


def latex(results: Mapping[str, Mapping[Name, TestedScore]]) -> str:
    r"""Return a `tabular` with the rules of the package booktabs, after comments with the signatures."""
    headers, rows = figures(results)
    notes = [f"% {metric}: {signature}" for metric, signature in signatures(results)]
    body = [[*map(_text, row[:2]), *(f"${cell}$" if cell else "" for cell in row[2:])] for row in rows]
    lines = [" & ".join(row) + r" \\" for row in [[*map(_text, headers)], *body]]
    head, *lines = lines
    begin, end = rf"\begin{{tabular}}{{ll{'r' * (len(headers) - 2)}}}", r"\end{tabular}"
    return "\n".join([*notes, begin, r"\toprule", head, r"\midrule", *lines, r"\bottomrule", end])


def _text(cell: str) -> str:
    return cell.translate(LATEX)

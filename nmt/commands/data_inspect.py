"""The work of the command `data inspect`: what a parallel text is like, and what would be dropped of it."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from nmt import console
from nmt.data.cleaning.funnel import percent
from nmt.data.cleaning.statistics import Statistics
from nmt.data.reading.corpus import read_corpus
from nmt.data.reading.formats import Format
from nmt.data.reading.named_files import named_corpus, shortened

BAR = 24
"""Characters of the longest bar."""
SHOWN = 70
"""Characters that are shown of a side of an example."""
SIDES = ("source", "target")


def inspect(
    files: list[str],
    source_language: str | None,
    target_language: str | None,
    pairs: int | None,
    form: Format | None,
    columns: str | None,
    as_json: bool,
) -> None:
    """Show what the text of `files` is like, as tables or as JSON."""
    given = named_corpus(files, source_language, target_language, form, columns, pairs)
    odd: Counter[str] = Counter()
    raw = read_corpus(
        *(given.corpus, given.languages),
        root=Path(),
        local=False,
        default_split="train",
        anomalies=odd,
        stdin=console.stdin() if "-" in files else None,
    )
    statistics = Statistics(given.languages)
    with console.Progress("inspect", pairs, unit="pairs") as progress:
        for number in statistics.read(raw):
            progress.update(number)
    report = {
        "files": files,
        "languages": given.languages.model_dump(),
        "odd": dict(odd),
        **statistics.report(),
    }
    if as_json:
        console.json_out(report)
    else:
        show(report)


def show(report: dict[str, Any]) -> None:
    """Print what was found, for people."""
    sides = [report["languages"][side] for side in SIDES]
    console.out(f"{', '.join(report['files'])}: {report['pairs']:,} pairs")
    for name, count in report["odd"].items():
        console.out(f"  odd: {name} {count:,}")
    show_sides(report, sides)
    for unit in ("characters", "words"):
        histogram(f"{unit} a line", sides, [report[side][unit]["histogram"] for side in SIDES])
    ratio = report["ratio"]
    console.out("")
    console.out(
        "length of target to source, in characters: "
        + ", ".join(f"{name} {ratio[name]:.2f}" for name in ("p1", "p5", "median", "p95", "p99"))
    )
    histogram("ratio from", ["pairs"], [ratio["histogram"]])
    for worst, source, target in ratio["worst"]:
        console.out(f"  {worst:.1f} times as long: {shortened(source, SHOWN)} / {shortened(target, SHOWN)}")
    show_filters(report)
    if report["cleaning"]:
        console.out("\nworth a thought, for the recipe:\n\n" + report["cleaning"])


def show_sides(report: dict[str, Any], sides: list[str]) -> None:
    """Print the numbers of both sides, side by side."""
    found = [report[side] for side in SIDES]
    rows: list[list[str]] = []
    for unit in ("characters", "words"):
        rows.append([unit, *(f"{side[unit]['total']:,}" for side in found)])
        for measure in ("min", "mean", "median", "p95", "p99", "max"):
            rows.append([f"{unit} a line, {measure}", *(f"{side[unit][measure]:,}" for side in found)])
    words = [side["vocabulary"] for side in found]
    rows += [
        ["different words", *(f"{side['words']:,}" for side in words)],
        ["of them seen once", *(f"{side['once_share']:.1%}" for side in words)],
        ["most frequent words", *(" ".join(repr(word)[1:-1] for word, _ in side["common"]) for side in words)],
        ["different characters", *(f"{side['different_characters']:,}" for side in found)],
        ["scripts of the letters", *(scripts(side["scripts"]) for side in found)],
        ["lines not in NFC", *(f"{side['mended'].get('unicode', 0):,}" for side in found)],
        ["lines with control characters", *(f"{side['mended']['control_characters']:,}" for side in found)],
        ["lines with surplus white space", *(f"{side['mended']['whitespace']:,}" for side in found)],
    ]
    console.out("")
    console.table(["", *sides], rows)
    for language, side in zip(sides, found, strict=True):
        if side["vocabulary"]["lines"] < report["pairs"]:
            console.out(f"  the words of {language} are those of the first {side['vocabulary']['lines']:,} lines")
        for odd in side["odd_characters"]:
            console.out(f"  odd in {language}: {odd['code']} {odd['name']}: {odd['count']:,}")


def scripts(shares: dict[str, float]) -> str:
    """Write which share of the letters each script has; the rare ones without a number."""
    return ", ".join(
        f"{name.capitalize()} {f'{share:.2%}' if share >= 0.0001 else '< 0.01%'}" for name, share in shares.items()
    )


def histogram(title: str, names: list[str], found: list[list[tuple[float, int]]]) -> None:
    """Print a histogram of each side, bin by bin: how many, and a bar."""
    most = max(count for bins in found for _, count in bins)
    starts = sorted({start for bins in found for start, count in bins if count})
    rows = []
    for start in starts:
        counts = [sum(count for begin, count in bins if begin == start) for bins in found]
        cells = [cell for count in counts for cell in (f"{count:,}", bar(count / most))]
        rows.append([f"{start:g}", *cells])
    console.out("")
    console.table([title, *(cell for name in names for cell in (name, ""))], rows)


def bar(share: float) -> str:
    """Draw a bar of eighths of a character; a share that is there at all shows."""
    eighths = max(round(share * BAR * 8), int(share > 0))
    return "█" * (eighths // 8) + ("", *"▏▎▍▌▋▊▉")[eighths % 8]


def show_filters(report: dict[str, Any]) -> None:
    """Print what each filter would drop, and examples of it."""
    console.out("")
    rows = [
        [
            name,
            f"{found['key']} = {json.dumps(found['value'])}",
            f"{found['pairs']:,}",
            f"{found['of']:,}",
            percent(found["pairs"], found["of"]),
        ]
        for name, found in report["filters"].items()
    ]
    console.table(["filter, alone", "switched on by", "would drop", "of", ""], rows)
    for name, reason in report["unchecked"].items():
        console.out(f"{name}: not looked at: {reason}")
    for name, found in report["filters"].items():
        for source, target in found["examples"]:
            console.out(f"  {name}: {shortened(source, SHOWN)} / {shortened(target, SHOWN)}")

"""Inspect raw parallel text, and print its statistics: the work of `nmt data inspect`."""

import json
from collections import Counter
from typing import BinaryIO

from nmt import console
from nmt.advice.survey import read
from nmt.data.cleaning.funnel import percent
from nmt.data.cleaning.statistics import Statistics
from nmt.data.reading.named_files import NamedCorpus, shortened
from nmt.files import JsonObject

BAR = 24  # characters of the longest bar
SHOWN = 70  # characters shown of each side of an example
SIDES = ("source", "target")


def inspect_text(text: NamedCorpus, stdin: BinaryIO | None) -> JsonObject:
    """Return the languages, the anomalies and the statistics of a text, which is read once."""
    anomalies = Counter[str]()
    pairs = read(text.corpus, text.languages, anomalies=anomalies, stdin=stdin)
    statistics = Statistics(text.languages)
    with console.Progress("inspect", text.corpus.pairs, unit="pairs") as progress:
        for number in statistics.read(pairs):
            progress.update(number)
    return {
        "languages": text.languages.model_dump(exclude_defaults=True),
        "odd": dict(anomalies),
        **statistics.report(),
    }


def show(report: JsonObject) -> None:
    """Print a report of `inspect_text` and the names of its files."""
    languages = [report["languages"][side] for side in SIDES]
    console.out(f"{', '.join(report['files'])}: {report['pairs']:,} pairs")
    for name, count in report["odd"].items():
        console.out(f"  irregular: {name} {count:,}")
    show_sides(report, languages)
    for unit in ("characters", "words"):
        show_histogram(f"{unit} a line", languages, [report[side][unit]["histogram"] for side in SIDES])
    ratio = report["ratio"]
    measures = ", ".join(f"{name} {ratio[name]:.2f}" for name in ("p1", "p5", "median", "p95", "p99"))
    console.out(f"\nlength of target to source, in characters: {measures}")
    show_histogram("ratio from", ["pairs"], [ratio["histogram"]])
    for worst, source, target in ratio["worst"]:
        console.out(f"  {worst:.1f} times as long: {shortened(source, SHOWN)} / {shortened(target, SHOWN)}")
    show_filters(report)
    if report["cleaning"]:
        console.out("\nworth a thought, for the recipe:\n\n" + report["cleaning"])


def show_sides(report: JsonObject, languages: list[str]) -> None:
    """Print the statistics of source and target side by side."""
    sides = [report[side] for side in SIDES]
    rows: list[list[str]] = []
    for unit in ("characters", "words"):
        rows.append([unit, *(f"{side[unit]['total']:,}" for side in sides)])
        for measure in ("min", "mean", "median", "p95", "p99", "max"):
            rows.append([f"{unit} a line, {measure}", *(f"{side[unit][measure]:,}" for side in sides)])
    words = [side["vocabulary"] for side in sides]
    rows += [
        ["different words", *(f"{side['words']:,}" for side in words)],
        ["of them seen once", *(f"{side['once_share']:.1%}" for side in words)],
        ["most frequent words", *(" ".join(repr(word)[1:-1] for word, _ in side["common"]) for side in words)],
        ["different characters", *(f"{side['different_characters']:,}" for side in sides)],
        ["scripts of the letters", *(scripts(side["scripts"]) for side in sides)],
        ["lines not in NFC", *(f"{side['mended'].get('unicode', 0):,}" for side in sides)],
        ["lines with HTML entities", *(f"{side['mended']['entities']:,}" for side in sides)],
        ["lines with control characters", *(f"{side['mended']['control_characters']:,}" for side in sides)],
        ["lines with surplus white space", *(f"{side['mended']['whitespace']:,}" for side in sides)],
    ]
    console.out("")
    console.table(["", *languages], rows)
    for language, side in zip(languages, sides, strict=True):
        if side["vocabulary"]["lines"] < report["pairs"]:
            console.out(f"  the words of {language} are those of the first {side['vocabulary']['lines']:,} lines")
        if side["entities"]:
            listed = ", ".join(f"{entity} {count:,}" for entity, count in side["entities"])
            console.out(f"  HTML entities in {language}: {listed}, as in {shortened(side['with_entities'][0], SHOWN)}")
        for odd in side["odd_characters"]:
            console.out(f"  unusual in {language}: {odd['code']} {odd['name']}: {odd['count']:,}")


def scripts(shares: dict[str, float]) -> str:
    """Write each script's share of the letters; rare scripts as "< 0.01%"."""
    return ", ".join(
        f"{name.capitalize()} {f'{share:.2%}' if share >= 0.0001 else '< 0.01%'}" for name, share in shares.items()
    )


def show_histogram(title: str, names: list[str], histograms: list[list[tuple[float, int]]]) -> None:
    """Print histograms side by side, a row for each bin: its count and a bar."""
    most = max(count for bins in histograms for _, count in bins)
    rows = []
    for start in sorted({start for bins in histograms for start, count in bins if count}):
        counts = [sum(count for begin, count in bins if begin == start) for bins in histograms]
        rows.append([f"{start:g}", *(cell for count in counts for cell in (f"{count:,}", bar(count / most)))])
    console.out("")
    console.table([title, *(cell for name in names for cell in (name, ""))], rows)


def bar(share: float) -> str:
    """Draw a bar in eighths of a character; a share above 0 is at least one eighth."""
    eighths = max(round(share * BAR * 8), int(share > 0))
    return "█" * (eighths // 8) + ("", *"▏▎▍▌▋▊▉")[eighths % 8]


def show_filters(report: JsonObject) -> None:
    """Print the pairs that each filter would drop, and examples."""
    rows = []
    for name, found in report["filters"].items():
        counts = (f"{found['pairs']:,}", f"{found['of']:,}", percent(found["pairs"], found["of"]))
        rows.append([name, f"{found['key']} = {json.dumps(found['value'])}", *counts])
    console.out("")
    console.table(["filter, alone", "switched on by", "would drop", "of", ""], rows)
    for name, reason in report["unchecked"].items():
        console.out(f"{name}: not checked: {reason}")
    for name, found in report["filters"].items():
        for source, target in found["examples"]:
            console.out(f"  {name}: {shortened(source, SHOWN)} / {shortened(target, SHOWN)}")

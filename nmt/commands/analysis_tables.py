"""The analyses of systems as tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from nmt import console

if TYPE_CHECKING:
    from nmt.evaluation.analysis import Analysis, Flaw, Group
    from nmt.evaluation.calibration import Reliability
    from nmt.evaluation.checks import CheckCount
    from nmt.evaluation.robustness import Robustness
    from nmt.evaluation.survival import Survival

Cells = dict[str, list[str]]
"""The cells of the rows, by the names of the rows."""
Table = tuple[list[str], list[list[str]]]
"""Headers and rows."""
SHOWN = 8  # numbers of lines in a cell; --json has all
SCORES = ["lines", "BLEU", "chrF", "length ratio"]
FLAWS = ["lines", "share", "in references", "line numbers"]
CHECKS = ["lines", "missing in", "invented in", "of references: missing", "invented", "lines that fail alone"]
SURVIVAL = ["source", "reference", "hypothesis", "kept", "share", "lines that lack some"]


def show(
    analyses: Mapping[str, Analysis], robustness: Robustness | None = None, reliability: Reliability | None = None
) -> None:
    """Print a table for each kind of group, of the flaws and of what survives, with all systems side by side."""
    others = [
        *(robustness_tables(robustness) if robustness else []),
        *(confidence_tables(reliability) if reliability else []),
    ]
    for headers, rows in [*tables(analyses), *others]:
        console.out("")
        console.whole_table(headers, rows)


def confidence_tables(found: Reliability) -> list[Table]:
    """Return a table of the lines by their confidence, and one of how well it agrees with the chrF measured."""
    rows = [[f"{one['confidence']:.1f}", f"{one['lines']:,}", f"{one['score']:.1f}"] for one in found["bins"]]
    known = [found["correlation"], found["rank_correlation"]]
    figures = [f"{found['lines']:,}", f"{found['error']:.2f}", *("" if one is None else f"{one:.3f}" for one in known)]
    return [
        (["confidence", "lines", "chrF of lines"], rows),
        (["lines", "calibration error", "correlation", "rank correlation"], [figures]),
    ]


def robustness_tables(found: Robustness) -> list[Table]:
    """Return tables of the scores of text that is written otherwise, of their signatures, and of single words."""
    rows, signatures = [], dict[tuple[str, str], list[str]]()
    for variant in found["variants"]:
        for metric, score in variant["scores"].items():
            plain = variant["plain"][metric]["score"]
            row = [variant["name"], f"{variant['changed']:,}", console.metric_name(metric), f"{plain:.2f}"]
            rows.append([*row, f"{score['score']:.2f}", f"{score['score'] - plain:+.2f}"])
            key = console.metric_name(metric), score["signature"]
            signatures[key] = [*signatures.get(key, []), variant["name"]]
    words = found["single_words"]
    flaws = {name.replace("_", " "): count for name, count in words["flaws"].items()}
    far = {} if words["over_long"] is None else {"over 3x pieces": words["over_long"]}
    counts = {"single words": words["words"], "long": words["long"], **far, **flaws}
    return [
        (["written", "lines changed", "metric", "plain", "so written", "difference"], rows),
        (["metric", "signature", "written"], [[*key, ", ".join(names)] for key, names in signatures.items()]),
        (list(counts), [[f"{count:,}" for count in counts.values()]]),
    ]


def tables(analyses: Mapping[str, Analysis]) -> list[Table]:
    """Return headers and rows of each table that has rows; one system needs no column for its name."""
    kinds = list(dict.fromkeys(kind for analysis in analyses.values() for kind in analysis["by_label"]))
    found = [
        _table("lines", ["words", "words of references", "length ratio", "brevity penalty"], analyses, _brevity),
        _table("words of the source", SCORES, analyses, lambda each: _groups(each["by_length"])),
        _table("training occurrences of the rarest word", SCORES, analyses, lambda each: _groups(each["by_frequency"])),
        *(_table(kind, SCORES, analyses, partial(_labelled, kind)) for kind in kinds),
        _table(
            "flaw",
            FLAWS,
            analyses,
            lambda each: {name.replace("_", " "): _flaw(flaw) for name, flaw in each["flaws"].items()},
        ),
        _table("kept", SURVIVAL, analyses, lambda each: {kind: _kept(kept) for kind, kept in each["survival"].items()}),
        _table(
            "check", CHECKS, analyses, lambda each: {kind: _checked(count) for kind, count in each["checks"].items()}
        ),
    ]
    return [(headers, rows) for headers, rows in found if rows]


def _table(
    first: str, headers: Sequence[str], analyses: Mapping[str, Analysis], cells: Callable[[Analysis], Cells]
) -> Table:
    """Return a table with the rows of each system beside each other."""
    found = {system: cells(analysis) for system, analysis in analyses.items()}
    names = dict.fromkeys(name for rows in found.values() for name in rows)
    is_one = len(found) == 1
    rows = [[name, *([] if is_one else [system]), *found[system][name]] for name in names for system in found]
    return [first, *([] if is_one else ["system"]), *headers], rows


def _brevity(analysis: Analysis) -> Cells:
    found = analysis["brevity"]
    words = f"{found['hypotheses']:,}", f"{found['references']:,}"
    return {f"{analysis['lines']:,}": [*words, f"{found['ratio']:.3f}", f"{found['penalty']:.3f}"]}


def _groups(groups: Sequence[Group]) -> Cells:
    return {
        group["name"]: [
            f"{group['lines']:,}",
            *(f"{group['scores'][metric]['score']:.2f}" for metric in ("bleu", "chrf")),
            f"{group['length_ratio']:.3f}",
        ]
        for group in groups
    }


def _labelled(kind: str, analysis: Analysis) -> Cells:
    return _groups(analysis["by_label"][kind])


def _flaw(flaw: Flaw) -> list[str]:
    return [f"{flaw['count']:,}", f"{flaw['share']:.1%}", f"{flaw['references']:,}", _numbers(flaw["lines"])]


def _kept(found: Survival) -> list[str]:
    counts = (found["source"], found["in_reference"], found["in_hypothesis"], found["kept"])
    share = "" if found["share"] is None else f"{found['share']:.1%}"
    return [*(f"{count:,}" for count in counts), share, _numbers(found["lines"])]


def _checked(found: CheckCount) -> list[str]:
    own = found["lines"], found["missing"], found["invented"]
    counts = *own, found["reference_missing"], found["reference_invented"]
    return [*(f"{count:,}" for count in counts), _numbers(found["failing"])]


def _numbers(lines: Sequence[int]) -> str:
    more = f" and {len(lines) - SHOWN:,} more" if len(lines) > SHOWN else ""
    return ", ".join(map(str, lines[:SHOWN])) + more

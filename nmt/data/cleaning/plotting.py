"""The funnel as a picture: what was read, what each filter dropped, what was kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nmt.files import replacing

ENDINGS = (".svg", ".png")
"""How the name of a picture may end."""
READ, SPLIT_OFF, KEPT = "read", "split off", "kept"
"""The steps that are no filter."""
COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6bb1", "#7f7f7f")
"""Colours of the corpora, told apart also by the colour-blind (Okabe and Ito 2008); after these they begin again."""
WIDTH, ROW, MARGIN = 9.0, 0.3, 1.5
"""Inches: the picture's width, the height of a bar, and that of all else."""
BAR = 0.72
"""Height of a bar as a share of its row."""


@dataclass(frozen=True)
class Step:
    """A place in the funnel."""

    name: str
    pairs: int
    corpora: dict[str, int]
    """The pairs of each corpus; empty where that is not known."""


def steps_of(text: Mapping[str, Any], ids: Mapping[str, Any] | None = None) -> list[Step]:
    """Return the way of the training pairs: read, what each filter dropped, split off, dropped by pieces, kept.

    `text` and `ids` are the counts of the manifests of the cleaned text and of the encoded pairs.
    """
    corpora = text["corpora"]
    steps = [Step(READ, text["funnel"]["read"], {name: found["funnel"]["read"] for name, found in corpora.items()})]
    for name, count in text["funnel"]["dropped"].items():
        of_corpora = {corpus: found["funnel"]["dropped"].get(name, 0) for corpus, found in corpora.items()}
        steps.append(Step(name, count, of_corpora))
    left = {name: found["pairs"] for name, found in corpora.items()}
    split = {name: found["funnel"]["kept"] - found["pairs"] for name, found in corpora.items()}
    if sum(split.values()):
        steps.append(Step(SPLIT_OFF, sum(split.values()), split))
    if ids is not None:
        known = all("funnel" in found for found in ids["corpora"].values())
        for name, count in ids["funnel"]["dropped"].items():
            of_corpora = {}
            if known or not count:
                found_in = {corpus: found.get("funnel", {}) for corpus, found in ids["corpora"].items()}
                of_corpora = {corpus: found_in.get(corpus, {}).get("dropped", {}).get(name, 0) for corpus in corpora}
            elif count == ids["funnel"]["read"] - ids["funnel"]["kept"]:  # the only filter that dropped any
                of_corpora = {corpus: left[corpus] - ids["corpora"].get(corpus, {}).get("pairs", 0) for corpus in left}
            steps.append(Step(name, count, of_corpora))
        left = {name: ids["corpora"].get(name, {}).get("pairs", 0) for name in left}
    return [*steps, Step(KEPT, sum(left.values()), left)]


def draw_funnel(text: Mapping[str, Any], ids: Mapping[str, Any] | None, path: Path) -> None:
    """Draw the funnel to `path`, an .svg or a .png; the same counts give the same bytes.

    What was read and kept has a scale of its own, as filters drop little beside it. What `text` and `ids` are,
    `steps_of` says.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    steps = steps_of(text, ids)
    read = steps[0].pairs
    corpora = list(text["corpora"])
    ends = [step for step in steps if step.name in (READ, KEPT)]
    losses = [step for step in steps if step.name not in (READ, KEPT) and step.pairs]
    idle = [step.name for step in steps if not step.pairs]
    with rc_context({"svg.hashsalt": "nmt", "svg.fonttype": "none", "font.size": 9}):
        rows = len(ends) + max(len(losses), 1)
        figure = Figure(figsize=(WIDTH, ROW * rows + MARGIN), layout="constrained")
        upper, lower = figure.subplots(2, 1, height_ratios=[len(ends), max(len(losses), 1)])
        draw_bars(upper, ends, corpora, read)
        draw_bars(lower, losses, corpora, read)
        lower.set_title("dropped by each filter, in their order, on a scale of its own", loc="left", fontsize=9)
        if idle:
            lower.set_xlabel(f"dropped nothing: {', '.join(idle)}", loc="left", fontsize=8, color="#555555", wrap=True)
        if len(corpora) > 1:
            from matplotlib.patches import Patch

            patches = [Patch(color=color_of(place), label=name) for place, name in enumerate(corpora)]
            figure.legend(handles=patches, loc="outside upper left", ncols=min(len(corpora), 6), frameon=False)
        metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
        with replacing(path) as scratch:
            figure.savefig(scratch, format=path.suffix.removeprefix("."), dpi=150, metadata=metadata)


def percent(count: int, of: int) -> str:
    """Write a share; one too small for its decimals is not written as none.

    >>> percent(1, 3), percent(1, 100_000), percent(0, 3)
    ('33.33%', '<0.01%', '0.00%')
    """
    return "<0.01%" if 0 < count < of * 0.00005 else f"{count / of:.2%}"


def color_of(place: int) -> str:
    """Return the colour of a corpus by its place."""
    return COLORS[place % len(COLORS)]


def draw_bars(axes: Any, steps: Sequence[Step], corpora: Sequence[str], read: int) -> None:
    """Draw a bar for each step, downwards, in the colours of the corpora, with its count and share at its end."""
    widest = max((step.pairs for step in steps), default=0) or 1
    for row, step in enumerate(steps):
        start = 0
        for place, corpus in enumerate(corpora):
            if step.corpora.get(corpus):
                axes.barh(row, step.corpora[corpus], BAR, start, color=color_of(place))
                start += step.corpora[corpus]
        if step.pairs > start:
            axes.barh(row, step.pairs - start, BAR, start, color="#bbbbbb")
        axes.text(step.pairs + widest / 100, row, f"{step.pairs:,} ({percent(step.pairs, read)})", va="center")
    axes.set_yticks(range(len(steps)), [step.name for step in steps])
    axes.set_ylim(max(len(steps), 1) - 0.4, -0.6)
    axes.set_xlim(0, widest * 1.25)
    axes.set_xticks([])
    axes.tick_params(length=0)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)

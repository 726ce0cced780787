"""Draw the funnel: pairs read, dropped by each filter, and kept."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from nmt.data.cleaning.funnel import KEPT, READ, IdsCounts, Step, TextCounts, percent, steps_of
from nmt.files import replacing

COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c6bb1", "#7f7f7f")
"""Colours of the corpora, distinct for the colour-blind too (Okabe and Ito 2008); repeated from the ninth corpus on."""
WIDTH, ROW, MARGIN = 9.0, 0.3, 1.5  # inches: the width of the picture, the height of a bar, the height of all else
BAR = 0.72  # height of a bar as a share of its row


def draw_funnel(text: TextCounts, ids: IdsCounts | None, path: Path) -> None:
    """Draw the funnel to `path`, an .svg or a .png; the same counts give the same bytes.

    The pairs read, added and kept have a scale of their own, beside which the dropped ones would be too few to see.
    """
    steps, corpora = steps_of(text, ids), list(text.train)
    read = steps[0].pairs
    ends = [step for step in steps if step.name in (READ, KEPT) or step.is_added]
    losses = [step for step in steps if step not in ends and step.pairs]
    idle = [step.name for step in steps if not step.pairs]
    with rc_context({"svg.hashsalt": "nmt", "svg.fonttype": "none", "font.size": 9}):
        heights = [len(ends), max(len(losses), 1)]
        figure = Figure(figsize=(WIDTH, ROW * sum(heights) + MARGIN), layout="constrained")
        upper, lower = figure.subplots(2, 1, height_ratios=heights)
        draw_bars(upper, ends, corpora, read)
        draw_bars(lower, losses, corpora, read)
        lower.set_title("dropped by each filter, in their order, on a scale of its own", loc="left", fontsize=9)
        if idle:
            lower.set_xlabel(f"dropped nothing: {', '.join(idle)}", loc="left", fontsize=8, color="#555555", wrap=True)
        if len(corpora) > 1:
            patches = [Patch(color=color_of(index), label=name) for index, name in enumerate(corpora)]
            figure.legend(handles=patches, loc="outside upper left", ncols=min(len(corpora), 6), frameon=False)
        metadata = {"Date": None} if path.suffix.lower() == ".svg" else {"Software": None}
        with replacing(path) as scratch:
            figure.savefig(scratch, format=path.suffix.lower().removeprefix("."), dpi=150, metadata=metadata)


def color_of(corpus: int) -> str:
    return COLORS[corpus % len(COLORS)]


def draw_bars(axes: Axes, steps: Sequence[Step], corpora: Sequence[str], read: int) -> None:
    """Draw a bar for each step, downwards, in the colours of the corpora, with its count and share at its end."""
    widest = max((step.pairs for step in steps), default=0) or 1
    for row, step in enumerate(steps):
        start = 0
        for index, corpus in enumerate(corpora):
            if step.corpora.get(corpus):
                axes.barh(row, step.corpora[corpus], BAR, start, color=color_of(index))
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

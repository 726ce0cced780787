"""Pictures of a page: Matplotlib's figures as SVG within the HTML, in the colours of the page, light or dark."""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nmt.experiments.curves import COLORS, CURVES, DASHES, MARKERS, Points, draw_curve
from nmt.files import JsonObject

INK, LINE = "#101010", "#d0d0d0"  # texts and axes; the grid
VARIABLES = {INK: "var(--ink)", LINE: "var(--grid)", **{color: f"var(--c{n})" for n, color in enumerate(COLORS)}}
"""The page's colours in place of those drawn, so that a picture is readable on a dark page too."""
PANELS = {
    "Loss": {"training": "loss", "dev": "dev_loss"},
    "BLEU on dev": {"dev": "bleu"},
    "chrF on dev": {"dev": "chrf"},
    "Learning rate": {"training": "learning_rate"},
    "Gradient norm": {"training": "gradient_norm"},
    "Target tokens per second": {"training": "speed"},
}
"""The curves of one run by the picture that shows them, each under its label there."""
SIZE = (5.4, 2.8)  # inches
INNER = (0.1, 0.16, 0.88, 0.8)  # left, bottom, width and height of the axes as shares of the picture


def styled(ink: str, grid: str) -> AbstractContextManager[None]:
    """Set the style of pictures in the block: texts and axes in the colour `ink`, and the `grid`."""
    return rc_context(
        {
            "svg.fonttype": "none",  # text stays text: small, and in the reader's font
            "svg.hashsalt": "nmt",
            "text.parse_math": False,
            "font.size": 9,
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "legend.frameon": False,
            "text.color": ink,
            "axes.edgecolor": ink,
            "axes.labelcolor": ink,
            "xtick.color": ink,
            "ytick.color": ink,
            "grid.color": grid,
            "grid.linewidth": 0.6,
            "figure.facecolor": "none",
            "axes.facecolor": "none",
        }
    )


@contextmanager
def drawing(alt: str, size: tuple[float, float] = SIZE) -> Iterator[tuple[Axes, list[Markup]]]:
    """Yield axes to draw on, and a list that holds the picture after the block; `alt` says what it shows."""
    result: list[Markup] = []
    with styled(INK, LINE):
        figure = Figure(figsize=size)  # with fixed margins: a computed layout takes twice as long
        yield figure.add_axes(INNER), result
        result.append(inline_svg(figure, alt))


def inline_svg(figure: Figure, alt: str) -> Markup:
    """Return a figure as an element of HTML that names nothing outside itself."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    svg = re.sub(r"<style.*?</style>|<!--.*?-->", "", file.getvalue(), flags=re.DOTALL)
    head, _, body = svg[svg.index("<svg") :].partition(">")
    box = re.findall(r'viewBox="([^"]*)"', head)[0]
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', body))
    prefix = f"p{abs(hash_of(alt + body)):x}-"
    body = re.sub(r' id="([^"]*)"', lambda found: f' id="{prefix}{found[1]}"' if found[1] in used else "", body)
    body = re.sub(r'(href="|url\()#', rf"\1#{prefix}", body)
    body = re.sub(r"font-family: [^;\"]*;?", "", body)
    body = re.sub("|".join(VARIABLES), lambda found: VARIABLES[found[0]], body)
    body = re.sub(r"\s*\n\s*", " ", body)
    return Markup('<svg role="img" viewBox="{}" aria-label="{}">').format(box, alt) + Markup(body)


def hash_of(text: str) -> int:
    """Return a number that is the same in every process, as Python's own hash is not."""
    value = 0
    for char in text:
        value = (value * 31 + ord(char)) % 0xFFFFFFFF
    return value


def curve_pictures(
    curves: Mapping[str, JsonObject], dev_sets: Mapping[str, Mapping[str, JsonObject]] | None = None
) -> dict[str, Markup]:
    """Draw the curves of one run, by the titles of the pictures; those of `dev_sets` beside that of all of them."""
    pictures = {}
    for title, panel in PANELS.items():
        shown = {label: name for label, name in panel.items() if name in curves}
        points = {label: Points(**curves[name]) for label, name in shown.items()}
        for dev_set, of_set in (dev_sets or {}).items() if "dev" in shown else ():
            if found := of_set.get(shown["dev"]):
                shown[f"dev {dev_set}"] = shown["dev"]
                points[f"dev {dev_set}"] = Points(**found)
        alt = " ".join(described(label, points[label]) for label in shown)
        if not shown:
            continue
        with drawing(f"{title}. {alt}") as (axes, result):
            for number, (label, name) in enumerate(shown.items()):
                draw_curve(axes, CURVES[name], {label: points[label]}, first=number)
            axes.set_ylabel("")
            if len(shown) > 1:
                axes.legend()
        pictures[title] = result[0]
    return pictures


def overlaid_pictures(runs: Sequence[JsonObject]) -> dict[str, Markup]:
    """Draw the curves of several runs together, by the titles of the pictures; the runs look as in `swatch`."""
    pictures = {}
    for name, curve in CURVES.items():
        points = {run["name"]: Points(**run["curves"].get(name, {"x": [], "y": []})) for run in runs}
        if not any(each.x for each in points.values()) or "perplexity" in name:
            continue
        title = curve.title[0].upper() + curve.title[1:]
        with drawing(f"{title}. " + " ".join(described(*item) for item in points.items() if item[1].x)) as (
            axes,
            result,
        ):
            draw_curve(axes, curve, points)
            axes.set_ylabel("")
        pictures[title] = result[0]
    return pictures


def described(label: str, points: Points) -> str:
    """Say how a curve begins and ends, and its extremes.

    >>> described("dev", Points([1, 2, 3], [5, 2, 4]))
    'dev: 5 at step 1, 4 at step 3, least 2 at step 2, most 5 at step 1.'
    """
    pairs = list(zip(points.x, points.y, strict=True))
    values = pairs[0], pairs[-1], min(pairs, key=lambda pair: pair[1]), max(pairs, key=lambda pair: pair[1])
    first, last, least, most = (f"{y:.4g} at step {x:,.0f}" for x, y in values)
    return f"{label}: {first}, {last}, least {least}, most {most}."


def swatch(number: int) -> Markup:
    """Draw a piece of the line of run `number`, for a legend in HTML."""
    look = number % len(COLORS)
    with drawing(f"line {number + 1}", (0.6, 0.16)) as (axes, result):
        axes.plot(
            [0, 0.5, 1], [0, 0, 0], color=COLORS[look], linestyle=DASHES[look], marker=MARKERS[look], markersize=4
        )
        axes.set_axis_off()
    return result[0]


def length_picture(lengths: JsonObject, source: str, target: str) -> Markup:
    """Draw the histograms of the lengths of both sides."""
    names = {"source": source, "target": target}
    sides = [f"{names[side]}: mean {lengths[side]['mean']:.1f} pieces" for side in names]
    with drawing(f"Training pairs by length. {'; '.join(sides)}; longest {lengths['longest']:,}.") as (axes, result):
        for look, side in enumerate(names):
            pairs, width = lengths[side]["pairs"], lengths["bin"]
            edges = [number * width for number in range(len(pairs) + 1)]
            axes.stairs(pairs, edges, color=COLORS[look], linestyle=DASHES[look], linewidth=1.6, label=names[side])
        axes.set_xlabel("pieces")
        axes.legend()
    return result[0]


def reliability_picture(test: str, reliability: JsonObject) -> Markup:
    """Draw the mean chrF of lines by their mean confidence, beside the line on which both are equal."""
    xs, ys = ([one[key] for one in reliability["bins"]] for key in ("confidence", "score"))
    said = "; ".join(f"{x:.0f}: {y:.1f}" for x, y in zip(xs, ys, strict=True))
    with drawing(f"Mean chrF of {test} by confidence. {said}.") as (axes, result):
        axes.plot([0, 100], [0, 100], color=LINE, label="equal")
        axes.plot(xs, ys, color=COLORS[0], marker=MARKERS[0], markersize=4, label="measured")
        axes.set_xlabel("confidence")
        axes.set_xlim(0, 100)
        axes.set_ylim(0, 100)
        axes.legend()
    return result[0]


def groups_picture(test: str, groups: Sequence[JsonObject], what: str) -> Markup:
    """Draw BLEU and chrF of groups of lines of a test set as bars."""
    metrics = {"bleu": "BLEU", "chrf": "chrF"}
    said = [
        f"{group['name']}: " + ", ".join(f"{name} {group['scores'][key]['score']:.1f}" for key, name in metrics.items())
        for group in groups
    ]
    with drawing(f"Scores of {test} by {what}. {'; '.join(said)}.") as (axes, result):
        for look, (key, name) in enumerate(metrics.items()):
            places = [index + (look - 0.5) * 0.4 for index in range(len(groups))]
            heights = [group["scores"][key]["score"] for group in groups]
            axes.bar(places, heights, 0.36, label=name, color=COLORS[look], hatch=("", "///")[look], edgecolor="white")
        axes.set_xticks(range(len(groups)), [group["name"] for group in groups])
        axes.set_xlabel(what)
        axes.grid(visible=False, axis="x")
        axes.margins(y=0.25)  # for the legend
        axes.legend(ncols=2)
    return result[0]

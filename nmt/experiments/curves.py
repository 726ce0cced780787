"""The curves of trainings: what their logs hold by step, by tokens or by hours, as numbers and as pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from nmt.errors import UsageError
from nmt.experiments.finished_run import FinishedRun
from nmt.files import JsonObject

Axis = Literal["steps", "tokens", "hours"]
AXES: dict[Axis, str] = {
    "steps": "step",
    "tokens": "target tokens",
    "hours": "hours of training, without validation",
}
MOST = 600  # points of a curve; of a longer one each point is the mean of as many neighbours
COLORS = ("#0072b2", "#d55e00", "#00785a", "#8f4a96", "#5a5a5a", "#946200", "#3b6fd1", "#a3324b")
"""Colours of the runs, told apart by the colour-blind too (after Okabe and Ito 2008), each readable on white."""
DASHES = ("-", "--", "-.", ":", (0, (8, 2)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2, 2, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
WIDE = 20  # the ratio of largest and least value from which on a curve that may be logarithmic is
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """A value of the log: its kind of event, its key there, and how a picture names it."""

    kind: str
    key: str
    title: str
    is_logarithmic: bool = False


CURVES = {
    "loss": Curve("train", "loss", "training loss"),
    "dev_loss": Curve("dev", "loss", "dev loss"),
    "perplexity": Curve("train", "perplexity", "training perplexity", is_logarithmic=True),
    "dev_perplexity": Curve("dev", "perplexity", "dev perplexity", is_logarithmic=True),
    "bleu": Curve("dev", "bleu", "dev BLEU"),
    "chrf": Curve("dev", "chrf", "dev chrF"),
    "learning_rate": Curve("train", "learning_rate", "learning rate"),
    "gradient_norm": Curve("train", "gradient_norm", "gradient norm", is_logarithmic=True),
    "speed": Curve("train", "tokens_per_second", "target tokens per second"),
}
"""The curves that can be drawn, by their names in options and JSON."""


@dataclass(frozen=True)
class Points:
    """The points of a curve of one run, in the order of the steps."""

    x: list[float]
    y: list[float]

    def to_json(self) -> JsonObject:
        return asdict(self)


def points_of(run: FinishedRun, name: str, axis: Axis = "steps") -> Points:
    """Return the points of the curve `name`; none where the log holds no such values.

    Raises UsageError where the log, as those of older nmt, knows neither tokens nor hours.
    """
    x, y = values_in(run.log, CURVES[name])
    if axis != "steps" and len(x):
        x = along(run, x, axis)
    return thinned(x, y)


def points_of_sets(run: FinishedRun) -> dict[str, dict[str, Points]]:
    """Return the curves of each dev set that has a name, by steps, under the names of the curves of all of them."""
    events = [event for event in run.log if event.get("kind") == "dev"]
    names = dict.fromkeys(name for event in events for name in event.get("sets", {}))
    found: dict[str, dict[str, Points]] = {}
    for name in names:
        log = [{**event["sets"][name], "kind": "dev", "step": event["step"]} for event in events if "sets" in event]
        values = {key: values_in(log, curve) for key, curve in CURVES.items() if curve.kind == "dev"}
        found[name] = {key: thinned(x, y) for key, (x, y) in values.items() if len(x)}
    return found


def values_in(log: Sequence[JsonObject], curve: Curve) -> tuple[Floats, Floats]:
    """Return the steps of `log` that have a value of `curve`, and these values."""
    found = [(event["step"], event.get(curve.key)) for event in log if event.get("kind") == curve.kind]
    known = [(float(step), float(value)) for step, value in found if isinstance(value, int | float)]
    return np.array([step for step, _ in known]), np.array([value for _, value in known])


def along(run: FinishedRun, steps: Floats, axis: Axis) -> Floats:
    """Return how many tokens or hours the training had taken at `steps`. Raises UsageError, see `points_of`."""
    events = [event for event in run.log if event.get("kind") == "train"]
    key, unit = ("tokens", 1.0) if axis == "tokens" else ("seconds", 3600.0)
    if not events or any(key not in event for event in events):
        message = f"{run.folder.log}: has no {axis}, which an older nmt did not log"
        raise UsageError(message, hint="draw the curves by steps")
    so_far = np.cumsum([event[key] / unit for event in events])
    return np.interp(steps, [0.0, *(event["step"] for event in events)], [0.0, *so_far])


def thinned(x: Floats, y: Floats) -> Points:
    """Return the points, of more than MOST the means of neighbours."""
    if len(x) > MOST:
        bounds = np.linspace(0, len(x), MOST + 1).astype(int)
        x, y = (np.array([side[first:last].mean() for first, last in pairwise(bounds)]) for side in (x, y))
    return Points(x.tolist(), y.tolist())


def draw_curve(axes: Axes, curve: Curve, runs: Mapping[str, Points], axis: Axis = "steps", *, first: int = 0) -> None:
    """Draw a curve of several runs, each in its colour, dashes and marker; the look of the first is number `first`."""
    for number, (name, points) in enumerate(runs.items(), first):
        look = number % len(COLORS)
        axes.plot(
            points.x,
            points.y,
            color=COLORS[look],
            linestyle=DASHES[look],
            linewidth=1.4,
            marker=MARKERS[look],
            markersize=3.5,
            markevery=max(1, len(points.x) // 10),
            label=name,
        )
    values = [value for points in runs.values() for value in points.y]
    low, high = min(values, default=1), max(values, default=1)
    if curve.is_logarithmic and 0 < low * WIDE < high:
        axes.set_yscale("log")
        axes.minorticks_off()
        axes.set_yticks(ticks := log_ticks(low, high), [f"{tick:g}" for tick in ticks])
    axes.set_xlabel(AXES[axis])
    axes.set_ylabel(curve.title)
    axes.margins(x=0.02)


def log_ticks(low: float, high: float) -> list[float]:
    """Return about five numbers from `low` to `high` for a logarithmic axis, each 1, 2 or 5 times a power of ten.

    >>> log_ticks(0.3, 2)
    [0.5, 1.0, 2.0]
    """
    exponents = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    all_ticks = [float(f"{digit}e{exponent}") for exponent in exponents for digit in (1, 2, 5)]
    ticks = [tick for tick in all_ticks if low <= tick <= high]
    return ticks[:: max(1, len(ticks) // 5)] or [low]


def check_curves(names: Sequence[str]) -> None:
    """Raise UsageError where one of `names` is no curve."""
    for name in names:
        if name not in CURVES:
            raise UsageError(f"no curve {name!r}", hint=f"choose among {', '.join(CURVES)}")

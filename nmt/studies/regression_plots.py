"""The plots of `nmt study in-context-regression` and `softmax-regression`."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nmt.files import JsonObject
from nmt.studies.base import Results
from nmt.studies.regression_fields import DESCENTS, ESTIMATORS, ONE_VALUED, RegressionCell, RegressionConfig

GRAYS = {"least squares": ":", "ridge": "-", "online": "--"}  # and the dashes of the estimators without steps
HEIGHT, WIDTH = 3.2, 4.2  # inches of a panel
TOP = 2.0  # the highest loss in a picture: predicting 0 has one of 1, and an unstable network leaves the picture


def panels(cells: Sequence[RegressionCell]) -> dict[str, list[RegressionCell]]:
    """Return the networks by kind and mask."""
    by_title: dict[str, list[RegressionCell]] = {}
    for cell in cells:
        by_title.setdefault(f"{cell.kind}, {cell.mask}", []).append(cell)
    return by_title


def by_examples(config: RegressionConfig, cells: Sequence[RegressionCell], results: Results) -> Figure:
    """Draw the loss by the number of examples: a panel for each kind and mask, with the estimators in gray."""
    titles = panels(cells) or {"": []}
    picture = Figure(figsize=(WIDTH * len(titles), HEIGHT + 0.6), layout="constrained")
    axes = picture.subplots(1, len(titles), sharey=True, squeeze=False)[0]
    for each, (title, of_panel) in zip(axes, titles.items(), strict=True):
        if ESTIMATORS in results:
            losses = results[ESTIMATORS]["losses"]
            for name, dashes in GRAYS.items():
                draw(each, {n: of[name] for n, of in losses.items()}, ONE_VALUED[name], color="0.6", linestyle=dashes)
            for k in (1, 4):
                if k <= config.descent_steps:
                    values = {n: of["descent"][k - 1] for n, of in losses.items()}
                    draw(each, values, f"gradient descent, {k}", color="0.75", linestyle="-.", marker=str(k))
        for number, cell in enumerate(cell for cell in of_panel if not results[cell.name]["diverged"]):
            draw(each, results[cell.name]["losses"], f"layers: {cell.layers}", color=f"C{number}", marker="o")
        each.axvline(config.examples, color="0.9", linewidth=1, zorder=0)
        each.set(title=title, xlabel="examples", xscale="log", yscale="log")
        each.set_ylim(top=TOP)
    axes[0].set_ylabel("mean squared error, without the noise")
    lines = {str(line.get_label()): line for each in axes for line in each.lines if str(line.get_label())[0] != "_"}
    if lines:
        picture.legend(handles=[*lines.values()], loc="outside lower center", ncols=5, fontsize=8)
    return picture


def draw(
    axes: Axes, losses: dict[str, float], label: str, *, color: str, linestyle: str = "-", marker: str = ""
) -> None:
    style = {"color": color, "linestyle": linestyle, "marker": f"${marker}$" if marker.isdigit() else marker}
    axes.plot([*map(int, losses)], [*losses.values()], label=label, markersize=4, **style)  # type: ignore[arg-type]


def by_layers(config: RegressionConfig, cells: Sequence[RegressionCell], results: Results) -> Figure:
    """Draw the loss at `examples` by layers, and by steps of the descents."""
    picture = Figure(figsize=(1.5 * WIDTH, 1.3 * HEIGHT), layout="constrained")
    axes, most = picture.add_subplot(), str(config.examples)
    for number, (title, of_panel) in enumerate(panels(cells).items()):
        losses = {str(c.layers): results[c.name]["losses"][most] for c in of_panel if not results[c.name]["diverged"]}
        draw(axes, losses, title, color=f"C{number}", marker="o")
    if ESTIMATORS in results:
        losses = results[ESTIMATORS]["losses"][most]
        for (name, title), dashes in zip(DESCENTS.items(), ("-.", ":"), strict=True):
            steps = {str(k): value for k, value in enumerate(losses[name][: max(config.layers)], 1)}
            draw(axes, steps, f"{title}, by steps", color="0.5", linestyle=dashes)
        for name, dashes in GRAYS.items():
            axes.axhline(losses[name], color="0.75", linestyle=dashes, label=ONE_VALUED[name], linewidth=1)
    axes.set(xlabel="layers, or steps", ylabel=f"mean squared error, {config.examples} examples", yscale="log")
    axes.set_ylim(top=TOP)
    axes.legend(fontsize=8)
    return picture


def by_norm(results: Mapping[float, JsonObject], rates: Sequence[float]) -> Figure:
    """Draw the errors of `nmt study softmax-regression` by the norm of the problems."""
    picture = Figure(figsize=(1.2 * WIDTH, HEIGHT), layout="constrained")
    axes = picture.add_subplot()
    known = {norm: result for norm, result in results.items() if not result["diverged"]}
    curves = {"of the update": [result["error"] for result in known.values()]}
    for rate in rates:
        curves[f"of f, rate {rate:g}"] = [result["rates"][f"{rate:g}"]["error"] for result in known.values()]
    for number, (label, errors) in enumerate(curves.items()):
        axes.plot([*known], errors, color=f"C{number}", marker="o", label=label)
    axes.set(xlabel="norm of x and of the rows of A", ylabel="error, a share of the step", xscale="log", yscale="log")
    axes.legend(fontsize=8)
    return picture

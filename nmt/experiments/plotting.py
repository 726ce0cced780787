"""The curves of runs as a picture for a paper."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path

from matplotlib import rc_context
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure

from nmt.errors import ArtifactError, UsageError
from nmt.evaluation.attention_maps import FALLBACK, fonts_for
from nmt.experiments.curves import CURVES, Axis, check_curves, draw_curve, points_of
from nmt.experiments.finished_run import FinishedRun
from nmt.experiments.pictures import styled
from nmt.files import check_output, is_missing, replacing

DEFAULT = ("loss", "dev_loss", "bleu")  # curves
NARROW = 4.0  # inches below which pictures lie below each other, not two beside each other
PANEL = 0.62  # height of a picture as a share of its width
NO_DATE = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}, ".png": {"Software": None}}
"""Metadata by ending with which the same curves give the same bytes."""


def plot(
    folders: Sequence[Path], path: Path, *, curves: Sequence[str], labels: Sequence[str], axis: Axis, width: float
) -> None:
    """Draw `curves` of the run folders to `path`, see `plot_curves`.

    Raises UsageError where an argument is wrong, ArtifactError where a folder is no run with scores, or has no log.
    """
    check_curves(curves)
    check_ending(path)
    runs = [FinishedRun.open(folder) for folder in folders]
    for run in runs:
        if is_missing(run.folder.log):
            raise ArtifactError(f"{run.folder.log}: missing", hint="the curves of a run are in its log")
    plot_curves(runs, curves, path, labels=labels_of(runs, labels), axis=axis, width=width)


def plot_curves(
    runs: Sequence[FinishedRun], names: Sequence[str], path: Path, *, labels: Sequence[str], axis: Axis, width: float
) -> None:
    """Draw the curves `names` of `runs`, under their `labels`, to `path`, in a picture of `width` inches.

    Raises UsageError where no log has one of the curves.
    """
    check_output(path)
    columns = 1 if width < NARROW or len(names) == 1 else 2
    rows = ceil(len(names) / columns)
    families, missing = fonts_for(labels)
    with (
        styled("#000000", "#d9d9d9"),
        rc_context(
            {
                "font.family": [*families, FALLBACK] if missing else families,
                "font.size": 8,
                "figure.facecolor": "white",
                "pdf.fonttype": 42,  # TrueType, as journals ask for
            }
        ),
        replacing(path) as scratch,
    ):
        figure = Figure(figsize=(width, width / columns * PANEL * rows + 0.3), layout="constrained")
        for number, name in enumerate(names, 1):
            points = dict(zip(labels, (points_of(run, name, axis) for run in runs), strict=True))
            drawn = {label: each for label, each in points.items() if each.x}
            if not drawn:
                raise UsageError(f"{runs[0].folder.log}: has no {CURVES[name].title}", hint="choose other --curves")
            axes = figure.add_subplot(rows, columns, number)
            for look, label in enumerate(labels):
                if label in drawn:
                    draw_curve(axes, CURVES[name], {label: drawn[label]}, axis, first=look)
        if len(runs) > 1:
            handles = {str(line.get_label()): line for axes in figure.axes for line in axes.lines}
            shown = [handles[label] for label in labels if label in handles]
            figure.legend(handles=shown, loc="outside upper center", ncols=min(len(shown), 3), handlelength=3.5)
        metadata = NO_DATE.get(path.suffix.lower())
        figure.savefig(scratch, format=path.suffix.lower().removeprefix("."), dpi=300, metadata=metadata)


def save_picture(figure: Figure, path: Path) -> None:
    """Write a figure to `path`, an .svg or a .png; the same figure gives the same bytes."""
    with rc_context({"svg.hashsalt": "nmt", "svg.fonttype": "none"}), replacing(path) as scratch:
        figure.savefig(scratch, format=path.suffix.removeprefix("."), dpi=150, metadata=NO_DATE[path.suffix])


def check_ending(path: Path) -> None:
    """Raise UsageError where Matplotlib writes no pictures with the ending of `path`."""
    known = FigureCanvasBase.get_supported_filetypes()
    if path.suffix.lower().removeprefix(".") not in known:
        raise UsageError(f"-o {path}: not the name of a picture", hint=f"end it in one of .{', .'.join(sorted(known))}")


def labels_of(runs: Sequence[FinishedRun], given: Sequence[str]) -> list[str]:
    """Return the labels of `runs`: those given, or else their names, with their folders where names are the same.

    Raises UsageError where another number is given, or a label or run twice.
    """
    names = [run.name for run in runs]
    if given and len(given) != len(runs):
        raise UsageError(f"--labels: {len(given)} for {len(runs)} runs", hint="give one for each run")
    labels = [*given] or [str(run.folder.path) if names.count(run.name) > 1 else run.name for run in runs]
    for label in labels:
        if labels.count(label) > 1:
            raise UsageError(f"{label}: {'two runs have this label' if given else 'the same run twice'}")
    return labels

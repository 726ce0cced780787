"""Pictures of attention: heat maps of each layer and head, by weights or norms, and the alignment of words.

The colours differ in lightness, also for the colour-blind, and every picture has a white ground of its own.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib import get_data_path, rc_context
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager
from matplotlib.ft2font import FT2Font
from matplotlib.image import imsave
from numpy.typing import NDArray

from nmt.errors import UsageError

Form = Literal["png", "svg"]
Measure = Literal["weights", "norms"]
Weights = NDArray[np.float32]
START = "<s>"  # input of the decoder's first step
KINDS = {"encoder": "source self-attention", "decoder": "target self-attention", "cross": "cross-attention"}
"""Names of kinds that are true of every family, see `nmt.model.protocol.Model.attention_maps`."""
UNITS = {"weights": "weight", "norms": "share of the norms"}
COLORS = "cividis"
CELL, SMALLEST, LABELLED = 0.2, 0.02, 0.06
"""Inches of a weight where there are few, of the smallest one, and of the smallest one whose piece is written."""
WIDTH, HEIGHT = 30.0, 40.0  # inches of the maps of a picture whose weights are larger than the smallest
MOST = 1_000_000  # weights in a picture
DPI = 150
FONT, FALLBACK = "DejaVu Sans", "Last Resort High-Efficiency"
"""Fonts that come with Matplotlib; the second draws a box for any character."""
REGULAR = (400, "normal", "regular")
JOINERS = "\u200c\u200d"  # characters without a shape that change those beside them
LINE, IDLE = "#0072b2", "#767676"  # colours of the lines of an alignment and of the words without any
ROW = 0.26  # inches of a word
DESCRIBED = 40  # rows of a map that `describe` lists


@dataclass(frozen=True)
class AttentionMaps:
    """The attention over one segment and its translation, by weights and by norms.

    A norm is the length of the vector that a position adds to the output, see `nmt.model.layers.Attention.norms`, as a
    share of the norms of its row.
    """

    source: list[str]  # S pieces, EOS last
    target: list[str]  # T pieces, EOS last: each is predicted at the step whose weights stand in its row
    weights: Mapping[str, Weights]
    """By kind, see `KINDS`: (layers, H, rows, columns), where a row sums to 1."""
    norms: Mapping[str, Weights]
    """The same, of norms."""
    layer_norms: Mapping[str, Weights]
    """By kind: (layers, rows, columns), of the norms of the sum over all heads, where a row sums to 1."""

    def labels(self, kind: str) -> tuple[list[str], list[str]]:
        """Return the pieces of the rows, which attend, and of the columns, which are attended to."""
        if kind == "encoder":
            return self.source, self.source
        return self.target, self.source if kind == "cross" else [START, *self.target[:-1]]

    def chosen(
        self, kind: str, layer: int | None = None, head: int | None = None, measure: Measure = "weights"
    ) -> Weights:
        """Return the weights or norms of one layer and head, or of all, as (layers, H, rows, columns).

        Both are counted from 1. Raises UsageError where there is no such layer or head.
        """
        weights = self.weights[kind] if measure == "weights" else self.norms[kind]
        for name, number, size in (("layer", layer, weights.shape[0]), ("head", head, weights.shape[1])):
            if number is not None and not 1 <= number <= size:
                raise UsageError(f"no {name} {number} of {KINDS[kind]}", hint=f"it has {size}, counted from 1")
        layers = slice(None) if layer is None else slice(layer - 1, layer)
        heads = slice(None) if head is None else slice(head - 1, head)
        return weights[layers, heads]

    def tiles(self, kind: str, layer: int | None, head: int | None, measure: Measure) -> tuple[Weights, list[str]]:
        """Return the maps of a picture, (layers, maps, rows, columns), and the names of those of a layer.

        These are the heads chosen, and by norms all heads together where no head is. Raises UsageError as `chosen`.
        """
        maps = self.chosen(kind, layer, head, measure)
        names = [head_name(head or index + 1) for index in range(maps.shape[1])]
        if measure == "weights" or head is not None:
            return maps, names
        return np.concatenate([maps, self.together(kind, layer)[:, None]], 1), [*names, head_name(None)]

    def one(self, kind: str, layer: int, head: int | None, measure: Measure) -> Weights:
        """Return the map (rows, columns) of a layer and head, or, where this is None, of the norms of all heads."""
        return self.together(kind, layer)[0] if head is None else self.chosen(kind, layer, head, measure)[0, 0]

    def together(self, kind: str, layer: int | None = None) -> Weights:
        """Return the norms of all heads together of one layer, or of all, as (layers, rows, columns)."""
        return self.layer_norms[kind][slice(None) if layer is None else slice(layer - 1, layer)]


def map_png(weights: Weights) -> bytes:
    """Return `weights` (rows, columns) as a PNG of a pixel each, to be enlarged without smoothing."""
    file = BytesIO()
    imsave(file, weights, vmin=0, vmax=1, cmap=COLORS, format="png", metadata={"Software": "nmt"})
    return file.getvalue()


def describe(maps: AttentionMaps, kind: str, layer: int, head: int | None, measure: Measure = "weights") -> str:
    """Describe the map of a layer and head in words: the piece to which each of its rows attends most.

    By norms it may be that of all heads, None.
    """
    rows, columns = maps.labels(kind)
    weights = maps.one(kind, layer, head, measure)
    best = weights.argmax(-1)
    listed = [
        f"{row} to {columns[column]} ({weights[index, column]:.2f})"
        for index, (row, column) in enumerate(zip(rows[:DESCRIBED], best, strict=False))
    ]
    rest = ", ..." if len(rows) > DESCRIBED else ""
    name = f"{KINDS[kind]}{'' if measure == 'weights' else ' by norms'}, layer {layer}, {head_name(head)}"
    return f"{name}: each piece attends most from {', '.join(listed)}{rest}"


def head_name(head: int | None) -> str:
    return "all heads" if head is None else f"head {head}"


def draw_attention(
    maps: AttentionMaps,
    kind: str,
    *,
    layer: int | None = None,
    head: int | None = None,
    measure: Measure = "weights",
    form: Form = "png",
) -> bytes:
    """Draw the attention of `kind` of one layer and head, or of all: a row of maps a layer, a column a head.

    By norms a last column shows all heads together. Raises UsageError where there is no such layer or head, or the
    picture would be too large.
    """
    weights, names = maps.tiles(kind, layer, head, measure)
    layers, heads, height, width = weights.shape
    if weights.size > MOST:
        raise UsageError(f"{weights.size:,} weights are too many for a picture", hint="choose a layer, or a head")
    # One image with a gap after each map: to draw an image for each map would take seconds.
    tiles = np.pad(weights, ((0, 0), (0, 0), (0, 1), (0, 1)), constant_values=np.nan)
    image = tiles.transpose(0, 2, 1, 3).reshape(layers * (height + 1), heads * (width + 1))[:-1, :-1]
    cell = max(min(CELL, WIDTH / image.shape[1], HEIGHT / image.shape[0]), SMALLEST)
    rows, columns = maps.labels(kind)
    with drawing([*rows, *columns]):
        figure = Figure(figsize=(cell * image.shape[1], cell * image.shape[0]), facecolor="white")
        axes = figure.add_axes((0, 0, 1, 1))
        drawn = axes.imshow(image, vmin=0, vmax=1, cmap=COLORS, aspect="auto", interpolation="nearest")
        axes.set_axis_off()
        size = min(cell * 72 * 0.7, 9)
        for x, text in place(columns, heads, cell):  # ticks would take three times as long
            axes.text(x, image.shape[0], text, fontsize=size, ha="center", va="top", rotation=90, parse_math=False)
        for y, text in place(rows, layers, cell):
            axes.text(-0.8, y, text, fontsize=size, ha="right", va="center", parse_math=False)
        for index, name in enumerate(names):
            at = index * (width + 1) + (width - 1) / 2
            axes.text(at, -0.8, name, ha="center", va="bottom", fontsize=8)
        for index in range(layers):
            at = index * (height + 1) + (height - 1) / 2
            name = f"layer {layer or index + 1}"
            axes.text(image.shape[1] - 0.2, at, name, ha="left", va="center", rotation=270, fontsize=8)
        edge = 1 + 0.35 / (cell * image.shape[1])
        bar = figure.add_axes((edge, 0, 0.12 / (cell * image.shape[1]), min(1, 2 / (cell * image.shape[0]))))
        figure.colorbar(drawn, cax=bar).set_label(UNITS[measure], fontsize=8)
        bar.tick_params(labelsize=7)
        return saved(figure, form)


def place(labels: Sequence[str], count: int, cell: float) -> list[tuple[int, str]]:
    """Return the positions of `labels` beside `count` maps, with a gap after each; none where cells are too small."""
    if cell < LABELLED:
        return []
    texts = [shown(label) for label in labels]
    return [(tile * (len(texts) + 1) + index, text) for tile in range(count) for index, text in enumerate(texts)]


def draw_alignment(
    source: Sequence[str], target: Sequence[str], pairs: Sequence[tuple[int, int]], *, form: Form = "png"
) -> bytes:
    """Draw the words of both sides from top to bottom, with a line for each of the aligned `pairs`, counted from 0."""
    aligned = {index for index, _ in pairs}, {index for _, index in pairs}
    with drawing([*source, *target]):
        figure = Figure(figsize=(2, ROW * max(len(source), len(target), 1)), facecolor="white")
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, 1)
        axes.set_ylim(max(len(source), len(target), 1) - 0.5, -0.5)
        for left, right in pairs:
            axes.plot([0, 1], [left, right], color=LINE, linewidth=1.4, solid_capstyle="round")
        for side, x, where in ((0, -0.04, "right"), (1, 1.04, "left")):
            for index, word in enumerate((source, target)[side]):
                color = "black" if index in aligned[side] else IDLE
                axes.text(x, index, shown(word), ha=where, va="center", color=color, parse_math=False)
        return saved(figure, form)


def saved(figure: Figure, form: Form) -> bytes:
    """Return the bytes of a picture that is as large as all that was drawn; the same figure gives the same bytes."""
    file = BytesIO()
    metadata = {"Date": None} if form == "svg" else {"Software": None}
    figure.savefig(file, format=form, dpi=DPI, bbox_inches="tight", pad_inches=0.1, metadata=metadata)
    return file.getvalue()


def shown(text: str) -> str:
    """Return `text` with U+FFFD in place of characters that have no shape, which an SVG may not hold."""
    return "".join(c if c.isprintable() or c in JOINERS else "\ufffd" for c in text)


@contextmanager
def drawing(texts: Iterable[str]) -> Iterator[None]:
    """Set up Matplotlib in the block for a picture with `texts`."""
    families, missing = fonts_for(texts)
    families = [*families, FALLBACK] if missing else families
    # The text of an SVG stays text, for which its reader has fonts.
    with rc_context({"svg.hashsalt": "nmt", "svg.fonttype": "none", "font.family": families, "font.size": 9}):
        yield


def fonts_for(texts: Iterable[str]) -> tuple[list[str], str]:
    """Return installed fonts that have the characters of `texts` together, and the characters that none of them has."""
    missing = {character for text in texts for character in shown(text) if character not in JOINERS}
    families = []
    for family in (FONT, *other_families()):
        if found := {character for character in missing if ord(character) in characters_of(family)}:
            families.append(family)
            missing -= found
        if not missing:
            break
    return families or [FONT], "".join(sorted(missing))


@cache
def other_families() -> list[str]:
    """Return the fonts of the system other than FONT, those without serifs first."""
    # Without a regular weight, Matplotlib writes to the console that it takes another one. Its own fonts are for
    # formulas, and some have other characters in the place of Unicode's.
    entries = (entry for entry in fontManager.ttflist if entry.style == "normal" and entry.weight in REGULAR)
    names = {entry.name for entry in entries if not Path(entry.fname).is_relative_to(get_data_path())}
    return sorted(names - {FONT}, key=lambda name: ("Sans" not in name, name))


@cache
def characters_of(family: str) -> frozenset[int]:
    """Return the code points that the font of `family` has."""
    return frozenset(FT2Font(findfont(FontProperties(family=[family]))).get_charmap())

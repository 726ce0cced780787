"""Attention on a page: labelled heat maps, and the alignment of words, as SVG whose text the browser sets."""

from base64 import b64encode
from collections.abc import Sequence

from markupsafe import Markup

from nmt.evaluation.attention_maps import KINDS, AttentionMaps, Measure, describe, head_name, map_png
from nmt.experiments.attention import maps_from_json
from nmt.files import JsonObject

CELL, FONT, GAP = 12, 10, 4  # units of the SVG: a weight, a label, the space between labels and map
LETTERS, WORD = 12, 20  # letters of a label and of a word that are shown
WIDE = 7  # units of a letter
ROW, SIDE, BRIDGE = 20, 150, 90  # of an alignment: the height of a word, the width of a column and between them


def attention_pictures(number: int, line: JsonObject) -> JsonObject:
    """Draw the maps and the alignment of a line, the `number`th of the page.

    The maps of a kind share their labels, which the `definitions` hold.
    """
    maps = maps_from_json(line)
    definitions, kinds = list[Markup](), {}
    for kind, name in KINDS.items():
        if kind not in maps.weights:
            continue
        key = f"labels-{number}-{kind}"
        definitions.append(labels(key, maps, kind))
        layers, heads = maps.weights[kind].shape[:2]
        title = f"{name} (layers: {layers}, heads: {heads})"
        kinds[title] = [row for layer in range(1, layers + 1) for row in rows_of(layer, key, maps, kind)]
    return {"definitions": definitions, "kinds": kinds, "alignment": alignment_picture(line)}


def rows_of(layer: int, key: str, maps: AttentionMaps, kind: str) -> list[list[tuple[Markup, str]]]:
    """Draw the maps of a layer with their captions: a row by weights, and one by norms, all heads together last."""
    heads = range(1, maps.weights[kind].shape[1] + 1)
    shown: list[tuple[Measure, list[int | None]]] = [
        ("weights", [*heads]),
        ("norms", [*(heads if kind in maps.norms else ()), None]),
    ]
    return [
        [
            (
                heat_map(key, maps, kind, layer, head, measure),
                f"Layer {layer}, {head_name(head)}{', norms' if measure == 'norms' else ''}",
            )
            for head in row
        ]
        for measure, row in shown
    ]


def margins(maps: AttentionMaps, kind: str) -> tuple[int, int]:
    """Return the width of the labels of the rows, and the height of those of the columns."""
    left, top = (WIDE * max(len(cut(text)) for text in texts) + GAP for texts in maps.labels(kind))
    return left, top


def labels(key: str, maps: AttentionMaps, kind: str) -> Markup:
    """Draw the pieces beside the rows and above the columns of a map."""
    left, top = margins(maps, kind)
    rows, columns = maps.labels(kind)
    middle = CELL / 2 + FONT / 3
    beside = Markup('<text x="{}" y="{:.0f}" text-anchor="end">{}</text>')
    above = Markup('<text transform="translate({:.0f} {}) rotate(-90)">{}</text>')
    texts = [beside.format(left - GAP, top + index * CELL + middle, cut(text)) for index, text in enumerate(rows)]
    texts += [above.format(left + index * CELL + middle, top - GAP, cut(text)) for index, text in enumerate(columns)]
    return (
        Markup('<g id="{}" font-size="{}" fill="currentColor">').format(key, FONT)
        + Markup("").join(texts)
        + Markup("</g>")
    )


def heat_map(key: str, maps: AttentionMaps, kind: str, layer: int, head: int | None, measure: Measure) -> Markup:
    """Draw a layer and head, or by norms all heads, from dark, 0, to light, 1, with the labels `key`."""
    left, top = margins(maps, kind)
    weights = maps.one(kind, layer, head, measure)
    height, width = (size * CELL for size in weights.shape)
    data = b64encode(map_png(weights)).decode()
    return Markup(
        '<svg role="img" class="map" viewBox="0 0 {} {}" width="{}" aria-label="{}"><use href="#{}"/>'
        '<image x="{}" y="{}" width="{}" height="{}" preserveAspectRatio="none" href="data:image/png;base64,{}"/></svg>'
    ).format(
        left + width,
        top + height,
        left + width,
        describe(maps, kind, layer, head, measure),
        key,
        left,
        top,
        width,
        height,
        data,
    )


def alignment_picture(line: JsonObject) -> Markup | None:
    """Draw the words of both sides from top to bottom, with lines between those aligned; None where nothing is."""
    pairs: Sequence[tuple[int, int]] = line["alignment"] or []
    if not pairs:
        return None
    sides = line["source_words"], line["translation_words"]
    said = ", ".join(f"{sides[0][left]} with {sides[1][right]}" for left, right in pairs)
    lines = [
        Markup('<path d="M{} {}L{} {}"/>').format(SIDE, (left + 0.5) * ROW, SIDE + BRIDGE, (right + 0.5) * ROW)
        for left, right in pairs
    ]
    label = Markup('<text x="{}" y="{:.0f}" text-anchor="{}">{}</text>')
    words = [
        label.format(x, (index + 0.7) * ROW, anchor, cut(word, WORD))
        for side, x, anchor in ((0, SIDE - GAP, "end"), (1, SIDE + BRIDGE + GAP, "start"))
        for index, word in enumerate(sides[side])
    ]
    width, height = 2 * SIDE + BRIDGE, ROW * max(map(len, sides))
    head = '<svg role="img" class="alignment" viewBox="0 0 {} {}" width="{}" aria-label="Alignment of words: {}.">'
    return Markup(head).format(width, height, width, said) + Markup("").join([*lines, *words]) + Markup("</svg>")


def cut(text: str, letters: int = LETTERS) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}\u2026"

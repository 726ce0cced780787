"""Pictures of attention: the right weights in the right places, words in any script, no warnings, the same bytes."""

import io
import re
import warnings
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from matplotlib import rcParams
from matplotlib.figure import Figure
from matplotlib.image import imread

from nmt.errors import UsageError
from nmt.evaluation import attention_maps
from nmt.evaluation.attention_maps import (
    FALLBACK,
    FONT,
    HEIGHT,
    KINDS,
    LABELLED,
    SMALLEST,
    WIDTH,
    AttentionMaps,
    Form,
    characters_of,
    describe,
    draw_alignment,
    draw_attention,
    fonts_for,
    map_png,
    place,
    shown,
)

SOURCE, TARGET = ["▁a", "b", "</s>"], ["▁x", "$y$", "_z^", "</s>"]


@pytest.fixture(autouse=True)
def no_warnings(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    characters_of.cache_clear()  # Matplotlib warns once of each font
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    assert not caplog.records


def make(layers: int = 2, heads: int = 3, source: list[str] = SOURCE, target: list[str] = TARGET) -> AttentionMaps:
    generator = np.random.default_rng(1)

    s, t = len(source), len(target)
    shapes = {"encoder": (s, s), "decoder": (t, t), "cross": (t, s)}

    def draw(*before: int) -> dict[str, Any]:
        drawn = {kind: generator.random((*before, *shape), dtype=np.float32) for kind, shape in shapes.items()}
        return {kind: each / each.sum(-1, keepdims=True) for kind, each in drawn.items()}

    return AttentionMaps(source, target, draw(layers, heads), draw(layers, heads), draw(layers))


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Return the figures that are saved."""
    found: list[Figure] = []
    saved = attention_maps.saved

    def spy(figure: Figure, form: Form) -> bytes:
        found.append(figure)
        return saved(figure, form)

    monkeypatch.setattr(attention_maps, "saved", spy)
    return found


def test_rows_are_the_pieces_that_attend_and_columns_those_that_are_attended_to() -> None:
    maps = make()
    assert maps.labels("encoder") == (SOURCE, SOURCE)
    assert maps.labels("cross") == (TARGET, SOURCE)
    assert maps.labels("decoder") == (TARGET, ["<s>", "▁x", "$y$", "_z^"])
    assert KINDS.keys() == maps.weights.keys()


def test_layers_and_heads_are_counted_from_1_and_others_refused() -> None:
    maps = make()
    assert np.array_equal(maps.chosen("cross"), maps.weights["cross"])
    assert np.array_equal(maps.chosen("cross", 2, 3), maps.weights["cross"][1:, 2:])
    assert maps.chosen("cross", 1).shape == (1, 3, 4, 3)
    assert maps.chosen("cross", head=1).shape == (2, 1, 4, 3)
    assert np.array_equal(maps.chosen("cross", 2, 3, "norms"), maps.norms["cross"][1:, 2:])
    assert np.array_equal(maps.together("cross"), maps.layer_norms["cross"])
    assert np.array_equal(maps.together("cross", 2), maps.layer_norms["cross"][1:])
    assert np.array_equal(maps.one("cross", 2, 3, "norms"), maps.norms["cross"][1, 2])
    assert np.array_equal(maps.one("cross", 2, None, "norms"), maps.layer_norms["cross"][1])
    for layer, head, message in (
        (3, None, "no layer 3 of cross-attention (it has 2, counted from 1)"),
        (0, None, "no layer 0 of cross-attention (it has 2, counted from 1)"),
        (None, 4, "no head 4 of cross-attention (it has 3, counted from 1)"),
    ):
        with pytest.raises(UsageError) as caught:
            maps.chosen("cross", layer, head)
        assert str(caught.value) == message


@pytest.mark.parametrize("kind", KINDS)
def test_each_map_of_a_picture_holds_its_weights_with_a_gap_between(figures: list[Figure], kind: str) -> None:
    maps = make()
    assert draw_attention(maps, kind).startswith(b"\x89PNG")
    weights, (rows, columns) = maps.weights[kind], maps.labels(kind)
    (axes, _) = figures[0].axes
    (drawn,) = axes.images
    assert drawn.get_clim() == (0, 1)
    image: Any = np.ma.filled(np.ma.asarray(drawn.get_array()), np.nan)
    height, width = len(rows) + 1, len(columns) + 1
    assert image.shape == (2 * height - 1, 3 * width - 1)
    for layer in range(2):
        for head in range(3):
            tile = image[layer * height :, head * width :][: height - 1, : width - 1]
            assert np.array_equal(tile, weights[layer, head])
    assert np.isnan(image[height - 1]).all()
    assert np.isnan(image[:, width - 1]).all()
    texts = [(text.get_text(), text.get_position()) for text in axes.texts]
    below, beside = 3 * len(columns), 2 * len(rows)
    assert texts[:below] == [
        (text, (head * width + at, 2 * height - 1)) for head in range(3) for at, text in enumerate(columns)
    ]
    assert texts[below:][:beside] == [
        (text, (-0.8, layer * height + at)) for layer in range(2) for at, text in enumerate(rows)
    ]
    assert [text for text, _ in texts[below + beside :]] == ["head 1", "head 2", "head 3", "layer 1", "layer 2"]


def test_a_layer_and_a_head_are_drawn_alone_and_named(figures: list[Figure]) -> None:
    maps = make()
    draw_attention(maps, "cross", layer=2, head=3)
    axes = figures[0].axes[0]
    assert np.array_equal(np.asarray(axes.images[0].get_array()), maps.weights["cross"][1, 2])
    assert [text.get_text() for text in axes.texts[-2:]] == ["head 3", "layer 2"]


def test_a_picture_by_norms_ends_with_all_heads_together(figures: list[Figure]) -> None:
    maps = make()
    draw_attention(maps, "cross", measure="norms", layer=2)
    draw_attention(maps, "cross", measure="norms", layer=2, head=3)
    image, alone = (np.asarray(each.axes[0].images[0].get_array()) for each in figures)
    expected = [*maps.norms["cross"][1], maps.layer_norms["cross"][1]]
    tiles = [image[:, index * 4 :][:, :3] for index in range(4)]
    assert all(np.array_equal(tile, other) for tile, other in zip(tiles, expected, strict=True))
    assert image.shape == (4, 15)
    assert np.array_equal(alone, maps.norms["cross"][1, 2])
    names = [[text.get_text() for text in each.axes[0].texts] for each in figures]
    assert names[0][-5:] == ["head 1", "head 2", "head 3", "all heads", "layer 2"]
    assert names[1][-2:] == ["head 3", "layer 2"]
    assert figures[0].axes[1].get_ylabel() == "share of the norms"


def test_a_large_picture_has_smaller_cells_down_to_those_without_labels(figures: list[Figure]) -> None:
    for heads, length in ((1, 5), (16, 12), (16, 95)):
        draw_attention(make(1, heads, ["a"] * length, ["b"] * length), "cross", form="svg")
    sizes = [figure.get_size_inches() for figure in figures]
    cells = [
        float(size[0]) / figure.axes[0].images[0].get_size()[1] for size, figure in zip(sizes, figures, strict=True)
    ]
    labels = [sum(text.get_text() in ("a", "b") for text in figure.axes[0].texts) for figure in figures]
    assert labels == [10, 16 * 12 + 12, 0]
    assert all(one >= other for one, other in pairwise(cells))
    assert cells[0] == pytest.approx(0.2)
    assert LABELLED < cells[1] < 0.2
    assert cells[2] == pytest.approx(SMALLEST)
    assert all(size[0] <= WIDTH and size[1] <= HEIGHT for size in sizes[:2])
    assert place(["a", "b"], 2, LABELLED) == [(0, "a"), (1, "b"), (3, "a"), (4, "b")]
    assert place(["a"], 1, LABELLED - 0.001) == []


def test_too_many_weights_for_a_picture_are_refused() -> None:
    maps = make(10, 10, ["a"] * 101, ["b"] * 100)
    with pytest.raises(UsageError) as caught:
        draw_attention(maps, "cross")
    assert str(caught.value) == "1,010,000 weights are too many for a picture (choose a layer, or a head)"


@pytest.mark.parametrize("form", ["png", "svg"])
def test_the_same_weights_and_words_give_the_same_bytes(form: Form) -> None:
    one, other = (
        draw_attention(make(1, 1), "cross", form=form) + draw_alignment(["a"], ["b"], [(0, 0)], form=form)
        for _ in range(2)
    )
    assert one == other
    assert one.startswith(b"\x89PNG" if form == "png" else b"<?xml")


def test_words_in_any_script_are_drawn_without_a_warning_and_stay_text_in_an_svg() -> None:
    words = ["ein", "שלום", "السلام", "日本語", "हिन्दी", "\u200bx", "a\0b\x1b", "$x^2$", "a_b", "\\frac", "&<>", "🙂"]
    pairs = [(index, index) for index in range(len(words))]
    maps = make(1, 1, words, words)
    assert draw_attention(maps, "cross").startswith(b"\x89PNG")
    assert draw_alignment(words, words, pairs).startswith(b"\x89PNG")
    for picture in (draw_attention(maps, "cross", form="svg"), draw_alignment(words, words, pairs, form="svg")):
        text = picture.decode()
        for word in ("שלום", "السلام", "日本語", "\ufffdx", "a\ufffdb\ufffd", "$x^2$", "a_b", "&amp;&lt;&gt;"):
            assert f">{word}<" in text, word


def test_characters_without_a_shape_are_replaced_but_for_joiners() -> None:
    assert shown("a b▁\u200d\u200c") == "a b▁\u200d\u200c"
    assert shown("\0\n\u2028\u200e\ue000") == "\ufffd" * 5


def test_fonts_are_chosen_by_the_characters_that_they_have(monkeypatch: pytest.MonkeyPatch) -> None:
    have = {FONT: "abc▁", "One Sans": "de", "Two Sans": "ef", "Serif": "xyz"}
    monkeypatch.setattr(attention_maps, "characters_of", lambda family: frozenset(map(ord, have[family])))
    monkeypatch.setattr(attention_maps, "other_families", lambda: [name for name in have if name != FONT])
    assert fonts_for(["ab", "▁c"]) == ([FONT], "")
    assert fonts_for(["ad"]) == ([FONT, "One Sans"], "")
    assert fonts_for(["f", "\u200d"]) == (["Two Sans"], "")
    assert fonts_for(["adefq", "r"]) == ([FONT, "One Sans", "Two Sans"], "qr")
    assert fonts_for([]) == ([FONT], "")


def test_the_font_that_draws_boxes_is_the_last_and_never_counts_as_one_that_has_a_character() -> None:
    assert FALLBACK not in attention_maps.other_families()
    assert FONT not in attention_maps.other_families()
    families, missing = fonts_for(["a\U0001f9ff\U000e0041"])
    assert families[0] == FONT
    assert "\U000e0041" not in missing  # it has no shape
    with attention_maps.drawing(["a\U00012000"]):
        used: Any = rcParams["font.family"]
    assert used[0] == FONT
    assert (used[-1] == FALLBACK) == ("\U00012000" in fonts_for(["\U00012000"])[1])


def test_a_line_connects_each_aligned_pair_and_idle_words_are_grey(figures: list[Figure]) -> None:
    draw_alignment(["a", "b", "c"], ["x", "y"], [(0, 1), (2, 0)])
    (axes,) = figures[0].axes
    assert [np.asarray(line.get_xydata()).tolist() for line in axes.lines] == [[[0, 0], [1, 1]], [[0, 2], [1, 0]]]
    words = {
        text.get_text(): (text.get_position(), text.get_color(), text.get_horizontalalignment()) for text in axes.texts
    }
    assert words == {
        "a": ((-0.04, 0), "black", "right"),
        "b": ((-0.04, 1), attention_maps.IDLE, "right"),
        "c": ((-0.04, 2), "black", "right"),
        "x": ((1.04, 0), "black", "left"),
        "y": ((1.04, 1), "black", "left"),
    }
    assert axes.get_ylim() == (2.5, -0.5)


def test_an_alignment_of_nothing_is_a_picture_too() -> None:
    assert draw_alignment([], [], []).startswith(b"\x89PNG")


def test_a_map_is_a_png_of_a_pixel_a_weight_lighter_where_it_is_larger() -> None:
    picture = map_png(np.array([[0.0, 0.25, 0.5], [0.75, 1.0, 0.1]], dtype=np.float32))
    pixels = imread(io.BytesIO(picture))
    assert pixels.shape == (2, 3, 4)
    light = pixels[..., :3].mean(-1)
    assert (np.diff([light[0, 0], light[1, 2], light[0, 1], light[0, 2], light[1, 0], light[1, 1]]) > 0).all()
    assert len(picture) < 300


def test_a_map_is_described_by_the_largest_weight_of_each_row() -> None:
    weights = np.array([[[[0.9, 0.1], [0.25, 0.75]]]], dtype=np.float32)
    kinds = {"cross": weights, "encoder": weights, "decoder": weights}
    norms, together = {"cross": weights[..., ::-1]}, {"cross": weights[0, :, ::-1, ::-1]}
    maps = AttentionMaps(["a", "</s>"], ["x", "</s>"], kinds, norms, together)
    begin = "layer 1, head 1: each piece attends most from "
    assert describe(maps, "cross", 1, 1) == f"cross-attention, {begin}x to a (0.90), </s> to </s> (0.75)"
    assert describe(maps, "decoder", 1, 1) == f"target self-attention, {begin}x to <s> (0.90), </s> to x (0.75)"
    begin = "cross-attention by norms, layer 1, {}: each piece attends most from "
    assert describe(maps, "cross", 1, 1, "norms") == f"{begin}x to </s> (0.90), </s> to a (0.75)".format("head 1")
    assert describe(maps, "cross", 1, None, "norms") == f"{begin}x to a (0.75), </s> to </s> (0.90)".format("all heads")
    long = make(1, 1, ["a"] * 60, ["b"] * 60)
    assert len(re.findall("b to a", describe(long, "cross", 1, 1))) == 40
    assert describe(long, "cross", 1, 1).endswith(", ...")

"""Heat maps and alignments on a page: a pixel a weight, labels once for all maps, texts as texts."""

from base64 import b64decode
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.image import imread
from pages import Page

from nmt.experiments.attention_pictures import alignment_picture, attention_pictures, cut

LINE: dict[str, Any] = {
    "source_pieces": ["a<b", "</s>"],
    "translation_pieces": ["x", "y", "</s>"],
    "weights": {"cross": [[[[1.0, 0.0], [0.25, 0.75], [0.5, 0.5]]] * 2]},
    "norms": {"cross": [[[[0.1, 0.9], [0.2, 0.8], [0.7, 0.3]]] * 2]},
    "layer_norms": {"cross": [[[0.6, 0.4], [0.3, 0.7], [0.0, 1.0]]]},
    "source_words": ["a<b", "c"],
    "translation_words": ["x", "y"],
    "alignment": [[0, 1], [1, 0]],
}


def lightness(svg: str) -> Any:
    """Return how light each pixel of a map is."""
    image = Page(svg).all("image")[0]
    return imread(BytesIO(b64decode(str(image["href"]).partition(",")[2])))[..., :3].sum(-1)


def test_a_map_has_a_pixel_for_each_weight_and_the_labels_of_its_kind() -> None:
    drawn = attention_pictures(3, LINE)
    (definition,) = drawn["definitions"]
    ((first, first_caption), (second, second_caption)), by_norms = drawn["kinds"][
        "cross-attention (layers: 1, heads: 2)"
    ]
    assert (first_caption, second_caption) == ("Layer 1, head 1", "Layer 1, head 2")
    assert 'id="labels-3-cross"' in definition
    assert 'fill="currentColor"' in definition  # the rules of the page for texts do not reach a copy
    assert Page(definition).text == "xy</s>a<b</s>"
    page = Page(first)
    assert page.all("use")[0]["href"] == "#labels-3-cross"
    assert (page.all("image")[0]["width"], page.all("image")[0]["height"]) == ("24", "36")
    assert lightness(first).shape == (3, 2)
    assert np.array_equal(np.argsort(lightness(first).ravel(), kind="stable")[[0, 1, -2, -1]], [1, 2, 3, 0])
    assert "layer 1, head 1" in str(page.all("svg")[0]["aria-label"])
    assert "layer 1, head 2" in str(Page(second).all("svg")[0]["aria-label"])
    assert [caption for _, caption in by_norms] == [
        f"Layer 1, {heads}, norms" for heads in ("head 1", "head 2", "all heads")
    ]
    assert np.argmin(lightness(by_norms[0][0])) == 0
    assert np.argmin(lightness(by_norms[2][0])) == 4
    for (svg, _), name in zip(by_norms, ("head 1: each", "head 2: each", "all heads: each"), strict=True):
        said = str(Page(svg).all("svg")[0]["aria-label"])
        assert said.startswith(f"cross-attention by norms, layer 1, {name} piece attends most from x to ")


def test_where_norms_of_heads_are_left_out_those_of_all_heads_are_shown() -> None:
    drawn = attention_pictures(1, {**LINE, "norms": {}})
    _, by_norms = drawn["kinds"]["cross-attention (layers: 1, heads: 2)"]
    assert [caption for _, caption in by_norms] == ["Layer 1, all heads, norms"]


def test_an_alignment_has_a_line_for_each_pair_and_is_described() -> None:
    drawn = alignment_picture(LINE)
    assert drawn
    page = Page(drawn)
    assert [path["d"] for path in page.all("path")] == ["M150 10.0L240 30.0", "M150 30.0L240 10.0"]
    assert page.all("svg")[0]["aria-label"] == "Alignment of words: a<b with y, c with x."
    assert page.text == "a<bcxy"
    assert alignment_picture({**LINE, "alignment": None}) is None


def test_a_long_label_is_cut() -> None:
    assert (cut("x" * 12), cut("x" * 13)) == ("x" * 12, "x" * 11 + "\u2026")

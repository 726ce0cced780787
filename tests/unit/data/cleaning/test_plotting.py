"""The picture of the funnel: bars of the right lengths, the same bytes each time."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from nmt.data.cleaning.funnel import EncodedCounts, Funnel, IdsCounts, Step, TextCounts
from nmt.data.cleaning.plotting import COLORS, color_of, draw_bars, draw_funnel


def counts(*corpora: str) -> TextCounts:
    whole = Funnel(10 * len(corpora), 9 * len(corpora), {"empty": len(corpora), "copies": 0})
    funnels = {name: Funnel(10, 9, {"empty": 1, "copies": 0}) for name in corpora}
    return TextCounts(whole, funnels, dict.fromkeys(corpora, 9), {name: {} for name in corpora})


@pytest.mark.parametrize("ending", [".svg", ".png"])
def test_the_same_counts_give_the_same_bytes(tmp_path: Path, ending: str) -> None:
    for name in ("one", "two"):
        draw_funnel(counts("a", "b"), None, tmp_path / f"{name}{ending}")
    pictures = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    assert pictures[0] == pictures[1]
    assert pictures[0].startswith(b"\x89PNG" if ending == ".png" else b"<?xml")


def test_the_picture_names_filters_idle_ones_and_several_corpora(tmp_path: Path) -> None:
    draw_funnel(counts("news", "talks"), None, tmp_path / "f.svg")
    text = (tmp_path / "f.svg").read_text()
    for part in ("dropped nothing: copies", "empty", "2 (10.00%)", "18 (90.00%)", "news", "talks"):
        assert f">{part}<" in text
    draw_funnel(counts("news"), None, tmp_path / "one.svg")
    assert ">news<" not in (tmp_path / "one.svg").read_text()


def test_bars_are_stacked_by_corpus_and_grey_where_the_corpus_is_unknown() -> None:
    axes = Figure().subplots()
    draw_bars(axes, [Step("a", 10, {"x": 4, "y": 6}), Step("b", 5, {})], ["x", "y"], 20)
    rectangles = [bar for bar in axes.patches if isinstance(bar, Rectangle)]
    bars = [(bar.get_x(), bar.get_width(), bar.get_y() + bar.get_height() / 2) for bar in rectangles]
    assert bars == [(0, 4, 0), (4, 6, 0), (0, 5, 1)]
    assert [text.get_text() for text in axes.texts] == ["10 (50.00%)", "5 (25.00%)"]
    assert axes.get_xlim() == (0, 12.5)
    assert axes.get_ylim() == (1.6, -0.6)


def test_pairs_that_were_added_are_on_the_scale_of_those_read(tmp_path: Path) -> None:
    ids = IdsCounts(corpora={"news": EncodedCounts(12)}, augmented={"upper": {"news": 3}})
    draw_funnel(counts("news"), ids, tmp_path / "f.svg")
    text = (tmp_path / "f.svg").read_text()
    assert text.index(">added: upper<") < text.index("dropped by each filter")
    assert ">3 (30.00%)<" in text


def test_colours_repeat_after_the_last() -> None:
    assert color_of(len(COLORS) + 1) == COLORS[1]

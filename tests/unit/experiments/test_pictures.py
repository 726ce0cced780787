"""Pictures of a page: in its colours, with texts for those who do not see them, and no name twice."""

import re

import pytest

from nmt.experiments.curves import COLORS, Points
from nmt.experiments.pictures import (
    VARIABLES,
    curve_pictures,
    described,
    drawing,
    groups_picture,
    length_picture,
    overlaid_pictures,
    swatch,
)

LENGTHS = {"bin": 2, "longest": 9, "source": {"pairs": [1, 2], "mean": 2.5}, "target": {"pairs": [0, 3], "mean": 3.25}}


def test_a_picture_has_the_colours_of_the_page_and_no_others() -> None:
    svg = str(length_picture(LENGTHS, "en", "de"))
    assert not re.findall("#[0-9a-f]{6}", svg)
    assert {"var(--ink)", "var(--grid)", "var(--c0)", "var(--c1)"} == set(re.findall(r"var\([^)]+\)", svg))
    assert len(VARIABLES) == len(COLORS) + 2


def test_a_picture_says_what_it_shows_and_quotes_it() -> None:
    with drawing('so "so" <b>') as (axes, result):
        axes.set_title("$x < y$")
    assert 'aria-label="so &#34;so&#34; &lt;b&gt;"' in result[0]
    assert ">$x &lt; y$</text>" in result[0]
    assert "Training pairs by length. en: mean 2.5 pieces; de: mean 3.2 pieces; longest 9." in length_picture(
        LENGTHS, "en", "de"
    )


def test_the_ids_of_two_pictures_differ_and_those_unused_are_gone() -> None:
    curve = {"x": [1.0, 2.0], "y": [3.0, 1.0]}
    first = curve_pictures({"loss": curve, "learning_rate": curve})
    assert list(first) == ["Loss", "Learning rate"]
    ids = [set(re.findall(r' id="([^"]+)"', svg)) for svg in first.values()]
    assert ids[0]
    assert not ids[0] & ids[1]
    for svg, own in zip(first.values(), ids, strict=True):
        assert set(re.findall(r'(?:href="|url\()#([^")]+)', svg)) == own
        assert "http" not in svg
        assert "<style" not in svg
    assert first == curve_pictures({"loss": curve, "learning_rate": curve})


def test_dev_sets_are_drawn_beside_that_of_all_in_the_panels_that_have_a_dev_curve() -> None:
    curve, other = {"x": [1.0, 2.0], "y": [3.0, 1.0]}, {"x": [1.0, 2.0], "y": [7.0, 5.0]}
    curves = {"loss": curve, "dev_loss": curve, "bleu": curve, "speed": curve}
    found = curve_pictures(curves, {"en-de": {"dev_loss": other}, "de-en": {"dev_loss": other, "bleu": other}})
    assert "dev en-de: 7 at step 1" in found["Loss"]
    assert "dev de-en: 7 at step 1" in found["Loss"]
    assert ">dev de-en</text>" in found["BLEU on dev"]
    assert ">dev en-de</text>" not in found["BLEU on dev"]
    assert found["Target tokens per second"] == curve_pictures(curves)["Target tokens per second"]


def test_a_curve_is_described_by_its_ends_and_extremes() -> None:
    points = Points([10, 2000, 3000], [5.12345, 2, 4])
    assert described("dev", points) == (
        "dev: 5.123 at step 10, 4 at step 3,000, least 2 at step 2,000, most 5.123 at step 10."
    )


def test_groups_are_drawn_as_bars_and_described() -> None:
    groups = [
        {"name": name, "scores": {key: {"score": 40.0 + len(name)} for key in ("bleu", "chrf")}}
        for name in ("1-5", "6-10")
    ]
    svg = groups_picture("news", groups, "words of the source")
    said = "Scores of news by words of the source. 1-5: BLEU 43.0, chrF 43.0; 6-10: BLEU 44.0, chrF 44.0."
    assert f'aria-label="{said}"' in svg
    assert svg != groups_picture("talks", groups, "words of the source")


@pytest.mark.parametrize("number", [0, len(COLORS) + 1])
def test_a_swatch_has_the_colour_of_its_run(number: int) -> None:
    assert f"var(--c{number % len(COLORS)})" in swatch(number)


def test_several_runs_are_drawn_together_each_in_its_look() -> None:
    curve = {"x": [1.0, 2.0], "y": [3.0, 1.0]}
    runs = [{"name": "a", "curves": {"loss": curve, "bleu": curve}}, {"name": "b", "curves": {"loss": curve}}]
    drawn = overlaid_pictures(runs)
    assert list(drawn) == ["Training loss", "Dev BLEU"]
    assert {"var(--c0)", "var(--c1)"} <= set(re.findall(r"var\([^)]+\)", drawn["Training loss"]))
    assert "var(--c1)" not in drawn["Dev BLEU"]
    assert (
        'aria-label="Training loss. a: 3 at step 1, 1 at step 2, least 1 at step 2, most 3 at step 1. b: 3 at'
        in (drawn["Training loss"])
    )

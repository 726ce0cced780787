"""Terms between marks in a source, and attention without them."""

import doctest

import pytest

from nmt.data import term_marks
from nmt.data.term_marks import annotated, has_marks, read_through


def test_the_example_is_true() -> None:
    assert doctest.testmod(term_marks) == (0, 1)


def test_the_space_before_a_term_is_that_of_its_first_piece() -> None:
    assert annotated("Dog, (cat) sleeps", [(6, 9, "alte Katze"), (0, 3, "Hund")]) == (
        "⟦term⟧ Dog⟦=⟧ Hund⟦/term⟧, (⟦term⟧cat⟦=⟧ alte Katze⟦/term⟧) sleeps"
    )
    assert annotated("a dog", []) == "a dog"


@pytest.mark.parametrize(("text", "expected"), [("a ⟦=⟧", True), ("⟦/term⟧", True), ("⟦0⟧ term", False)])
def test_a_text_may_spell_marks(text: str, expected: bool) -> None:
    assert has_marks(text) is expected


def test_the_weight_of_an_annotation_is_that_of_its_term() -> None:
    pieces = [
        "▁an",
        "⟦term⟧",
        "▁old",
        "▁house",
        "⟦=⟧",
        "▁al",
        "te",
        "⟦/term⟧",
        "▁is",
        "⟦term⟧",
        "▁x",
        "⟦=⟧",
        "▁y",
        "⟦/term⟧",
    ]
    row = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 0.5, 0.25, 0.125, 0.0625, 0.03125]
    assert read_through(pieces, [row, [0.0] * 14]) == (
        ["▁an", "▁old", "▁house", "▁is", "▁x"],
        [[1.0, 6.0, 248.0, 256.0, 0.96875], [0.0] * 5],
    )
    assert read_through(["▁a"], [[0.5]]) == (["▁a"], [[0.5]])

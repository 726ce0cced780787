"""Pairs with links: words, single links, and phrases."""

import pytest

from nmt.data.augmenting.aligned_pair import AlignedPair

# the / old / house / stands / .   das / alte / Haus / steht / .
PAIR = ("the old house stands.", "das alte Haus steht.")


def test_words_are_those_that_were_aligned() -> None:
    aligned = AlignedPair(PAIR)
    assert [aligned.word(0, index) for index in range(5)] == ["the", "old", "house", "stands", "."]
    assert aligned.word(1, 2) == "Haus"


def test_single_links_are_of_words_without_another() -> None:
    links = [(0, 0), (1, 1), (1, 2), (2, 3), (3, 3), (4, 4)]
    assert AlignedPair(PAIR, links).single_links == [(0, 0), (4, 4)]


@pytest.mark.parametrize(
    ("links", "span", "expected"),
    [
        ([(0, 0), (1, 1), (2, 2)], (1, 2), (1, 2)),
        ([(0, 2), (1, 0), (2, 1)], (1, 2), (0, 1)),
        ([(0, 0), (1, 1), (1, 3), (2, 2)], (1, 1), None),
        ([(0, 0), (1, 1), (1, 3), (2, 2)], (1, 2), (1, 3)),
        ([(0, 0), (3, 0)], (0, 0), None),
        ([(0, 0), (3, 1)], (1, 2), None),
    ],
)
def test_a_phrase_has_no_link_to_the_outside(
    links: list[tuple[int, int]], span: tuple[int, int], expected: tuple[int, int] | None
) -> None:
    assert AlignedPair(PAIR, links).aligned_span(*span) == expected

"""One alignment of the two directions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.alignment.symmetrization import SYMMETRIZATIONS, Symmetrization, symmetrize

FORWARD, BACKWARD = [(0, 0), (1, 1), (1, 2), (5, 5)], [(0, 0), (2, 1), (1, 1), (7, 7), (0, 1)]
links = st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)))


@pytest.mark.parametrize(
    ("method", "joined"),
    [
        ("intersection", [(0, 0), (1, 1)]),
        ("union", [(0, 0), (0, 1), (1, 1), (1, 2), (2, 1), (5, 5), (7, 7)]),
        # 1-2 and 2-1 link words without a link beside links; 0-1 links none; 5-5 and 7-7 stand alone.
        ("grow-diag-final-and", [(0, 0), (1, 1), (1, 2), (2, 1), (5, 5), (7, 7)]),
    ],
)
def test_two_directions_are_joined(method: Symmetrization, joined: list[tuple[int, int]]) -> None:
    assert symmetrize(FORWARD, BACKWARD, method) == joined


def test_links_grow_from_links_that_have_grown() -> None:
    chain = [(1, 1), (2, 2), (3, 3)]
    assert symmetrize([(0, 0), *reversed(chain)], [(0, 0)], "grow-diag-final-and") == [(0, 0), *chain]


def test_at_last_links_need_two_words_without_a_link() -> None:
    # 0-5 is no neighbour, and word 0 has a link already.
    assert symmetrize([(0, 0), (0, 5)], [(0, 0)], "grow-diag-final-and") == [(0, 0)]


@given(links, links)
def test_grown_links_lie_between_intersection_and_union(
    forward: set[tuple[int, int]], backward: set[tuple[int, int]]
) -> None:
    fewest, grown, most = (
        set(symmetrize(forward, backward, method))
        for method in (SYMMETRIZATIONS[1], SYMMETRIZATIONS[0], SYMMETRIZATIONS[2])
    )
    assert fewest <= grown <= most
    # No word that has a link in either direction is left out, unless the other word of each of its links has one.
    assert all(any(i == a or j == b for a, b in grown) for i, j in most)

"""Rows that stood before, found from their keys."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.data.cleaning.duplicates import Keys, Mask, repeated

KEYS = st.lists(
    st.tuples(st.sampled_from([0, 1, 2**63, 2**63 + 1, 2**64 - 1]) | st.integers(0, 2**64 - 1), st.booleans()),
    max_size=60,
)


def plain(keys: Keys, alive: Mask) -> list[bool]:
    """Look each key up among those of the living before it."""
    seen: set[int] = set()
    found = []
    for key, lives in zip(keys.tolist(), alive.tolist(), strict=True):
        found.append(lives and key in seen)
        if lives:
            seen.add(key)
    return found


@settings(deadline=None)
@given(KEYS, st.lists(st.integers(0, 60), max_size=5), st.sampled_from([1, 2, 3, 7, 16, 2**23]))
def test_repeated_rows_are_those_whose_key_an_earlier_living_row_has(
    rows: list[tuple[int, bool]], cuts: list[int], rows_at_once: int
) -> None:
    keys = np.array([key for key, _ in rows], np.uint64)
    alive = np.array([lives for _, lives in rows], np.bool)
    pieces = np.split(keys, sorted(cut for cut in cuts if cut <= len(keys)))
    assert repeated(pieces, alive, rows_at_once).tolist() == plain(keys, alive)


@pytest.mark.parametrize("rows_at_once", [1, 5, 64, 2**23])
def test_however_few_rows_are_looked_at_at_once_the_same_are_found(rows_at_once: int) -> None:
    rng = np.random.default_rng(1)
    keys = rng.choice(rng.integers(0, 2**64, 150, np.uint64), 400)
    alive = rng.random(400) < 0.8
    assert repeated(np.split(keys, [0, 37, 38, 38, 211]), alive, rows_at_once).tolist() == plain(keys, alive)


def test_nothing_has_no_duplicates() -> None:
    assert repeated([], np.zeros(0, np.bool)).tolist() == []
    assert repeated([np.zeros(0, np.uint64)], np.zeros(0, np.bool), 1).tolist() == []


def test_the_dead_hide_nobody_and_are_no_duplicates() -> None:
    keys = np.array([7, 7, 7, 7], np.uint64)
    assert repeated([keys], np.array([False, True, False, True])).tolist() == [False, False, False, True]

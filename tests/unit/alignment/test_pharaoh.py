"""Alignments as text, and how they agree with a reference."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.alignment.pharaoh import compare, read_links, read_reference, write_links
from nmt.errors import DataError

links = st.sets(st.tuples(st.integers(0, 300), st.integers(0, 300)))


@given(links)
def test_links_are_read_as_they_were_written(found: set[tuple[int, int]]) -> None:
    assert read_links(write_links(found)) == sorted(found)


def test_links_are_written_in_order() -> None:
    assert write_links({(10, 0), (2, 1), (2, 0)}) == "2-0 2-1 10-0"
    assert read_links(" 2-1\t0-0 0-0\n") == [(0, 0), (2, 1)]


def test_a_reference_has_links_that_are_only_possible() -> None:
    assert read_reference("0-0 1?2 3p4") == ({(0, 0)}, {(0, 0), (1, 2), (3, 4)})
    with pytest.raises(DataError, match=r"^x:3: a link that is only possible \(write every link as i-j\)$"):
        read_links("0-0 1?2", "x:3")


@pytest.mark.parametrize("text", ["0", "0:1", "a-b", "-1-2", "1-", "1-2-3", "1234567890-1", "١-١"])
def test_what_is_no_link_is_refused(text: str) -> None:
    with pytest.raises(DataError, match=rf"^x: {text!r} is no link of two words \(write it as i-j, counted from 0\)$"):
        read_links(f"0-0 {text}", "x")
    with pytest.raises(DataError, match=r"'0000000000000000000000000000000000000000\.\.\.' is no link"):
        read_links("0" * 99)


def test_the_error_rate_counts_sure_and_possible_links() -> None:
    sure, possible = {(0, 0), (1, 1)}, {(0, 0), (1, 1), (2, 1), (3, 3)}
    found = compare([([(0, 0), (2, 1), (9, 9)], sure, possible), ([], {(0, 0)}, {(0, 0)})])
    assert (found.precision, found.recall) == (2 / 3, 1 / 3)
    assert found.error_rate == pytest.approx(1 - (1 + 2) / (3 + 3))


def test_no_links_at_all_agree() -> None:
    empty = compare([([], set(), set())])
    assert (empty.precision, empty.recall, empty.error_rate) == (1, 1, 0)

"""Marks at the end of a sentence."""

import pytest

from nmt.data.augmenting.final_marks import has_final_mark, without_final_mark


@pytest.mark.parametrize(
    ("line", "without"),
    [
        ("It rains.", "It rains"),
        ("Does it ?! ", "Does it"),
        ("今日は。", "今日は"),
        ("Mr. Hill left", "Mr. Hill left"),
        ("...", "..."),
        ("wait…", "wait"),
    ],
)
def test_the_marks_at_the_end_are_left_out(line: str, without: str) -> None:
    assert without_final_mark(line) == without


@pytest.mark.parametrize("line", ["It rains.", '"Does it?"', "„Ja!“", "(Wait…)", "今日は。」", "Yes. "])
def test_a_mark_may_stand_before_a_quotation_mark(line: str) -> None:
    assert has_final_mark(line)


@pytest.mark.parametrize("line", ["It rains", "3.5", "a, b,", "", "Yes.no"])
def test_other_lines_have_no_mark(line: str) -> None:
    assert not has_final_mark(line)

"""Marks behind words, and the links that they are."""

import pytest

from nmt.tasks.grammar_marks import POSSIBLE, SURE, Marks, links_of, plain, with_mark

A, B = chr(SURE), chr(SURE + 1)


def test_words_carry_marks_and_spaces_do_not() -> None:
    assert with_mark(" two words ", A) == f" two{A} words{A} "
    assert plain(with_mark(" two words ", A)) == " two words "
    assert with_mark("two", "") == "two"


def test_translations_are_marked_word_by_word_or_as_a_whole() -> None:
    marks = Marks(on=True)
    assert marks.pair(("last week", "letzte Woche")) == (f"last{A} week{B}", f"letzte{A} Woche{B}")
    whole = chr(POSSIBLE)
    assert marks.pair(("next to", "neben")) == (f"next{whole} to{whole}", f"neben{whole}")
    marks.start()
    assert marks.join(("in", "in"), ("three", "drei")) == (f"in{A} three{B}", f"in{A} drei{B}")
    marks.start()
    assert marks.whole(("€5", "5 €")) == (f"€5{A}", f"5{A} €{A}")


def test_without_marks_texts_stay_as_they_are() -> None:
    marks = Marks(on=False)
    assert marks.new() == marks.new(sure=False) == ""
    assert marks.pair(("next to", "neben")) == ("next to", "neben")
    assert marks.join(("in", "in"), ("three", "drei")) == ("in three", "in drei")


@pytest.mark.parametrize(
    ("english", "german", "sure", "possible"),
    [
        (f"in{A} the{B} park", f"im{A}{B} Park", {(0, 0), (1, 0)}, set()),
        (f"a{A}, b", f"c d{A}.", {(0, 1)}, set()),
        (f"next{chr(POSSIBLE)} to{chr(POSSIBLE)}", f"neben{chr(POSSIBLE)}", set(), {(0, 0), (1, 0)}),
        (f"a{A}", f"b{B}", set(), set()),
    ],
)
def test_words_of_one_mark_are_linked(
    english: str, german: str, sure: set[tuple[int, int]], possible: set[tuple[int, int]]
) -> None:
    assert links_of((english, german)) == (sure, sure | possible)

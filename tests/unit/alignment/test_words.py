"""The words that are aligned, and those between white space that they belong to."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nmt.alignment.words import folded_words, spaced_links, split_words, words_within


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        ("  \u00a0 ", []),
        ("Isn't it?", ["Isn'", "t", "it", "?"]),
        ("l’homme dit 'oui'", ["l’", "homme", "dit", "'", "oui", "'"]),
        ("at 10:30, for 1.234,50 Euro.", ["at", "10:30", ",", "for", "1.234,50", "Euro", "."]),
        ("well-known (A4)...", ["well", "-", "known", "(", "A4", ")", "..."]),
        ("?!!", ["?", "!!"]),
        ("see \u27e612\u27e7.", ["see", "\u27e612\u27e7", "."]),
        ("我喜欢ABC。", ["我", "喜", "欢", "ABC", "。"]),
        ("हिन्दी है", ["हिन्दी", "है"]),
        ("snake_case", ["snake_case"]),
    ],
)
def test_words_are_runs_of_letters_and_digits_and_marks(line: str, words: list[str]) -> None:
    assert [line[start:end] for start, end in split_words(line)] == words


def test_words_are_compared_without_case() -> None:
    assert folded_words("Die STRASSE Straße") == ["die", "strasse", "strasse"]


@given(st.text())
def test_the_words_hold_all_but_white_space_and_no_white_space(line: str) -> None:
    spans = split_words(line)
    assert "".join(line[start:end] for start, end in spans) == "".join(line.split())
    assert all(first[1] <= second[0] for first, second in pairwise(spans))


@given(st.text(), st.text())
def test_words_of_two_lines_that_a_space_joins_are_the_words_of_both(first: str, second: str) -> None:
    words = [f"{first} {second}"[start:end] for start, end in split_words(f"{first} {second}")]
    assert words == [line[start:end] for line in (first, second) for start, end in split_words(line)]


def test_links_of_words_become_links_of_words_between_spaces() -> None:
    source, target = '"Yes," he said .', "„Ja“, sagte er."
    # " Yes , " he said .   and   „ Ja “ , sagte er .
    links = [(0, 0), (1, 1), (2, 3), (3, 2), (4, 5), (5, 4), (6, 6)]
    assert spaced_links(links, source, target) == [(0, 0), (1, 2), (2, 1)]
    assert spaced_links([(1, 1)], "Ja .", "yes .") == [(1, 1)]
    assert spaced_links([(1, 0), (1, 2)], "Ja .", "yes ok.") == [(1, 0)]


def test_the_words_within_a_part_of_a_line() -> None:
    spans = split_words("one two, three")
    assert [words_within(spans, *part) for part in ((0, 3), (2, 5), (3, 4), (4, 8), (13, 99))] == [
        range(1),
        range(2),
        range(0),
        range(1, 3),
        range(3, 4),
    ]

"""Phrases in texts: what a word is, which phrase comes first, and what case does."""

import pytest

from nmt.data.terms import Finder, SourceFinder, begins_sentence, cased, divides, in_word


def found(text: str, *phrases: str) -> list[str]:
    return [phrase for _, phrase in Finder(phrases).find(text)]


def in_source(text: str, *phrases: str) -> list[str]:
    return [phrase for _, phrase in SourceFinder(phrases).find(text)]


@pytest.mark.parametrize(
    ("char", "is_in_word"), [("a", True), ("7", True), ("_", True), ("\u0301", True), ("'", False)]
)
def test_letters_digits_and_accents_are_in_words(char: str, is_in_word: bool) -> None:
    assert in_word(char) is is_in_word


def test_words_end_where_the_text_does_and_at_marks() -> None:
    assert [divides("ab c", at) for at in range(5)] == [True, False, True, True, True]


def test_scripts_without_spaces_divide_everywhere() -> None:
    assert not in_word("猫")
    assert found("黒猫が好き", "猫") == ["猫"]
    assert found("猫cat", "cat") == ["cat"]


@pytest.mark.parametrize(
    ("text", "phrases", "expected"),
    [
        ("the cat, the cats", ["cat"], ["cat"]),
        ("the tomcat", ["cat"], []),
        ("New York, York", ["York", "New York"], ["New York", "York"]),
        ("New Yorker", ["New York", "New"], ["New"]),
        ("a b a b a", ["a b a"], ["a b a"]),
        ("cat-like", ["cat"], ["cat"]),
        ("l'eau", ["eau"], ["eau"]),
        ("(cat)", ["(cat)", "cat"], ["(cat)"]),
        ("Cat", ["cat"], []),
        ("", ["cat"], []),
    ],
)
def test_the_longest_phrase_that_is_a_word_is_found(text: str, phrases: list[str], expected: list[str]) -> None:
    assert found(text, *phrases) == expected
    assert Finder(phrases).count(text) == len(expected)


def test_places_are_those_in_the_text() -> None:
    assert Finder(["b", "a b"]).find("b a b") == [(0, "b"), (2, "a b")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Apple pie", ["apple"]),
        ("I like Apple", []),
        ("I like apple.", ["apple"]),
        ("Yes. Apple pie: Apple", ["apple", "apple"]),
        ("He said „Apple“", []),
        ("„Apple“", ["apple"]),
        ("- Apple", ["apple"]),
        ("APPLE pie", []),
        ("THE APPLE", ["apple"]),
        ("pine-apple apple-tree", []),
    ],
)
def test_case_counts_but_at_the_start_of_a_sentence_and_in_capitals(text: str, expected: list[str]) -> None:
    assert in_source(text, "apple") == expected


def test_a_term_in_capitals_is_no_word_in_small_letters() -> None:
    assert in_source("It tells us of the US", "US") == ["US"]
    assert in_source("Us too", "US") == []
    assert in_source("US", "us", "US") == ["us"]  # in capitals the first one is taken


def test_a_hyphen_joins_words_of_a_source_but_where_the_term_has_it() -> None:
    assert in_source("state-of-the-art", "state", "art", "of") == []
    assert in_source("state-of-the-art", "state-of-the-art") == ["state-of-the-art"]
    assert in_source("- state -", "state") == ["state"]


def test_the_start_of_a_sentence_is_behind_its_end() -> None:
    text = "One, (two). (Three) four"
    assert [at for at in range(len(text)) if begins_sentence(text, at) and text[at].isalpha()] == [0, 13]


def test_only_the_first_letter_becomes_a_capital() -> None:
    assert [cased("eBay shop"), cased(""), cased("élan")] == ["EBay shop", "", "Élan"]

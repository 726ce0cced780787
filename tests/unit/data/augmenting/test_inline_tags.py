"""Placeholders around aligned words."""

import random

from nmt.data.augmenting.aligned_pair import AlignedPair
from nmt.data.augmenting.inline_tags import with_inline_tags
from nmt.data.pairs import Pair

ALIGNED = AlignedPair(("old house, big", "Haus alt, groß"), [(0, 1), (1, 0), (2, 2), (3, 3)])


def made(aligned: AlignedPair, most: int = 2, tries: int = 200) -> set[Pair | None]:
    return {with_inline_tags(aligned, most, random.Random(seed)) for seed in range(tries)}


def test_aligned_phrases_are_between_two_placeholders_or_behind_one() -> None:
    assert made(ALIGNED) == {
        ("⟦0⟧old⟦1⟧ house, big", "Haus ⟦0⟧alt⟦1⟧, groß"),
        ("old ⟦0⟧house⟦1⟧, big", "⟦0⟧Haus⟦1⟧ alt, groß"),
        ("⟦0⟧old house⟦1⟧, big", "⟦0⟧Haus alt⟦1⟧, groß"),
        ("old house, ⟦0⟧big⟦1⟧", "Haus alt, ⟦0⟧groß⟦1⟧"),
        ("⟦0⟧old house, big⟦1⟧", "⟦0⟧Haus alt, groß⟦1⟧"),
        ("⟦0⟧ old house, big", "Haus ⟦0⟧ alt, groß"),
        ("⟦0⟧ old house, big", "⟦0⟧ Haus alt, groß"),
        ("old ⟦0⟧ house, big", "⟦0⟧ Haus alt, groß"),
        ("old house, ⟦0⟧ big", "Haus alt, ⟦0⟧ groß"),
    }


def test_placeholders_of_the_pair_are_numbered_anew_in_the_order_of_the_source() -> None:
    aligned = AlignedPair(("a ⟦0⟧ b", "⟦0⟧ c d"), [(0, 1), (1, 0), (2, 2)])
    found = made(aligned, 3)
    assert ("⟦0⟧a⟦1⟧ ⟦2⟧ b", "⟦2⟧ ⟦0⟧c⟦1⟧ d") in found
    assert ("a ⟦0⟧ ⟦1⟧b⟦2⟧", "⟦0⟧ c ⟦1⟧d⟦2⟧") in found
    assert ("a ⟦0⟧ ⟦1⟧ b", "⟦0⟧ c ⟦1⟧ d") in found


def test_no_more_placeholders_than_the_tokenizer_has() -> None:
    aligned = AlignedPair(("a ⟦0⟧ b", "⟦0⟧ c d"), [(0, 1), (1, 0), (2, 2)])
    assert {pair and pair[0].count("⟦") for pair in made(aligned, 2)} == {None, 2}
    assert made(aligned, 1) == {None}


def test_a_pair_without_links_or_with_links_of_marks_alone_gets_none() -> None:
    assert made(AlignedPair(("a b", "c d"))) == {None}
    assert made(AlignedPair((". ⟦0⟧", ". ⟦0⟧"), [(0, 0), (1, 1)]), 5) == {None}


def test_phrases_have_at_most_five_words() -> None:
    line = "a b c d e f"
    aligned = AlignedPair((line, line), [(index, index) for index in range(6)])
    lengths = {
        len(pair[0].partition("⟦0⟧")[2].partition("⟦1⟧")[0].split())
        for pair in made(aligned)
        if pair and "⟦1⟧" in pair[0]
    }
    assert lengths == {1, 2, 3, 4, 5}

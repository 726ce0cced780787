"""Terms annotated in a source, from aligned words."""

import random
from collections import Counter

from nmt.data.augmenting.aligned_pair import AlignedPair
from nmt.data.augmenting.term_annotations import TermAnnotator
from nmt.data.pairs import Pair

ALIGNED = AlignedPair(("old house, big", "Haus alt, groß"), [(0, 1), (1, 0), (2, 2), (3, 3)])


def made(aligned: AlignedPair, most: int = 1, tries: int = 200, **counts: int) -> list[Pair | None]:
    annotator = TermAnnotator(most, counts)
    return [annotator.annotate(aligned, random.Random(seed)) for seed in range(tries)]


def test_aligned_words_and_phrases_are_annotated_as_the_target_has_them() -> None:
    assert set(made(ALIGNED)) == {
        ("⟦term⟧ old⟦=⟧ alt⟦/term⟧ house, big", "Haus alt, groß"),
        ("old⟦term⟧ house⟦=⟧ Haus⟦/term⟧, big", "Haus alt, groß"),
        ("⟦term⟧ old house⟦=⟧ Haus alt⟦/term⟧, big", "Haus alt, groß"),
        ("old house,⟦term⟧ big⟦=⟧ groß⟦/term⟧", "Haus alt, groß"),
    }


def test_several_terms_do_not_overlap() -> None:
    found = made(ALIGNED, most=3)
    numbers = Counter(pair[0].count("⟦term⟧") for pair in found if pair)
    assert numbers.keys() == {1, 2, 3}
    assert all(pair and pair[1] == ALIGNED.pair[1] and pair[0].count("⟦=⟧") <= 3 for pair in found)
    assert ("⟦term⟧ old⟦=⟧ alt⟦/term⟧⟦term⟧ house⟦=⟧ Haus⟦/term⟧,⟦term⟧ big⟦=⟧ groß⟦/term⟧", "Haus alt, groß") in found


def test_rare_words_are_annotated_more_often_than_frequent_ones() -> None:
    sources = Counter(pair[0] for pair in made(ALIGNED, tries=400, old=10_000, house=10_000, big=1) if pair)
    assert sources["old house,⟦term⟧ big⟦=⟧ groß⟦/term⟧"] > 380
    of_one_word = [
        count for source, count in Counter(p[0] for p in made(ALIGNED) if p).items() if "old house⟦" not in source
    ]
    assert sum(of_one_word) > 160  # of 200: a phrase of two words has a quarter of the weight


def test_terms_have_at_most_three_words_of_letters() -> None:
    line = "a b c d"
    whole = [(0, 0), (1, 0), (2, 0), (3, 0), (0, 3), (3, 3)]
    assert set(made(AlignedPair((line, line), whole))) == {None}
    three = {pair and pair[0] for pair in made(AlignedPair((line, line), [(i, i) for i in range(4)]))}
    assert "⟦term⟧ a b c⟦=⟧ a b c⟦/term⟧ d" in three
    assert not any("a b c d⟦=⟧" in str(source) for source in three)
    long = AlignedPair(("a", "w x y z"), [(0, 0), (0, 3)])
    assert set(made(long)) == {None}


def test_marks_numbers_and_placeholders_are_no_terms() -> None:
    assert set(made(AlignedPair((". ⟦0⟧ 77", ". ⟦0⟧ 77"), [(0, 0), (1, 1), (2, 2)]))) == {None}
    assert set(made(AlignedPair(("a b", "c d")))) == {None}
    assert set(made(AlignedPair(("a ⟦=⟧ b", "c d"), [(0, 0)]))) == {None}

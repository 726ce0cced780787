"""Terms annotated in a source, from aligned words."""

import random
from collections import Counter

from nmt.data.augmenting.aligned_pair import AlignedPair
from nmt.data.augmenting.term_annotations import FREQUENT, TermAnnotator, WordExchange
from nmt.data.pairs import Pair

ARTICLES = ["die"] + ["a" * n for n in range(1, FREQUENT)]
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


def test_an_exchanged_word_ends_alike_and_keeps_its_case() -> None:
    exchange = WordExchange([*ARTICLES, "Haus", "Maus", "Laus", "maus", "Hund", "x7", "alt", "sie", "Haus"])
    others = {exchange.another("Haus", random.Random(seed)) for seed in range(200)}
    assert None not in others
    assert {"Maus", "Laus"} < others
    assert all(word and word.endswith("us") and word[0].isupper() for word in others)
    assert "Huus" in others  # of Hund and Maus
    assert {exchange.another(word, random.Random(1)) for word in ("alt", "x7", "Hund", "maus", "die")} == {None}


def test_an_exchanged_term_is_another_word_in_the_annotation_and_in_the_target() -> None:
    aligned = AlignedPair(("old house, big", "Haus alt, groß"), [(0, 1), (1, 0), (2, 2), (3, 3)])
    annotator = TermAnnotator(3, {}, exchanged=1.0, words=[*ARTICLES, "Maus", "halt", "Haus", "alt"])
    found = {annotator.annotate(aligned, random.Random(seed)) for seed in range(300)}
    both = [pair for pair in found if pair and pair[0].count("⟦=⟧") == 2 and "house⟦=⟧ Maus⟦" in pair[0]]
    assert any("old⟦=⟧ halt⟦" in source and target == "Maus halt, groß" for source, target in both)
    assert ("⟦term⟧ old house⟦=⟧ Haus alt⟦/term⟧, big", "Haus alt, groß") in found  # several words stay
    assert ("old house,⟦term⟧ big⟦=⟧ groß⟦/term⟧", "Haus alt, groß") in found  # no other word ends alike
    some = TermAnnotator(1, {}, exchanged=0.5, words=[*ARTICLES, "Maus", "Laus"])
    targets = Counter(
        pair[1]
        for pair in (some.annotate(aligned, random.Random(seed)) for seed in range(400))
        if pair and " house⟦=⟧" in pair[0] and "old house⟦" not in pair[0]
    )
    assert 0.35 < targets["Haus alt, groß"] / targets.total() < 0.65


def test_an_annotation_may_have_the_base_form_where_the_target_keeps_its_own() -> None:
    aligned = AlignedPair(("houses", "Häuser"), [(0, 0)])
    annotator = TermAnnotator(1, {}, lemmas=0.5)
    found = Counter(annotator.annotate(aligned, random.Random(seed), {"Häuser": "Haus"}.get) for seed in range(200))  # type: ignore[arg-type]
    base, own = (found[f"⟦term⟧ houses⟦=⟧ {form}⟦/term⟧", "Häuser"] for form in ("Haus", "Häuser"))
    assert base + own == 200
    assert 70 < base < 130

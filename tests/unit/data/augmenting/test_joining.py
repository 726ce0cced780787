"""Neighbouring pairs joined: where they end, and within which limits."""

import pytest

from nmt.data.augmenting.joining import Joiner
from nmt.data.pairs import Pair

PAIRS = [("One.", "Eins."), ("Two!", "Zwei!"), ("Three", "Drei"), ("Four.", "Vier.")]


def joiner(languages: tuple[str, str] = ("en", "de"), **limits: int) -> Joiner:
    return Joiner(languages, **{"max_characters": 100, "max_pieces": 50, **limits})


def test_pairs_are_joined_with_a_space_up_to_one_without_a_mark() -> None:
    assert joiner().join(PAIRS) == ("One. Two! Three", "Eins. Zwei! Drei")
    assert joiner().join(PAIRS[:2]) == ("One. Two!", "Eins. Zwei!")


def test_a_pair_without_a_mark_or_a_neighbour_is_not_joined() -> None:
    assert joiner().join(PAIRS[2:]) is None
    assert joiner().join(PAIRS[:1]) is None
    assert joiner().join([("One.", "Eins"), PAIRS[1]]) is None


@pytest.mark.parametrize(
    ("limits", "count"),
    [
        ({"max_characters": 16}, 3),
        ({"max_characters": 15}, 2),
        ({"max_characters": 10}, 0),
        ({"max_pieces": 5}, 2),
        ({"max_pieces": 6}, 3),
    ],
)
def test_a_line_that_would_be_too_long_ends_before(limits: dict[str, int], count: int) -> None:
    made = joiner(("en", "de"), **limits).join(PAIRS)
    assert (made[0].count(" ") + 1 if made else 0) == count


def test_chinese_and_japanese_have_no_space_between_sentences_and_a_piece_for_a_character() -> None:
    pairs: list[Pair] = [("一。", "One."), ("二。", "Two.")]
    assert joiner(("zh", "en")).join(pairs) == ("一。二。", "One. Two.")
    assert joiner(("ja", "ko"), max_pieces=4).join([("一。", "가."), ("二。", "나.")]) == ("一。二。", "가. 나.")
    assert joiner(("ja", "ko"), max_pieces=3).join([("一。", "가."), ("二。", "나.")]) is None


def test_placeholders_of_later_pairs_get_the_numbers_that_follow() -> None:
    pairs = [("See ⟦0⟧.", "Siehe ⟦0⟧."), ("Or ⟦1⟧, ⟦0⟧.", "Oder ⟦1⟧, ⟦0⟧."), ("No.", "Nein.")]
    made = joiner(placeholders=3).join(pairs)
    assert made == ("See ⟦0⟧. Or ⟦2⟧, ⟦1⟧. No.", "Siehe ⟦0⟧. Oder ⟦2⟧, ⟦1⟧. Nein.")
    assert joiner(placeholders=2).join(pairs) is None

"""From what pieces attend to, to words that belong together."""

import pytest

from nmt.inference.alignment import align_words, number_words
from nmt.inference.protocol import Matrix


@pytest.mark.parametrize(
    ("pieces", "numbers", "count"),
    [
        ("▁A ▁small ▁dog .", [0, 1, 2, 2], 3),
        ("▁un like ly ▁so", [0, 0, 0, 1], 2),
        ("un like ▁ly", [0, 0, 1], 2),
        ("▁ z ebra ▁ q", [0, 0, 0, 1, 1], 2),
        ("▁a ▁ ▁b", [0, 1, 1], 2),
        ("▁a ▁▁ ▁ b", [0, 1, 1, 1], 2),
        ("▁a ▁ ▁", [0, 1, 1], 1),
        ("▁", [0], 0),
        ("", [], 0),
        ("▁a <unk> ▁ <unk>", [0, 0, 1, 1], 2),
        ("▁ <0xE4> <0xB8> <0x80>", [0, 0, 0, 0], 1),
    ],
)
def test_words_are_what_spaces_separate(pieces: str, numbers: list[int], count: int) -> None:
    assert number_words(pieces.split()) == (numbers, count)
    assert len("".join(pieces.split()).replace("▁", " ").split()) == count


def test_a_target_word_belongs_to_the_word_that_its_pieces_attend_to_most() -> None:
    attention = [[0.9, 0.1], [0.2, 0.8]]
    assert align_words(attention, ["▁a", "▁b"], ["▁x", "▁y"]) == ((2, 2), [(0, 0), (1, 1)])
    assert align_words(attention, ["▁a", "▁b"], ["▁x", "y"]) == ((2, 1), [(0, 0)])


def test_the_pieces_of_a_source_word_count_together() -> None:
    attention = [[0.3, 0.3, 0.4]]
    assert align_words(attention, ["▁un", "like", "▁so"], ["▁x"]) == ((2, 1), [(0, 0)])
    assert align_words(attention, ["▁un", "▁like", "▁so"], ["▁x"]) == ((3, 1), [(2, 0)])


def test_pairs_are_in_the_order_of_the_source() -> None:
    attention = [[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]
    assert align_words(attention, ["▁a", "▁b"], ["▁x", "▁y", "▁z"]) == ((2, 3), [(0, 1), (1, 0), (1, 2)])


def test_spaces_at_the_end_have_no_word_to_belong_to() -> None:
    attention = [[0.1, 0.9], [0.1, 0.9]]
    assert align_words(attention, ["▁a", "▁"], ["▁x", "▁"]) == ((1, 1), [(0, 0)])


@pytest.mark.parametrize(
    ("attention", "source", "target", "sizes"),
    [
        ([], ["▁a"], [], (1, 0)),
        ([[1.0]], ["▁a"], ["▁"], (1, 0)),
        ([[1.0]], ["▁"], ["▁x"], (0, 1)),
        ([], [], [], (0, 0)),
    ],
)
def test_a_side_without_words_is_aligned_to_nothing(
    attention: Matrix, source: list[str], target: list[str], sizes: tuple[int, int]
) -> None:
    assert align_words(attention, source, target) == (sizes, [])

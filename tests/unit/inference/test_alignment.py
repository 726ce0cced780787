"""From what pieces attend to, to words that belong together."""

import pytest

from nmt.inference.alignment import align_segments, align_words, number_words
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


ONE = [[1.0]]
TWO = [[1.0, 0.0], [0.0, 1.0]]


def test_the_words_of_segments_are_counted_on() -> None:
    segments = [(TWO, ["▁a", "▁b"], ["▁x", "▁y"]), (ONE, ["▁c"], ["▁z"]), (ONE, ["▁d"], ["▁w"])]
    assert align_segments(segments, 0) == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert align_segments(segments, 2) == [(2, 0), (3, 1), (4, 2), (5, 3)]
    assert align_segments([], 2) == []
    longer = [(ONE, ["▁a"], ["▁x"]), (TWO, ["▁b", "▁c"], ["▁y", "▁z"])]
    assert align_segments(longer, 0) == [(0, 0), (1, 1), (2, 2)]


def test_a_word_that_is_split_over_segments_is_one_source_word() -> None:
    split = [(ONE, ["▁un"], ["▁x"]), (ONE, ["like"], ["▁y"]), (TWO, ["ly", "▁b"], ["▁z", "▁w"])]
    assert align_segments(split, 0) == [(0, 0), (0, 1), (0, 2), (1, 3)]
    assert align_segments(split, 3) == [(3, 0), (3, 1), (3, 2), (4, 3)]


def test_a_space_at_either_side_of_the_border_begins_a_word() -> None:
    for last, first in (("a▁", "b"), ("a", "▁b"), ("a▁", "▁b"), ("▁", "b")):
        before = [[1.0, 0.0]] if last == "▁" else ONE
        source = ["▁a", "▁"] if last == "▁" else [last]
        assert align_segments([(before, source, ["▁x"]), (ONE, [first], ["▁y"])], 0) == [(0, 0), (1, 1)]


def test_the_first_segment_continues_no_word() -> None:
    assert align_segments([(ONE, ["a"], ["▁x"])], 1) == [(1, 0)]


def test_a_segment_without_a_translation_counts_its_source_words() -> None:
    empty: Matrix = []
    assert align_segments([(empty, ["▁a", "▁b"], []), (ONE, ["▁c"], ["▁x"])], 0) == [(2, 0)]


@pytest.mark.parametrize("attention", [[[1.0]], [[1.0, 0.0, 0.0]], [[1.0, 0.0]] * 2, []])
def test_attention_has_a_row_for_each_target_piece_and_a_column_for_each_source_piece(attention: Matrix) -> None:
    with pytest.raises(ValueError, match="zip"):
        align_words(attention, ["▁a", "▁b"], ["▁x"])

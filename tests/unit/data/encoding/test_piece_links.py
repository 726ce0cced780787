"""Links of pieces that follow from links of words."""

import pytest

from nmt.data.encoding.piece_links import links_of_pieces, pieces_of_words


@pytest.mark.parametrize(
    ("line", "normal", "pieces", "words"),
    [
        ("ab c.", "ab c.", ["▁a", "b", "▁c", "."], [[0, 1], [2], [3]]),
        ("ab c.", "ab c.", ["▁ab", "▁c."], [[0], [1], [1]]),
        ("ab, c", "ab, c", ["▁", "ab,", "▁c"], [[0, 1], [1], [2]]),
        ("ＡＢ  c", "AB c", ["▁A", "B", "▁c"], [[0, 1], [2]]),
        ("我 a", "我 a", ["▁我▁a"], [[0], [0]]),
        ("", "", [], []),
    ],
)
def test_words_have_the_pieces_that_spell_them(
    line: str, normal: str, pieces: list[str], words: list[list[int]]
) -> None:
    found = pieces_of_words(line, normal, pieces)
    assert found is not None
    assert [list(each) for each in found] == words


@pytest.mark.parametrize(
    ("line", "normal", "pieces"),
    [
        ("ab", "ab", ["▁<unk>"]),
        ("a½", "a1⁄2", ["▁a1⁄2"]),  # another number of words
        ("ab", "ab", ["▁a"]),
    ],
)
def test_there_are_none_where_the_pieces_spell_other_words(line: str, normal: str, pieces: list[str]) -> None:
    assert pieces_of_words(line, normal, pieces) is None


class Model:
    """A tokenizer of given pieces."""

    def __init__(self, *pieces: str) -> None:
        self.all = pieces

    def normalize(self, line: str) -> str:
        return line

    def pieces(self, ids: list[int]) -> list[str]:
        return [self.all[number] for number in ids]


def test_each_piece_of_a_word_has_the_links_of_the_word() -> None:
    models = Model("▁a", "b", "▁c"), Model("▁x", "▁y", "z")
    ids = [0, 1, 2], [0, 1, 2]
    found = links_of_pieces([(0, 1), (1, 0), (0, 0)], ("ab c", "x yz"), ids, models)  # type: ignore[arg-type]
    assert found == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0)]
    assert links_of_pieces([], ("ab c", "x yz"), ids, models) == []  # type: ignore[arg-type]
    assert links_of_pieces([(0, 0)], ("ab d", "x yz"), ids, models) == []  # type: ignore[arg-type]

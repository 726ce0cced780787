"""Where a line is cut: by the figures of the training lines, at sentence ends, and else as softly as possible."""

from collections.abc import Sequence
from typing import cast

import pytest

from nmt.config.inference import TrainingLines
from nmt.data.encoding.tokenizer import Tokenizer
from nmt.data.sentences import SentenceSplitter
from nmt.inference.segments import Mode, Segmenter, join, pack

TAG = 7  # the id of a tag


class Letters:
    """A tokenizer whose pieces are the characters other than spaces."""

    def __init__(self) -> None:
        self.source = self

    def encode(self, texts: Sequence[str], *, tagged: bool = True) -> list[list[int]]:  # noqa: ARG002
        return [[ord(character) for character in text if character != " "] for text in texts]


def cut(
    line: str,
    known: tuple[int, int, int] | None,
    *,
    limit: int = 30,
    mode: Mode = "auto",
    tags: int = 0,
    least: int = 0,
    language: str = "en",
) -> tuple[list[str], list[int], bool]:
    """Return the segments as text without spaces, those that follow without a space, and whether a sentence was cut."""
    tokenizer, head = cast("Tokenizer", Letters()), [TAG] * tags
    lines = known and TrainingLines(sentences=known[0], pieces=known[1], longest=known[2])
    segmenter = Segmenter(tokenizer, limit, SentenceSplitter(language), mode, lines or None)
    segments, is_cut = segmenter.split(line, head, head + tokenizer.source.encode([line])[0], least)
    assert all(segment.ids[:tags] == head and len(segment.ids) <= limit for segment in segments)
    texts = ["".join(map(chr, segment.ids[tags:])) for segment in segments]
    assert "".join(texts) == line.replace(" ", "")
    return texts, [number for number, segment in enumerate(segments) if segment.is_glued], is_cut


LINE = "Ab cd. Efg? Hij! Kl mn."


@pytest.mark.parametrize(
    ("known", "segments"),
    [
        ((1, 9, 9), ["Abcd.", "Efg?", "Hij!", "Klmn."]),
        ((2, 9, 9), ["Abcd.Efg?", "Hij!Klmn."]),
        ((2, 8, 9), ["Abcd.", "Efg?Hij!", "Klmn."]),
        ((3, 13, 20), ["Abcd.Efg?Hij!", "Klmn."]),
        ((4, 18, 18), ["Abcd.Efg?Hij!Klmn."]),
        ((4, 17, 20), ["Abcd.Efg?Hij!", "Klmn."]),
        ((3, 30, 30), ["Abcd.Efg?Hij!", "Klmn."]),
        ((9, 99, 99), ["Abcd.Efg?Hij!Klmn."]),
    ],
)
def test_a_line_is_cut_into_segments_of_the_usual_sentences_and_pieces(
    known: tuple[int, int, int], segments: list[str]
) -> None:
    assert cut(LINE, known) == (segments, [], False)


def test_lines_of_two_sentences_stay_whole_where_training_had_them() -> None:
    assert cut("Ab cd. Efg?", (2, 9, 9))[0] == ["Abcd.Efg?"]
    assert cut("Ab cd. Efg?", (1, 9, 9))[0] == ["Abcd.", "Efg?"]


def test_a_sentence_is_cut_only_if_it_is_longer_than_all_of_training() -> None:
    sentence = "abcd, efgh ijk, lmn op."
    assert cut(sentence, (1, 10, 19)) == (["abcd,efghijk,lmnop."], [], False)
    assert cut(sentence, (1, 10, 18)) == (["abcd,", "efghijk,", "lmnop."], [], True)
    assert cut(sentence, (1, 6, 7)) == (["abcd,", "efgh", "ijk,", "lmnop."], [], True)
    assert cut("a" * 25 + " b", (1, 10, 12)) == (["a" * 10, "a" * 10, "a" * 5, "b"], [], True)
    assert cut("ab. " + sentence, (1, 10, 18))[0] == ["ab.", "abcd,", "efghijk,", "lmnop."]


def test_without_the_figures_a_line_that_fits_stays_whole_and_a_longer_one_is_cut_into_sentences() -> None:
    assert cut(LINE, None, limit=18) == (["Abcd.Efg?Hij!Klmn."], [], False)
    assert cut(LINE, None, limit=17) == (["Abcd.", "Efg?", "Hij!", "Klmn."], [], False)
    assert cut("abcd efgh", None, limit=7) == (["abcd", "efgh"], [], True)


def test_other_modes_cut_at_every_sentence_or_as_late_as_possible() -> None:
    for known in (None, (3, 9, 30)):
        assert cut(LINE, known, mode="sentence")[0] == ["Abcd.", "Efg?", "Hij!", "Klmn."]
        assert cut(LINE, known, mode="fill")[0] == ["Abcd.Efg?Hij!Klmn."]
        assert cut(LINE, known, mode="fill", limit=17)[0] == ["Abcd.Efg?Hij!", "Klmn."]
    assert cut("ab; cdefgh", None, mode="fill", limit=5) == (["ab;", "cdefg", "h"], [], True)
    assert cut(LINE, (1, 3, 3), mode="sentence")[2]


def test_tags_count_as_pieces_of_each_segment() -> None:
    assert cut(LINE, (9, 20, 20), tags=2)[0] == ["Abcd.Efg?Hij!Klmn."]
    assert cut(LINE, (9, 19, 20), tags=2)[0] == ["Abcd.Efg?Hij!", "Klmn."]
    assert cut("abcd efgh", (1, 10, 10), tags=2)[0] == ["abcdefgh"]
    assert cut("abcd efgh", (1, 9, 9), tags=2)[0] == ["abcd", "efgh"]
    assert cut("abc", (1, 1, 1), tags=2)[0] == ["a", "b", "c"]


def test_the_first_segment_holds_the_sentences_that_a_prefix_begins() -> None:
    assert cut(LINE, (1, 9, 9), least=3)[0] == ["Abcd.Efg?Hij!", "Klmn."]
    assert cut(LINE, (1, 9, 9), least=3, limit=12)[0] == ["Abcd.Efg?", "Hij!", "Klmn."]
    assert cut(LINE, (1, 9, 9), least=1)[0] == ["Abcd.", "Efg?", "Hij!", "Klmn."]


def test_segments_of_unspaced_text_are_glued() -> None:
    assert cut("他来了。你好吗？ 好。", (1, 9, 9), language="zh") == (["他来了。", "你好吗？", "好。"], [1], False)
    assert cut("甲乙，丙丁，戊。", (1, 4, 6), language="zh") == (["甲乙，", "丙丁，", "戊。"], [1, 2], True)


def test_texts_are_packed_in_order_within_both_bounds() -> None:
    assert pack(["a", "b", "c", "d"], [5, 5, 1, 9], 2, 6) == ["a", "bc", "d"]
    assert pack([], [], 1, 1) == []


@pytest.mark.parametrize(
    ("texts", "joined"),
    [
        (["A b.", "C."], "A b. C."),
        (["", "A.", "", "B."], "A. B."),
        (["他来了。", "你好吗？", "OK.", "好"], "他来了。你好吗？OK. 好"),
        (["他说：“好。”", "走"], "他说：“好。”走"),
        (["はい」", "ええ"], "はい」ええ"),
        (["ขาว", "ดำ"], "ขาว ดำ"),
        (["네.", "아니요."], "네. 아니요."),
        ([], ""),
    ],
)
def test_translations_are_joined_by_a_space_where_their_script_has_one(texts: list[str], joined: str) -> None:
    assert join(texts) == joined


@pytest.mark.parametrize("known", [None, (1, 9, 9), (2, 9, 9), (2, 8, 9), (3, 13, 20), (9, 99, 99), (1, 3, 4)])
@pytest.mark.parametrize("mode", ["auto", "sentence", "fill"])
def test_the_parts_of_a_line_are_segmented_alone_as_in_the_line(known: tuple[int, int, int] | None, mode: Mode) -> None:
    tokenizer = cast("Tokenizer", Letters())
    lines = known and TrainingLines(sentences=known[0], pieces=known[1], longest=known[2])
    segmenter = Segmenter(tokenizer, 14, SentenceSplitter("en"), mode, lines or None)
    head = [TAG]

    def ids(text: str) -> list[int]:
        return head + tokenizer.source.encode([text])[0]

    for line in (LINE, "Ab cd.", "", "Ab, cd efgh ijklmn, opqr stuvwx yz. Ab."):
        parts = segmenter.parts(line, head, ids(line))
        assert "".join(parts) == line
        alone = [segment for part in parts for segment in segmenter.split(part, head, ids(part))[0]]
        assert alone == segmenter.split(line, head, ids(line))[0]
    if mode == "sentence":
        assert segmenter.parts(LINE, head, ids(LINE)) == ["Ab cd. ", "Efg? ", "Hij! ", "Kl mn."]

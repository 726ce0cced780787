"""Subtitles: cues are units, and keep their times, their tags and their number of lines."""

import pytest
from documents import backwards, upper

from nmt.documents.filling import Setting
from nmt.documents.srt import srt_parts, wrap
from nmt.documents.translating import translate_document
from nmt.documents.units import Unit
from nmt.errors import DataError

FILM = (
    "1\r\n00:00:01,000 --> 00:00:02,500\r\n<i>a b</i> c\r\nd\r\n\r\n"
    "2\r\n00:00:03,000 --> 00:00:04,000 X1:40\r\n- e f\r\n- g\r\n\r\n\r\n"
    "3\r\n00:00:05,000 --> 00:00:06,000\r\n{\\an8}h <b>i\r\n\r\n4\r\n00:00:07,000 --> 00:00:08,000\r\n12"
)


def test_a_cue_is_a_unit_and_each_speaker_s_line_is_one() -> None:
    units = [part.layout()[0] for part in srt_parts(FILM, Setting()) if isinstance(part, Unit)]
    assert units == ["a b c d", "e f", "g", "h i"]


def test_times_numbers_and_tags_are_kept() -> None:
    found = translate_document(FILM.encode(), "srt", backwards).decode()
    expected = FILM.replace("<i>a b</i> c\r\nd", "D C\r\n<i>B A</i>").replace("- e f\r\n- g", "- F E\r\n- G")
    assert found == expected.replace("h <b>i", "<b>I H")
    assert translate_document(FILM.encode(), "srt", upper).decode().count("-->") == 4


@pytest.mark.parametrize(
    ("text", "count", "wrapped"),
    [
        ("a b c d", 1, "a b c d"),
        ("aaa bbb ccc ddd", 2, "aaa bbb|ccc ddd"),
        ("aaa bbb ccc", 3, "aaa|bbb|ccc"),
        ("aaa", 2, "aaa"),
        ('<font color="x y">aa</font> bb', 2, '<font color="x y">aa</font>|bb'),
    ],
)
def test_a_translation_is_broken_into_lines_of_about_one_length(text: str, count: int, wrapped: str) -> None:
    assert wrap(text, count, "|") == wrapped


def test_text_without_times_is_no_subtitle() -> None:
    with pytest.raises(DataError) as caught:
        srt_parts("a b", Setting(name="x.srt"))
    assert str(caught.value) == "x.srt: holds no times as 00:00:01,000 --> 00:00:02,000 (is it a .srt?)"
    assert translate_document(b"\n", "srt", upper) == b"\n"

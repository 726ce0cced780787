"""Units are translated by alignment, by placeholders, or piece by piece; all of it is counted."""

from collections.abc import Sequence

from documents import Recorder, backwards, translation, unaligned, upper

from nmt.documents.filling import MOST_TAGS, DocumentReport, Setting
from nmt.documents.translating import translate_html
from nmt.inference.results import Translation

PAGE = "<p>a b</p><p>c <b>d e</b> <code>F</code> f</p>"


def test_what_was_translated_is_counted() -> None:
    setting = Setting()
    assert translate_html(PAGE, backwards, setting) == "<p>B A</p><p>F <code>F</code> <b>E D</b> C</p>"
    assert setting.report == DocumentReport(units=2, tagged=1)
    assert setting.report.warnings() == []


def test_words_that_kept_text_replaces_are_counted() -> None:
    def translate(lines: Sequence[str], *, alignment: bool) -> list[Translation]:
        assert alignment
        return [translation(line, "Ein Ding.", [(0, 0), (1, 1), (2, 1)]) for line in lines]

    setting = Setting()
    assert translate_html("<p>A <code>f g()</code>.</p>", translate, setting) == "<p>Ein <code>f g()</code>.</p>"
    assert setting.report == DocumentReport(units=1, tagged=1, replaced=1)
    assert setting.report.warnings() == [
        "words of the translation replaced by text that is not translated, such as code: 1"
    ]


def test_alignments_are_asked_for_where_there_are_tags() -> None:
    recorder = Recorder()
    translate_html(PAGE, recorder)
    translate_html("<p>a</p>", recorder)
    translate_html("<p>1</p>", recorder)
    assert recorder.asked == [(["a b"], False), (["c d e F f"], True), (["a"], False)]


def test_without_an_alignment_texts_are_translated_between_their_tags() -> None:
    setting = Setting()
    assert translate_html(PAGE, unaligned, setting) == "<p>A B</p><p>C <b>D E</b> <code>F</code> F</p>"
    assert setting.report.piecewise == 1
    assert setting.report.warnings() == [
        "texts translated piece by piece between their tags, as they have no alignment: 1"
    ]


def test_a_unit_of_very_many_tags_is_translated_piece_by_piece() -> None:
    setting = Setting()
    source = "<p>" + "<b>a</b> b " * MOST_TAGS + "</p>"
    assert translate_html(source, upper, setting) == source.replace("a", "A").replace(" b ", " B ")
    assert setting.report.piecewise == 1


def test_tags_travel_as_placeholders_of_the_model() -> None:
    asked: list[str] = []

    def translate(lines: Sequence[str], *, alignment: bool) -> list[Translation]:
        assert not alignment
        asked.extend(lines)
        return [translation(line, " ".join(line.upper().split()[::-1]), None) for line in lines]

    setting = Setting(placeholders=3)
    assert translate_html(PAGE, translate, setting) == "<p>B A</p><p>F <code>F</code> E <b></b>D C</p>"
    assert asked == ["a b", "c ⟦0⟧d e⟦1⟧ ⟦2⟧ f"]
    assert setting.report == DocumentReport(units=2, tagged=1, unplaced=1)
    assert setting.report.warnings() == ["tags whose text was not found in the translation, now empty or at the end: 1"]


def test_more_tags_than_placeholders_or_literal_ones_are_translated_piece_by_piece() -> None:
    for source in (PAGE, "<p>a <b>b</b> \u27e60\u27e7 c</p>"):
        setting = Setting(placeholders=2)
        assert translate_html(source, unaligned, setting).startswith("<p>A")
        assert setting.report.piecewise == 1


def test_tags_that_were_repaired_are_counted() -> None:
    setting = Setting()
    translate_html("<b>a", upper, setting)
    assert setting.report.warnings() == ["tags added or left out to balance the document: 1"]

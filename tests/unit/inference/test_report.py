"""The report: which translations look wrong, and how each kind is worded."""

from dataclasses import fields
from typing import Any

import pytest

from nmt.inference.report import Report, has_loop, list_lines
from nmt.inference.results import Candidate

OTHERS = {"lines", "failed", "terms", "tried", "repaired"}
"""Fields that are no kinds of lines, or share a sentence."""


def test_each_kind_has_its_sentence_in_this_order() -> None:
    kinds = [kind.name for kind in fields(Report) if kind.name not in OTHERS]
    of_kinds: dict[str, Any] = {name: [number] for number, name in enumerate(sorted(kinds), 1)}
    report = Report(9, **of_kinds)
    number = {name: f"1 (line {number})" for number, name in enumerate(sorted(kinds), 1)}
    assert report.warnings() == [
        f"input lines not UTF-8, each wrong byte now U+FFFD: {number['replaced']}",
        f"input lines blank, and so are their translations: {number['blank']}",
        f"input lines translated in segments: {number['segmented']}",
        f"input lines with a sentence too long for the model, split within it: {number['cut']}",
        f"matches to be protected beyond the model's placeholders, translated as any text: {number['beyond']}",
        f"pairs with a side that is blank or too long for the model, not scored: {number['unscored']}",
        f"translations that repeat themselves: {number['looping']}",
        f"translations that are blank though their lines are not: {number['emptied']}",
        f"translations that copy their lines: {number['copied']}",
        f"translations that are largely unknown characters or spelled in bytes: {number['spelled']}",
        f"translations that are far shorter than their lines: {number['short']}",
        f"translations that are improbable to the model itself: {number['improbable']}",
        f"translations of less than the least confidence: {number['unsure']}",
        f"placeholders that could not be restored, their text is missing: {number['unrestored']}",
        f"placeholders that stand for nothing, taken out of translations: {number['invented']}",
        f"terms of the glossary that translations lack: {number['unmet']}",
        f"translations that hold a phrase to avoid: {number['unavoided']}",
    ]
    assert Report(lines=9).warnings() == []


@pytest.mark.parametrize(("lines", "terms", "is_said"), [(9, 0, True), (9, 1, False), (9, None, False), (0, 0, False)])
def test_a_glossary_without_a_term_in_any_line_is_said(lines: int, terms: int | None, is_said: bool) -> None:
    sentence = "no line holds a term of the glossary: is its first column in the source language?"
    assert Report(lines, terms=terms).unused == [sentence] * is_said


def test_the_report_on_the_lines_that_follow_is_added_to_each_kind() -> None:
    kinds = [kind.name for kind in fields(Report) if kind.name not in OTHERS]
    of_kinds: dict[int, dict[str, Any]] = {last: {name: [last] for name in kinds} for last in (5, 9)}
    report, following = (Report(last, **of_kinds[last]) for last in (5, 9))
    report.failed, following.failed = {"numbers missing": [5]}, {"tags invented": [9], "numbers missing": [7, 9]}
    report.add(following)
    failed = {"numbers missing": [5, 7, 9], "tags invented": [9]}
    of_kinds[9] = {name: [5, 9] for name in kinds} | {"failed": failed}
    assert report == Report(9, **of_kinds[9])
    report.add(Report(9, terms=2))
    report.add(Report(12, terms=3))
    assert report.terms == 5


def test_lines_that_fail_checks_are_counted_once_and_by_check() -> None:
    report = Report(lines=20)
    report.add_checks(3, {"tags": {"missing": [], "invented": ["<b>", "</b>"]}})
    report.add_checks(
        7, {"numbers": {"missing": ["1,500"], "invented": ["1.600"]}, "tags": {"missing": ["<b>"], "invented": []}}
    )
    report.add_checks(8, {"numbers": {"missing": ["7"], "invented": []}})
    report.tried, report.repaired = [2, 3, 7, 8], [2]
    assert (
        report.warnings()[0]
        == "translations searched again for failed checks: 4 (line 2, 3, 7, 8), of which pass now: 1"
    )
    report.tried = []
    counts = "numbers missing in 2, numbers invented in 1, tags missing in 1, tags invented in 1"
    said = "translations that fail a check against their lines: 3"
    assert report.warnings() == [f"{said} (line 3, 7, 8): {counts}"]
    assert report.warnings(numbered=False) == [f"{said}: {counts}"]
    assert report.of_line(7) == [
        "translations that fail a check against their lines: numbers missing, numbers invented, tags missing"
    ]
    assert report.of_line(9) == []


def test_ten_lines_of_a_kind_are_listed_and_all_are_counted() -> None:
    assert Report(looping=list(range(1, 1235))).warnings() == [
        "translations that repeat themselves: 1,234 (line 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ...)"
    ]
    assert list_lines(range(1, 11)) == "line 1, 2, 3, 4, 5, 6, 7, 8, 9, 10"
    assert list_lines([3, 3, 1, 3]) == "line 3, 1"


@pytest.mark.parametrize(
    ("pieces", "is_loop"),
    [
        ("a a a a", True),
        ("a a a", False),
        ("x a a a a y", True),
        ("a b a b a b a b", True),
        ("a b a b a b a", False),
        ("1 2 3 4 5 6 7 8 " * 4, True),
        ("1 2 3 4 5 6 7 8 " * 3, False),
        ("1 2 3 4 5 6 7 8 9 " * 4, False),
        ("", False),
    ],
)
def test_a_loop_is_up_to_eight_pieces_four_times_in_a_row(pieces: str, is_loop: bool) -> None:
    assert has_loop(pieces.split()) is is_loop


@pytest.mark.parametrize(
    ("source", "translation", "pieces", "kind"),
    [
        ("a dog", " ", [], "emptied"),
        ("a dog", "\u200b", ["\u200b"], "emptied"),
        ("a b c d", "a b c d", [], "copied"),
        (" a b c d ", "a b c d", [], "copied"),
        ("a b c", "a b c", [], None),
        ("a b c d", "a b c e", [], None),
        ("a dog", "x", ["x"] * 4, "looping"),
        ("a dog", "x", ["x"] * 3, None),
        ("a dog", "x", ["<)>"] * 9, None),
        ("so so so so old", "x", ["x"] * 4, None),
        ("stop!!!!", "x", ["x"] * 4, None),
        ("a b c d", "a b c d", ["x"] * 4, "copied"),
    ],
)
def test_a_translation_is_judged_by_its_first_fault(
    source: str, translation: str, pieces: list[str], kind: str | None
) -> None:
    report = Report()
    report.judge(7, source, translation, pieces, expected=9, log_prob=-1.5)
    assert report == (Report(**{kind: [7]}) if kind else Report())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pieces", "expected", "log_prob", "kind"),
    [
        (["▁a", "b", "c", "d"], 10.0, -1.5, None),
        (["▁a", "b", "c"], 10.0, 0.0, "short"),
        (["▁a", "b", "c"], 9.9, 0.0, None),
        (["▁a", "b", "c"], 9.9, -1.51, "improbable"),
        (["▁a", "b", "c"], 10.0, -2.0, "short"),
        (["▁a▁", "<unk>", "bc"], 3.0, 0.0, None),
        (["▁a", "<unk>", "b"], 3.0, 0.0, "spelled"),
        (["▁", "<0xE2>", "<0x82>", "<0xAC>", "▁abc"], 3.0, 0.0, None),
        (["▁", "<0xE2>", "<0x82>", "<0xAC>", "▁ab"], 3.0, 0.0, "spelled"),
        (["▁", "<0x21>", "<0xC3>", "<0xBF>"], 30.0, -9.0, "spelled"),
        (["▁", "<0x41>", "b", "c"], 3.0, 0.0, "spelled"),
        (["▁", "<0x3F>", "b", "c"], 3.0, 0.0, None),
    ],
)
def test_a_translation_is_judged_by_its_pieces_length_and_probability(
    pieces: list[str], expected: float, log_prob: float, kind: str | None
) -> None:
    report = Report()
    report.judge(7, "one two three four", "x", pieces, expected=expected, log_prob=log_prob)
    assert report == (Report(**{kind: [7]}) if kind else Report())  # type: ignore[arg-type]


def test_a_line_that_repeats_itself_may_have_a_short_translation() -> None:
    report = Report()
    report.judge(7, "-" * 40, "-", ["-"], expected=40, log_prob=0.0)
    assert report == Report()


def test_the_probability_may_be_judged_alone() -> None:
    report = Report()
    report.judge_probability(7, -1.5)
    assert report == Report()
    report.judge_probability(7, -1.51)
    assert report == Report(improbable=[7])


def test_a_line_has_the_sentences_of_its_kinds_alone() -> None:
    report = Report(lines=3, segmented=[1, 3], looping=[3], blank=[2])
    assert [report.of_line(number) for number in (1, 2, 3, 4)] == [
        ["input lines translated in segments"],
        ["input lines blank, and so are their translations"],
        ["input lines translated in segments", "translations that repeat themselves"],
        [],
    ]


def test_lines_that_were_searched_again_are_judged_by_a_report_of_their_own() -> None:
    report = Report(lines=9, looping=[1])
    report.take_judgement(7, Report(lines=1, looping=[1], improbable=[1], segmented=[1]))
    assert (report.looping, report.improbable, report.segmented) == ([1, 7], [7], [])
    report.add(Report(lines=12, tried=[10, 11], repaired=[11]))
    assert (report.lines, report.tried, report.repaired) == (12, [10, 11], [11])


def test_a_confidence_under_the_least_is_recorded() -> None:
    report = Report(lines=3)
    assert report.is_unsure(2, Candidate("a", -1.0, [], confidence=39.9), 40.0)
    assert not report.is_unsure(3, Candidate("a", -1.0, [], confidence=40.0), 40.0)
    assert not report.is_unsure(3, Candidate("a", -1.0, []), 40.0)
    assert report.unsure == [2]

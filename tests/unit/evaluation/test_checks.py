"""Checks of a translation against its source: what counts as missing, as invented, and as the same."""

import pytest

from nmt.evaluation.checks import Checker, Finding, by_24_hours, count_checks, describe

EN_DE = Checker(("en", "de"))


@pytest.mark.parametrize(
    ("source", "translation", "failures"),
    [
        ("It cost 1,000.5 in 1999.", "Es kostete 1999 dann 1.000,5.", ""),
        ("It cost 1,000.5.", "Es kostete 1,000.5.", ""),  # a copy that is no German number
        ("It cost 1,500.", "Es kostete 1,500.", "numbers missing: 1,500; numbers invented: 1,500"),  # German: 1.5
        ("It cost 1,500.", "Es kostete 1500.", ""),
        ("7 and 8", "7 und 9", "numbers missing: 8; numbers invented: 9"),
        ("7 and 7", "7", "numbers missing: 7"),
        ("7", "7 und 7", "numbers invented: 7"),
        ("version 14.5", "Version 14.5", ""),
        ("version 14.5", "Version 14", "numbers missing: 14.5; numbers invented: 14"),
        ("2 dogs", "Zwei Hunde", ""),
        ("Two dogs", "2 Hunde", ""),
        ("Two dogs", "2 Hunde und 2 Katzen", "numbers invented: 2"),
        ("2 dogs, 2 cats", "zwei Hunde", "numbers missing: 2"),
        ("3 dogs", "Zwei Hunde", "numbers missing: 3"),
        ("Open until 7.30 p.m.", "Bis 19.30 Uhr", ""),
        ("Open until 7.30 p.m.", "Bis 20.30 Uhr", "numbers missing: 19; numbers invented: 20"),
        ("at 10:00", "um 10 Uhr", ""),
        ("see http://a.example/5, ok", "siehe http://a.example/5", ""),
        ("www.a.example", "www.b.example", "urls missing: www.a.example; urls invented: www.b.example"),
        ("write to a@b.example", "an a@c.example", "emails missing: a@b.example; emails invented: a@c.example"),
        ("http://x@b.example/", "", "urls missing: http://x@b.example/"),
        ("<b>bold</b> <b>x</b>", "<b>fett</b> x", "tags missing: <b>, </b>"),
        ("a < b", "a < b > c", ""),
        ("bold", "<b>fett</b>", "tags invented: <b>, </b>"),
        ("{0} of %d, #NAME#", "{1} von %s", "placeholders missing: {0}, %d, #NAME#; placeholders invented: {1}, %s"),
        ("\u27e60\u27e7", "\u27e61\u27e7", "placeholders missing: \u27e60\u27e7; placeholders invented: \u27e61\u27e7"),
        ("", "", ""),
    ],
)
def test_what_a_translation_lacks_and_invents(source: str, translation: str, failures: str) -> None:
    assert describe(EN_DE.check(source, translation)) == failures


def test_words_of_numbers_are_those_of_the_languages() -> None:
    assert Checker(("en", "de")).check("2", "two") != {}
    assert Checker(("de", "en")).check("2", "two") == {}
    assert Checker(("en_US", "nld")).check("Twelve 3", "12 drie") == {}
    assert describe(Checker().check("2 and 1,500", "two and 1.500")) == "numbers missing: 2"
    assert describe(Checker(("en", "ja")).check("two 3", "2")) == "numbers missing: 3"


def test_terms_are_checked_by_whoever_knows_them() -> None:
    def terms(source: str, translation: str) -> Finding:
        return Finding(missing=[translation] if source == "x" else [], invented=[])

    checker = Checker(("en", "de"), terms)
    assert describe(checker.check("x", "y 1")) == "numbers invented: 1; terms missing: y 1"
    assert checker.check("y", "y") == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from 10:00 a.m. until 7.30 p.m.", "from 10. until 19:30."),
        ("12 am, 12pm, 12:15 AM, 1 p.m", "0, 12, 0:15, 13"),
        ("13 pm and 0 am", "13 and 0"),
        ("19.30 Uhr, 9.00 Uhr, 14:00", "19:30 Uhr, 9 Uhr, 14"),
        ("12:39:10, 1.5, 112:30, 9.15 Euro, 12 amps", "12:39:10, 1.5, 112:30, 9.15 Euro, 12 amps"),
    ],
)
def test_times_are_written_by_24_hours(text: str, expected: str) -> None:
    assert by_24_hours(text) == expected


def test_lines_are_counted_beside_the_references_whose_failures_are_errors_of_the_rules() -> None:
    sources = ["7 a@b.example", "8", "9 <b>", "ten", "11", "none"]
    hypotheses = ["6", "", "9 <b> <i>", "10", "11", "none"]
    references = [
        ["7 a@b.example", "acht", "9 <b>", "10", "x", "none"],
        ["7 a@b.example", "9", "9 <b>", "10", "11", "none"],
    ]
    counts = count_checks(sources, hypotheses, references, ("en", "de"))
    assert list(counts) == ["numbers", "urls", "emails", "tags", "placeholders"]
    assert counts["numbers"] == {
        "lines": 5, "missing": 2, "invented": 1, "reference_missing": 2, "reference_invented": 1, "failing": [1],
    }  # fmt: skip
    assert (counts["emails"]["lines"], counts["emails"]["missing"], counts["emails"]["failing"]) == (1, 1, [1])
    assert (counts["tags"]["lines"], counts["tags"]["invented"], counts["tags"]["failing"]) == (1, 1, [3])
    assert counts["urls"]["lines"] == 0

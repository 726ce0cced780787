"""Upper, lower and title case of several languages."""

import re

import pytest

from nmt.data.augmenting.casing import Casing, has_case


@pytest.mark.parametrize(
    ("language", "line", "upper"),
    [
        ("de", "Straße 5, groß.", "STRASSE 5, GROSS."),
        (None, "an élan", "AN ÉLAN"),
        ("tr", "iyi ışık", "İYİ IŞIK"),
        ("tur_Latn", "ilk", "İLK"),
        ("az", "iki", "İKİ"),
        ("en", "iris", "IRIS"),
        ("el", "Καλημέρα, μαΐου", "ΚΑΛΗΜΕΡΑ, ΜΑΪΟΥ"),
        ("ru", "мир", "МИР"),
        ("ja", "今日は。", "今日は。"),
    ],
)
def test_capitals_are_those_of_the_language(language: str | None, line: str, upper: str) -> None:
    assert Casing(language).upper(line) == upper


@pytest.mark.parametrize(
    ("language", "line", "lower"),
    [("tr", "IŞIK İyi", "ışık iyi"), ("en", "IRIS", "iris"), ("el", "ΟΔΟΣ", "οδος")],
)
def test_lower_case_is_that_of_the_language(language: str, line: str, lower: str) -> None:
    assert Casing(language).lower(line) == lower


@pytest.mark.parametrize(
    ("language", "line", "title"),
    [
        ("en", "the dog's iPhone isn't 5th", "The Dog's IPhone Isn't 5Th"),
        ("nl", "ijsland", "IJsland"),
        ("en", "ijsland", "Ijsland"),
        ("tr", "iyi", "İyi"),
        ("de", "ßa", "Ssa"),
    ],
)
def test_titles_have_a_capital_at_the_start_of_each_word(language: str, line: str, title: str) -> None:
    assert Casing(language).title(line) == title


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("en", True),
        ("ru", True),
        ("el", True),
        ("hy", True),
        ("ja", False),
        ("ar", False),
        ("hi", False),
        ("ko", False),
        ("xx-none", True),
    ],
)
def test_some_languages_have_capitals(language: str, expected: bool) -> None:
    assert has_case(language) is expected


def test_what_is_kept_keeps_its_letters() -> None:
    casing = Casing("en", re.compile("<sep>|<b>"))
    assert casing.upper("one <sep> two<b>") == "ONE <sep> TWO<b>"
    assert casing.lower("ONE <SEP> two") == "one <sep> two"
    assert casing.title("one<b>two <sep>") == "One<b>Two <sep>"

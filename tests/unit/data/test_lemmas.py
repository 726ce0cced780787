"""Base forms of words, and phrases found in any form of their words."""

import sys

import pytest

from nmt.data.lemmas import LemmaFinder, lemmatizer
from nmt.errors import UsageError


def test_base_forms_are_those_of_the_language() -> None:
    german, english = lemmatizer("de", "x"), lemmatizer("en_GB", "x")
    assert [german("H\u00e4usern"), german("sah"), english("mice")] == ["Haus", "sehen", "mouse"]


@pytest.mark.parametrize("language", ["ja", None])
def test_a_language_without_a_dictionary_is_refused(language: str | None) -> None:
    with pytest.raises(UsageError, match=f"terms: no base forms of words of {language or 'an unknown language'}"):
        lemmatizer(language, "terms")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "simplemma", None)
    with pytest.raises(UsageError, match="missing terms needs a package that is not installed") as caught:
        lemmatizer("de", "missing terms")
    assert "lemmas" in str(caught.value)


def test_a_phrase_is_found_in_any_form_of_its_words_and_the_longest_first() -> None:
    finder = LemmaFinder(["house", "old house", "US", "mother-in-law"], lemmatizer("en", "x"))
    text = "Old houses, houses; us, US and mothers-in-law."
    found = [(text[start:end], phrase) for start, end, phrase in finder.find(text)]
    assert found == [
        ("Old houses", "old house"),
        ("houses", "house"),
        ("US", "US"),
        ("mothers-in-law", "mother-in-law"),
    ]
    assert finder.count(text) == 4
    assert finder.find("") == []


def test_of_several_forms_of_a_word_the_one_that_is_written_is_found() -> None:
    finder = LemmaFinder(["house", "houses", "housing"], lemmatizer("en", "x"))
    assert [phrase for _, _, phrase in finder.find("house houses House")] == ["house", "houses", "house"]


def test_parts_of_words_and_of_words_with_hyphens_are_not_found() -> None:
    finder = LemmaFinder(["house", "big dog"], lemmatizer("en", "x"))
    assert finder.find("household house-boats big-dogs big  dogs") == []

"""The language of a text, among those that are served."""

from types import ModuleType

import pytest

from nmt import runtime
from nmt.data.identification import identifier
from nmt.server.detection import detect
from nmt.server.errors import ApiError

ENGLISH = "The woman wants to see the old house behind the river."


def test_the_likeliest_language_is_first_and_shares_are_per_cent() -> None:
    found = detect(ENGLISH, ["de", "en", "fr"])
    assert found[0].language == "en"
    assert found[0].confidence > 90
    assert [one.language for one in detect("Die Frau möchte das alte Haus sehen.", ["en", "de"])] == ["de", "en"]
    assert 99 < sum(one.confidence for one in found) < 101


def test_codes_are_those_that_are_served() -> None:
    assert detect(ENGLISH, ["en-GB", "de_DE"])[0].language == "en-GB"
    assert detect(ENGLISH, ["tlh"]) == []


@pytest.mark.parametrize("text", ["", " ", "\0", "12", "\ud7ff" * 3])
def test_any_text_is_of_some_language(text: str) -> None:
    assert len(detect(text, ["en", "de"])) == 2


def test_without_the_package_one_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(module: str) -> ModuleType:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    identifier.cache_clear()
    monkeypatch.setattr(runtime, "import_module", missing)
    with pytest.raises(ApiError) as told:
        detect(ENGLISH, ["en", "de"])
    assert told.value.status == 400
    assert told.value.message.startswith("identifying a language needs a package that is not installed (pip install")
    assert told.value.message.endswith('[langid]"); name the source language')

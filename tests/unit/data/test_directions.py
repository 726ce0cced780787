"""The direction in which a model is to translate, from the codes that a user gives."""

import pytest

from nmt.config.languages import LanguagesConfig
from nmt.data.directions import Direction, choose_direction
from nmt.errors import UsageError

ONE = LanguagesConfig(source="en", target="de")
MANY = LanguagesConfig.model_validate({"directions": ["en-de", "fr-de", "de-en", "en-pt_BR"]})
INTO_ONE = LanguagesConfig.model_validate({"directions": ["en-de", "fr-de"]})


@pytest.mark.parametrize(("source", "target"), [(None, None), ("en", None), (None, "deu"), ("en_GB", "de-DE")])
def test_a_model_of_one_direction_has_no_tag(source: str | None, target: str | None) -> None:
    assert choose_direction(ONE, source, target) == Direction("en", "de")


def test_the_tag_is_that_of_the_target() -> None:
    found = choose_direction(MANY, "en", "pt-BR")
    assert found == Direction("en", "pt_BR", ("<2pt_BR>", "<2de>", "<2en>"))
    assert choose_direction(MANY, None, "en") == Direction("de", "en", ("<2en>", "<2de>", "<2pt_BR>"))


def test_of_several_sources_none_is_assumed() -> None:
    assert choose_direction(MANY, None, "de") == Direction(None, "de", ("<2de>", "<2en>", "<2pt_BR>"))
    assert choose_direction(INTO_ONE, None, None) == Direction(None, "de", ("<2de>",))
    assert choose_direction(INTO_ONE, "fr", None).source == "fr"


def test_a_source_with_one_target_needs_no_other() -> None:
    assert choose_direction(MANY, "fr", None).languages == ("fr", "de")


def test_a_direction_that_was_not_trained_is_marked() -> None:
    assert not choose_direction(MANY, "fr", "en").is_trained
    assert not choose_direction(MANY, "pt", "de").is_trained
    assert choose_direction(MANY, "fr", "de").is_trained


@pytest.mark.parametrize(
    ("languages", "source", "target", "said"),
    [
        (ONE, None, "fr", "--to fr: the model translates en to de, and not to fr"),
        (ONE, "de", None, "--from de: the model translates en to de, and not from de"),
        (MANY, None, "fr", "--to fr: the model translates en-de, fr-de, de-en, en-pt_BR, and not to fr"),
        (MANY, "ja", "de", "--from ja: the model translates en-de, fr-de, de-en, en-pt_BR, and not from ja"),
        (MANY, "de", "de", "from de to de: a direction has two languages"),
        (
            MANY,
            None,
            None,
            "the model translates en-de, fr-de, de-en, en-pt_BR: no target language is given (--to de or en or pt_BR)",
        ),
        (
            MANY,
            "en",
            None,
            "the model translates en-de, fr-de, de-en, en-pt_BR: no target language is given (--to de or en or pt_BR)",
        ),
    ],
)
def test_languages_that_the_model_does_not_have_are_refused(
    languages: LanguagesConfig, source: str | None, target: str | None, said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        choose_direction(languages, source, target)
    assert str(caught.value) == said

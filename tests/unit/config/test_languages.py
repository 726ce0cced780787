"""The directions of a recipe: their tags, the corpora that have them, and what is refused."""

from typing import Any

import pytest

from nmt.config.data import DataConfig
from nmt.config.languages import LanguagesConfig, tag_of, with_tags
from nmt.config.toml import check, load_recipe
from nmt.errors import RecipeError

TWO = ["en-de", "de-en"]


def recipe(languages: dict[str, Any] | None = None, **sections: Any) -> dict[str, Any]:
    train = {name: {"files": f"{name}.tsv", "direction": name} for name in TWO}
    data = {"train": train, **sections.pop("data", {})}
    return {"name": "x", "languages": languages or {"directions": TWO}, "data": data, **sections}


def refusal(values: dict[str, Any]) -> str:
    with pytest.raises(RecipeError) as caught:
        check(values, "x.toml")
    return str(caught.value)


def test_one_direction_has_no_tags() -> None:
    one = LanguagesConfig(source="en", target="de")
    assert (one.each, one.codes, one.tags, one.title) == ([one], ["en", "de"], [], "en to de")
    assert one.of(None) is one
    assert LanguagesConfig.model_validate(one.model_dump()) == one


def test_the_first_of_several_directions_is_source_and_target() -> None:
    found = LanguagesConfig.model_validate({"directions": ["en-pt_BR", "en-de", "de-en"]})
    assert (found.pair, found.direction) == (("en", "pt_BR"), "en-pt_BR")
    assert found.codes == ["en", "pt_BR", "de"]
    assert found.tags == ["<2pt_BR>", "<2de>", "<2en>"]
    assert found.title == "en-pt_BR, en-de, de-en"
    assert [one.pair for one in found.each] == [("en", "pt_BR"), ("en", "de"), ("de", "en")]
    assert found.of("de-en") == LanguagesConfig(source="de", target="en")
    assert LanguagesConfig.model_validate(found.model_dump()) == found


def test_sources_begin_with_the_tag_of_their_target_before_other_tags() -> None:
    values = recipe(data={"test": {"t": {"files": "t.tsv", "direction": "de-en", "tags": ["<news>"]}}})
    found = check(values, "x")
    assert [corpus.tags for corpus in found.data.train.values()] == [["<2de>"], ["<2en>"]]
    assert found.data.test["t"].tags == ["<2en>", "<news>"]
    assert found.data.tags == ["<2de>", "<2en>", "<news>"]
    assert check(found.model_dump(), "again") == found
    assert tag_of("de") == "<2de>"
    assert with_tags({"files": "a", "direction": "fr-en"}, TWO) == {"files": "a", "direction": "fr-en"}
    assert "tags" not in load_recipe("demo").recipe.data.train["train"].model_fields_set


def test_each_set_has_the_languages_of_its_direction() -> None:
    held_out = {name: {"files": "t.tsv", "direction": "de-en"} for name in ("dev", "guard")}
    data = {**held_out, "test": {"en-de": held_out["dev"]}}
    tuned = {"init_from": "model", "guard": {"metric": "bleu", "bound": 1.0}}
    found = check(recipe(data=data, training=tuned), "x")
    assert {found.languages_of(name).pair for name in ("dev", "guard", "test.en-de")} == {("de", "en")}
    assert [*found.data.held_out] == ["dev", "guard", "test.en-de"]
    split_off = check(recipe(), "x")
    assert split_off.languages_of("devs.de-en").pair == ("de", "en")
    assert split_off.languages_of("test.en-de").pair == ("en", "de")


def test_temperature_counts_the_corpora_of_a_direction_together() -> None:
    train = {name: {"files": "t.tsv", "direction": "en-de"} for name in "ab"} | {
        "c": {"files": "t.tsv", "direction": "de-en"}
    }
    data = DataConfig.model_validate({"train": train, "temperature": 2})
    assert data.weights({"a": 300, "b": 100, "c": 100}) == {"a": 1.0, "b": 1.0, "c": 2.0}
    shares = data.shares({"a": 300, "b": 100, "c": 100})
    # p of a direction is proportional to n^(1/2): 20 and 10.
    assert shares["c"]["share"] == pytest.approx(1 / 3)
    assert shares["a"]["share"] == pytest.approx(3 * shares["b"]["share"])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            recipe({"source": "en", "target": "de"}),
            "data.train.en-de.direction needs languages.directions, in place of source and target",
        ),
        (
            recipe(data={"dev": {"files": "d.tsv"}}),
            "missing key data.dev.direction: one of languages.directions, en-de, de-en",
        ),
        (
            recipe(data={"test": {"t": {"files": "d.tsv", "direction": "fr-en"}}}),
            "data.test.t.direction = 'fr-en': none of languages.directions, which are en-de, de-en",
        ),
        (
            recipe({"directions": [*TWO, "en-fr"]}),
            'languages.directions: no corpus of data.train has direction = "en-fr"',
        ),
        (recipe({"directions": [*TWO, "en-de"]}), "languages: directions: en-de is named twice"),
        (recipe({"directions": ["en-en"]}), "languages: directions: en-en is from a language to itself"),
        (
            recipe({"directions": "en-de"}),
            """languages: directions is a list of texts, as ["en-de", "de-en"], not 'en-de'""",
        ),
        (recipe({"directions": [1]}), 'languages: directions is a list of texts, as ["en-de", "de-en"], not [1]'),
        (
            recipe({"source": "de", "target": "en", "directions": TWO}),
            "languages: directions are given in place of source and target: leave these out",
        ),
        (
            recipe({"directions": ["en"]}),
            "languages.directions.0: 'en' is no direction, which has one hyphen, as en-de; a code of parts has "
            "underscores, as in en-pt_BR",
        ),
        (
            recipe(data={"dev": {"files": "d.tsv", "direction": "en-de"}, "devs": {"a": {"files": "d.tsv"}}}),
            "data: dev and devs exclude each other: give the one dev set a name too",
        ),
        (
            recipe(augmentation={"single_words": 0.1}),
            "augmentation.single_words: the dictionary is of one direction, and there are several",
        ),
        (
            recipe(
                data={"monolingual": {"m": {"text": "t", "language": "en"}}},
                model={"architecture": "encoder-only"},
                tokenizer={"masks": 1},
                training={"objective": "masked"},
            ),
            "data.monolingual: languages.directions are for translation from data.train alone",
        ),
    ],
)
def test_a_recipe_whose_directions_do_not_fit_is_refused_in_one_line(values: dict[str, Any], said: str) -> None:
    assert refusal(values) == f"x.toml: {said}"

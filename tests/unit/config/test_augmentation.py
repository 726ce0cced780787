"""The section [augmentation]: its rates, and recipes that have no pairs to change."""

from typing import Any

import pytest
from pydantic import ValidationError
from sections import finding

from nmt.config.augmentation import AugmentationConfig
from nmt.config.recipe import Recipe

ALIGNED = ["single_words", "copied_tokens", "inline_tags", "terms"]


def recipe(**values: Any) -> Recipe:
    base = {"name": "x", "languages": {"source": "en", "target": "de"}, "augmentation": {"lower": 0.1}}
    return Recipe.model_validate({**base, "data": {"train": {"files": "a.tsv"}}, **values})


def test_the_rates_are_those_above_zero_in_the_order_of_the_section() -> None:
    assert AugmentationConfig().rates == {}
    config = AugmentationConfig(
        terms=0.5,
        join=0.5,
        typos=1.0,
        upper=0.25,
        join_most=3,
        terms_most=2,
        terms_exchanged=0.5,
        terms_lemmas=0.5,
        seed=9,
    )
    assert list(config.rates.items()) == [("upper", 0.25), ("typos", 1.0), ("join", 0.5), ("terms", 0.5)]


@pytest.mark.parametrize("kind", ["upper", "title", "lower", "no_final_mark", "typos", "join", *ALIGNED])
def test_a_rate_is_a_share(kind: str) -> None:
    assert finding(AugmentationConfig, **{kind: -0.1}) == (kind, "Input should be greater than or equal to 0")
    assert finding(AugmentationConfig, **{kind: 1.1}) == (kind, "Input should be less than or equal to 1")


@pytest.mark.parametrize(
    ("key", "value", "kind"), [("join_most", 3, "join"), ("terms_most", 2, "terms"), ("terms_exchanged", 0.0, "terms")]
)
def test_a_key_of_a_kind_that_is_not_made_is_refused(key: str, value: float, kind: str) -> None:
    with pytest.raises(ValidationError, match=f"{key} is for {kind}, which is 0: leave it out"):
        AugmentationConfig.model_validate({key: value})
    AugmentationConfig.model_validate({key: value, kind: 0.1})


@pytest.mark.parametrize("most", [0, 17])
def test_a_source_has_some_terms(most: int) -> None:
    assert finding(AugmentationConfig, terms_most=most)[0] == "terms_most"


@pytest.mark.parametrize("most", [1, 33])
def test_two_pairs_or_more_are_joined(most: int) -> None:
    assert finding(AugmentationConfig, join_most=most)[0] == "join_most"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"data": {"train": {"trees": "a.trees"}}, "tokenizer": {"trees": True, "normalization": "nfc"}},
            "augmentation.lower changes pairs of sentences, and data.train.trees has others: leave it out",
        ),
        (
            {
                "data": {
                    "train": {
                        "a": {"files": "a.tsv"},
                        "b": {"task": "reverse", "pairs": 9, "min_length": 1, "max_length": 2, "symbols": 3},
                    }
                }
            },
            "augmentation.lower changes pairs of sentences, and data.train.b.task has others: leave it out",
        ),
        (
            {"model": {"architecture": "encoder-only"}, "training": {"objective": "masked"}, "tokenizer": {"masks": 1}},
            'augmentation.lower: training.objective = "masked" has no pairs: leave it out',
        ),
    ],
)
def test_what_has_no_pairs_of_sentences_has_no_augmentation(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        recipe(**values)
    assert message in str(caught.value)
    recipe(**values, augmentation={"seed": 2})


@pytest.mark.parametrize("kind", ALIGNED)
def test_kinds_of_aligned_words_need_the_alignment(kind: str) -> None:
    assert recipe(augmentation={kind: 0.1}, tokenizer={"placeholders": 2}).needs_alignment
    assert not recipe().needs_alignment


def test_inline_tags_need_two_placeholders_unless_another_model_has_them() -> None:
    with pytest.raises(ValidationError, match="inline_tags needs tokenizer"):
        recipe(augmentation={"inline_tags": 0.1}, tokenizer={"placeholders": 1})
    recipe(augmentation={"inline_tags": 0.1}, training={"init_from": "model"})


def test_terms_need_a_tokenizer_that_spells_the_target_in_sources_unless_another_model_has_it() -> None:
    words = {"model_type": "word", "byte_fallback": False}
    for tokenizer, message in (
        ({"joint": False}, "augmentation.terms needs tokenizer.joint = true: sources hold words of the target"),
        (words, 'augmentation.terms: its marks are no pieces with tokenizer.model_type = "word"'),
    ):
        model = {"tied_embeddings": "target"}
        with pytest.raises(ValidationError) as caught:
            recipe(augmentation={"terms": 0.1}, tokenizer=tokenizer, model=model)
        assert message in str(caught.value)
        recipe(augmentation={"terms": 0.1}, tokenizer=tokenizer, model=model, training={"init_from": "model"})


def test_pairs_of_sentences_may_be_augmented() -> None:
    assert recipe().augmentation.lower == 0.1

"""The section of the tokenizer: symbols, normal forms, and the settings that no model of words has."""

from typing import Any

import pytest
from pydantic import ValidationError
from sections import finding

from nmt.config.tokenizer import TokenizerConfig


def test_no_symbol_is_a_mask() -> None:
    message = "Value error, user_defined_symbols: '<mask1>' is a piece of tokenizer.masks"
    assert finding(TokenizerConfig, user_defined_symbols=["<mask1>"], masks=2) == ("", message)
    assert TokenizerConfig(user_defined_symbols=["<mask1>"], masks=1).mask_pieces == ["<mask>"]


def test_symbols_are_given_once_in_the_form_in_which_text_is_read() -> None:
    with pytest.raises(ValidationError, match="user_defined_symbols: '<b>' is there twice"):
        TokenizerConfig(user_defined_symbols=["<b>", "</b>", "<b>"])
    with pytest.raises(ValidationError, match="is not in Unicode's normal form C"):
        TokenizerConfig(user_defined_symbols=["e\u0301"])
    fitting = ["<b>", "\u27e60\u27e7", "<0x4a>", "<S>", 'x,"y', "\xe9", "\uff1c", "a"]
    assert TokenizerConfig(user_defined_symbols=fitting).user_defined_symbols == fitting


def test_each_side_has_a_normal_form() -> None:
    assert (TokenizerConfig().normalization, TokenizerConfig().target_normalization) == ("nmt_nfkc", "nfc")
    assert TokenizerConfig.model_validate({"target_normalization": "none"}).target_normalization is None
    with pytest.raises(ValidationError, match='normalization = "nfc" needs a target_normalization'):
        TokenizerConfig(normalization="nfc", target_normalization=None)


@pytest.mark.parametrize(
    ("values", "key", "remedy"),
    [
        ({"byte_fallback": True}, "byte_fallback", "set it to false"),
        ({"user_defined_symbols": ["<b>"]}, "user_defined_symbols", "leave it out"),
        ({"placeholders": 2}, "placeholders", "leave it out"),
        ({"sampling": 0.1}, "sampling", "leave it out"),
    ],
)
def test_a_model_of_words_has_no_pieces_of_words(values: dict[str, Any], key: str, remedy: str) -> None:
    message = f'Value error, {key} is not for model_type = "word", whose pieces are whole words: {remedy}'
    assert finding(TokenizerConfig, model_type="word", **{"byte_fallback": False, **values}) == ("", message)
    assert TokenizerConfig(model_type="unigram", **values).model_type == "unigram"


def test_a_model_of_words_may_have_masks() -> None:
    assert TokenizerConfig(model_type="word", byte_fallback=False, masks=2).mask_pieces == ["<mask>", "<mask1>"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, 'trees keep the words of their source: set normalization = "nfc"'),
        (
            {"normalization": "nfc", "target_normalization": "nfkc"},
            'trees keep the words of their source: set normalization = "nfc"',
        ),
        (
            {"normalization": "nfc", "byte_fallback": False},
            "trees keep every word of their source: byte_fallback = true spells the unknown ones",
        ),
        (
            {"normalization": "nfc", "sampling": 0.1},
            "sampling is not for trees, whose words have one splitting: leave it out",
        ),
    ],
)
def test_trees_have_the_words_of_the_source(values: dict[str, Any], message: str) -> None:
    assert finding(TokenizerConfig, trees=True, **values) == ("", f"Value error, {message}")
    assert TokenizerConfig(trees=True, normalization="identity", target_normalization="nfc").trees

"""Symbols, each one piece of the tokenizer: tags, symbols of the user, masks."""

import pytest
from pydantic import ValidationError

from nmt.config.data import CorpusConfig
from nmt.config.symbols import mask_pieces
from nmt.config.tokenizer import TokenizerConfig


def test_masks_are_numbered_from_the_second_on() -> None:
    assert [mask_pieces(count) for count in (0, 1, 3)] == [[], ["<mask>"], ["<mask>", "<mask1>", "<mask2>"]]


@pytest.mark.parametrize(
    "tag",
    [
        "",
        "two words",
        "a\u2028b",
        "nul\0",
        "\u2581",
        "<s>",
        "</s>",
        "<unk>",
        "<0x41>",
        "<\u27e60\u27e7>",
        "\u200b",
        "\ufeff\u2060",
        "\u00ad",
        "\u0301",
        "\ufe0f",
        "\u3164",
        "\u2800",
        " ",
        "a\nb",
        "a\u0085b",
        "\x1b[2J",
    ],
)
def test_a_tag_has_to_be_one_piece_of_its_own(tag: str) -> None:
    with pytest.raises(ValidationError, match="cannot be a tag"):
        CorpusConfig(files="a.tsv", tags=[tag])
    assert CorpusConfig(files="a.tsv", tags=["<2de>", "__news__", "⟦x⟧"]).tags


NO_SYMBOLS = [
    "",
    "two words",
    "a\u2028b",
    "a\nb",
    "nul\0",
    "\u2581",
    "a\u2581",
    "\u2585",
    "<s>",
    "</s>",
    "<pad>",
    "<unk>",
    "<0x41>",
]


@pytest.mark.parametrize("symbol", NO_SYMBOLS)
def test_a_symbol_has_to_be_one_piece_of_its_own(symbol: str) -> None:
    with pytest.raises(ValidationError, match="cannot be a symbol"):
        TokenizerConfig(user_defined_symbols=["<b>", symbol])

"""The model card of an export for transformers."""

import dataclasses
from pathlib import Path
from typing import Any

from nmt.exporting.model_card import EXAMPLE, model_card
from nmt.inference.bundle import Bundle, open_bundle

IDS = {"lines": 3, "odd_lines": 9, "odd_differing": 1, "decoded": 4, "decoded_differing": 2}
PARITY: Any = {"own_settings": {"lines": 3, "differing": 1, "ties": 2, "score_difference": 0.0, "bleu": 99.25}}
SCORES: Any = {"test": {"bleu": {"score": 31.257, "signature": "a|b"}}}


def card(bundle: Bundle, exponent: float = 0.4) -> str:
    return model_card(bundle, PARITY, IDS, exponent, SCORES)


def test_the_card_has_languages_figures_differences_and_scores(tiny_model: Path) -> None:
    text = card(open_bundle(tiny_model))
    assert text.startswith("---\nlanguage:\n- en\n- de\nlibrary_name: transformers\npipeline_tag: translation\n")
    assert "license:" not in text.split("---")[1]
    assert EXAMPLE in text
    assert "gave all 3 lines of a sample the ids of nmt's, and 1 of 9 odd lines others" in text
    assert "Of 4 translations 2 have another text" in text
    assert "| own settings | 3 | 1 | 2 | 99.2 |" in text
    assert "((5 + length) / 6)^0.6, and transformers by length^0.4" in text
    assert "in the normal form of the source" in text
    assert text.endswith("| test | bleu | 31.26 | `a\\|b` |\n")
    assert "placeholders" not in text


def test_what_the_model_lacks_is_not_told(tiny_model: Path) -> None:
    bundle = open_bundle(tiny_model)
    decoding = bundle.config.decoding.model_copy(update={"length_penalty": 0.0})
    tokenizer = bundle.tokenizer
    tokenizer.tags, tokenizer.placeholders, tokenizer.joint = ["<2de>"], 2, False
    config = bundle.config.model_copy(update={"decoding": decoding})
    text = card(dataclasses.replace(bundle, config=config, tokenizer=tokenizer), 0.0)
    assert "length^" not in text
    assert "It cannot encode targets" in text
    assert "- A line begins with a tag, or two: `<2de>`.\n" in text
    assert "- Text that nmt protects by placeholders is translated like other text.\n" in text

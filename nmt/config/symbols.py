"""Symbols, which are single pieces of the tokenizer: tags, symbols of the user, and masks."""

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator

from nmt.config.section import shown

NO_SYMBOL = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2581\u2585]|^(<pad>|<unk>|<s>|</s>|<0x[0-9A-F]{2}>)?$")
"""Found in what cannot be a symbol: white space, control characters, SentencePiece's marks, and its own pieces."""
BLANKS = "\u115f\u1160\u2800\u3164\uffa0"  # letters and symbols without ink
PLACEHOLDER = re.compile(r"\u27e6\d+\u27e7")
TERM_MARKS = ("\u27e6term\u27e7", "\u27e6=\u27e7", "\u27e6/term\u27e7")
"""Pieces before a term of the source, before its translation, and behind that, in the source of a model for terms."""


def plain_symbol(symbol: str) -> str:
    """Return `symbol`. Raises ValueError where it cannot be one piece of a tokenizer."""
    if NO_SYMBOL.search(symbol):
        raise ValueError(
            f"{symbol!r} cannot be a symbol: it is empty, has white space, or means something else to the tokenizer"
        )
    if not unicodedata.is_normalized("NFC", symbol):
        raise ValueError(f"{shown(symbol)} is not in Unicode's normal form C, in which the tokenizer reads text")
    return symbol


def plain_tag(tag: str) -> str:
    """Return `tag`. Raises ValueError where it cannot be one piece of a tokenizer."""
    if NO_SYMBOL.search(tag) or PLACEHOLDER.search(tag):
        raise ValueError(f"{shown(tag)} cannot be a tag: it has white space, or means something else to the tokenizer")
    if not is_visible(tag):
        raise ValueError(f"{shown(tag)} cannot be a tag: nothing of it can be seen")
    return plain_symbol(tag)


def is_visible(text: str) -> bool:
    """Return whether `text` has a character that takes room and ink: no mark, space, control or format character."""
    return any(unicodedata.category(char)[0] not in "CMZ" and char not in BLANKS for char in text)


def mask_pieces(count: int) -> list[str]:
    """Return the pieces that stand for text to be predicted: `<mask>`, `<mask1>`, `<mask2>`, up to `count`."""
    return [f"<mask{number or ''}>" for number in range(count)]


Symbol = Annotated[str, AfterValidator(plain_symbol)]
Tag = Annotated[str, AfterValidator(plain_tag)]

"""The normal form of a side of the text, which lies in front of its SentencePiece model.

SentencePiece 0.2.3 composes a letter and its marks only where they stand in the order of Unicode's decompositions.
Under its rules alone, a Vietnamese e with a circumflex and then a dot below does not become one letter, nor do a
Korean syllable and its final consonant, and Arabic and Hebrew points keep the order in which they were typed. So NFC
comes before a rule and after it.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence

import sentencepiece

from nmt.data.placeholders import split_tags

NFC, IDENTITY = "nfc", "identity"  # the rules that are not SentencePiece's
INVISIBLE = "\u00ad\u2060"
"""Soft hyphen and word joiner: hints for line breaks, which split words into rare pieces. SentencePiece keeps them."""
_NOT_TEXT = re.compile("[\n\r\v\f\x1c-\x1e\x85\u2028\u2029\0\u2581]")
"""All kinds of line breaks, NUL, and U+2581, by which SentencePiece spells the space."""
_INVISIBLE = re.compile(f"[{INVISIBLE}]")
_SPACES = re.compile("  +")


def plain(text: str) -> str:
    """Replace line breaks of any kind, NUL and U+2581 by spaces: no piece may hold them, no output may show them."""
    return _NOT_TEXT.sub(" ", text)


def single_spaces(text: str) -> str:
    """Make tabs, line breaks and runs of spaces one space, and none at the ends, as every tokenizer does."""
    return " ".join(filter(None, plain(text).replace("\t", " ").split(" ")))


def spaced(parts: Sequence[str]) -> list[str]:
    """Space text and symbols, by turns, as SentencePiece does: one space at the start, none at the end, no runs."""
    result, after_space = [], True
    for index, part in enumerate(parts):
        if index % 2 == 0:
            part = _SPACES.sub(" ", part)
            part = part.lstrip(" ") if after_space else part
        after_space = part.endswith(" ") if part else after_space
        result.append(part)
    result[-1] = result[-1].rstrip(" ")
    if any(result):
        result[0] = f" {result[0]}"
    return result


def nfc(text: str) -> str:
    """Return `text` in Unicode's normal form C."""
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


class NormalForm:
    """The rule of one side, and the symbols that it leaves alone.

    `symbols` are symbols wherever they stand as they are spelled. `tags` are symbols at the start of a line of the
    source alone. What only the rule turns into a symbol, such as full-width letters, is text.
    """

    def __init__(self, rule: str, *, is_source: bool, symbols: Sequence[str] = (), tags: Sequence[str] = ()) -> None:
        self.rule, self.is_source = rule, is_source
        self._takes_out = _INVISIBLE if is_source and rule != IDENTITY else None
        self._is_ascii_plain = not rule.endswith("_cf")
        self._rule = None if rule in (NFC, IDENTITY) else _sentencepiece_rule(rule)
        self._tags = tuple(tags) if is_source else ()
        self._symbol = one_of(symbols)
        self._hidden = one_of([*symbols, *tags])

    def parts(self, line: str, *, tagged: bool = True) -> list[str]:
        """Return `line` as text in the normal form and symbols, by turns, text first and last.

        An empty symbol is a boundary within text that holds the spelling of a symbol. Without `tagged`, a tag at the
        start is text.
        """
        text = plain(line)
        if self._hidden is None:
            return [self.normalize(text)]
        parts: list[str] = []
        if tagged and self._tags:
            tags, text = split_tags(text, self._tags)
            parts = [part for tag in tags for part in (" ", tag)]
            text = f" {text}" if tags else text
        spelled = [text]
        if self._symbol is not None:
            spelled = self._symbol.split(text if self.rule == IDENTITY else nfc(text))
        for index, part in enumerate(spelled):
            parts += [part] if index % 2 else self._bounded(self.normalize(part))
        return parts

    def _bounded(self, text: str) -> list[str]:
        """Put a boundary behind the first character of each symbol that `text` spells."""
        assert self._hidden is not None
        parts, start = [], 0
        while match := self._hidden.search(text, start):
            parts += [text[start : match.start() + 1], ""]
            start = match.start() + 1
        return [*parts, text[start:]]

    def normalize(self, text: str) -> str:
        """Bring text without symbols into the normal form; runs of spaces stay."""
        if self._is_ascii_plain and text.isascii() and text.isprintable():
            return text
        if self.rule == IDENTITY:
            return text
        if self._takes_out:
            text = self._takes_out.sub("", text)
        text = nfc(text)
        if self._rule is None:
            return text.replace("\t", " ")
        return nfc(self._rule.normalize(text))


def _sentencepiece_rule(name: str) -> sentencepiece.SentencePieceNormalizer:
    """Return a rule of SentencePiece that leaves the spaces to the model."""
    return sentencepiece.SentencePieceNormalizer(
        rule_name=name, add_dummy_prefix=False, escape_whitespaces=False, remove_extra_whitespaces=False
    )


def one_of(symbols: Iterable[str]) -> re.Pattern[str] | None:
    """Compile a pattern that matches, as a group, the longest of `symbols`; None where there are none."""
    longest_first = sorted(set(symbols), key=len, reverse=True)
    return re.compile(f"({'|'.join(map(re.escape, longest_first))})") if longest_first else None

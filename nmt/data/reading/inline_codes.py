"""The inline codes in a segment of TMX or XLIFF: they are dropped from the text, or kept as placeholders."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain

from nmt.data.pairs import Pair, is_blank
from nmt.data.placeholders import SPELLED, placeholder


class Gap(IntEnum):
    """What a dropped code leaves between the text before and after it."""

    NONE = 0  # a paired code, such as bold type, may stand within a word
    WORDS = 1  # a stand-alone code, such as a line break or a picture, stands between words
    SPACE = 2  # a code for white space


PAIRED = frozenset({"bpt", "ept", "bx", "ex", "sc", "ec", "cp"})
STAND_ALONE = frozenset({"ph", "it", "ut", "x"})
"""Elements for codes: of TMX 1.4, XLIFF 1.2 and XLIFF 2; all other elements hold text."""
SPANS = frozenset({"g", "pc"})  # elements that are a code at their start and at their end, with text between
SUB_FLOW = "sub"  # text within a code, such as the title of a picture
BREAK = re.compile(r"(?i)</?(?:br|p|div|li|[uod]l|d[td]|t[dhr]|table|h[1-6]|hr|tab|footnote)\b|\\(?:line|par|tab)\b")
BREAK_TYPES = {"lb", "pb", "xlf:lb", "xlf:pb", "x-br", "x-p"}  # values of type, ctype and subType
SPACES = re.compile(r"(?:\s|&nbsp;|&#160;|&#[xX][aA]0;|\\~)+")
CLOSING = re.compile(r"[.,;:!?%…)\]}>،؛؟।。、，．：；！？）］｝」』】》〉]")
OPENING = re.compile(r"[(\[{<$€£¥#@¿¡（［｛「『【《〈]$")
JOINED = re.compile(r"[-/'’](?!\s)"), re.compile(r"(?<!\s)[-/'’]$")
"""At the start of a text, and at the end of one: marks that join words, and are apart only where a space says so."""
TIGHT = ".,)]}"  # no language writes white space before these
QUOTES = re.compile('["«»“”„‟]')
"""Quotation marks, of which some open in one language and close in another: after an even number of them one opens."""
TAIL = 2  # characters of a text that `OPENING` looks at


@dataclass(frozen=True)
class Code:
    """An inline code; the codes of two sides that stand for the same have equal keys."""

    key: str
    gap: Gap


Part = str | Code


@dataclass(frozen=True)
class KeptCodes:
    """Codes that both sides have equally often become the same placeholders, as those of `data.protect`."""

    limit: int | None = None  # placeholders that the tokenizer has, None where it is not known


class Segment:
    """The parts of a segment, collected from the events of a parser within its element."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.sub_flows = 0  # which belong to no sentence, and are left out
        self._open: list[str] = []  # of each open element: "text", "code" or "sub"
        self._ends: list[Code] = []  # codes of the ends of the open spans
        self._code: tuple[str, Mapping[str, str]] = "", {}
        self._content: list[str] = []

    @property
    def has_text(self) -> bool:
        return any(isinstance(part, str) and not is_blank(part) for part in self.parts)

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Open an element, whose name is without its prefix."""
        parent = self._open[-1] if self._open else "text"
        if tag == SUB_FLOW and parent != SUB_FLOW:
            self.sub_flows += 1
        if tag == SUB_FLOW or parent == SUB_FLOW:
            kind = SUB_FLOW
        elif parent == "code" or tag in PAIRED or tag in STAND_ALONE:
            kind = "code"
            if parent == "text":
                self._code = tag, attributes
                self._content.clear()
        else:
            kind = "text"
            if tag in SPANS:
                self.parts.append(_code(f"{tag} start", attributes, ""))
        if tag in SPANS and kind == "text":
            self._ends.append(_code(f"{tag} end", attributes, ""))
        self._open.append(kind)

    def text(self, text: str) -> None:
        """Add text within the innermost open element."""
        if not self._open or self._open[-1] == "text":
            self.parts.append(text)
        elif self._open[-1] == "code":
            self._content.append(text)

    def end(self, tag: str) -> None:
        """Close the innermost open element."""
        kind, parent = self._open.pop(), self._open[-1] if self._open else "text"
        if kind == "code" and parent == "text":
            self.parts.append(_code(*self._code, "".join(self._content)))
        elif kind == "text" and tag in SPANS:
            self.parts.append(self._ends.pop())


def pair_of_segments(source: Segment, target: Segment, anomalies: Counter[str], keep: KeptCodes | None = None) -> Pair:
    """Return the text of both sides, and count the codes and sub-flows left out; `keep` keeps codes as placeholders."""
    sides = [source.parts, target.parts]
    if keep:
        sides = _with_placeholders(sides[0], sides[1], keep.limit)
    if sub_flows := source.sub_flows + target.sub_flows:
        anomalies["sub-flows left out"] += sub_flows
    return plain_text(sides[0], anomalies), plain_text(sides[1], anomalies)


def plain_text(parts: Sequence[Part], anomalies: Counter[str]) -> str:
    """Return the text without its codes, which are counted.

    A stand-alone code leaves one space, in every script: glued lines would be one false sentence. It leaves none before
    a closing mark or after an opening one. A paired code leaves nothing. No space stands twice, or at either end, where
    a code was.
    """
    texts = [part for part in parts if isinstance(part, str)]
    if len(texts) == len(parts):
        return "".join(texts)
    anomalies["inline codes left out"] += len(parts) - len(texts)
    text = _Text()
    gap: Gap | None = None
    for part in parts:
        if isinstance(part, Code):
            gap = part.gap if gap is None else max(gap, part.gap)
        elif part:
            text.append(part, gap)
            gap = None
    return text.finish(gap)


class _Text:
    """A text that grows at its end."""

    def __init__(self) -> None:
        self._chunks: list[str] = []
        self._quotes = 0  # number of quotation marks in it

    def append(self, text: str, gap: Gap | None) -> None:
        """Append `text` after codes that leave `gap`; None without a code."""
        left = "".join(self._chunks[-TAIL:])[-TAIL:]
        if gap is not None:
            if not left or (left[-1].isspace() and text[0].isspace()):
                text = text.lstrip()
            elif gap > Gap.NONE and text.strip():
                text = self._spaced(left, text, gap)
        if text:
            self._chunks.append(text)
            self._quotes += len(QUOTES.findall(text))

    def finish(self, gap: Gap | None) -> str:
        text = "".join(self._chunks)
        return text if gap is None else text.rstrip()

    def _spaced(self, left: str, text: str, gap: Gap) -> str:
        """Return `text` with white space before it, or without, as a stand-alone code between `left` and it asks."""
        has_space = left[-1].isspace() or text[0].isspace()
        left, right = left.rstrip(" "), text.lstrip(" ")
        if gap is Gap.SPACE:
            is_apart = right[0] not in TIGHT
        elif CLOSING.match(right) or OPENING.search(left):
            is_apart = False
        elif QUOTES.match(right) or QUOTES.match(left[-1:]):
            is_apart = has_space or self._quotes % 2 == 0
        elif not has_space and (JOINED[0].match(right) or JOINED[1].search(left)):
            return text
        else:
            is_apart = True
        if is_apart:
            return text if has_space else f" {text}"
        while self._chunks and self._chunks[-1].endswith(" "):
            if not (shorter := self._chunks.pop().rstrip(" ")):
                continue
            self._chunks.append(shorter)
        return right


def _code(tag: str, attributes: Mapping[str, str], content: str) -> Code:
    """Return the code of an element that holds `content`, which says best what the code is."""
    content = content or next((attributes[name] for name in ("equiv-text", "equiv") if attributes.get(name)), "")
    identifier = next((attributes[name] for name in ("x", "i", "id", "startRef", "rid") if name in attributes), "")
    key = " ".join(content.split()) or f"{tag} {identifier}"
    types = {attributes.get(name) for name in ("type", "ctype", "subType")}
    if content and SPACES.fullmatch(content):
        return Code(key, Gap.SPACE)
    is_break = tag in STAND_ALONE or BREAK.search(content) or not types.isdisjoint(BREAK_TYPES)
    return Code(key, Gap.WORDS if is_break else Gap.NONE)


def _with_placeholders(source: list[Part], target: list[Part], limit: int | None) -> list[list[Part]]:
    """Put placeholders in the place of the codes that both sides have equally often, numbered by the source."""
    sides = [source, target]
    counts = [Counter(part.key for part in side if isinstance(part, Code)) for side in sides]
    agreed = [key for key, count in counts[0].items() if counts[1][key] == count]
    if any(SPELLED.search(part) for part in chain(*sides) if isinstance(part, str)):
        agreed = []  # a placeholder that the text spells would be mistaken for one of these
    names = {key: placeholder(i) for i, key in enumerate(agreed[:limit])}
    return [[names.get(part.key, part) if isinstance(part, Code) else part for part in side] for side in sides]

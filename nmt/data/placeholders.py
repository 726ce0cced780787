"""What goes through the model unharmed: placeholders for protected text, and the tags that a line begins with."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from nmt.errors import UsageError

Span = tuple[int, int]

SPELLED = re.compile("\u27e6[0-9]+\u27e7")
OFF = ("", "none")
"""What stands for no pattern on the command line and in a recipe."""


def placeholder(i: int) -> str:
    """Return the piece that stands for the `i`-th protected text of a line, counted from 0."""
    return f"\u27e6{i}\u27e7"


def symbols(count: int) -> list[str]:
    """Return the pieces of a tokenizer with `count` placeholders."""
    return [placeholder(i) for i in range(count)]


def protector_for(pattern: str | None, count: int) -> Protector | None:
    """Return what protects the matches of `pattern`, if there is one, by `count` placeholders. Raises UsageError."""
    return None if pattern is None or pattern in OFF else Protector(pattern, count)


def check_tags(tags: Collection[str], known: Collection[str]) -> None:
    """Raise UsageError where one of `tags` is not `known` to the model."""
    for tag in tags:
        if tag not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            hint = None if known else "a model has those that the corpora of its recipe have: tags = [...]"
            raise UsageError(f"{tag!r} is not a tag of the model: {has}", hint=hint)


def split_tags(line: str, tags: Sequence[str]) -> tuple[list[str], str]:
    """Return those of `tags` that `line` begins with, and the rest of it.

    White space follows a tag, but for one that ends in a mark, as `<2de>` does.
    """
    begun: list[str] = []
    place = 0
    if tags:
        while match := _tag(tuple(tags)).match(line, place):
            begun.append(match[1])
            place = match.end()
    return begun, line[place:]


@cache
def _tag(tags: tuple[str, ...]) -> re.Pattern[str]:
    """Compile what finds one of `tags`, of several the longest."""
    one = "|".join(map(re.escape, sorted(tags, key=len, reverse=True)))
    return re.compile(rf"\s*({one})(?:\s+|$|(?<=\W))")


@dataclass(frozen=True)
class Protected:
    """A text with placeholders."""

    text: str
    kept: list[str]
    """What each placeholder stands for."""
    beyond: int
    """Matches that stayed as they are."""


@dataclass(frozen=True)
class Restored:
    """A text that had placeholders."""

    text: str
    missing: list[str]
    """What should be in it and is not."""
    unknown: int
    """Placeholders that stood for nothing, and are gone."""


def put_back(text: str, kept: Mapping[str, str], known: Collection[str]) -> Restored:
    """Put what is `kept` by each placeholder back into `text`; take out, with a space, the others of those `known`."""
    said: set[str] = set()
    unknown = 0

    def meant(match: re.Match[str]) -> str:
        nonlocal unknown
        if match[2] not in known:
            return match[0]
        if match[2] in kept:
            said.add(match[2])
            return match[1] + kept[match[2]]
        unknown += 1
        return ""

    found = re.sub(f"( ?)({SPELLED.pattern})", meant, text)
    missing = [match for name, match in kept.items() if name not in said]
    return Restored(found.strip(" ") if unknown else found, missing, unknown)


@dataclass(frozen=True)
class Protector:
    """Puts placeholders where `pattern`, a regular expression, matches, and back what they stand for.

    A tokenizer has `count` of them. Raises UsageError where it has none, or `pattern` is no regular expression.
    """

    pattern: str
    count: int

    def __post_init__(self) -> None:
        if self.count < 1:
            raise UsageError(
                "the model has no placeholders to protect text with",
                hint="train one with tokenizer.placeholders and data.protect in its recipe, or take --protect none",
            )
        try:
            re.compile(self.pattern)
        except (re.error, OverflowError) as error:
            raise UsageError(f"protect: {self.pattern!r} is no regular expression: {error}") from None

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {piece: i for i, piece in enumerate(symbols(self.count))}

    def protect(self, text: str) -> Protected:
        """Put placeholders into `text`, the same for equal matches, in the order in which they first appear.

        One that stands in it already is protected too, and before all else: it would be taken for another's.
        A match that cuts or holds such a one stays, and so do matches for which no placeholder is left.
        """
        spans, left = self._find(text)
        matches = [text[start:end] for start, end in spans]
        distinct = list(dict.fromkeys(matches))
        literal = [match for match in distinct if match in self._numbers]
        others = [match for match in distinct if match not in self._numbers]
        taken = {*literal, *others[: self.count - len(literal)]}
        kept = [match for match in distinct if match in taken]
        return Protected(self._put(text, spans, kept), kept, left + sum(match not in taken for match in matches))

    def apply(self, text: str, kept: Sequence[str]) -> str:
        """Put the placeholders of another text, which stand for `kept`, into `text` where it has the same matches."""
        return self._put(text, self._find(text)[0], kept) if kept else text

    def protect_pair(self, source: str, target: str) -> tuple[str, str] | None:
        """Put placeholders into both sides; None where their matches differ, or are none or too many."""
        counts = [
            (Counter(side[start:end] for start, end in spans), left)
            for side, (spans, left) in ((side, self._find(side)) for side in (source, target))
        ]
        if counts[0] != counts[1] or any(left for _, left in counts):
            return None
        protected = self.protect(source)
        if not protected.kept or protected.beyond:
            return None
        return protected.text, self.apply(target, protected.kept)

    def restore(self, text: str, kept: Sequence[str]) -> Restored:
        """Put `kept` where their placeholders stand in `text`; take out, with a space, those that stand for nothing."""
        return put_back(text, {placeholder(number): match for number, match in enumerate(kept)}, self._numbers)

    def _find(self, text: str) -> tuple[list[Span], int]:
        """Return where the matches and the literal placeholders of `text` stand, and how many matches give way."""
        literal = [match.span() for match in SPELLED.finditer(text) if match[0] in self._numbers]
        found = [match.span() for match in re.finditer(self.pattern, text) if match.end() > match.start()]
        if not literal:
            return found, 0
        clear = [span for span in found if not any(span[0] < end and start < span[1] for start, end in literal)]
        within = sum(any(start <= span[0] and span[1] <= end for start, end in literal) for span in found)
        return sorted([*literal, *clear]), len(found) - len(clear) - within

    def _put(self, text: str, spans: Sequence[Span], kept: Sequence[str]) -> str:
        """Put placeholders where `spans` of `text` are one of `kept`."""
        names = {match: placeholder(number) for number, match in enumerate(kept)}
        parts = []
        place = 0
        for start, end in spans:
            match = text[start:end]
            parts += [text[place:start], names.get(match, match)]
            place = end
        return "".join([*parts, text[place:]])

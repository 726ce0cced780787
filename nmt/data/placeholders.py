"""Placeholders for protected text, which the model copies, and the tags at the start of a line."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

import regex

from nmt.errors import UsageError

Span = tuple[int, int]
SPELLED = re.compile("\u27e6[0-9]+\u27e7")
_IN_WORD = re.compile(r"\w|[(\[{\u201e\u201c\u00ab\u2018\u27e6]")  # what a word, or a placeholder, begins with
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9f\u0e00-\u0eff]")
SECONDS, CHARACTERS_PER_SECOND = 2, 100_000
"""Time limit of the search for matches in a line, and the speed below which a long line has more; ten times as slow as
usual patterns are."""
OFF = ("", "none")  # values that mean no pattern
WEB_ADDRESSES = r"https?://[^\s<>\u3000-\u303f\uff00-\uffef]*[\w/]"
VARIABLES = r"</?[A-Za-z][^<>]*>|\$?\{\{?\w*\}?\}|%(?:\d+\$|\(\w+\))?[sd]\b"
"""Matches tags of XML and HTML, and variables such as `{0}`, `${name}`, `%s`."""
MARKUP = rf"{WEB_ADDRESSES}|[\w.+-]+@[\w-]+(?:\.[\w-]+)+|{VARIABLES}"
"""Matches web and e-mail addresses, tags and variables."""


def placeholder(i: int) -> str:
    """Return the piece that stands for the `i`-th protected text of a line, counted from 0."""
    return f"\u27e6{i}\u27e7"


def symbols(count: int) -> list[str]:
    return [placeholder(i) for i in range(count)]


def protector_for(pattern: str | None, count: int) -> "Protector | None":
    """Return a protector of the matches of `pattern` with `count` placeholders, or None. Raises UsageError."""
    return None if pattern is None or pattern in OFF else Protector(pattern, count)


def check_tags(tags: Collection[str], known: Collection[str]) -> None:
    """Raise UsageError if one of `tags` is not `known` to the model."""
    for tag in tags:
        if tag not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            hint = None if known else "a model has those that the corpora of its recipe have: tags = [...]"
            raise UsageError(f"{tag!r} is not a tag of the model: {has}", hint=hint)


def split_tags(line: str, tags: Sequence[str]) -> tuple[list[str], str]:
    """Return the `tags` that `line` begins with, and the rest of the line.

    A tag is followed by white space, unless it ends in a punctuation mark, as `<2de>` does.
    """
    prefix: list[str] = []
    end = 0
    if tags:
        while match := _tag(tuple(tags)).match(line, end):
            prefix.append(match[1])
            end = match.end()
    return prefix, line[end:]


@cache
def _tag(tags: tuple[str, ...]) -> re.Pattern[str]:
    """Compile a pattern that matches the longest of `tags`."""
    one = "|".join(map(re.escape, sorted(tags, key=len, reverse=True)))
    return re.compile(rf"\s*({one})(?:\s+|$|(?<=\W))")


@dataclass(frozen=True)
class Protected:
    """A text with placeholders."""

    text: str
    kept: list[str]  # the text of each placeholder
    beyond: int  # matches that were not replaced


@dataclass(frozen=True)
class Restored:
    """A text that had placeholders."""

    text: str
    missing: list[str]  # protected texts whose placeholders are not in the text
    unknown: int  # placeholders without a text, which were removed


def put_back(text: str, kept: Mapping[str, str], known: Collection[str]) -> Restored:
    """Replace the placeholders of `text` by their texts in `kept`; remove other `known` ones, see `_remove`."""
    unknown = 0
    for match in reversed(list(SPELLED.finditer(text))):  # from the end, where places stay the same
        if match[0] in known and match[0] not in kept:
            text = _remove(text, *match.span())
            unknown += 1
    restored = {match for match in SPELLED.findall(text) if match in known}
    missing = [match for name, match in kept.items() if name not in restored]
    result = SPELLED.sub(lambda match: kept.get(match[0], match[0]) if match[0] in known else match[0], text)
    return Restored(result, missing, unknown)


def _remove(text: str, start: int, end: int) -> str:
    """Remove a part of `text`, and leave one space between words, and none before a punctuation mark that had none."""
    before, after = text[:start].rstrip(" "), text[end:].lstrip(" ")
    is_spaced = len(before) < start or len(after) < len(text) - end
    if not before or not after:
        return before + after
    if _IN_WORD.match(after) is None:  # a mark keeps the space that it had
        return before + text[end : len(text) - len(after)][:1] + after
    edges = before[-1] + after[0]
    in_words = edges.isalnum() and not _UNSPACED.search(edges)
    return f"{before} {after}" if is_spaced or in_words else before + after


@dataclass(frozen=True)
class Protector:
    """Replaces the matches of `pattern`, a regular expression, by placeholders, and restores them.

    The tokenizer has `count` placeholders. Raises UsageError if it has none, or if `pattern` is no regular expression;
    its methods raise one where the search for matches takes too long, as with nested repetitions.
    """

    pattern: str
    count: int

    def __post_init__(self) -> None:
        if self.count < 1:
            hint = "train one with tokenizer.placeholders and data.protect in its recipe, or take --protect none"
            raise UsageError("the model has no placeholders to protect text with", hint=hint)
        try:
            re.compile(self.pattern)  # whose syntax holds; `regex`, which matches the same, can be stopped
            _ = self._compiled
        except (re.error, regex.error, OverflowError, RecursionError) as error:
            raise UsageError(f"protect: {self.pattern!r} is no regular expression: {error}") from None

    @cached_property
    def _compiled(self) -> regex.Pattern[str]:
        return regex.compile(self.pattern, regex.VERSION0)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {piece: i for i, piece in enumerate(symbols(self.count))}

    def protect(self, text: str) -> Protected:
        """Put placeholders into `text`, one for all equal matches, numbered in the order of their first occurrence.

        A literal placeholder in the text is protected first, since it would be mistaken for another's. Matches that
        overlap a literal placeholder are not replaced, nor are matches beyond the number of placeholders.
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
        """Put the placeholders of another text, whose texts are `kept`, into `text` where it has the same matches."""
        return self._put(text, self._find(text)[0], kept) if kept else text

    def protect_pair(self, source: str, target: str) -> tuple[str, str] | None:
        """Put placeholders into both sides; None if their matches differ, or are none or too many."""
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
        """Replace the placeholders of `text` by the texts `kept`; remove others."""
        return put_back(text, {placeholder(number): match for number, match in enumerate(kept)}, self._numbers)

    def _find(self, text: str) -> tuple[list[Span], int]:
        """Return the spans of matches and literal placeholders, and the number of matches that overlap the latter."""
        literal = [match.span() for match in SPELLED.finditer(text) if match[0] in self._numbers]
        limit = SECONDS + len(text) / CHARACTERS_PER_SECOND
        try:
            matches = [match.span() for match in self._compiled.finditer(text, timeout=limit)]
        except TimeoutError:
            problem = f"protect: {self.pattern!r} takes over {limit:.0f} seconds on one line: {text[:40]!r}"
            raise UsageError(problem, hint="write it without repetitions within repetitions, as in (a+)+") from None
        found = [(start, end) for start, end in matches if end > start]
        if not literal:
            return found, 0
        clear = [span for span in found if not any(span[0] < end and start < span[1] for start, end in literal)]
        within = sum(any(start <= span[0] and span[1] <= end for start, end in literal) for span in found)
        return sorted([*literal, *clear]), len(found) - len(clear) - within

    def _put(self, text: str, spans: Sequence[Span], kept: Sequence[str]) -> str:
        """Replace the `spans` of `text` that equal a text of `kept` by its placeholder."""
        names = {match: placeholder(number) for number, match in enumerate(kept)}
        parts, last = [], 0
        for start, end in spans:
            match = text[start:end]
            parts += [text[last:start], names.get(match, match)]
            last = end
        return "".join([*parts, text[last:]])

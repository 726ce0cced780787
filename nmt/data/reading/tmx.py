"""Read pairs from TMX, the exchange format of translation memories (version 1.4b), a unit at a time."""

import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

from nmt.config.languages import LanguagesConfig
from nmt.data.languages import best_match, places_of_pair, same_language
from nmt.data.pairs import Pair
from nmt.data.reading.inline_codes import KeptCodes, Segment, pair_of_segments
from nmt.data.reading.streams import listing, one_line
from nmt.data.reading.xml_units import local_name, parse_units
from nmt.errors import DataError


def read_tmx(
    stream: io.BufferedReader,
    name: str,
    languages: LanguagesConfig,
    anomalies: Counter[str],
    keep: KeptCodes | None = None,
    *,
    skip_bad: bool = False,
) -> Iterator[Pair]:
    """Yield the pairs of an open TMX file; `name` names it in messages, `keep` keeps codes as placeholders.

    Each side is a variant of its own: the one of the same code, or else of the nearest code of the language, as in
    `languages.best_match`. Raises DataError where no unit has one of the languages.
    """
    memory = _Memory(languages, anomalies, keep)
    for _ in parse_units(stream, name, memory, {"tu"}, anomalies, skip_bad=skip_bad):
        yield from memory.pairs
        memory.pairs.clear()
    memory.check(name)


@dataclass(slots=True)
class _Variant:
    """The text of a unit in one language."""

    language: str
    segment: Segment | None = None


@dataclass
class _Memory:
    """The translation units that a parser has met."""

    languages: LanguagesConfig
    anomalies: Counter[str]
    keep: KeptCodes | None
    pairs: list[Pair] = field(default_factory=list)
    units: int = 0
    seen: dict[str, None] = field(default_factory=dict)  # all language codes of the file, in order
    variants: list[_Variant] = field(default_factory=list)  # of the current unit
    segment: Segment | None = None  # the open one
    depth: int = 0  # open elements of the current segment, itself included

    def __post_init__(self) -> None:
        # Most units of a memory have the same languages.
        self.choose = lru_cache(maxsize=1000)(self._choose)

    def check(self, name: str) -> None:
        """Raise DataError where there are units, and none has one of the languages."""
        for language in (self.languages.source, self.languages.target):
            if self.units and best_match(language, self.seen) is None:
                raise DataError(f"{name}: no unit has the language {language!r}; it has {listing(self.seen)}")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        tag = local_name(tag)
        if self.depth and self.segment:
            self.depth += 1
            self.segment.start(tag, attributes)
        elif tag == "seg" and self.variants:
            if self.variants[-1].segment:
                self.anomalies["further segments in a TMX variant"] += 1
            else:
                self.variants[-1].segment = self.segment = Segment()
                self.depth = 1
        elif tag == "tu":
            self.drop_unit()
        elif tag == "tuv":
            self.variants.append(_Variant(attributes.get("xml:lang") or attributes.get("lang") or ""))

    def text(self, text: str) -> None:
        if self.depth and self.segment:
            self.segment.text(text)

    def end(self, tag: str) -> None:
        if self.depth and self.segment:
            self.depth -= 1
            if self.depth:
                self.segment.end(local_name(tag))
        elif local_name(tag) == "tu":
            self._end_unit()

    def drop_unit(self) -> None:
        self.variants.clear()
        self.depth = 0

    def _end_unit(self) -> None:
        self.units += 1
        for variant in self.variants:
            self.seen[variant.language] = None
        if without := sum(variant.segment is None for variant in self.variants):
            self.anomalies["TMX variants without a <seg>"] += without
        segments = [each.segment for each in self.variants if each.segment is not None]
        chosen, further = self.choose(tuple(each.language for each in self.variants if each.segment is not None))
        self.variants.clear()
        if chosen is None:
            self.anomalies["TMX units without both languages"] += 1
            return
        if further:
            self.anomalies["further variants in a TMX unit"] += further
        pair = pair_of_segments(segments[chosen[0]], segments[chosen[1]], self.anomalies, self.keep)
        left, right = (one_line(side, "", self.anomalies) for side in pair)
        self.pairs.append((left, right))

    def _choose(self, codes: tuple[str, ...]) -> tuple[tuple[int, int] | None, int]:
        """Return the indices of source and target, None if one is missing, and the number of their further variants."""
        sides = self.languages.pair
        chosen = places_of_pair(*sides, codes)
        others = [code for i, code in enumerate(codes) if i not in (chosen or ())]
        return chosen, sum(any(same_language(side, other) for side in sides) for other in others)

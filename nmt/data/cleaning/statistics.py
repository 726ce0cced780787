"""What raw parallel text is like, counted as it streams by: lengths, words, characters, duplicates, suspicious pairs.

Memory does not grow with the text but for 34 bytes a pair, which duplicates are found by.
"""

from __future__ import annotations

import heapq
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any

import numpy as np

from nmt.config.data import CleaningConfig, LanguagesConfig
from nmt.data.cleaning.duplicates import Keys, repeated
from nmt.data.cleaning.filters import DUPLICATES, filters, is_in_other_language, mender
from nmt.data.cleaning.funnel import SAMPLE_CHARACTERS, SAMPLES, Funnel
from nmt.data.cleaning.keys import HeldOut
from nmt.data.languages import script_of
from nmt.data.pairs import Pair
from nmt.errors import UsageError

CHUNK = 10_000
"""Pairs that are counted at once."""
VOCABULARY = 1_000_000
"""Different words that are kept of a side; the text that follows is not looked at for words."""
EXAMPLE_KEYS = 200_000
"""Keys that are kept of each filter of duplicates, to find examples for it."""
IDENTIFIED = 2000
"""Pairs whose languages are told, which takes too long for all: those of the least keys, as good as drawn at random."""
COMMON = 10
"""Words and odd characters that are listed."""
LITTLE, MUCH = 1e-4, 0.1
"""Shares of the pairs between which a filter is suggested."""
AMBIGUOUS = {"same_source", "same_target"}
"""Filters that drop what may be right: other translations of the same text."""

ALL_ON = CleaningConfig(
    unicode="nfc",
    min_characters=2,
    min_script=0.5,
    drop_digit_mismatch=True,
    max_punctuation_difference=4,
    check_language=True,
    drop_leaked=False,
    drop_leaked_near=False,
    drop_near_duplicates=True,
    drop_same_source=True,
    drop_same_target=True,
)
"""Every mend and filter but those that need held-out text, switched on at values that are seldom wrong."""

KEY_OF = {"script": "min_script", "punctuation": "max_punctuation_difference", "language": "check_language"}
"""Keys of [cleaning] whose filters bear names of their own."""
NO_FILTERS = {"ratio_from", "language_from"}
"""Keys of [cleaning] that are no filter, but say something of one."""
ODD = {
    "Cc": "control character",
    "Cf": "invisible",
    "Cn": "not assigned",
    "Co": "private use",
    "Cs": "half of a surrogate pair",
    "Zl": "line separator",
    "Zp": "paragraph separator",
}
"""What is odd about the characters of some categories of Unicode."""

RATIO_EDGES = (0.0, 0.25, 0.5, 0.67, 0.8, 1.0, 1.25, 1.5, 2.0, 4.0)
"""Where the bins of the ratio of target to source begin."""
MAX_RATIO = 100
"""Ratios are counted to two decimals up to here, the greater ones as this."""

Counts = np.ndarray[Any, np.dtype[np.int64]]


def key_of(name: str) -> str:
    """Return the key of [cleaning] that a filter or mend is switched on by."""
    if name in KEY_OF:
        return KEY_OF[name]
    return name if name in CleaningConfig.model_fields else f"drop_{name}"


def filter_names() -> dict[str, str]:
    """Return the keys of [cleaning] by the names of their filters and mends, in the order of the recipe."""
    own = {key: name for name, key in KEY_OF.items()}
    keys = (key for key in CleaningConfig.model_fields if key not in NO_FILTERS)
    return {own.get(key, key.removeprefix("drop_")): key for key in keys}


class Lengths:
    """How many lines have which length; there are few different ones, so all is exact."""

    def __init__(self) -> None:
        self._lines: Counter[int] = Counter()

    def add(self, lengths: Iterable[int]) -> None:
        """Count the lengths of some lines."""
        self._lines.update(lengths)

    @property
    def mean(self) -> float:
        """The mean length."""
        return self._total() / self._lines.total()

    def quantile(self, share: float) -> int:
        """Return the least length that `share` of the lines do not exceed."""
        lengths = sorted(self._lines)
        lines = np.cumsum([self._lines[length] for length in lengths])
        return lengths[int(np.searchsorted(lines, share * lines[-1]))]

    def _total(self) -> int:
        return sum(length * count for length, count in self._lines.items())

    def report(self) -> dict[str, Any]:
        """Return total, mean, percentiles, and a histogram: [shortest of the bin, lines], each bin twice the last."""
        bins: Counter[int] = Counter()
        for length, count in self._lines.items():
            bins[1 << length.bit_length() >> 1] += count
        return {
            "total": self._total(),
            "min": min(self._lines),
            "mean": round(self.mean, 2),
            "median": self.quantile(0.5),
            "p95": self.quantile(0.95),
            "p99": self.quantile(0.99),
            "max": max(self._lines),
            "histogram": [[start, bins[start]] for start in sorted(bins)],
        }


class Side:
    """What is counted of one side alone."""

    def __init__(self, vocabulary: int = VOCABULARY) -> None:
        self._bound = vocabulary
        self._lines = 0
        self._lines_with_words: int | None = None
        """The lines whose words are in the vocabulary, once it is full."""
        self.characters, self.words = Lengths(), Lengths()
        self._vocabulary: Counter[str] = Counter()
        self._codes: Counts = np.zeros(0x110000, np.int64)
        self.mended: dict[str, int] = {}

    def add(self, texts: Sequence[str]) -> list[int]:
        """Count some lines; return their lengths in characters."""
        lengths = list(map(len, texts))
        words = [text.split() for text in texts]
        self._lines += len(texts)
        self.characters.add(lengths)
        self.words.add(map(len, words))
        if self._lines_with_words is None:
            self._vocabulary.update(chain.from_iterable(words))
            if len(self._vocabulary) > self._bound:
                self._lines_with_words = self._lines
        codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
        self._codes += np.bincount(codes, minlength=len(self._codes))
        return lengths

    def scripts(self) -> Counter[str]:
        """Count the letters by script."""
        letters: Counter[str] = Counter()
        for code in np.flatnonzero(self._codes):
            if chr(code).isalpha():
                letters[script_of(chr(code))] += int(self._codes[code])
        return letters

    def alphabet(self, share: float) -> int:
        """Return how many of the commonest characters make up `share` of the text."""
        counts = np.cumsum(np.sort(self._codes)[::-1])
        return int(np.searchsorted(counts, share * counts[-1])) + 1

    def report(self) -> dict[str, Any]:
        """Return all that was counted."""
        distinct = len(self._vocabulary)
        once = sum(count == 1 for count in self._vocabulary.values())
        codes, letters = [int(code) for code in np.flatnonzero(self._codes)], self.scripts()
        odd = Counter({code: int(self._codes[code]) for code in codes if oddity(chr(code))})
        return {
            "characters": self.characters.report(),
            "words": self.words.report(),
            "vocabulary": {
                "lines": self._lines if self._lines_with_words is None else self._lines_with_words,
                "words": distinct,
                "once": once,
                "once_share": round(once / distinct, 4) if distinct else 0.0,
                "common": [[word, count] for word, count in self._vocabulary.most_common(COMMON)],
            },
            "different_characters": len(codes),
            "odd_characters": [
                {"code": f"U+{code:04X}", "name": oddity(chr(code)), "count": count}
                for code, count in odd.most_common(COMMON)
            ],
            "scripts": {
                script or "?": round(count / letters.total(), 6) for script, count in letters.most_common(COMMON)
            },
            "mended": self.mended,
        }


def oddity(character: str) -> str:
    """Say what is odd about a character, and its name in Unicode; nothing of one that belongs into text.

    >>> oddity("\\u200b")
    'ZERO WIDTH SPACE (invisible)'
    """
    name = unicodedata.name(character, "")
    if character == "\ufffd":
        return f"{name} (bytes were lost here)"
    kind = ODD.get(unicodedata.category(character))
    if kind is None or character == "\t":
        return ""
    return f"{name} ({kind})" if name else kind


class Statistics:
    """What is counted of parallel text."""

    def __init__(self, languages: LanguagesConfig, config: CleaningConfig = ALL_ON) -> None:
        self.languages, self.config, self.pairs = languages, config, 0
        self.source, self.target = Side(), Side()
        quick = config.model_copy(update={"check_language": False})
        self._filters = filters(quick, languages, HeldOut())
        self._mends = [mender(config, side.mended) for side in (self.source, self.target)]
        self._dropped = Funnel(dropped=dict.fromkeys([*self._filters, *DUPLICATES], 0))
        self._keys: dict[str, list[Keys]] = {name: [] for name in DUPLICATES}
        self._seen: dict[str, set[int]] = {name: set() for name in DUPLICATES}
        self._ratios: Counts = np.zeros(100 * MAX_RATIO + 1, np.int64)
        self._worst: list[tuple[float, Pair]] = []
        self._sample: list[tuple[int, Pair]] = []

    def read(self, pairs: Iterator[Pair]) -> Iterator[int]:
        """Count `pairs`, all of them; yield their number now and then."""
        while chunk := list(islice(pairs, CHUNK)):
            self.add(chunk)
            yield self.pairs

    def add(self, pairs: Sequence[Pair]) -> None:
        """Count some pairs."""
        self.pairs += len(pairs)
        sources, targets = ([pair[side] for pair in pairs] for side in range(2))
        self._add_ratios(self.source.add(sources), self.target.add(targets), pairs)
        mend_source, mend_target = self._mends
        chosen, dropped = list(self._filters.items()), self._dropped
        mended = list(zip(map(mend_source, sources), map(mend_target, targets), strict=True))
        for source, target in mended:
            for name, drops in chosen:
                if drops(source, target):
                    dropped.drop(name, source, target)
        for name, key in DUPLICATES.items():
            keys = [key(*pair) for pair in mended]
            self._keys[name].append(np.array(keys, np.uint64))
            self._find_examples(name, keys, mended)
            if name == "duplicates":
                self._sample = heapq.nsmallest(IDENTIFIED, [*self._sample, *zip(keys, mended, strict=True)])

    def _add_ratios(self, sources: list[int], targets: list[int], pairs: Sequence[Pair]) -> None:
        of_source, of_target = np.maximum(sources, 1), np.maximum(targets, 1)
        ratios = of_target / of_source
        self._ratios += np.bincount(
            np.minimum(ratios * 100 + 0.5, 100 * MAX_RATIO).astype(np.int64), minlength=len(self._ratios)
        )
        # Of short sides the ratio says little, of blank ones nothing.
        told = np.minimum(sources, targets) > 0
        told &= np.maximum(of_source, of_target) >= self.config.ratio_from
        skew = np.where(told, np.maximum(ratios, 1 / ratios), 0)
        found = [(float(skew[place]), pairs[place]) for place in np.argsort(-skew)[:SAMPLES] if skew[place] > 0]
        self._worst = heapq.nlargest(SAMPLES, [*self._worst, *found])

    def _find_examples(self, name: str, keys: Sequence[int], pairs: Sequence[Pair]) -> None:
        samples, seen = self._dropped.samples.setdefault(name, []), self._seen[name]
        for key, pair in zip(keys, pairs, strict=True):
            if len(samples) == SAMPLES:
                return
            if key in seen:
                samples.append(cut(pair))
            elif len(seen) < EXAMPLE_KEYS:
                seen.add(key)

    def report(self) -> dict[str, Any]:
        """Return all that was counted, as JSON has it."""
        every = np.ones(self.pairs, np.bool)
        for name in DUPLICATES:
            self._dropped.dropped[name] = int(repeated(self._keys[name], every).sum())
        unchecked = {}
        try:
            self._count_languages()
        except UsageError as error:
            unchecked["language"] = str(error)
        found = {
            name: self._finding(name, self._dropped.dropped[name])
            for name in filter_names()
            if name in self._dropped.dropped
        }
        return {
            "pairs": self.pairs,
            "source": self.source.report(),
            "target": self.target.report(),
            "ratio": self._ratio_report(),
            "filters": found,
            "unchecked": unchecked,
            "cleaning": suggestion(found, self.source.mended.get("unicode", 0) + self.target.mended.get("unicode", 0)),
        }

    def _finding(self, name: str, count: int) -> dict[str, Any]:
        key, looked_at = key_of(name), len(self._sample) if name == "language" else self.pairs
        return {
            "key": key,
            "value": getattr(self.config, key),
            "pairs": count,
            "of": looked_at,
            "share": round(count / looked_at, 6),
            "examples": self._dropped.samples.get(name, []),
        }

    def _count_languages(self) -> None:
        """Look at the languages of the sampled pairs. Raises UsageError where they cannot be told."""
        drops = is_in_other_language(self.languages, self.config.language_from)
        self._dropped.dropped["language"] = 0
        for _, pair in self._sample:
            if drops(*pair):
                self._dropped.drop("language", *pair)

    def _ratio_report(self) -> dict[str, Any]:
        counted = np.cumsum(self._ratios)
        shares = {"p1": 0.01, "p5": 0.05, "median": 0.5, "p95": 0.95, "p99": 0.99}
        edges = [round(100 * edge) for edge in RATIO_EDGES]
        bins = np.add.reduceat(self._ratios, edges)
        return {
            **{name: int(np.searchsorted(counted, share * counted[-1])) / 100 for name, share in shares.items()},
            "histogram": [[edge, int(count)] for edge, count in zip(RATIO_EDGES, bins, strict=True)],
            "worst": [[round(ratio, 2), *cut(pair)] for ratio, pair in self._worst],
        }


def cut(pair: Pair) -> Pair:
    """Cut the sides of an example."""
    return pair[0][:SAMPLE_CHARACTERS], pair[1][:SAMPLE_CHARACTERS]


def suggestion(found: Mapping[str, Mapping[str, Any]], not_normal: int) -> str:
    """Write the part of a recipe that switches on what would matter, with what it would drop; `not_normal` sides are
    not in NFC.

    What would drop many pairs, or other translations of the same, is for somebody to decide: it is a comment.
    """
    defaults, lines = CleaningConfig(), ["[cleaning]"]
    if not_normal:
        lines.append(f'unicode = "nfc"  # sides that it changes: {not_normal:,}')
    for name, finding in found.items():
        is_default = getattr(defaults, finding["key"]) == finding["value"]
        if finding["share"] < LITTLE or (is_default and finding["share"] < MUCH):
            continue
        is_open = finding["share"] >= MUCH or name in AMBIGUOUS
        note = f"drops {finding['pairs']:,} of {finding['of']:,} pairs, {finding['share']:.2%}"
        lines.append(
            f"{'# ' if is_open else ''}{finding['key']} = {json.dumps(finding['value'])}  # {note}"
            + (", by default" if is_default else "")
            + (": look at the examples first" if is_open else "")
        )
    return "\n".join(lines) if len(lines) > 1 else ""

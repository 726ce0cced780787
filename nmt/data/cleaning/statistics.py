"""Statistics of raw parallel text, which is read once: lengths, words, characters, duplicates, suspicious pairs.

Memory grows with the text by 34 bytes a pair, for the keys of duplicates, and by nothing else.
"""

import heapq
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from nmt.config.data import CleaningConfig
from nmt.config.languages import LanguagesConfig
from nmt.data.cleaning.duplicates import Keys, repeated
from nmt.data.cleaning.filters import DUPLICATES, entities_of, filter_names, filters, fixer, is_in_other_language
from nmt.data.cleaning.funnel import SAMPLE_CHARACTERS, SAMPLES, Funnel, cut
from nmt.data.cleaning.keys import HeldOut
from nmt.data.languages import script_of
from nmt.data.pairs import Pair
from nmt.errors import UsageError
from nmt.files import JsonObject

CHUNK = 10_000  # pairs that are counted at once
VOCABULARY = 1_000_000  # distinct words kept of a side; if there are more, the vocabulary is of the text read so far
EXAMPLE_KEYS = 200_000  # keys kept for each filter of duplicates, to find examples
IDENTIFIED = 2000  # pairs whose languages are identified, which is slow: those with the least keys, a random sample
COMMON = 10  # words and anomalous characters that are listed
LITTLE, MUCH = 1e-4, 0.1  # shares: a filter that drops less is not suggested, one that drops more only as a comment
AMBIGUOUS = {"same_source", "same_target"}  # filters that may drop good pairs: other translations of the same text

ALL_ON = CleaningConfig(
    entities=True,
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
"""Every fix and filter but those that need held-out text, enabled with values that are seldom wrong."""

ANOMALIES = {
    "Cc": "control character",
    "Cf": "invisible",
    "Cn": "not assigned",
    "Co": "private use",
    "Cs": "half of a surrogate pair",
    "Zl": "line separator",
    "Zp": "paragraph separator",
}
"""Categories of Unicode that do not belong into text."""

RATIO_EDGES = (0.0, 0.25, 0.5, 0.67, 0.8, 1.0, 1.25, 1.5, 2.0, 4.0)
"""Lower bounds of the bins of the ratio of target to source."""
MAX_RATIO = 100  # ratios are counted to two decimals; greater ones count as this
Counts = NDArray[np.int64]


def quantile(lines: Counter[int], share: float) -> int:
    """Return the least length that `share` of the lines do not exceed, given the number of lines of each length."""
    lengths = sorted(lines)
    totals = np.cumsum([lines[length] for length in lengths])
    return lengths[int(np.searchsorted(totals, share * totals[-1]))]


class Lengths:
    """A histogram of line lengths, with exact quantiles."""

    def __init__(self) -> None:
        self._lines: Counter[int] = Counter()

    def add(self, lengths: Iterable[int]) -> None:
        self._lines.update(lengths)

    @property
    def mean(self) -> float:
        return self._total() / self._lines.total()

    def quantile(self, share: float) -> int:
        """Return the least length that `share` of the lines do not exceed."""
        return quantile(self._lines, share)

    def _total(self) -> int:
        return sum(length * count for length, count in self._lines.items())

    def report(self) -> JsonObject:
        """Return total, mean, percentiles, and a histogram: [least length of a bin, lines]; bins double in width."""
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


class SideStatistics:
    """Statistics of one side of the text."""

    def __init__(self, vocabulary: int = VOCABULARY) -> None:
        self._bound = vocabulary
        self._lines = 0
        self._lines_with_words: int | None = None  # the lines that the vocabulary was counted on, once it is full
        self.characters, self.words = Lengths(), Lengths()
        self._vocabulary: Counter[str] = Counter()
        self._codes: Counts = np.zeros(0x110000, np.int64)
        self.mended: dict[str, int] = {}
        self._entities: Counter[str] = Counter()
        self._with_entities: list[str] = []  # examples of lines

    def add(self, texts: Sequence[str]) -> list[int]:
        """Count lines; return their lengths in characters."""
        lengths = list(map(len, texts))
        words = [text.split() for text in texts]
        self._lines += len(texts)
        self.characters.add(lengths)
        self.words.add(map(len, words))
        if self._lines_with_words is None:
            self._vocabulary.update(chain.from_iterable(words))
            if len(self._vocabulary) > self._bound:
                self._lines_with_words = self._lines
        for text, found in ((text, found) for text in texts if (found := entities_of(text))):
            self._entities.update(found)
            if len(self._with_entities) < SAMPLES:
                self._with_entities.append(text[:SAMPLE_CHARACTERS])
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
        """Return the number of the commonest characters that make up `share` of the text."""
        counts = np.cumsum(np.sort(self._codes)[::-1])
        return int(np.searchsorted(counts, share * counts[-1])) + 1

    def report(self) -> JsonObject:
        """Return the statistics as JSON."""
        distinct = len(self._vocabulary)
        once = sum(count == 1 for count in self._vocabulary.values())
        codes, letters = [int(code) for code in np.flatnonzero(self._codes)], self.scripts()
        anomalies = Counter({code: int(self._codes[code]) for code in codes if anomaly(chr(code))})
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
                {"code": f"U+{code:04X}", "name": anomaly(chr(code)), "count": count}
                for code, count in anomalies.most_common(COMMON)
            ],
            "entities": [[entity, count] for entity, count in self._entities.most_common(COMMON)],
            "with_entities": self._with_entities,
            "scripts": {
                script or "?": round(count / letters.total(), 6) for script, count in letters.most_common(COMMON)
            },
            "mended": self.mended,
        }


def anomaly(character: str) -> str:
    """Return the Unicode name of a character that does not belong into text, and the reason; or the empty string.

    >>> anomaly("\\u200b")
    'ZERO WIDTH SPACE (invisible)'
    """
    name = unicodedata.name(character, "")
    if character == "\ufffd":
        return f"{name} (bytes were lost here)"
    kind = ANOMALIES.get(unicodedata.category(character))
    if kind is None or character == "\t":
        return ""
    return f"{name} ({kind})" if name else kind


class Statistics:
    """Statistics of parallel text."""

    def __init__(self, languages: LanguagesConfig, config: CleaningConfig = ALL_ON) -> None:
        self.languages, self.config, self.pairs = languages, config, 0
        self.source, self.target = SideStatistics(), SideStatistics()
        quick = config.model_copy(update={"check_language": False})
        self._filters = filters(quick, languages, HeldOut())
        self._fixers = [fixer(config, side.mended) for side in (self.source, self.target)]
        self._dropped = Funnel(dropped=dict.fromkeys([*self._filters, *DUPLICATES], 0))
        self._keys: dict[str, list[Keys]] = {name: [] for name in DUPLICATES}
        self._seen: dict[str, set[int]] = {name: set() for name in DUPLICATES}
        self._ratios: Counts = np.zeros(100 * MAX_RATIO + 1, np.int64)
        self._worst: list[tuple[float, Pair]] = []
        self._sample: list[tuple[int, Pair]] = []

    def read(self, pairs: Iterator[Pair]) -> Iterator[int]:
        """Count all of `pairs`; yield the number read after each chunk."""
        while chunk := list(islice(pairs, CHUNK)):
            self.add(chunk)
            yield self.pairs

    def add(self, pairs: Sequence[Pair]) -> None:
        """Count pairs, which come after those counted so far."""
        self.pairs += len(pairs)
        sources, targets = ([pair[side] for pair in pairs] for side in range(2))
        self._add_ratios(self.source.add(sources), self.target.add(targets), pairs)
        fix_source, fix_target = self._fixers
        chosen, dropped = list(self._filters.items()), self._dropped
        fixed = list(zip(map(fix_source, sources), map(fix_target, targets), strict=True))
        for source, target in fixed:
            for name, drops in chosen:
                if drops(source, target):
                    dropped.drop(name, source, target)
        for name, key in DUPLICATES.items():
            keys = [key(*pair) for pair in fixed]
            self._keys[name].append(np.array(keys, np.uint64))
            self._find_examples(name, keys, fixed)
            if name == "duplicates":
                self._sample = heapq.nsmallest(IDENTIFIED, [*self._sample, *zip(keys, fixed, strict=True)])

    def _add_ratios(self, sources: list[int], targets: list[int], pairs: Sequence[Pair]) -> None:
        of_source, of_target = np.maximum(sources, 1), np.maximum(targets, 1)
        ratios = of_target / of_source
        hundredths = np.minimum(ratios * 100 + 0.5, 100 * MAX_RATIO).astype(np.int64)
        self._ratios += np.bincount(hundredths, minlength=len(self._ratios))
        # The ratio of short sides means little, that of blank ones nothing.
        meaningful = np.minimum(sources, targets) > 0
        meaningful &= np.maximum(of_source, of_target) >= self.config.ratio_from
        skew = np.where(meaningful, np.maximum(ratios, 1 / ratios), 0)
        worst = [(float(skew[index]), pairs[index]) for index in np.argsort(-skew)[:SAMPLES] if skew[index] > 0]
        self._worst = heapq.nlargest(SAMPLES, [*self._worst, *worst])

    def _find_examples(self, name: str, keys: Sequence[int], pairs: Sequence[Pair]) -> None:
        samples, seen = self._dropped.samples.setdefault(name, []), self._seen[name]
        for key, pair in zip(keys, pairs, strict=True):
            if len(samples) == SAMPLES:
                return
            if key in seen:
                samples.append(cut(pair))
            elif len(seen) < EXAMPLE_KEYS:
                seen.add(key)

    def report(self) -> JsonObject:
        """Return the statistics as JSON."""
        every = np.ones(self.pairs, np.bool)
        dropped = self._dropped.dropped
        for name in DUPLICATES:
            dropped[name] = int(repeated(self._keys[name], every).sum())
        unchecked = {}
        try:
            self._count_languages()
        except UsageError as error:
            unchecked["language"] = str(error)
        effects = {name: self._effect(name, key) for name, key in filter_names().items() if name in dropped}
        return {
            "pairs": self.pairs,
            "source": self.source.report(),
            "target": self.target.report(),
            "ratio": self._ratio_report(),
            "filters": effects,
            "unchecked": unchecked,
            "cleaning": suggestion(effects, {name: self._changed(name) for name in ("entities", "unicode")}),
        }

    def _changed(self, fix: str) -> int:
        return sum(side.mended.get(fix, 0) for side in (self.source, self.target))

    def _effect(self, name: str, key: str) -> JsonObject:
        count, checked = self._dropped.dropped[name], len(self._sample) if name == "language" else self.pairs
        return {
            "key": key,
            "value": getattr(self.config, key),
            "pairs": count,
            "of": checked,
            "share": round(count / checked, 6),
            "examples": self._dropped.samples.get(name, []),
        }

    def _count_languages(self) -> None:
        """Count sampled pairs with a side in another language. Raises UsageError where languages cannot be checked."""
        drops = is_in_other_language(self.languages, self.config)
        self._dropped.dropped["language"] = 0
        for _, pair in self._sample:
            if drops(*pair):
                self._dropped.drop("language", *pair)

    def _ratio_report(self) -> JsonObject:
        counted = np.cumsum(self._ratios)
        shares = {"p1": 0.01, "p5": 0.05, "median": 0.5, "p95": 0.95, "p99": 0.99}
        edges = [round(100 * edge) for edge in RATIO_EDGES]
        bins = np.add.reduceat(self._ratios, edges)
        return {
            **{name: int(np.searchsorted(counted, share * counted[-1])) / 100 for name, share in shares.items()},
            "histogram": [[edge, int(count)] for edge, count in zip(RATIO_EDGES, bins, strict=True)],
            "worst": [[round(ratio, 2), *cut(pair)] for ratio, pair in self._worst],
        }


def suggestion(effects: Mapping[str, JsonObject], changed: Mapping[str, int]) -> str:
    """Write the section [cleaning] of a recipe with the filters that would matter, and the pairs that they would drop.

    A filter that would drop many pairs, or other translations of the same text, is a comment, for the user to decide.
    `changed` has the numbers of sides that fixes change which are off by default.
    """
    defaults, lines = CleaningConfig(), ["[cleaning]"]
    for name, count in changed.items():
        if count:
            lines.append(f"{name} = {json.dumps(getattr(ALL_ON, name))}  # sides that it changes: {count:,}")
    for name, effect in effects.items():
        is_default = getattr(defaults, effect["key"]) == effect["value"]
        if effect["share"] < LITTLE or (is_default and effect["share"] < MUCH):
            continue
        is_open = effect["share"] >= MUCH or name in AMBIGUOUS
        note = f"drops {effect['pairs']:,} of {effect['of']:,} pairs, {effect['share']:.2%}"
        lines.append(
            f"{'# ' if is_open else ''}{effect['key']} = {json.dumps(effect['value'])}  # {note}"
            + (", by default" if is_default else "")
            + (": check the examples first" if is_open else "")
        )
    return "\n".join(lines) if len(lines) > 1 else ""

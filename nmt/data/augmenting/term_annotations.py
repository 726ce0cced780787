"""Sources with the translations of some of their words, so that a model learns to take terms from its source."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from nmt.data.augmenting.aligned_pair import AlignedPair
from nmt.data.lemmas import Lemmatizer
from nmt.data.pairs import Pair
from nmt.data.placeholders import SPELLED
from nmt.data.term_marks import annotated, has_marks

LONGEST = 3  # most words of a term on either side
ENDING = 2  # most letters at the end that an exchanged word has in common with the one that it replaces
FREQUENT = 100  # words of a dictionary that are too frequent to be exchanged, as most of them are articles and the like
INVENTED = 0.5  # share of the exchanged words that are put together from two


class WordExchange:
    """Puts other words in the place of those of the target, which are `words`, the most frequent first."""

    def __init__(self, words: Iterable[str]) -> None:
        every = list(dict.fromkeys(word for word in words if word.isalpha()))
        self._frequent = frozenset(every[:FREQUENT])
        self._alike: dict[tuple[bool, str], list[str]] = {}
        for word in every[FREQUENT:]:
            for ending in {_ending(word), ""}:
                self._alike.setdefault((word[0].isupper(), ending), []).append(word)

    def another(self, word: str, rng: random.Random) -> str | None:
        """Return a word that begins with a capital if `word` does, and ends alike; None where there is none.

        It is one of the words, or an invented one: the first half of any, and the second half of one that ends alike.
        """
        case = word[0].isupper()
        alike = self._alike.get((case, _ending(word)), [])
        if not word.isalpha() or word in self._frequent or alike in ([], [word]):
            return None
        while (other := rng.choice(alike)) == word:
            pass
        if rng.random() >= INVENTED:
            return other
        first = rng.choice(self._alike[case, ""])
        return first[: (len(first) + 1) // 2] + other[len(other) // 2 :]


def _ending(word: str) -> str:
    return word[1:][-ENDING:]


@dataclass(frozen=True)
class TermAnnotator:
    """Annotates up to `most` terms of a source; `counts` are the frequencies of source words.

    The share `exchanged` of the terms with one target word has another word there, in the annotation and in the
    target: one of `words`, or an invented one. Of the others the share `lemmas` has the base form in the
    annotation.
    """

    most: int
    counts: Mapping[str, int]
    exchanged: float = 0.0
    words: Iterable[str] = field(default=())
    lemmas: float = 0.0

    @cached_property
    def _exchange(self) -> WordExchange:
        return WordExchange(self.words)

    def annotate(self, aligned: AlignedPair, rng: random.Random, lemma: Lemmatizer = str) -> Pair | None:
        """Return the pair with terms in its source annotated as its target has them; None where there are none.

        Terms are aligned phrases. The weight of one is one over the square root of the frequency of its rarest word,
        and over the square of its number of words: most terms of glossaries are rare, and single words. `lemma` gives
        the base form of a word of the target.
        """
        source, target = aligned.pair
        phrases = [] if has_marks(source) else self._phrases(aligned)
        chosen: list[tuple[int, int, str]] = []
        changes: list[tuple[int, int, str]] = []  # of the target
        for _ in range(rng.randint(1, self.most)):
            if not phrases:
                break
            weights = [self._weight(aligned, first, last) for first, last, _, _ in phrases]
            (first, last, low, high) = rng.choices(phrases, weights)[0]
            spans, others = aligned.spans
            start, end = others[low][0], others[high][1]
            translation = target[start:end]
            is_exchanged = self.exchanged > 0 and low == high and rng.random() < self.exchanged
            if is_exchanged and (word := self._exchange.another(translation, rng)):
                translation = word
                changes.append((start, end, word))
            elif self.lemmas > 0 and low == high and rng.random() < self.lemmas:
                translation = lemma(translation)
            chosen.append((spans[first][0], spans[last][1], translation))
            phrases = [phrase for phrase in phrases if phrase[1] < first or last < phrase[0]]
        for start, end, word in sorted(changes, reverse=True):  # from the end, where places stay the same
            target = target[:start] + word + target[end:]
        return (annotated(source, chosen), target) if chosen else None

    def _weight(self, aligned: AlignedPair, first: int, last: int) -> float:
        rarest = min(self.counts.get(aligned.word(0, index), 1) for index in range(first, last + 1))
        return rarest**-0.5 / (last - first + 1) ** 2

    @staticmethod
    def _phrases(aligned: AlignedPair) -> list[tuple[int, int, int, int]]:
        """Return the first and last words of aligned phrases in the source and in the target, of words alone."""
        sides = [[_is_word(aligned.word(side, i)) for i in range(len(aligned.spans[side]))] for side in (0, 1)]
        found = []
        for first in range(len(sides[0])):
            for last in range(first, min(first + LONGEST, len(sides[0]))):
                if not sides[0][last]:
                    break
                span = aligned.aligned_span(first, last)
                if span and span[1] - span[0] < LONGEST and all(sides[1][span[0] : span[1] + 1]):
                    found.append((first, last, *span))
        return found


def _is_word(text: str) -> bool:
    return any(map(str.isalpha, text)) and not SPELLED.fullmatch(text)

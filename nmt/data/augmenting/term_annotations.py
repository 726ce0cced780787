"""Sources with the translations of some of their words, so that a model learns to take terms from its source."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from nmt.data.augmenting.aligned_pair import AlignedPair
from nmt.data.pairs import Pair
from nmt.data.placeholders import SPELLED
from nmt.data.term_marks import annotated, has_marks

LONGEST = 3  # most words of a term on either side


@dataclass(frozen=True)
class TermAnnotator:
    """Annotates up to `most` terms of a source; `counts` are the frequencies of source words."""

    most: int
    counts: Mapping[str, int]

    def annotate(self, aligned: AlignedPair, rng: random.Random) -> Pair | None:
        """Return the pair with terms in its source annotated as its target has them; None where there are none.

        Terms are aligned phrases. The weight of one is one over the square root of the frequency of its rarest word,
        and over the square of its number of words: most terms of glossaries are rare, and single words.
        """
        source, target = aligned.pair
        phrases = [] if has_marks(source) else self._phrases(aligned)
        chosen: list[tuple[int, int, str]] = []
        for _ in range(rng.randint(1, self.most)):
            if not phrases:
                break
            weights = [self._weight(aligned, first, last) for first, last, _, _ in phrases]
            (first, last, low, high) = rng.choices(phrases, weights)[0]
            spans, others = aligned.spans
            chosen.append((spans[first][0], spans[last][1], target[others[low][0] : others[high][1]]))
            phrases = [phrase for phrase in phrases if phrase[1] < first or last < phrase[0]]
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

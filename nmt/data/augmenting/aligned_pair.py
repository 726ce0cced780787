"""A pair with the links between its words."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from nmt.alignment.words import Link, Span, split_words
from nmt.data.pairs import Pair


@dataclass(frozen=True)
class AlignedPair:
    """Both sides of a pair, and the `links` of their words, counted from 0."""

    pair: Pair
    links: Sequence[Link] = field(default=())

    @cached_property
    def spans(self) -> tuple[list[Span], list[Span]]:
        """The characters of the words of both sides."""
        return split_words(self.pair[0]), split_words(self.pair[1])

    def word(self, side: int, index: int) -> str:
        start, end = self.spans[side][index]
        return self.pair[side][start:end]

    @cached_property
    def single_links(self) -> list[Link]:
        """The links of words that have no other."""
        sources, targets = Counter(i for i, _ in self.links), Counter(j for _, j in self.links)
        return [(i, j) for i, j in self.links if sources[i] == targets[j] == 1]

    def aligned_span(self, first: int, last: int) -> tuple[int, int] | None:
        """Return the first and last target word of a phrase whose source words are `first` to `last`.

        No word of either phrase has a link to one outside (Och et al. 1999, section 3); None where there is none, or
        an end of it has no link.
        """
        linked = [j for i, j in self.links if first <= i <= last]
        if not linked:
            return None
        low, high = min(linked), max(linked)
        inside = all(first <= i <= last for i, j in self.links if low <= j <= high)
        return (low, high) if inside else None

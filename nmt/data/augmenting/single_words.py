"""Single words as pairs, from the dictionary of the alignment."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from nmt.alignment.corpus_alignment import Translation
from nmt.data.augmenting.aligned_pair import AlignedPair
from nmt.data.pairs import Pair

SURE = 0.3  # least share of a word's occurrences that are linked to its translation in the dictionary


@dataclass(frozen=True)
class WordPicker:
    """Picks words of pairs whose translation in `dictionary` is sure enough."""

    dictionary: Sequence[Translation]

    @cached_property
    def _entries(self) -> dict[str, Translation]:
        return {entry.source: entry for entry in self.dictionary if entry.probability >= SURE}

    def pick(self, aligned: AlignedPair, rng: random.Random) -> Pair | None:
        """Return a word of the source and its translation in the dictionary; None where no word has a sure one.

        The weight of a word is one over the square root of its frequency, or few frequent ones would be picked.
        """
        words = (aligned.word(0, index) for index in range(len(aligned.spans[0])))
        known = [self._entries[word] for word in words if word in self._entries]
        if not known:
            return None
        (entry,) = rng.choices(known, [entry.count**-0.5 for entry in known])
        return entry.source, entry.target

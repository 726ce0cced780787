"""The task `mode`: the target is the source's most frequent symbol. The length is that of the source.

    source 7 3 7 1    target 7

One symbol is always more frequent than each other: where a draw has several, one of another turns into one of the first
of them.

RASP-L: at each position count the earlier positions with the same symbol, then take the symbol of the position with the
highest count. That is one count and one maximum, right for every length.
"""

import random
from collections import Counter

from nmt.tasks.algorithms.task import Symbols, Task, numbers, repeated


def draw(rng: random.Random, length: int, symbols: int) -> list[str]:
    """Draw symbols of which one is more frequent than each other."""
    source = repeated(rng, length, symbols)
    (first, most), *others = Counter(source).most_common(2)
    if others and others[0][1] == most:
        source[rng.choice([place for place, symbol in enumerate(source) if symbol == others[0][0]])] = first
    return source


def mode(source: Symbols) -> list[str]:
    """Return the most frequent symbol."""
    return [Counter(source).most_common(1)[0][0]]


MODE = Task("mode", True, draw, mode, numbers)

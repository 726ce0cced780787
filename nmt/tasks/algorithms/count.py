"""The task `count`: the source has two numbers, the target all from the first to the second.

The length is that of the target, the numbers of the run.

    source 5 9    target 5 6 7 8 9

RASP-L: write the number written last plus one; at the start write the source's first number, and end when the number
written last is its second. The places of both are next to the start of the source, and the sum is that of a symbol,
not of a position. Right for every length, if each number and its successor occurred in training.
"""

import random

from nmt.tasks.algorithms.task import Symbols, Task, numbers


def draw(rng: random.Random, length: int, symbols: int) -> list[str]:
    """Draw the ends of a run of `length` numbers, of which each run is equally likely."""
    first = rng.randrange(symbols - length + 1)
    return [str(first), str(first + length - 1)]


def count(source: Symbols) -> list[str]:
    """Return the numbers from the first of the source to the second."""
    first, last = map(int, source)
    return [str(number) for number in range(first, last + 1)]


COUNT = Task("count", True, draw, count, numbers)

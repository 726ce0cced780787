"""The tasks `parity` and `parity-scratchpad`: is the number of ones odd? The length is the number of bits.

    parity               source 1 0 1 1                  target 1
    parity-scratchpad    source i5 1 i6 0 i7 1 i8 1      target 0 i5 1 i7 0 i8 1

RASP-L has no short program for `parity`: to count the ones takes one step, but whether the count is odd is a function
of a number that grows with the length, and new for each longer input.

With a scratchpad there is one, in the manner of Zhou et al.: every bit has an index hint before it, and the target goes
from one 1 to the next. It begins with the parity of nothing, 0; then it has, for each 1, its hint and the parity so
far, so that the last symbol is the answer. After a hint, write the other of the two parities than the last one; after
a parity, find the last hint's place in the source, and write the hint of the nearest 1 behind it, or end. Both are a
few steps, right for every length. The hints of an example are consecutive, and begin anywhere.
"""

import random

from nmt.tasks.algorithms.task import Symbols, Task, consecutive, hints, numbers


def draw(rng: random.Random, length: int, _: int) -> list[str]:
    """Draw bits."""
    return [str(rng.getrandbits(1)) for _ in range(length)]


def draw_hinted(rng: random.Random, length: int, symbols: int) -> list[str]:
    """Draw bits, each with its index hint before it."""
    pairs = zip(consecutive(rng, length, symbols), draw(rng, length, symbols), strict=True)
    return [symbol for pair in pairs for symbol in pair]


def parity(source: Symbols) -> list[str]:
    """Return whether the number of ones is odd: 1 or 0."""
    return [str(source.count("1") % 2)]


def scratchpad(source: Symbols) -> list[str]:
    """Return 0, then the hint of each 1 of the source with the parity of the ones up to it."""
    target = ["0"]
    for hint, bit in zip(source[::2], source[1::2], strict=True):
        if bit == "1":
            target += [hint, "1" if target[-1] == "0" else "0"]
    return target


PARITY = Task("parity", False, draw, parity, lambda _: numbers(2))
PARITY_SCRATCHPAD = Task(
    "parity-scratchpad", True, draw_hinted, scratchpad, lambda symbols: [*numbers(2), *hints(symbols)]
)

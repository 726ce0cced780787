"""The parts of an algorithmic task: a draw of the source, and a program that makes the target of it."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nmt.config.tasks import TaskName

Symbols = Sequence[str]
Draw = Callable[[random.Random, int, int], list[str]]
"""Draws the symbols of a source, of a length and out of a number of different symbols."""


@dataclass(frozen=True)
class Task:
    """An algorithmic task, whose examples are pairs of lists of symbols.

    `generalizes` is the prediction of Zhou et al. 2023 (arXiv 2310.16028): a Transformer that learned short examples
    solves longer ones if the task has a short program in RASP-L that is right for all lengths. RASP-L is the language
    of what a decoder computes in parallel at each position, in which a position may attend to earlier ones by equal or
    ordered values, and to its neighbours, but must not calculate with the numbers of positions.
    """

    name: TaskName
    generalizes: bool
    draw: Draw
    solve: Callable[[Symbols], list[str]]  # the target of a source
    vocabulary: Callable[[int], list[str]]  # all symbols that sources and targets may hold, given their number
    version: int = 1
    """Part of the fingerprint of a corpus: raise it whenever other examples are drawn."""


def numbers(symbols: int) -> list[str]:
    """Return the symbols of lists: `0`, `1` and so on."""
    return [str(number) for number in range(symbols)]


def hints(symbols: int) -> list[str]:
    """Return the index hints in their order: `i0`, `i1` and so on."""
    return [f"i{number}" for number in range(symbols)]


def repeated(rng: random.Random, length: int, symbols: int) -> list[str]:
    """Draw a list of independent symbols, which may occur several times."""
    return [str(rng.randrange(symbols)) for _ in range(length)]


def distinct(rng: random.Random, length: int, symbols: int) -> list[str]:
    """Draw a list in which no symbol occurs twice."""
    return [str(number) for number in rng.sample(range(symbols), length)]


def consecutive(rng: random.Random, length: int, symbols: int) -> list[str]:
    """Draw consecutive index hints, of which each run is equally likely.

    So a model that is trained on short examples sees all hints, also those that only a longer one needs at once.
    """
    first = rng.randrange(symbols - length + 1)
    return [f"i{number}" for number in range(first, first + length)]

"""The task `addition` and its formats: the sum of two numbers, whose digits are drawn independently.

The length is the number of digits of each summand; the first may be 0. The sum has one digit more, for the carry.

    addition                    source 5 4 + 3 7                        target 0 9 1
    addition-reversed           source 5 4 + 3 7                        target 1 9 0
    addition-hinted             source i2 0 i3 5 i4 4 + i2 0 i3 3 i4 7  target i2 0 i3 9 i4 1
    addition-hinted-reversed    source i2 0 i3 5 i4 4 + i2 0 i3 3 i4 7  target i4 1 i3 9 i2 0

A hint stands before each digit and names its place, the same in both summands and in the sum; the summands have a 0 in
front of them, so that each hint of the sum is one of theirs. The hints of an example are consecutive, and begin
anywhere.

RASP-L has no short program for `addition` and `addition-reversed`: to bring the two digits of a place together takes
calculating with positions, which it does not.

For `addition-hinted-reversed` there is one: find the hint written last in both summands (an induction head each), and
add the digits behind it; add one if the two digits before had a carry, which they had if their sum was over 9, or if it
was 9 and the digit written for it is 0. The next hint is the predecessor of the last one, and the first hint of the
source is the end. This is right for every length, as carries are known in the order of writing.

For `addition-hinted` a program is there too, but longer: the carry comes from digits that are written later, so the
chain of nines has to be found ahead, by counts over the whole source. By the rule this task generalizes less than the
one before; as it takes more than a short program, it is counted as one that does not.
"""

import random
from collections.abc import Iterator

from nmt.tasks.algorithms.task import Symbols, Task, consecutive, hints, numbers

PLUS = "+"


def draw(rng: random.Random, length: int, _: int) -> list[str]:
    """Draw the digits of two summands."""
    first, second = ([str(rng.randrange(10)) for _ in range(length)] for _ in range(2))
    return [*first, PLUS, *second]


def draw_hinted(rng: random.Random, length: int, symbols: int) -> list[str]:
    """Draw the digits of two summands, each with its index hint before it."""
    places = consecutive(rng, length + 1, symbols)
    first, second = (with_hints(["0", *(str(rng.randrange(10)) for _ in range(length))], places) for _ in range(2))
    return [*first, PLUS, *second]


def with_hints(digits: Symbols, places: Symbols) -> list[str]:
    """Put the hint of its place before each digit."""
    return [symbol for pair in zip(places, digits, strict=True) for symbol in pair]


def reversed_digits(first: Symbols, second: Symbols) -> Iterator[str]:
    """Yield the digits of the sum from the last to the first, and the carry at last."""
    carry = 0
    for one, other in zip(reversed(first), reversed(second), strict=True):
        carry, digit = divmod(int(one) + int(other) + carry, 10)
        yield str(digit)
    yield str(carry)


def split(source: Symbols) -> tuple[Symbols, Symbols]:
    """Return the symbols of both summands."""
    middle = source.index(PLUS)
    return source[:middle], source[middle + 1 :]


def add_reversed(source: Symbols) -> list[str]:
    """Return the digits of the sum, the last first."""
    return list(reversed_digits(*split(source)))


def add(source: Symbols) -> list[str]:
    """Return the digits of the sum, one more than those of a summand."""
    return add_reversed(source)[::-1]


def add_hinted_reversed(source: Symbols) -> list[str]:
    """Return the digits of the sum, the last first, each behind its hint."""
    first, second = split(source)
    *digits, _ = reversed_digits(first[1::2], second[1::2])  # there is no carry out of the zeros in front
    return with_hints(digits, first[::2][::-1])


def add_hinted(source: Symbols) -> list[str]:
    """Return the digits of the sum, each behind its hint."""
    first, second = split(source)
    *digits, _ = reversed_digits(first[1::2], second[1::2])
    return with_hints(digits[::-1], first[::2])


def digits_and_plus(_: int) -> list[str]:
    """Return the symbols of all formats."""
    return [*numbers(10), PLUS]


def with_all_hints(symbols: int) -> list[str]:
    """Return the symbols of formats with hints."""
    return [*digits_and_plus(symbols), *hints(symbols)]


ADDITION = Task("addition", False, draw, add, digits_and_plus)
ADDITION_REVERSED = Task("addition-reversed", False, draw, add_reversed, digits_and_plus)
ADDITION_HINTED = Task("addition-hinted", False, draw_hinted, add_hinted, with_all_hints)
ADDITION_HINTED_REVERSED = Task("addition-hinted-reversed", True, draw_hinted, add_hinted_reversed, with_all_hints)

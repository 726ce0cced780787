"""The task `sort`: the target has the source's numbers, all different, in ascending order. The length is their number.

    source 7 3 12 1    target 1 3 7 12

RASP-L: write the least of the source's numbers that are greater than the one written last; at the start write the
least of all, after the greatest end. This is one selection by order and a minimum, right for every length. It needs
no number twice: with repetitions it would have to count them.
"""

from nmt.tasks.algorithms.task import Symbols, Task, distinct, numbers


def sort(source: Symbols) -> list[str]:
    """Return the numbers in ascending order."""
    return sorted(source, key=int)


SORT = Task("sort", True, distinct, sort, numbers)

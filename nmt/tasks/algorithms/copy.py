"""The tasks `copy` and `copy-unique`: the target is the source. The length is the number of symbols.

    source 7 3 7 1    target 7 3 7 1

RASP-L, for `copy-unique`: look for the symbol written last in the source, and write the one behind it; at the start
write the first, at the source's last symbol end. This is an induction head, two steps, right for every length, because
each symbol stands in the source once.

For `copy` there is no short program: the symbol written last may stand in the source several times, with others behind
it. To find the right place takes the number of the position within the target, added to the start of the source, and
RASP-L does not calculate with positions. Fewer symbols make more repetitions.
"""

from nmt.tasks.algorithms.task import Symbols, Task, distinct, numbers, repeated


def copy(source: Symbols) -> list[str]:
    """Return the source."""
    return list(source)


COPY = Task("copy", False, repeated, copy, numbers)
COPY_UNIQUE = Task("copy-unique", True, distinct, copy, numbers)

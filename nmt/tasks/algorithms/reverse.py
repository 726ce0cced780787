"""The task `reverse`: the target is the source from its end to its start. The length is the number of symbols.

    source 7 3 7 1    target 1 7 3 7

RASP-L: there is no short program. To write the symbol before the one written last would do if no symbol stood in the
source twice, as in `copy-unique`; but symbols repeat, and to find the place takes calculating with positions, which
RASP-L does not. Zhou et al. did not train this task: the prediction is by their rule.
"""

from nmt.tasks.algorithms.task import Symbols, Task, numbers, repeated


def reverse(source: Symbols) -> list[str]:
    """Return the symbols of the source from the last to the first."""
    return list(source[::-1])


REVERSE = Task("reverse", False, repeated, reverse, numbers)

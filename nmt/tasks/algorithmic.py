"""The algorithmic tasks by name, and their examples: lines of symbols with spaces between them."""

import random
from collections.abc import Iterator
from itertools import islice
from typing import Literal

from nmt.config.tasks import TaskConfig, TaskName
from nmt.files import Json
from nmt.tasks.algorithms.addition import ADDITION, ADDITION_HINTED, ADDITION_HINTED_REVERSED, ADDITION_REVERSED
from nmt.tasks.algorithms.copy import COPY, COPY_UNIQUE
from nmt.tasks.algorithms.count import COUNT
from nmt.tasks.algorithms.mode import MODE
from nmt.tasks.algorithms.parity import PARITY, PARITY_SCRATCHPAD
from nmt.tasks.algorithms.reverse import REVERSE
from nmt.tasks.algorithms.sort import SORT
from nmt.tasks.algorithms.task import Task

Split = Literal["train", "dev", "test"]
TASKS: dict[TaskName, Task] = {
    task.name: task
    for task in (
        COPY,
        COPY_UNIQUE,
        REVERSE,
        SORT,
        COUNT,
        ADDITION,
        ADDITION_REVERSED,
        ADDITION_HINTED,
        ADDITION_HINTED_REVERSED,
        PARITY,
        PARITY_SCRATCHPAD,
        MODE,
    )
}


def generate(config: TaskConfig, split: Split, pairs: int, seed: int = 1) -> Iterator[tuple[str, str]]:
    """Yield `pairs` examples (source, target) of `config.task`, the same for the same arguments.

    A smaller number of pairs is a prefix of a larger one. The lengths are uniform from `config.min_length` to
    `config.max_length`. Each split, and each other value of any parameter, has random numbers of its own; the same
    example may be drawn twice, within a split or in two, most often a short one.
    """
    return islice(_examples(config, split, seed), pairs)


def identity(config: TaskConfig) -> list[Json]:
    """Return the values that the examples of a task depend on, beside split, number and seed."""
    assert config.task is not None
    return [config.task, config.min_length, config.max_length, config.symbol_count, TASKS[config.task].version]


def _examples(config: TaskConfig, split: Split, seed: int) -> Iterator[tuple[str, str]]:
    assert config.task is not None
    task = TASKS[config.task]
    rng = random.Random(" ".join(map(str, [*identity(config), split, seed])))
    while True:
        length = rng.randint(config.min_length, config.max_length)
        source = task.draw(rng, length, config.symbol_count)
        yield " ".join(source), " ".join(task.solve(source))

"""Examples of the algorithmic tasks: the same for the same seed, others in each split, and those of the version."""

import hashlib
from collections import Counter
from typing import get_args

import pytest

from nmt.config.tasks import TaskConfig, TaskName
from nmt.tasks.algorithmic import TASKS, Split, generate, identity

NAMES: tuple[TaskName, ...] = get_args(TaskName)
EXAMPLES: dict[TaskName, tuple[tuple[str, str], str]] = {
    "copy": (("3 4 9", "3 4 9"), "44256a91eaf6528a"),
    "copy-unique": (("50 76 124 81", "50 76 124 81"), "0db7b8e7be6566d3"),
    "reverse": (("6 8 5 9", "9 5 8 6"), "0786d5de834d4f13"),
    "sort": (("33 39 108", "33 39 108"), "5fa6b7268b50bac2"),
    "count": (("17 18", "17 18"), "40d4bef43a76b9cf"),
    "addition": (("3 2 9 + 3 3 9", "0 6 6 8"), "4f87a1319abce624"),
    "addition-reversed": (("0 7 + 3 5", "2 4 0"), "bd465358808d7e25"),
    "addition-hinted": (
        ("i91 0 i92 8 i93 3 i94 0 i95 2 + i91 0 i92 9 i93 5 i94 5 i95 3", "i91 1 i92 7 i93 8 i94 5 i95 5"),
        "adcf3aa36d7abbe4",
    ),
    "addition-hinted-reversed": (
        (
            "i103 0 i104 8 i105 3 i106 2 i107 5 + i103 0 i104 7 i105 3 i106 2 i107 1",
            "i107 6 i106 4 i105 6 i104 5 i103 1",
        ),
        "b28be42174e1d5e3",
    ),
    "parity": (("1 0 0 1", "0"), "33225bba141385b2"),
    "parity-scratchpad": (("i117 0 i118 1 i119 1 i120 0 i121 0", "0 i118 1 i119 0"), "921168b96353b429"),
    "mode": (("1 1", "1"), "729fd11d4906ce9c"),
}
"""The first example of the training split up to length 5, and the start of the digest of the first thousand."""


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_are_those_of_the_version(name: TaskName) -> None:
    """Measured scores depend on these examples: to change them is a decision, and takes another version."""
    config = TaskConfig(task=name, max_length=5)
    lines = "".join(f"{source}\t{target}\n" for source, target in generate(config, "train", 1000))
    assert (next(generate(config, "train", 1)), hashlib.sha256(lines.encode()).hexdigest()[:16]) == EXAMPLES[name]
    assert TASKS[name].version == 1


def test_every_task_has_a_name_of_the_recipe_in_its_order() -> None:
    assert tuple(TASKS) == NAMES
    assert all(task.name == name for name, task in TASKS.items())


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_examples_and_fewer_are_the_first_of_more(name: TaskName) -> None:
    config = TaskConfig(task=name, min_length=10, max_length=20)
    several = list(generate(config, "dev", 50, seed=3))
    assert len(several) == 50
    assert list(generate(config, "dev", 20, seed=3)) == several[:20]
    assert list(generate(config, "dev", 50, seed=4)) != several


@pytest.mark.parametrize("name", sorted({*NAMES} - {"count", "mode", "parity"}))
def test_the_splits_of_a_seed_share_no_long_example(name: TaskName) -> None:
    config = TaskConfig(task=name, min_length=20, max_length=30)
    splits: tuple[Split, ...] = get_args(Split)
    drawn = [set(generate(config, split, 100)) for split in splits]
    assert sum(map(len, drawn)) == len(set.union(*drawn)) == 300


def test_other_lengths_or_symbols_have_random_numbers_of_their_own() -> None:
    """Two test sets of a seed that differ in length would otherwise be prefixes of each other."""
    first, *others = (
        next(generate(TaskConfig(task="copy", min_length=8, max_length=high, symbols=symbols), "test", 1))[0]
        for high, symbols in ((8, 10), (9, 10), (8, 9))
    )
    assert all(other[:9] != first[:9] for other in others)


def test_all_lengths_are_equally_likely() -> None:
    config = TaskConfig(task="reverse", min_length=3, max_length=7)
    counts = Counter(len(source.split(" ")) for source, _ in generate(config, "train", 5000))
    assert counts.keys() == {3, 4, 5, 6, 7}
    assert all(850 < count < 1150 for count in counts.values())


def test_what_examples_depend_on() -> None:
    assert identity(TaskConfig(task="copy")) == identity(TaskConfig(task="copy", symbols=10)) == ["copy", 1, 40, 10, 1]
    assert identity(TaskConfig(task="sort", min_length=2, max_length=9)) == ["sort", 2, 9, 128, 1]

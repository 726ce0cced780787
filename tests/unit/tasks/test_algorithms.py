"""The algorithmic tasks: each target is that of a plain program, and each source is one that the task may have."""

from collections import Counter
from collections.abc import Callable
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.config.tasks import DISTINCT, FIXED, TaskConfig, TaskName
from nmt.tasks.algorithmic import TASKS, generate
from nmt.tasks.algorithms import addition, parity
from nmt.tasks.algorithms.task import hints

NAMES: tuple[TaskName, ...] = get_args(TaskName)
Words = list[str]


def words(text: str) -> Words:
    return text.split()


def value(symbols: Words) -> int:
    """Return the number that decimal digits, with or without hints, write."""
    return int("".join(symbol for symbol in symbols if symbol.isdigit()))


def summed(source: Words) -> tuple[str, Words]:
    """Return the sum as Python writes it, with a digit more than a summand, and the hints of the first summand."""
    middle = source.index("+")
    first, second = source[:middle], source[middle + 1 :]
    places = [word for word in first if word.startswith("i")]
    digits = len(places) or len(first) + 1
    return str(value(first) + value(second)).zfill(digits), places


def flat(pairs: list[tuple[str, str]]) -> Words:
    return " ".join(f"{one} {other}" for one, other in pairs).split()


def added_with_hints(source: Words) -> list[tuple[str, str]]:
    total, places = summed(source)
    return list(zip(places, total, strict=True))


def walked(source: Words) -> Words:
    steps, ones = ["0"], 0
    for place in range(0, len(source), 2):
        if source[place + 1] == "1":
            ones += 1
            steps += [source[place], str(ones % 2)]
    return steps


PROGRAMS: dict[TaskName, Callable[[Words], Words]] = {
    "copy": lambda source: source,
    "copy-unique": lambda source: source,
    "reverse": lambda source: [source[-1 - place] for place in range(len(source))],
    "sort": lambda source: [str(number) for number in range(20_000) if str(number) in set(source)],
    "count": lambda source: [str(number) for number in range(int(source[0]), int(source[1]) + 1)],
    "addition": lambda source: list(summed(source)[0]),
    "addition-reversed": lambda source: list(summed(source)[0])[::-1],
    "addition-hinted": lambda source: flat(added_with_hints(source)),
    "addition-hinted-reversed": lambda source: flat(added_with_hints(source)[::-1]),
    "parity": lambda source: [str(sum(map(int, source)) & 1)],
    "parity-scratchpad": walked,
    "mode": lambda source: [max(set(source), key=source.count)],
}
"""The target of a source, by a plain program of each task."""

LENGTHS: dict[TaskName, Callable[[Words, Words], float]] = {
    **dict.fromkeys(NAMES, lambda source, _: len(source)),
    "count": lambda _, target: len(target),
    "addition": lambda source, _: (len(source) - 1) / 2,
    "addition-reversed": lambda source, _: (len(source) - 1) / 2,
    "addition-hinted": lambda source, _: (len(source) - 1) / 4 - 1,
    "addition-hinted-reversed": lambda source, _: (len(source) - 1) / 4 - 1,
    "parity-scratchpad": lambda source, _: len(source) / 2,
}
"""The length of an example, as each task defines it."""


@st.composite
def configs(draw: st.DrawFn) -> TaskConfig:
    """Draw a task with parameters that it may have."""
    name = draw(st.sampled_from(NAMES))
    low = draw(st.integers(1, 30))
    high = draw(st.integers(low, 40))
    symbols = None
    if name not in FIXED:
        symbols = draw(st.integers(max(2, high + DISTINCT.get(name, -high)), 200))
    return TaskConfig(task=name, min_length=low, max_length=high, symbols=symbols)


@settings(max_examples=150, deadline=None)
@given(configs(), st.integers(0, 2**63 - 1))
def test_a_target_is_that_of_a_plain_program_and_every_symbol_is_known(config: TaskConfig, seed: int) -> None:
    assert config.task is not None
    vocabulary = TASKS[config.task].vocabulary(config.symbol_count)
    assert len(set(vocabulary)) == len(vocabulary)
    for source, target in generate(config, "train", 5, seed):
        before, after = source.split(" "), target.split(" ")
        assert PROGRAMS[config.task](before) == after
        assert config.min_length <= LENGTHS[config.task](before, after) <= config.max_length
        assert {*before, *after} <= set(vocabulary)


def sources(name: TaskName, pairs: int, **values: int) -> list[Words]:
    config = TaskConfig.model_validate({"task": name, **values})
    return [source.split(" ") for source, _ in generate(config, "train", pairs)]


@pytest.mark.parametrize("name", ["copy-unique", "sort"])
def test_no_symbol_stands_twice_where_all_are_different(name: TaskName) -> None:
    for source in sources(name, 300, min_length=9, max_length=10, symbols=10):
        assert len(set(source)) == len(source)


@pytest.mark.parametrize("name", ["copy", "reverse", "mode"])
def test_symbols_repeat_where_they_may(name: TaskName) -> None:
    repetitive = [source for source in sources(name, 300, min_length=5, max_length=5) if len(set(source)) < 5]
    assert len(repetitive) > 150


@pytest.mark.parametrize("name", NAMES)
def test_all_symbols_of_the_vocabulary_occur_also_in_short_examples(name: TaskName) -> None:
    """A model that never saw a symbol cannot write it: all have to occur in training, whatever the lengths there."""
    config = TaskConfig(task=name, max_length=3, symbols=None if name in FIXED else 20)
    seen = Counter(word for pair in generate(config, "train", 2000) for line in pair for word in line.split(" "))
    assert seen.keys() == set(TASKS[name].vocabulary(config.symbol_count))


def test_the_most_frequent_symbol_is_one_alone() -> None:
    for source in sources("mode", 2000, max_length=6, symbols=3):
        counts = sorted(Counter(source).values())
        assert len(counts) == 1 or counts[-1] > counts[-2]


def test_half_of_the_inputs_of_parity_are_odd() -> None:
    config = TaskConfig(task="parity")
    odd = sum(target == "1" for _, target in generate(config, "test", 2000))
    assert 900 < odd < 1100


@pytest.mark.parametrize("name", ["addition-hinted", "addition-hinted-reversed", "parity-scratchpad"])
def test_hints_are_consecutive_and_begin_anywhere(name: TaskName) -> None:
    starts = set()
    for source in sources(name, 500, min_length=4, max_length=4, symbols=10):
        own = [int(word[1:]) for word in source[: source.index("+") if "+" in source else None] if word[0] == "i"]
        assert own == list(range(own[0], own[0] + len(own)))
        starts.add(own[0])
    assert starts == set(range(10 - len(own) + 1))


def test_carries_run_through_chains_of_nines_and_out_of_the_first_digit() -> None:
    assert addition.add(["9", "9", "+", "0", "1"]) == ["1", "0", "0"]
    assert addition.add_reversed(["9", "5", "+", "0", "4"]) == ["9", "9", "0"]
    source = words("i3 0 i4 9 i5 9 + i3 0 i4 0 i5 1")
    assert addition.add_hinted(source) == words("i3 1 i4 0 i5 0")
    assert addition.add_hinted_reversed(source) == words("i5 0 i4 0 i3 1")


def test_numbers_may_have_more_digits_than_python_reads() -> None:
    """Python refuses to read or write integers of more than 4300 digits."""
    assert addition.add(["9"] * 5000 + ["+"] + ["0"] * 4999 + ["1"]) == ["1"] + ["0"] * 5000


def test_the_scratchpad_ends_with_the_parity() -> None:
    assert parity.scratchpad(words("i5 1 i6 0 i7 1 i8 1")) == words("0 i5 1 i7 0 i8 1")
    assert parity.scratchpad(["i0", "0"]) == ["0"]


def test_what_the_paper_predicts() -> None:
    """Zhou et al. 2023: a short program in RASP-L is what these tasks have."""
    short = {"copy-unique", "sort", "count", "addition-hinted-reversed", "parity-scratchpad", "mode"}
    assert {name for name, task in TASKS.items() if task.generalizes} == short
    assert hints(2) == ["i0", "i1"]

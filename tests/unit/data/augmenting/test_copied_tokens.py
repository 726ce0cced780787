"""Invented tokens, the same on both sides."""

import random
import re

import pytest

from nmt.data.augmenting.aligned_pair import AlignedPair
from nmt.data.augmenting.copied_tokens import with_copied_token

APPENDED = re.compile(r"(.*?) ?\((\S+)\)(.*)")


@pytest.mark.parametrize("seed", range(40))
def test_a_token_follows_in_brackets_before_the_final_mark(seed: int) -> None:
    source, target = with_copied_token(AlignedPair(("It rains.", "Es regnet")), random.Random(seed))
    one, other = APPENDED.fullmatch(source), APPENDED.fullmatch(target)
    assert one is not None
    assert other is not None
    assert (one[1], one[3], other[1], other[3]) == ("It rains", ".", "Es regnet", "")
    assert one[2] == other[2]


def test_all_sorts_of_tokens_occur() -> None:
    tokens = {with_copied_token(AlignedPair(("a", "b")), random.Random(seed))[0][3:-1] for seed in range(200)}
    for sort in (r"[A-Z][a-z]{3,}", r"\d{2,}", r"[A-Z]+[-_/]?\d+", r"https://\S+", r"[a-z]+@[a-z]+\.\w+"):
        assert any(re.fullmatch(sort, token) for token in tokens), sort
    assert len(tokens) > 150


def test_a_name_or_a_number_of_both_sides_is_replaced() -> None:
    aligned = AlignedPair(("Tom has 17 dogs.", "Tom hat 17 Hunde."), [(0, 0), (1, 1), (2, 2), (3, 3), (4, 4)])
    found = {with_copied_token(aligned, random.Random(seed)) for seed in range(100)}
    names = [pair for pair in found if pair[0].endswith(" has 17 dogs.")]
    numbers = [pair for pair in found if pair[0].startswith("Tom") and pair[0].endswith(" dogs.") and pair not in names]
    assert 50 < len(names) + len(numbers) < 90
    assert all(re.fullmatch(r"[A-Z][a-z]+", pair[0].split()[0]) for pair in names)
    assert all(target == f"{source.split()[0]} hat 17 Hunde." for source, target in names)
    assert all(re.fullmatch(r"Tom has [1-9]\d dogs\.", source) for source, _ in numbers)
    assert all(target == f"Tom hat {source.split()[2]} Hunde." for source, target in numbers)


def test_words_that_differ_or_have_other_links_are_not_replaced() -> None:
    pair = ("Anna sees I 5", "Anne sieht I 5")
    aligned = AlignedPair(pair, [(0, 0), (1, 1), (2, 2), (3, 3), (3, 1)])
    for seed in range(50):
        source, target = with_copied_token(aligned, random.Random(seed))
        assert source.startswith(pair[0])
        assert target.startswith(pair[1])


def test_there_is_no_space_after_chinese_characters() -> None:
    source, target = with_copied_token(AlignedPair(("雨です。", "Да.")), random.Random(1))
    assert source.startswith("雨です(")
    assert source.endswith(")。")
    assert target.startswith("Да (")

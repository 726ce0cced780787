"""Typing errors: how many, which, and on which keyboard."""

import random

import pytest

from nmt.data.augmenting.typing_errors import neighbours, with_typing_errors

LINE = " ".join(["garden"] * 30)


def differing(line: str, changed: str) -> list[tuple[str, str]]:
    return [(one, other) for one, other in zip(line.split(), changed.split(), strict=True) if one != other]


@pytest.mark.parametrize("seed", range(20))
def test_a_tenth_of_the_long_words_has_one_error_and_keeps_its_first_letter(seed: int) -> None:
    changed = differing(LINE, with_typing_errors(LINE, "en", random.Random(seed)))
    assert len(changed) == 3
    assert all(word[0] == "g" and 5 <= len(word) <= 7 for _, word in changed)


def test_all_four_errors_occur() -> None:
    found = {with_typing_errors("maps", "en", random.Random(seed)) for seed in range(300)}
    assert {"mps", "mas", "mpas", "masp", "maaps", "mapps"} < found
    beside = {word for word in found if len(word) == 4} - {"mpas", "masp"}
    assert beside == {"mqps", "mwps", "msps", "mzps", "maos", "mals"}
    assert "maps" not in found


def test_a_line_has_at_least_one_error_unless_its_words_are_short() -> None:
    assert with_typing_errors("a long way", "en", random.Random(1)) != "a long way"
    assert with_typing_errors("it was so", "en", random.Random(1)) == "it was so"


def test_double_letters_are_not_swapped() -> None:
    found = {with_typing_errors("baab", None, random.Random(seed)) for seed in range(100)}
    assert "baab" not in found


def test_capitals_stay_capitals() -> None:
    assert all(with_typing_errors("HOUSE", "en", random.Random(seed)).isupper() for seed in range(50))


@pytest.mark.parametrize(
    ("language", "letter", "beside"),
    [
        ("en", "s", "adwezx"),
        ("de", "z", "tuhg"),
        ("fr", "a", "zq"),
        ("ru", "п", "аренми"),
        ("el", "α", "σςεζ"),
        (None, "q", "wa"),
        ("sv", "y", "tugh"),
    ],
)
def test_neighbours_are_those_on_the_keyboard(language: str | None, letter: str, beside: str) -> None:
    found = neighbours(language)[letter]
    assert set(found) == set(beside)
    assert len(found) == len(set(found))

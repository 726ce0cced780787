"""Pairs written otherwise."""

import random
import re

import pytest

from nmt.data.augmenting.rewriting import Rewriter
from nmt.data.pairs import Pair

PAIR = ("The house is old.", "Das Haus ist groß.")


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("upper", ("THE HOUSE IS OLD.", "DAS HAUS IST GROSS.")),
        ("title", ("The House Is Old.", "Das Haus ist groß.")),
        ("lower", ("the house is old.", "das haus ist groß.")),
        ("no_final_mark", ("The house is old", "Das Haus ist groß")),
    ],
)
def test_each_kind_changes_the_sides_that_it_is_of(kind: str, changed: Pair) -> None:
    assert Rewriter(("en", "de")).rewrite(kind, PAIR, random.Random(1)) == changed


def test_typing_errors_are_in_the_source_alone() -> None:
    changed = Rewriter(("en", "de")).rewrite("typos", PAIR, random.Random(1))
    assert changed is not None
    assert changed[0] != PAIR[0]
    assert changed[1] == PAIR[1]


@pytest.mark.parametrize(
    ("kind", "pair"),
    [
        ("upper", ("OK!", "gut")),
        ("title", ("Old House", "altes Haus")),
        ("lower", ("old", "Alt")),
        ("no_final_mark", ("Old house", "Altes Haus.")),
        ("typos", ("It is so.", "So ist es.")),
    ],
)
def test_a_source_without_anything_to_change_makes_no_pair(kind: str, pair: Pair) -> None:
    assert Rewriter(("en", "de")).rewrite(kind, pair, random.Random(1)) is None


def test_a_source_without_case_makes_no_pair_but_a_target_without_it_does() -> None:
    assert Rewriter(("ja", "en")).rewrite("upper", ("今日は。", "Hello."), random.Random(1)) is None
    made = Rewriter(("en", "ja")).rewrite("upper", ("Hello.", "今日は。"), random.Random(1))
    assert made == ("HELLO.", "今日は。")


def test_symbols_keep_their_letters() -> None:
    rewriter = Rewriter(("en", "de"), re.compile("<sep>"))
    assert rewriter.rewrite("upper", ("a<sep>b", "c<sep>d"), random.Random(1)) == ("A<sep>B", "C<sep>D")

import hashlib
import random
import re

import pytest

from nmt.tasks.grammar_lexicon import lexicon
from nmt.tasks.grammar_phrases import FUTURE, PAST, PRESENT, PRONOUNS, Phrases, join, same


def test_all_phrases_are_those_that_the_sentences_are_made_of() -> None:
    phrases, drawn = Phrases(random.Random(1), novel=True), list[object]()
    buy = lexicon().frames["acc"][10]
    for _ in range(3000):
        drawn += [phrases.clock(), phrases.date(), phrases.price(), phrases.where(), phrases.whither()]
        drawn += [*(phrases.when(time) for time in (PAST, PRESENT, FUTURE)), phrases.person(), phrases.how(buy)]
    digest = hashlib.sha256(repr(drawn).encode()).hexdigest()
    assert digest == "ca72f70ce1a8f78a14c0003518dca1e5bf00526278f7a3f03fb5e927dd90596d"


@pytest.mark.parametrize(
    ("preposition", "phrase", "joined"),
    [
        ("in", "dem Haus", "im Haus"),
        ("in", "das Haus", "ins Haus"),
        ("in", "der Stadt", "in der Stadt"),
        ("zu", "der Stadt", "zur Stadt"),
        ("von", "dem", "von dem"),
    ],
)
def test_prepositions_contract_with_articles(preposition: str, phrase: str, joined: str) -> None:
    assert join(preposition, phrase) == joined


def test_i_am_one_of_us() -> None:
    i, you, _, _, we, they = PRONOUNS
    assert same(i, i)
    assert same(i, we)
    assert not same(you, we)
    assert not same(they, we)


def test_held_out_partners_are_drawn_where_they_are_asked_for_alone() -> None:
    usual, novel = Phrases(random.Random(2)), Phrases(random.Random(2), novel=True)
    halves = [1], [2]
    assert {usual.partner(halves) for _ in range(100)} == {1}
    assert not usual.fresh
    assert {novel.partner(halves) for _ in range(100)} == {1, 2}
    assert novel.fresh


def test_times_of_day_are_the_same_in_both_notations() -> None:
    phrases, found = Phrases(random.Random(3)), 0
    for english, german in (phrases.clock() for _ in range(1000)):
        if match := re.fullmatch(r"at (\d+):(\d\d) (a|p)\.m\.", english):
            found += 1
            hour = int(match[1]) % 12 + 12 * (match[3] == "p")
            assert german == f"um {hour}:{match[2]} Uhr"
    assert found > 300


def test_prices_swap_comma_and_point() -> None:
    phrases = Phrases(random.Random(4))
    for english, german in (phrases.price() for _ in range(200)):
        assert german == english[1:].translate({ord(","): ".", ord("."): ","}) + f" {english[0]}"

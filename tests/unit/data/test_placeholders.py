"""Placeholders go in, and what they stand for comes back; tags are told from text."""

import dataclasses
import pickle
import re
import time

import pytest

from nmt.data.placeholders import (
    Protected,
    Protector,
    Restored,
    check_tags,
    placeholder,
    protector_for,
    put_back,
    split_tags,
    symbols,
)
from nmt.errors import UsageError

URL = r"https?://[^\s\u27e6\u27e7]+|[0-9]{3,}"


@pytest.fixture
def protector() -> Protector:
    return Protector(URL, 3)


def refusal(pattern: str, count: int) -> str:
    with pytest.raises(UsageError) as caught:
        Protector(pattern, count)
    return str(caught.value)


def test_the_placeholders_of_a_tokenizer_are_numbered_from_0() -> None:
    assert placeholder(12) == "⟦12⟧"
    assert symbols(3) == ["⟦0⟧", "⟦1⟧", "⟦2⟧"]
    assert symbols(0) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no match", Protected("no match", [], 0)),
        ("", Protected("", [], 0)),
        ("see http://a.de now", Protected("see ⟦0⟧ now", ["http://a.de"], 0)),
        ("200 and 100", Protected("⟦0⟧ and ⟦1⟧", ["200", "100"], 0)),
        ("100, 200, 100", Protected("⟦0⟧, ⟦1⟧, ⟦0⟧", ["100", "200"], 0)),
        ("100 200 300 400 200 400", Protected("⟦0⟧ ⟦1⟧ ⟦2⟧ 400 ⟦1⟧ 400", ["100", "200", "300"], 2)),
    ],
)
def test_each_distinct_match_gets_the_next_placeholder(protector: Protector, text: str, expected: Protected) -> None:
    assert protector.protect(text) == expected
    assert protector.restore(expected.text, expected.kept) == Restored(text, [], 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a ⟦0⟧ b", Protected("a ⟦0⟧ b", ["⟦0⟧"], 0)),
        ("100 ⟦0⟧", Protected("⟦0⟧ ⟦1⟧", ["100", "⟦0⟧"], 0)),
        ("a ⟦2⟧ 100 200 300", Protected("a ⟦0⟧ ⟦1⟧ ⟦2⟧ 300", ["⟦2⟧", "100", "200"], 1)),
        ("100 ⟦0⟧ ⟦1⟧ ⟦2⟧", Protected("100 ⟦0⟧ ⟦1⟧ ⟦2⟧", ["⟦0⟧", "⟦1⟧", "⟦2⟧"], 1)),
        ("of another model: ⟦3⟧ ⟦00⟧", Protected("of another model: ⟦3⟧ ⟦00⟧", [], 0)),
    ],
)
def test_a_placeholder_that_stands_in_the_text_comes_back_as_it_was(
    protector: Protector, text: str, expected: Protected
) -> None:
    assert protector.protect(text) == expected
    assert protector.restore(expected.text, expected.kept) == Restored(text, [], 0)


def test_a_match_gives_way_to_a_placeholder_that_it_holds_or_cuts_and_is_counted() -> None:
    assert Protector(r"\S{4,}", 2).protect("x⟦1⟧y") == Protected("x⟦0⟧y", ["⟦1⟧"], 1)
    assert Protector("a ⟦", 2).protect("a ⟦1⟧") == Protected("a ⟦0⟧", ["⟦1⟧"], 1)
    assert Protector("[0-9]", 2).protect("⟦1⟧ 7") == Protected("⟦0⟧ ⟦1⟧", ["⟦1⟧", "7"], 0)


def test_empty_matches_are_none() -> None:
    assert Protector("[0-9]*", 2).protect("ab 12") == Protected("ab ⟦0⟧", ["12"], 0)


def test_a_pattern_may_have_flags_groups_anchors_and_what_looks_around() -> None:
    assert Protector(r"(?i)(ab)\1", 1).protect("x ABab") == Protected("x ⟦0⟧", ["ABab"], 0)
    assert Protector(r"^\w+|(?<=@)\w+", 2).protect("ab cd @ef") == Protected("⟦0⟧ cd @⟦1⟧", ["ab", "ef"], 0)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("sieh ⟦1⟧, ⟦0⟧.", Restored("sieh ⟦⟧, a b.", [], 0)),
        ("⟦0⟧ ⟦0⟧", Restored("a b a b", ["⟦⟧"], 0)),
        ("nichts", Restored("nichts", ["a b", "⟦⟧"], 0)),
        ("a ⟦2⟧ b ⟦1⟧ ⟦0⟧", Restored("a b ⟦⟧ a b", [], 1)),
        ("⟦2⟧ a ⟦2⟧", Restored("a", ["a b", "⟦⟧"], 2)),
        ("(⟦2⟧)", Restored("()", ["a b", "⟦⟧"], 1)),
        ("⟦9⟧ ⟦01⟧", Restored("⟦9⟧ ⟦01⟧", ["a b", "⟦⟧"], 0)),
        (f"⟦{'9' * 5000}⟧", Restored(f"⟦{'9' * 5000}⟧", ["a b", "⟦⟧"], 0)),
    ],
)
def test_what_is_missing_is_named_and_what_stands_for_nothing_is_taken_out_and_counted(
    protector: Protector, said: str, expected: Restored
) -> None:
    assert protector.restore(said, ["a b", "⟦⟧"]) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("he ⟦2⟧ wie", "he wie"),
        ("he ⟦2⟧wie", "he wie"),
        ("he⟦2⟧ wie", "he wie"),
        ("he⟦2⟧wie", "he wie"),
        ("he ⟦2⟧ ⟦2⟧⟦2⟧ wie", "he wie"),
        ("he ⟦2⟧.", "he."),
        ("he ⟦2⟧ !", "he !"),
        ("he, ⟦2⟧wie", "he, wie"),
        ("he (⟦2⟧wie)", "he (wie)"),
        ("he ⟦2⟧(wie)", "he (wie)"),
        ("⟦2⟧ he", "he"),
        ("he ⟦2⟧", "he"),
        ("⟦2⟧", ""),
        ("他⟦2⟧说", "他说"),
        ("⟦0⟧ ⟦2⟧ ⟦1⟧", "a b ⟦⟧"),
    ],
)
def test_one_that_is_taken_out_leaves_one_space_between_words(protector: Protector, said: str, expected: str) -> None:
    assert protector.restore(said, ["a b", "⟦⟧"]).text == expected


def test_a_pattern_that_takes_exponential_time_is_stopped_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nmt.data.placeholders.SECONDS", 0.2)
    slow = Protector("(a|aa)+$", 2)
    began = time.process_time()
    with pytest.raises(UsageError) as caught:
        slow.protect("a" * 60 + "b")
    assert time.process_time() - began < 5
    assert str(caught.value).startswith(f"protect: '(a|aa)+$' takes over 0 seconds on one line: '{'a' * 40}'")
    assert slow.protect("so aa").text == "so ⟦0⟧"


@pytest.mark.parametrize(
    "pattern", [r"(a|b", "[", "(?<=a|bc)x", r"\pL", "(" * 2000 + ")" * 2000 + "{", "a{99999999999}"]
)
def test_a_pattern_has_the_syntax_of_pythons_re(pattern: str) -> None:
    with pytest.raises(UsageError, match="is no regular expression"):
        Protector(pattern, 2)


@pytest.mark.parametrize(
    "pattern",
    [
        r"https?://\S+",
        r"[\w.]+@[\w.]+",
        r"(?i)straße",
        r"\b\d+(?:[.,]\d+)*\b",
        "[[a-c]--x]",
        r"<[^>]*>",
        "(?=a)|b|",
        r"x*",
    ],
)
def test_matches_are_those_of_pythons_re(pattern: str) -> None:
    text = "aab xx STRASSE Straße me.you@x.de 1,5 <b> 3.4 http://a.b/c [a--x] cx] 中文 ١٢"
    spans = [match.span() for match in re.finditer(pattern, text) if match.end() > match.start()]
    assert Protector(pattern, 99)._find(text) == (spans, 0)


def test_a_placeholder_that_stands_for_itself_stays() -> None:
    assert put_back("a ⟦1⟧ ⟦0⟧ ⟦7⟧", {"⟦1⟧": "⟦1⟧"}, symbols(2)) == Restored("a ⟦1⟧ ⟦7⟧", [], 1)
    assert put_back(" a ⟦0⟧", {}, symbols(0)) == Restored(" a ⟦0⟧", [], 0)


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("in 2024 by 100", "von 100 in 2024", ("in ⟦0⟧ by ⟦1⟧", "von ⟦1⟧ in ⟦0⟧")),
        ("100 100", "100 und 100", ("⟦0⟧ ⟦0⟧", "⟦0⟧ und ⟦0⟧")),
        ("a ⟦1⟧", "b ⟦1⟧", ("a ⟦0⟧", "b ⟦0⟧")),
        ("no match", "kein Treffer", None),
        ("100", "kein Treffer", None),
        ("100 100", "100", None),
        ("100 200 300 400", "100 200 300 400", None),
        ("100", "100 ⟦1⟧", None),
    ],
)
def test_a_pair_gets_placeholders_where_both_sides_hold_the_same(
    protector: Protector, source: str, target: str, expected: tuple[str, str] | None
) -> None:
    assert protector.protect_pair(source, target) == expected


def test_a_pair_with_a_match_that_gives_way_gets_no_placeholders() -> None:
    assert Protector(r"\S{4,}", 3).protect_pair("x⟦1⟧y", "x⟦1⟧y") is None


def test_another_text_gets_the_placeholders_that_it_shares(protector: Protector) -> None:
    assert protector.apply("300 oder 100", ["100"]) == "300 oder ⟦0⟧"
    assert protector.apply("300 oder 100", []) == "300 oder 100"


@pytest.mark.parametrize("pattern", [None, "", "none"])
def test_no_pattern_protects_nothing(pattern: str | None) -> None:
    assert protector_for(pattern, 0) is None


def test_a_pattern_needs_a_model_with_placeholders() -> None:
    assert protector_for("x", 2) == Protector("x", 2)
    assert refusal("x", 0) == (
        "the model has no placeholders to protect text with "
        "(train one with tokenizer.placeholders and data.protect in its recipe, or take --protect none)"
    )


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("[", "unterminated character set at position 0"),
        ("(a", "missing ), unterminated subpattern at position 0"),
        ("a{99999999999999999999}", "the repetition number is too large"),
    ],
)
def test_a_pattern_that_is_none_is_refused(pattern: str, said: str) -> None:
    assert refusal(pattern, 1) == f"protect: {pattern!r} is no regular expression: {said}"


def test_a_protector_is_frozen_and_can_be_sent_to_another_process(protector: Protector) -> None:
    protector.protect("100")
    assert pickle.loads(pickle.dumps(protector)) == protector
    with pytest.raises(dataclasses.FrozenInstanceError):
        protector.count = 4  # type: ignore[misc]


@pytest.mark.parametrize(
    ("line", "begun", "rest"),
    [
        ("<2de> a dog", ["<2de>"], "a dog"),
        ("  <2de>  <news> a <2de>", ["<2de>", "<news>"], "a <2de>"),
        ("<2de>a dog", ["<2de>"], "a dog"),
        ("<2de><2de_AT>a", ["<2de>", "<2de_AT>"], "a"),
        ("<2de>", ["<2de>"], ""),
        ("de facto", ["de"], "facto"),
        ("deep", [], "deep"),
        ("  a dog", [], "  a dog"),
        ("<2fr> a dog", [], "<2fr> a dog"),
        ("", [], ""),
    ],
)
def test_a_line_begins_with_the_tags_that_the_tokenizer_has(line: str, begun: list[str], rest: str) -> None:
    assert split_tags(line, ["de", "<2de>", "<2de_AT>", "<news>"]) == (begun, rest)


def test_a_tokenizer_without_tags_finds_none() -> None:
    assert split_tags(" <2de> a", []) == ([], " <2de> a")


def test_a_tag_that_the_model_has_not_is_refused_with_those_that_it_has() -> None:
    check_tags(["<a>", "<b>"], ["<b>", "<a>"])
    with pytest.raises(UsageError) as caught:
        check_tags(["<a>", "<c>"], ["<b>", "<a>"])
    assert str(caught.value) == "'<c>' is not a tag of the model: it has <b>, <a>"
    with pytest.raises(UsageError) as caught:
        check_tags(["<c>"], [])
    assert str(caught.value) == (
        "'<c>' is not a tag of the model: it has none "
        "(a model has those that the corpora of its recipe have: tags = [...])"
    )

"""What holds for every text and many patterns: what is protected comes back as it was."""

import re

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from nmt.data.placeholders import Protector, split_tags, symbols

PATTERNS = ["[0-9]+", r"\S+", r"\w", "ab|b", r"(?i)x+", r"\s[a-z]", "⟦", "[⟦0-9]+", "[0-9]⟧.", "a*", ".+", r"\b\w+\b"]
ASSIGNED = st.characters(exclude_categories=["Cn"])  # `regex` knows a newer Unicode than `re`
TEXT = st.lists(
    st.one_of(
        st.sampled_from([*symbols(4), "⟦", "⟧", "0", "1", "7", "a", "b", "ab", "x", "X", " ", "."]), st.text(ASSIGNED)
    ),
    max_size=14,
).map("".join)
TAGS = ["<2de>", "<2de_AT>", "de"]
patterns = pytest.mark.parametrize("pattern", PATTERNS)


@patterns
@given(text=TEXT, count=st.integers(1, 4))
def test_restoring_what_was_protected_gives_the_text(pattern: str, text: str, count: int) -> None:
    protector = Protector(pattern, count)
    protected = protector.protect(text)
    restored = protector.restore(protected.text, protected.kept)
    assert (restored.text, restored.missing, restored.unknown) == (text, [], 0)
    assert len(set(protected.kept)) == len(protected.kept) <= count


@patterns
@given(text=TEXT, count=st.integers(1, 4))
def test_placeholders_first_appear_in_their_order_and_stand_for_matches_alone(
    pattern: str, text: str, count: int
) -> None:
    protector = Protector(pattern, count)
    protected = protector.protect(text)
    own = [piece for piece in re.findall("⟦[0-9]+⟧", protected.text) if piece in symbols(count)]
    assert list(dict.fromkeys(own)) == symbols(len(protected.kept))
    # By the engine of the protector: `\w` of `regex` has the marks of a script too, that of `re` has not.
    found = regex.compile(pattern, regex.VERSION0).search
    assert all(found(kept) or kept in symbols(count) for kept in protected.kept if kept.strip())


@patterns
@given(text=TEXT)
def test_a_text_is_protected_as_its_own_translation(pattern: str, text: str) -> None:
    protector = Protector(pattern, 4)
    protected = protector.protect(text)
    expected = (protected.text, protected.text) if protected.kept and not protected.beyond else None
    assert protector.protect_pair(text, text) == expected


@patterns
@given(source=TEXT, target=TEXT)
def test_both_sides_of_a_pair_come_back(pattern: str, source: str, target: str) -> None:
    protector = Protector(pattern, 4)
    pair = protector.protect_pair(source, target)
    if pair is not None:
        kept = protector.protect(source).kept
        assert [protector.restore(side, kept).text for side in pair] == [source, target]


@given(tags=st.lists(st.sampled_from(TAGS), max_size=3), rest=TEXT)
def test_tags_are_told_from_the_text_that_follows(tags: list[str], rest: str) -> None:
    begun, text = split_tags(" ".join([*tags, rest]), TAGS)
    assert begun[: len(tags)] == tags
    assert rest.endswith(text)

"""Documents keep their text and their tags, whatever the translation and its alignment are."""

import random
import re

import pytest
from documents import shuffled, unbalanced, upper
from hypothesis import given
from hypothesis import strategies as st

from nmt.documents.filling import Setting
from nmt.documents.translating import translate_document, translate_html

TAGS = [
    "b",
    "i",
    "a",
    "span",
    "div",
    "p",
    "ul",
    "li",
    "table",
    "tr",
    "td",
    "em",
    "img",
    "br",
    "h1",
    "dd",
    "dt",
    "q",
    "font",
    "my-tag",
]
KEPT = ["code", "sup", "pre", "script"]
ODD = ["<!-- c -->", "</>", "< ", "&", "&amp;", "&#x41;", "<?x?>", "<![CDATA[x]]>", "</ b>", "<b<i>", "| ", "\u00a0"]
WORD = re.compile(r"W\d+")


def fragment(draw: random.Random, *, kept: bool) -> str:
    """Return HTML whose tags are balanced by chance alone; with `kept`, some of its text is not to be translated."""
    parts = []
    for _ in range(draw.randrange(1, 25)):
        tag, kind = draw.choice(TAGS + KEPT * kept), draw.random()
        if kind < 0.3:
            attribute = draw.choice(["", " class=x", ' title=">"', "/", " translate=no" * kept])
            parts.append(f"<{tag}{attribute}>")
        elif kind < 0.55:
            parts.append(f"</{tag}>")
        elif kind < 0.6:
            parts.append(draw.choice([*ODD, *(["https://a.b/c?d", "%s"] if kept else [])]))
        else:
            words = [f"w{draw.randrange(10**6)}{draw.choice(['', '', '.', ','])}" for _ in range(draw.randrange(1, 6))]
            parts.append(draw.choice(["", " ", "\n"]) + " ".join(words) + draw.choice(["", " "]))
    return "".join(parts)


def words(source: str) -> list[str]:
    return sorted(WORD.findall(source.upper()))


def check_fragment(seed: int) -> None:
    """Check that one fragment comes out balanced and with all its words, and that it is then as it is to be."""
    is_right = seed % 2 == 0
    source = fragment(random.Random(seed), kept=is_right)
    found = translate_html(source, shuffled(seed, right=is_right))
    assert unbalanced(found) == [], source
    if is_right:  # what is kept may also stand in the translation beside it
        assert set(words(found)) == set(words(source)), source
    else:
        assert words(found) == words(source), source
    setting = Setting()
    translate_html(found, upper, setting)
    assert setting.report.repaired == 0, source


@given(st.integers(0, 10**9))
def test_a_fragment_comes_out_balanced_and_whole(seed: int) -> None:
    check_fragment(seed)


@pytest.mark.slow
def test_ten_thousand_fragments_come_out_balanced_and_whole() -> None:
    for seed in range(10_000):
        check_fragment(seed)


@given(st.lists(st.sampled_from([*"<>/=\"'&;#!-?[] \n", "b", "p", "td", "script", "title", "x y"]), max_size=30))
def test_no_characters_break_html(characters: list[str]) -> None:
    found = translate_html("".join(characters), upper)
    assert unbalanced(found) == []


MARKS = [
    *"*_`[]()<>~|#\\!&-+=:",
    "\n",
    "\n\n",
    "  \n",
    "> ",
    "- ",
    "1. ",
    "w1 ",
    " w2",
    "w3",
    "(u)",
    "[r]: u\n",
    "**",
    "|-|\n",
]


@given(st.lists(st.sampled_from(MARKS), max_size=30))
def test_markdown_keeps_its_words(characters: list[str]) -> None:
    source = "".join(characters)
    found = translate_document(source.encode(), "markdown", upper).decode()
    assert words(found) == words(source)


@given(st.text(max_size=40))
def test_a_text_is_translated_line_by_line(source: str) -> None:
    found = translate_document(source.encode(errors="replace"), "text", upper)
    assert found.decode().count("\n") == source.count("\n")

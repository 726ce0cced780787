"""Markdown: what is a unit, what is kept, and how text is written."""

import pytest
from documents import always, backwards, upper

from nmt.documents.filling import Setting, TranslateLines
from nmt.documents.markdown import markdown_parts
from nmt.documents.translating import translate_document
from nmt.documents.units import Unit


def translated(source: str, translate: TranslateLines = upper) -> str:
    return translate_document(source.encode(), "markdown", translate).decode()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("# a *b*\n\nc\nd\n", ["a b", "c d"]),
        ("a  \nb\\\nc", ["a", "b", "c"]),
        ("- a\n- b\n  c\n\n1. d\n   > e\n   > f", ["a", "b c", "d", "e f"]),
        ("a `b` [c](d) ![e](f) <g@h.i> &amp; \\*", ["a b c g@h.i & *"]),
        ("a\n===\n\nb\n---\n", ["a", "b"]),
        ("|a|b \\| c|\n|-|-|\n|d `x`|e|\n", ["a", "b | c", "d x", "e"]),
        ("a <b>b</b><br>c <kbd>d</kbd> e", ["a b", "c d e"]),
        ("<div>\na <b>b</b>\n</div>\n", ["a b"]),
        ("- [x] a\n", ["a"]),
        ("a[^1] b\n\n[^1]: c d\n", ["a b", "c d"]),
        ("a[^1] b\n\n[^1]: c\n", ["a b"]),
        ("a\r\nb\r\n\r\nc", ["a b", "c"]),
    ],
)
def test_blocks_and_hard_line_breaks_divide_units(source: str, expected: list[str]) -> None:
    units = [part for part in markdown_parts(source, Setting()) if isinstance(part, Unit)]
    assert [unit.layout()[0] for unit in units] == expected


@pytest.mark.parametrize(
    "kept",
    [
        "---\ntitle: a\n---\n",
        "```py\na\n```\n",
        "    a\n    b\n",
        "[a]: b 'c'\n",
        "***\n",
        "`a`\n",
        "![a](b 'c')\n",
        "<!-- a\n\nb -->\n",
        "<div>\n",  # a part of HTML, whose rest follows
        "https://a.b\n",
        "12 | 3\n",
        "",
    ],
)
def test_what_is_no_text_is_kept(kept: str) -> None:
    assert translated(kept) == kept


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("## a **b** ##\n", "## B** A** ##\n".replace("B** A**", "**B** A")),
        ("> a\n> *b c*\n> d\n\ne", "> D *C B* A\n\nE"),
        ("a  \nb c", "A  \nC B"),
        ("> a *b*\\\n> *c*", "> *B* A\\\n> *C*"),
        ("a [b *c*](d 'e') ~~f~~", "~~F~~ [*C* B](d 'e') A"),
        ("a [b][c] d\n\n[c]: e", "D [B][c] A\n\n[c]: e"),
        ("a [b] [B][] d\n\n[b]: e", "D [B][B] [B][b] A\n\n[b]: e"),
        ("|a b|c|\n|--|--|\n| d  |`e` f|", "|B A|C|\n|--|--|\n| D  |F `e`|"),
        ("a ![b](c) d", "D ![b](c) A"),
        ("a <b title='x'>b</b> c", "C <b title='x'>B</b> A"),
        ("a <b>*b</b>* c", "C <b>*B</b>* A"),
        ("<p>a <i>b</i></p>\n", "<p><i>B</i> A</p>\n"),
        ("*a b  \nc* d", "*B A  \nD C*"),
        ("1) a b\n2) c", "1) B A\n2) C"),
    ],
)
def test_marks_travel_with_their_text(source: str, expected: str) -> None:
    assert translated(source, backwards) == expected


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2 * 3 * 4 snake_case a & b < c", "2 * 3 * 4 snake_case a & b < c"),
        ("a *b* c", "a \\*b\\* c"),
        ("a [b](c) `d`", "a \\[b\\](c) \\`d\\`"),
        ("# a", "\\# a"),
        ("- a", "\\- a"),
        ("1. a", "1\\. a"),
        ("&amp;", "\\&amp;"),
        ("a <b>", "a \\<b\\>"),
        ("a | b", "a | b"),
    ],
)
def test_text_that_looks_like_marks_is_escaped(text: str, written: str) -> None:
    assert translated("x", always(text)) == written


def test_a_bar_in_a_table_is_escaped() -> None:
    table = "|x|\n|-|\n"
    found = translated(table, always("a | b"))
    assert found == "|a \\| b|\n|-|\n"


def test_emphasis_of_nothing_is_left_out() -> None:
    setting = Setting()
    source = b"a **b** [c](d)"
    assert translate_document(source, "markdown", always("A", [(0, 0)]), setting) == b"A[](d)"
    assert setting.report.unplaced == 2

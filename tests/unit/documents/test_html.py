"""HTML: what is a unit, what is kept, and how tags are balanced."""

import pytest
from documents import backwards, unbalanced, upper

from nmt.documents.filling import Setting
from nmt.documents.html import balanced, html_parts
from nmt.documents.translating import translate_html
from nmt.documents.units import Unit


def lines(source: str) -> list[str]:
    """Return the lines that the model gets."""
    return [part.layout()[0] for part in html_parts(source, Setting()) if isinstance(part, Unit)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<p>a <b>b</b></p>c<div>d", ["a b", "c", "d"]),
        ("a<br>b<hr>c<input>d", ["a", "b", "c", "d"]),
        ("<ul><li>a<li><a href=x>b</a></ul>", ["a", "b"]),
        ("<table><tr><td>a<td>b<tr><th>c</table>d", ["a", "b", "c", "d"]),
        ("a <span>b <div>c</div> d</span> e", ["a", "b", "c", "d", "e"]),
        ("<my-tag>a</my-tag> b<x-y/>", ["a b"]),
        ("<title>a &amp; <b>b</title><h1>c</h1>", ["a & <b>b", "c"]),
        ("a\n  b<!-- c -->\td", ["a b d"]),
        ("caf&eacute; &lt;b&gt; &#x41;&nbsp;x", ["caf\u00e9 <b> A\u00a0x"]),
        ("<select><option>a<option>b</select>", ["a", "b"]),
    ],
)
def test_elements_that_are_not_inline_divide_units(source: str, expected: list[str]) -> None:
    assert lines(source) == expected


@pytest.mark.parametrize(
    "kept",
    [
        "<pre>a <b>b</b>\n</pre>",
        "<script>if (a < b) { c('</p>') }</script>",
        "<style>p > a {}</style>",
        "<textarea>a</textarea>",
        "<div translate=no>a <p>b</p></div>",
        "<p class='x notranslate'>a</p>",
        "<svg><text>a</text></svg>",
        "<!doctype html><!-- a --><?php a ?>",
        "<code>a b</code>",
        "<p>12 <b>3</b></p>",
        "<a href='a b'>https://x.org/a?b&amp;c</a>",
        "<iframe><p>a</iframe>",
        "",
        "&nbsp; \r\n &mdash;",
    ],
)
def test_what_is_not_to_be_translated_keeps_its_bytes(kept: str) -> None:
    assert lines(kept) == []
    assert translate_html(kept, upper) == kept
    assert translate_html(f"<p>a</p>{kept}<p>b</p>", upper) == f"<p>A</p>{kept}<p>B</p>"


@pytest.mark.parametrize(
    ("kept", "line"),
    [
        ("<code>f (x)</code>", "a f (x) b"),
        ("<span translate='no'>f <i>x</i></span>", "a f x b"),
        ("<svg><path/><text>f</text></svg>", "a b"),
        ("<img alt='f'>", "a b"),
        ("<sup>[1]</sup>", "a b"),
        ("<a name=x></a>", "a b"),
        ("<kbd>f</kbd>", "a f b"),
    ],
)
def test_what_is_kept_within_a_sentence_keeps_its_bytes(kept: str, line: str) -> None:
    assert lines(f"a {kept} b") == [line]
    assert translate_html(f"a {kept} b", backwards) == f"B {kept} A"


def test_attributes_and_white_space_keep_their_bytes() -> None:
    page = '<P  CLASS=\'a "b" > c\'\n title="d">\n\t{}\r\n  <A\tHREF = x?a&b >{}</A >\n</P >'
    assert translate_html(page.format("e &amp; f,", "g"), upper) == page.format("E &amp; F,", "G").replace(
        "\r\n  ", " "
    )


def test_the_language_of_the_page_becomes_the_target() -> None:
    page = '<html class="a" lang="en-GB" xml:lang=\'en\'><p lang="fr">a</p></html>'
    expected = page.replace('"en-GB"', '"de"').replace("'en'", '"de"').replace(">a<", ">A<")
    assert translate_html(page, upper, Setting(languages=("en", "de"))) == expected
    assert translate_html("<html lang=en>", upper, Setting(languages=("en", "de"))) == '<html lang="de">'
    assert translate_html(page, upper) == page.replace(">a<", ">A<")


@pytest.mark.parametrize(
    ("source", "expected", "repaired"),
    [
        ("<b>a", "<b>a</b>", 1),
        ("a</b>c", "ac", 1),
        ("<b>a<i>b</b>c</i>", "<b>a<i>b</i></b><i>c</i>", 1),
        ("<p><b>a</p>b", "<p><b>a</b></p>b", 1),
        ("<div><b>a</div>c</b>", "<div><b>a</b></div>c", 2),
        ("<b><p>a</b>c</p>", "<b><p>ac</p></b>", 2),
        ("a</p>b</br>c", "a<p></p>b<br>c", 2),
        ("<div><table><tr><td>a</div>b</table></div>", "<div><table><tr><td>ab</table></div>", 1),
        ("<div><section>a</div>", "<div><section>a</section></div>", 1),
        ("<i><dd>a", "<i><dd>a</dd></i>", 1),
        ("<p>a<p>b<ul><li>c<li>d</ul>", "<p>a<p>b<ul><li>c<li>d</ul>", 0),
        ("<dl><dt>a<dd>b<dt>c</dl>", "<dl><dt>a<dd>b<dt>c</dl>", 0),
        ("<table><tr><td><p>a<td>b<tr><th>c</table>", "<table><tr><td><p>a<td>b<tr><th>c</table>", 0),
        ("<p>a<div>b</div></p>", "<p>a<div>b</div></p>", 0),
        ("<html><head><title>a</title><body><p>b", "<html><head><title>a</title><body><p>b", 0),
        ("a < b &lt c <a href='", "a < b &lt c &lt;a href='", 0),
        ("a <!-- b", "a &lt;!-- b", 0),
        ("a</>b", "a</>b", 0),
        ("<script>a", "<script>a</script>", 1),
        ("<td><p></p></td></p>", "<td><p></p></td><p></p>", 1),
    ],
)
def test_tags_are_balanced(source: str, expected: str, repaired: int) -> None:
    tokens, count = balanced(source)
    assert ("".join(token.raw for token in tokens), count) == (expected, repaired)
    assert unbalanced(expected) == []
    setting = Setting()
    translate_html(source, upper, setting)
    assert setting.report.repaired == repaired


def test_elements_that_an_end_tag_crosses_are_opened_again_a_few_times_alone() -> None:
    source = "<b>" + "<i>" * 50 + "a</b>b"
    tokens, _ = balanced(source)
    assert "".join(token.raw for token in tokens).count("<i>") == 50 + 8


def test_nesting_has_no_limit() -> None:
    for source in ("<b>" * 2_000 + "a" + "</i>" * 2_000, "<b><i>" * 500 + "a" + "</b>" * 500, "<div>" * 2_000):
        assert unbalanced(translate_html(source, upper)) == []

"""Tags find their places in a translation, by aligned words or by placeholders."""

import pytest

from nmt.documents.filling import Setting
from nmt.documents.html import html_parts
from nmt.documents.placing import by_alignment, by_placeholders, spell
from nmt.documents.units import Unit


def unit(source: str) -> Unit:
    """Return the unit of a fragment of HTML."""
    (found,) = [part for part in html_parts(source, Setting()) if isinstance(part, Unit)]
    return found


def aligned(source: str, translation: str, pairs: str) -> str:
    """Return `translation` with the tags of `source`, aligned by `pairs` such as `0-1`."""
    numbers = [(int(a), int(b)) for a, b in (pair.split("-") for pair in pairs.split())]
    return by_alignment(unit(source), translation, numbers).source


@pytest.mark.parametrize(
    ("source", "translation", "pairs", "expected"),
    [
        ("the <b>red</b> car", "das rote Auto", "0-0 1-1 2-2", "das <b>rote</b> Auto"),
        ("the <b>red car</b> here", "hier das rote Auto", "3-0 0-1 1-2 2-3", "hier das <b>rote Auto</b>"),
        # A word within a run, aligned to another, does not divide it; a stray one far away does not lengthen it.
        ("a <b>b c d</b> e", "A B X D E", "0-0 1-1 4-2 3-3 4-4", "A <b>B X D</b> E"),
        ("a <b>b c</b> d e f", "A B C D E F", "0-0 1-1 2-2 3-3 4-4 1-5", "A <b>B C</b> D E F"),
        # Of two spans that want the same words, the one with more of them is first.
        ("<b>a</b> <i>b c d</i> e", "B C D E", "1-0 2-1 3-2 4-3", "<b></b><i>B C D</i> E"),
        ("<b>a <i>b</i> c</b> d", "D C B A", "3-0 2-1 1-2 0-3", "D <b>C <i>B</i> A</b>"),
        # Punctuation stays where the source has it.
        ("Go <a>here</a>.", "Hier.", "1-0", "<a>Hier</a>."),
        ("see (<a>this</a>)", "siehe (dies)", "0-0 1-1", "siehe (<a>dies</a>)"),
        ("<b>No!</b> he said", "er sagte: Nein!", "1-0 2-1 0-2", "er sagte: <b>Nein!</b>"),
        # A part of a word is found where it was copied, in capitals or not; or it is left without text.
        ("in H<sub>2</sub>O now", "in H2O jetzt", "0-0 1-1 2-2", "in H<sub>2</sub>O jetzt"),
        ("x <i>b</i>cd y", "X BCD Y", "0-0 1-1 2-2", "X <i>B</i>CD Y"),
        ("x <i>b</i>cd y", "X UVW Y", "0-0 1-1 2-2", "X <i></i>UVW Y"),
        ("x <i>bcd</i>e y", "X UVW Y", "0-0 1-1 2-2", "X <i>UVW</i> Y"),
        # Words beyond the line or the translation are ignored.
        ("a <b>b</b>", "A B", "0-0 1-1 7-1 1-9", "A <b>B</b>"),
        ("a <b>b</b> c", "", "", "<b></b>"),
        ("a & <b>b</b> c", "A & B < C", "0-0 2-2 3-3", "A &amp; <b>B</b> &lt; C"),
    ],
)
def test_spans_take_the_words_that_are_theirs(source: str, translation: str, pairs: str, expected: str) -> None:
    assert aligned(source, translation, pairs) == expected


@pytest.mark.parametrize(
    ("source", "translation", "pairs", "expected"),
    [
        ("a <img> b c", "C A B", "2-0 0-1 1-2", "C A <img> B"),
        ("a <img>b", "B A", "1-0 0-1", "<img>B A"),
        ("a b<img> c", "A B C", "0-0 1-1 2-2", "A B<img> C"),
        ("a b<sup>1</sup>.", "B A.", "1-0 0-1", "B<sup>1</sup> A."),
        ("x a<sup>1</sup>. b", "X A. B", "0-0 1-1 2-2", "X A<sup>1</sup>. B"),
        ("<b>a b</b> <img> c", "A B C", "0-0 1-1 2-2", "<b>A B</b> <img> C"),
        # A point of a span stays inside, one beside it outside.
        ("<b>a <img> b</b> c", "C A B", "2-0 0-1 1-2", "C <b>A <img> B</b>"),
        ("<b>a b</b> <img> c d", "A C B D", "0-0 2-1 1-2 3-3", "<b>A C B</b> <img> D"),
        ("<b>a</b><img> b", "B A", "1-0 0-1", "B <b>A</b><img>"),
    ],
)
def test_points_stand_where_the_fewest_words_cross_them(
    source: str, translation: str, pairs: str, expected: str
) -> None:
    assert aligned(source, translation, pairs) == expected


@pytest.mark.parametrize(
    ("source", "translation", "pairs", "expected"),
    [
        ("run <code>f x</code> now", "jetzt f x ausführen", "3-0 1-1 2-2 0-3", "jetzt <code>f x</code> ausführen"),
        # What the model made of the code is replaced.
        ("run <code>f()</code> now", "jetzt F () ausführen", "2-0 1-1 1-2 0-3", "jetzt <code>f()</code> ausführen"),
        ("run <code>fgh</code> now", "jetzt u v ausführen", "2-0 1-1 1-2 0-3", "jetzt <code>fgh</code> u v ausführen"),
        ("run <code>f()</code>, now", "jetzt eff, bitte", "2-0 1-1 0-2", "jetzt <code>f()</code>, bitte"),
        # Of several copies, the aligned one; letters do not count within a word.
        ("in <code>a</code> or a b", "in a oder a b", "0-0 3-1 2-2 1-3 4-4", "in a oder <code>a</code> b"),
        ("das <code>a</code> b", "das A b", "0-0 1-1 2-2", "das <code>a</code> b"),
        # A mark that the code has not stays; so do words that are aligned to others too, or may be the translation of
        # one that is aligned to none.
        ("A <code>f()</code> man is.", "Ein fff.", "0-0 1-1", "Ein <code>f()</code> fff."),
        ("A <code>f()</code> is.", "Ist eff.", "2-0 1-1", "Ist <code>f()</code> eff."),
        ("A <code>f()</code>.", "Ein eff.", "0-0 1-1", "Ein <code>f()</code>."),
        ("A <code>f()</code> man", "Ein effmann", "0-0 1-1 2-1", "Ein <code>f()</code> effmann"),
        # Other text is not lost, even where the alignment is wrong.
        ("x <code>a</code>bcd y", "X ABCD Y", "0-0 1-1 2-2", "X <code>a</code>BCD Y"),
        ("see https://a.b/?x=1&amp;y for more", "mehr: https : y", "3-0 1-1 1-2 2-3", "mehr: https://a.b/?x=1&amp;y y"),
        ("x <code>ab</code>c y", "X UVW Y", "0-0 1-1 2-2", "X <code>ab</code>UVW Y"),
    ],
)
def test_atoms_replace_their_own_words_alone(source: str, translation: str, pairs: str, expected: str) -> None:
    assert aligned(source, translation, pairs) == expected


def test_tags_without_a_place_are_counted() -> None:
    assert by_alignment(unit("a <b>b</b> c"), "A C", [(0, 0), (2, 1)]).unplaced == 1
    assert by_alignment(unit("a <img> c <b>b</b>"), "A C B", [(0, 0), (1, 1), (2, 2)]).unplaced == 0


def test_a_unit_is_spelled_with_a_placeholder_for_each_tag() -> None:
    assert spell(unit("a <b>b <i>c</i></b> <img> d <code>x y</code>.")) == ("a ⟦0⟧b ⟦1⟧c⟦2⟧⟦3⟧ ⟦4⟧ d ⟦5⟧.", 6)


@pytest.mark.parametrize(
    ("translation", "expected", "unplaced"),
    [
        ("D ⟦0⟧B⟦1⟧ A ⟦2⟧", "D <b>B</b> A <code>x</code>", 0),
        ("D ⟦2⟧ ⟦0⟧B⟦1⟧ A", "D <code>x</code> <b>B</b> A", 0),
        ("D B⟦1⟧ A ⟦2⟧", "D B A <b></b><code>x</code>", 1),  # what is left for the code: behind
        ("D ⟦1⟧B⟦0⟧ A ⟦2⟧", "D B<b></b> A <code>x</code>", 1),
        ("D ⟦0⟧B A", "D <b></b>B A<code>x</code>", 2),
        ("D ⟦0⟧⟦2⟧B⟦1⟧ A ⟦7⟧ ⟦2⟧", "D <b>B</b><code>x</code> A ⟦7⟧ ", 1),
        ("", "<b></b><code>x</code>", 2),
    ],
)
def test_placeholders_become_the_tags_again(translation: str, expected: str, unplaced: int) -> None:
    placed = by_placeholders(unit("a <b>b</b> <code>x</code> d"), translation)
    assert (placed.source, placed.unplaced) == (expected, unplaced)

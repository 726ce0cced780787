from collections import Counter
from xml.etree import ElementTree

import pytest

from nmt.data.reading.inline_codes import KeptCodes, Segment, pair_of_segments


def segment(inner: str) -> Segment:
    """Return the segment that the XML `inner` spells."""
    filled = Segment()

    def walk(element: ElementTree.Element) -> None:
        filled.text(element.text or "")
        for child in element:
            filled.start(child.tag, child.attrib)
            walk(child)
            filled.end(child.tag)
            filled.text(child.tail or "")

    walk(ElementTree.fromstring(f"<seg>{inner}</seg>"))
    return filled


def text(inner: str) -> str:
    return pair_of_segments(segment(inner), segment("x"), Counter())[0]


PH = "<ph x='1'>{1}</ph>"


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        (f"First line{PH}second line", "First line second line"),
        ("bright<it pos='begin'>b</it>day", "bright day"),
        ("bright<ut>b</ut>day", "bright day"),
        ("bright<x id='1'/>day", "bright day"),
        ("第一行<x id='1' ctype='lb'/>第二行", "第一行 第二行"),
        ("บรรทัด<ph/>ถัดไป", "บรรทัด ถัดไป"),
        (f"one.{PH}Two", "one. Two"),
        (f"a {PH} b", "a b"),
        (f"a{PH} b", "a b"),
        (f"a {PH}b", "a b"),
        (f"a{PH} {PH}{PH}b", "a b"),
        (f"{PH}a b{PH}", "a b"),
        (f"{PH} a b {PH}", "a b"),
        (f"Hello{PH}, you", "Hello, you"),
        (f"Hello {PH}, you", "Hello, you"),
        (f"Hello {PH}{PH}.", "Hello."),
        (f"你好{PH}。", "你好。"),
        (f"({PH}small)", "(small)"),
        (f"( {PH}small)", "(small)"),
        (f"Is it{PH}(small)?", "Is it (small)?"),
        (f"Est-ce tout {PH} ?", "Est-ce tout ?"),
        (f"l'{PH}arbre", "l'arbre"),
        (f"pre- {PH}and post", "pre- and post"),
        (f"word{PH}-like", "word-like"),
        (f"list:{PH}- item", "list: - item"),
        (f'"so"{PH}; "so" {PH}, ({PH}"so")', '"so"; "so", ("so")'),
        (f'"{PH}so"', '"so"'),
        (f'"so{PH}"', '"so"'),
        (f'one{PH}"so"', 'one "so"'),
        (f"eins{PH}»so{PH}«{PH}zwei", "eins »so« zwei"),
        ("10<ph>&#160;</ph>km", "10 km"),
        ("10<ph>&amp;nbsp;</ph>km", "10 km"),
        ("Non<ph>&amp;nbsp;</ph>!", "Non !"),
        ("so<ph>&amp;nbsp;</ph>.", "so."),
        ("a<ph> </ph> b", "a b"),
    ],
)
def test_a_stand_alone_code_leaves_a_space_between_words_but_not_before_a_mark(inner: str, expected: str) -> None:
    assert text(inner) == expected


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("un<bpt i='1'>&lt;b&gt;</bpt>believ<ept i='1'>&lt;/b&gt;</ept>able", "unbelievable"),
        ("un<g id='1'>believ</g>able", "unbelievable"),
        ("un<pc id='1'>believ</pc>able", "unbelievable"),
        ("un<bx id='1'/>believ<ex id='1'/>able", "unbelievable"),
        ("un<sc id='1'/>believ<ec id='1'/>able", "unbelievable"),
        ("un<hi>believ</hi>able", "unbelievable"),
        ("un<mrk mtype='term'>believ</mrk>able", "unbelievable"),
        ("Press <g id='1'> Start </g> now", "Press Start now"),
        ("a <g id='1'>b</g>, c", "a b, c"),
        ("<g id='1'>one</g><g id='2'>two</g>", "onetwo"),
        ("<bpt i='1'>&lt;p&gt;</bpt>one<ept i='1'>&lt;/p&gt;</ept><bpt i='2'>&lt;P&gt;</bpt>two", "one two"),
        ("one<bx id='1' ctype='lb'/>two", "one two"),
    ],
)
def test_a_paired_code_within_a_word_leaves_nothing_unless_it_begins_a_paragraph(inner: str, expected: str) -> None:
    assert text(inner) == expected


def test_a_sub_flow_is_no_part_of_the_sentence_nor_are_codes_in_it() -> None:
    anomalies = Counter[str]()
    source = segment("See <ph>&lt;img alt=<sub>a <ph>x</ph>lamp <sub>deep</sub></sub>&gt;</ph> here<sub>alone</sub>.")
    assert pair_of_segments(source, segment("da"), anomalies) == ("See here.", "da")
    assert anomalies == {"inline codes left out": 1, "sub-flows left out": 2}


def test_codes_are_counted_on_both_sides_and_annotations_are_none() -> None:
    anomalies = Counter[str]()
    sides = segment("a<ph/> <g id='1'>b</g>"), segment("<hi>c</hi><mrk>d</mrk><ut>e</ut>")
    assert pair_of_segments(*sides, anomalies) == ("a b", "cd")
    assert anomalies == {"inline codes left out": 4}


def keep(source: str, target: str, limit: int | None = None) -> tuple[str, str, int]:
    anomalies = Counter[str]()
    pair = pair_of_segments(segment(source), segment(target), anomalies, KeptCodes(limit))
    return *pair, anomalies["inline codes left out"]


def test_codes_that_both_sides_have_become_the_same_placeholders() -> None:
    bold = "<bpt i='1'>&lt;b&gt;</bpt>{}<ept i='1'>&lt;/b&gt;</ept>"
    assert keep(f"Press {bold.format('Start')}{PH}", f"{PH} {bold.format('Start')} an") == (
        "Press ⟦0⟧Start⟦1⟧⟦2⟧",
        "⟦2⟧ ⟦0⟧Start⟦1⟧ an",
        0,
    )
    assert keep("a<g id='7'>b</g><x id='8'/>", "<x id='8'/>c<g id='7'>d</g>") == ("a⟦0⟧b⟦1⟧⟦2⟧", "⟦2⟧c⟦0⟧d⟦1⟧", 0)


def test_codes_that_differ_in_number_or_exceed_the_placeholders_are_dropped() -> None:
    assert keep("a<ph>1</ph><ph>1</ph><ph>2</ph>", "b<ph>1</ph><ph>2</ph>") == ("a ⟦0⟧", "b ⟦0⟧", 3)
    assert keep("a<ph>1</ph> <ph>2</ph>.", "<ph>2</ph>b<ph>1</ph>", 1) == ("a⟦0⟧.", "b⟦0⟧", 2)
    assert keep("a<ph>1</ph><ph>1</ph>", "<ph>1</ph>b<ph>1</ph>") == ("a⟦0⟧⟦0⟧", "⟦0⟧b⟦0⟧", 0)


def test_a_text_that_spells_a_placeholder_keeps_no_codes() -> None:
    assert keep("a ⟦0⟧<ph>1</ph>", "b<ph>1</ph>") == ("a ⟦0⟧", "b", 2)

import io
from collections import Counter
from typing import Any

import pytest

from nmt.config.languages import LanguagesConfig
from nmt.data.pairs import Pair
from nmt.data.reading.inline_codes import KeptCodes
from nmt.data.reading.xliff import read_xliff
from nmt.errors import DataError


def read(
    text: str, source: str = "en", target: str = "de", keep: KeptCodes | None = None, *, skip_bad: bool = False
) -> tuple[list[Pair], Counter[str]]:
    anomalies = Counter[str]()
    stream: Any = io.BufferedReader(io.BytesIO(text.encode()))
    languages = LanguagesConfig(source=source, target=target)
    return list(read_xliff(stream, "a.xlf", languages, anomalies, keep, skip_bad=skip_bad)), anomalies


def error_of(text: str, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        read(text, **options)
    return str(caught.value)


def one(units: str, languages: str = 'source-language="en" target-language="de"') -> str:
    """Return a file of version 1.2."""
    return (
        '<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2">'
        f'<file original="a" {languages}><header><note>n</note></header><body>\n{units}</body></file></xliff>'
    )


def two(units: str, languages: str = 'srcLang="en" trgLang="de"', file: str = "") -> str:
    """Return a file of version 2.1."""
    return (
        f'<xliff version="2.1" {languages} xmlns="urn:oasis:names:tc:xliff:document:2.0" '
        f'xmlns:mtc="urn:oasis:names:tc:xliff:matches:2.0"><file id="f" {file}><notes><note>n</note></notes>\n{units}'
        "</file></xliff>"
    )


def unit(source: str, target: str | None, attributes: str = "", state: str = "") -> str:
    target = "" if target is None else f"<target {state}>{target}</target>"
    return f"<trans-unit id='1' {attributes}><source>{source}</source>{target}<note>of it</note></trans-unit>\n"


def segment(source: str, target: str | None, attributes: str = "") -> str:
    target = "" if target is None else f"<target>{target}</target>"
    return f"<segment {attributes}><source>{source}</source>{target}</segment>"


def test_units_of_version_1_are_read_with_their_codes_as_in_tmx() -> None:
    units = unit("a <g id='1'>b</g>c<x id='2'/>d &amp; <mrk mtype='term'>e</mrk>", "f<ph id='1'>&lt;br/&gt;</ph>g")
    units += unit("h<ph id='1'>&lt;i title='<sub>t</sub>'&gt;</ph>.", "i")
    pairs, anomalies = read(one(units))
    assert pairs == [("a bc d & e", "f g"), ("h.", "i")]
    assert anomalies == {"inline codes left out": 5, "sub-flows left out": 1}
    assert read(one(unit("a<x id='2'/>b", "<x id='2'/>c")), keep=KeptCodes())[0] == [("a⟦0⟧b", "⟦0⟧c")]


def test_suggestions_notes_and_original_data_are_no_text() -> None:
    alternative = "<alt-trans><source>s</source><target>t</target></alt-trans>"
    first = f"<trans-unit id='1'><source>a</source><target>b</target>{alternative}</trans-unit>"
    assert read(one(first + f"<trans-unit id='2'><source>a</source>{alternative}</trans-unit>"))[0] == [("a", "b")]
    for match in ("mtc:match", "match"):
        holder = match.replace("match", "matches")
        matches = f"<{holder}><{match} ref='#m'><source>s</source><target>t</target></{match}></{holder}>"
        data = "<originalData><data id='d'>x</data></originalData>"
        content = two(f"<unit id='1'>{matches}{data}{segment('a', 'b')}</unit><unit id='2'>{matches}</unit>")
        assert read(content)[0] == [("a", "b")]


def test_segments_of_version_2_are_pairs_of_their_own_and_the_space_between_them_is_none() -> None:
    ignorable = "<ignorable><source> </source><target> </target></ignorable>"
    codes = "a<ph id='1' dataRef='d'/>b <pc id='2'>c</pc><sc id='3'/><cp hex='0001'/>d<mrk id='m' type='term'>e</mrk>"
    content = f"<unit id='1'>{segment(codes, 'f')}{ignorable}{segment('g', 'h')}{segment('i', None)}</unit>"
    pairs, anomalies = read(two(content))
    assert pairs == [("a b cde", "f"), ("g", "h")]
    assert anomalies == {"inline codes left out": 5, "XLIFF units without a translation": 1}


def test_a_unit_divided_into_segments_gives_a_pair_for_each() -> None:
    marked = "<mrk mtype='seg' mid='{}'>{}</mrk>"
    codes = '<x id="1"/>', '<g id="1">Eins</g>'
    sources = f"{marked.format(0, f'One{codes[0]}1.')} {marked.format(1, 'Two.')} {marked.format(2, 'Three.')}"
    targets = f"{marked.format(1, 'Zwei.')} {marked.format(0, f'{codes[1]}.')}{marked.format(2, ' ')}"
    body = f"<source>One1. Two. Three.</source><seg-source>{sources}</seg-source><target>{{}}</target>"
    pairs, anomalies = read(one(f"<trans-unit id='1'>{body.format(targets)}</trans-unit>"))
    assert pairs == [("One 1.", "Eins."), ("Two.", "Zwei.")]
    assert anomalies == {"inline codes left out": 3, "XLIFF segments without a translation": 1}
    # A target that is not divided is the translation of the whole.
    assert read(one(f"<trans-unit id='1'>{body.format('Alles.')}</trans-unit>"))[0] == [("One1. Two. Three.", "Alles.")]


@pytest.mark.parametrize("target", [None, "", " ", "<x id='1'/>"])
def test_a_unit_without_a_translation_is_counted(target: str | None) -> None:
    assert read(one(unit("a", target))) == ([], {"XLIFF units without a translation": 1})


@pytest.mark.parametrize(
    ("attributes", "state", "is_read"),
    [
        ("", "", True),
        ("approved='yes'", "", True),
        ("approved='no'", "", False),
        ("approved='no'", "state='translated'", True),
        ("approved='no'", "state='needs-review-translation'", False),
        ("", "state='new'", False),
        ("", "state='needs-translation'", False),
        ("", "state='needs-review-translation'", False),
        ("", "state='needs-adaptation'", True),
        ("", "state='translated'", True),
        ("", "state='signed-off'", True),
        ("", "state='final'", True),
        ("", "state='x-mine'", True),
    ],
)
def test_translations_that_are_not_finished_are_left_out(attributes: str, state: str, is_read: bool) -> None:
    pairs, anomalies = read(one(unit("a", "b", attributes, state)))
    assert (pairs, anomalies) == (([("a", "b")], {}) if is_read else ([], {"XLIFF units not finished": 1}))


@pytest.mark.parametrize(
    ("state", "is_read"), [("", True), ("initial", False), ("translated", True), ("reviewed", True), ("final", True)]
)
def test_the_state_of_a_segment_of_version_2(state: str, is_read: bool) -> None:
    first = segment("a", "b", f"state='{state}'" if state else "")
    content = f"<unit id='1'>{first}{segment('c', 'd')}</unit>"
    assert read(two(content))[0] == ([("a", "b")] if is_read else []) + [("c", "d")]


def test_what_is_not_to_be_translated_is_left_out_also_by_inheritance() -> None:
    no, yes = "translate='no'", "translate='yes'"
    group = f"<group {no}><group>{unit('a', 'a')}</group>{unit('b', 'B', yes)}</group>{unit('c', 'C')}"
    assert read(one(group + unit("d", "d", no))) == ([("b", "B"), ("c", "C")], {"XLIFF units not to be translated": 2})
    units = f"<unit id='1'>{segment('a', 'a')}</unit><group {yes}><unit id='2'>{segment('b', 'B')}</unit></group>"
    assert read(two(units, file=no)) == ([("b", "B")], {"XLIFF units not to be translated": 1})


@pytest.mark.parametrize(
    ("languages", "source", "target", "pair"),
    [
        ('source-language="en-US" target-language="de-AT"', "en", "de", ("a", "b")),
        ('source-language="de" target-language="en"', "en", "de", ("b", "a")),
        ('source-language="en"', "en", "de", ("a", "b")),
        ('source-language="en"', "de", "en", ("b", "a")),
        ('source-language="pt" target-language="pt-BR"', "pt-BR", "pt", ("b", "a")),
        ('source-language="pt-PT" target-language="pt-BR"', "pt", "pt-BR", ("a", "b")),
        ('source-language="nb" target-language="cmn"', "no", "zh", ("a", "b")),
    ],
)
def test_the_languages_of_a_file_say_the_direction(languages: str, source: str, target: str, pair: Pair) -> None:
    assert read(one(unit("a", "b"), languages), source, target)[0] == [pair]


def test_of_several_files_those_of_the_languages_are_read() -> None:
    french = 'source-language="en" target-language="fr"'
    both = one(unit("a", "b")).replace("</xliff>", "") + one(unit("c", "d"), french).partition(">")[2]
    assert read(both) == ([("a", "b")], {"XLIFF units of other languages": 1})
    named = unit("e", "f", state="xml:lang='de'")
    assert read(one(named, 'source-language="en"'))[0] == [("e", "f")]
    said = "a.xlf: no part of it is from en to de; it has en-fr"
    assert error_of(one(unit("a", "b"), french)) == said
    assert error_of(two(f"<unit id='1'>{segment('a', 'b')}</unit>", 'srcLang="en" trgLang="fr"')) == said
    assert read(one("")) == ([], {})


def test_elements_may_have_a_prefix_and_bad_units_can_be_left_out() -> None:
    group = f"<group translate='no'>{unit('a', 'b')}{unit('c & d', 'e')}</group>{unit('f', 'g')}"
    assert error_of(one(group)).startswith("a.xlf:3: not well-formed XML: ")
    pairs, anomalies = read(one(group), skip_bad=True)
    assert pairs == [("f", "g")]
    assert anomalies == {"bad units left out": 1, "XLIFF units not to be translated": 1}
    prefixed = one(unit("a<x id='1'/>b", "c")).replace("</", "</x:").replace("xmlns=", "xmlns:x=")
    prefixed = prefixed.replace("<", "<x:").replace("<x:/x:", "</x:")
    assert read(prefixed)[0] == [("a b", "c")]

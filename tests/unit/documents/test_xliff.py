"""XLIFF: units without a translation get a target."""

import pytest
from documents import backwards

from nmt.documents.filling import Setting
from nmt.documents.translating import translate_document
from nmt.errors import DataError

V1 = '<xliff version="1.2"><file source-language="en-US" target-language="de"><body>{}</body></file></xliff>'
V2 = '<xliff version="2.1" srcLang="en" trgLang="de"><file id="f"><unit id="u">{}</unit></file></xliff>'
STATE = 'state="needs-review-translation" state-qualifier="mt-suggestion"'


def translated(source: str) -> str:
    setting = Setting(languages=("en", "de"), name="x.xlf")
    return translate_document(source.encode(), "xliff", backwards, setting).decode()


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        (
            '<trans-unit id="1">\n  <source>a <g id="1">b</g> &amp;<x id="2"/></source>\n</trans-unit>',
            '<trans-unit id="1">\n  <source>a <g id="1">b</g> &amp;<x id="2"/></source>'
            f'\n  <target {STATE}>&amp; <g id="1">B</g> A<x id="2"/></target>\n</trans-unit>',
        ),
        (
            "<trans-unit><source>a b</source><target/><alt-trans><source>c</source></alt-trans></trans-unit>",
            f"<trans-unit><source>a b</source><target {STATE}>B A</target><alt-trans><source>c</source></alt-trans>"
            "</trans-unit>",
        ),
        (
            '<trans-unit><source>a b. c d.</source><seg-source><mrk mtype="seg" mid="1">a b.</mrk> '
            '<mrk mtype="seg" mid="2">c d.</mrk></seg-source></trans-unit>',
            '<trans-unit><source>a b. c d.</source><seg-source><mrk mtype="seg" mid="1">a b.</mrk> '
            '<mrk mtype="seg" mid="2">c d.</mrk></seg-source>'
            f'<target {STATE}><mrk mtype="seg" mid="1">B. A</mrk> <mrk mtype="seg" mid="2">D. C</mrk>'
            "</target></trans-unit>",
        ),
    ],
)
def test_a_unit_of_version_1_gets_a_target_to_review(unit: str, expected: str) -> None:
    assert translated(V1.format(unit)) == V1.format(expected)


def test_a_segment_of_version_2_gets_a_target_and_a_state() -> None:
    segment = (
        '<segment id="s">\n<source>a <pc id="1">b</pc></source>\n</segment><ignorable><source>c</source></ignorable>'
    )
    expected = segment.replace('"s">', '"s" state="translated">')
    expected = expected.replace("</source>\n</seg", '</source>\n<target><pc id="1">B</pc> A</target>\n</seg')
    assert translated(V2.format(segment)) == V2.format(expected)


@pytest.mark.parametrize(
    "unit",
    [
        "<trans-unit><source>a</source><target>b</target></trans-unit>",
        '<trans-unit translate="no"><source>a</source></trans-unit>',
        '<group translate="no"><trans-unit><source>a</source></trans-unit></group>',
        "<trans-unit><note>a</note></trans-unit>",
    ],
)
def test_what_has_a_translation_or_is_to_have_none_is_kept(unit: str) -> None:
    assert translated(V1.format(unit)) == V1.format(unit)


def test_the_target_language_is_named() -> None:
    bare = V1.replace(' target-language="de"', "").format("")
    assert translated(bare) == bare.replace('"en-US"', '"en-US" target-language="de"')
    bare = V2.replace(' trgLang="de"', "").format("")
    assert translated(bare) == bare.replace('srcLang="en"', 'srcLang="en" trgLang="de"')


def test_prefixes_of_names_are_kept() -> None:
    unit = "<x:trans-unit><x:source>a</x:source></x:trans-unit>"
    source = f'<x:xliff xmlns:x="urn:x"><x:file source-language="en">{unit}</x:file></x:xliff>'
    assert f"<x:target {STATE}>A</x:target></x:trans-unit>" in translated(source)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("<a/>", "x.xlf: has no element <xliff> (is it XLIFF?)"),
        (
            V2.replace('"de"', '"fr"').format(""),
            "x.xlf: its trgLang is fr, and the target language of the model is de (take another model, or correct the",
        ),
        (
            V1.replace("en-US", "da").format(""),
            "x.xlf: its source-language is da, and the source language of the model is en (take another model, or",
        ),
    ],
)
def test_other_documents_are_refused(source: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        translated(source)
    assert str(caught.value).startswith(message)

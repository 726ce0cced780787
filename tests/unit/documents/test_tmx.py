"""TMX: units get a variant in the target language."""

import pytest
from documents import backwards

from nmt.documents.filling import Setting
from nmt.documents.translating import translate_document
from nmt.errors import DataError

MEMORY = '<?xml version="1.0" encoding="{}"?>\n<tmx version="1.4"><header srclang="en"/><body>{}</body></tmx>'


def translated(units: str, *, encoding: str = "UTF-8") -> str:
    content = MEMORY.format(encoding, units).encode(encoding)
    found = translate_document(content, "tmx", backwards, Setting(languages=("en", "de"), name="m.tmx")).decode(
        encoding
    )
    begin, end = MEMORY.format(encoding, "|").split("|")
    assert found.startswith(begin)
    assert found.endswith(end)
    return found[len(begin) : -len(end)]


def test_a_unit_gets_a_variant_behind_the_last_one() -> None:
    unit = '\n<tu>\n  <tuv xml:lang="en-GB"><prop>p</prop><seg>a <hi>b</hi></seg></tuv>{}{}\n</tu>'
    other = '\n  <tuv xml:lang="fr"><seg>x</seg></tuv>'
    new = '\n  <tuv xml:lang="de"><seg><hi>B</hi> A</seg></tuv>'
    assert translated(unit.format(other, "")) == unit.format(other, new)


@pytest.mark.parametrize(
    "unit",
    [
        '<tu><tuv xml:lang="en"><seg>a</seg></tuv><tuv lang="de-AT"><seg>b</seg></tuv></tu>',
        '<tu><tuv xml:lang="fr"><seg>a</seg></tuv></tu>',
        '<tu><tuv xml:lang="en"/></tu>',
    ],
)
def test_other_units_are_kept(unit: str) -> None:
    source = '<tu><tuv xml:lang="en"><seg>1</seg></tuv><tuv xml:lang="de"><seg>1</seg></tuv></tu>'
    assert translated(unit + source) == unit + source


def test_an_encoding_is_kept_and_what_it_lacks_is_a_reference() -> None:
    unit = '<tu><tuv xml:lang="en"><seg>caf\u00e9 &#8364;</seg></tuv></tu>'
    assert '<tuv xml:lang="de"><seg>&#8364; CAF\u00c9</seg>' in translated(unit, encoding="iso-8859-1")


def test_a_memory_of_other_languages_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        translated('<tu><tuv xml:lang="fr"><seg>a</seg></tuv></tu>')
    assert str(caught.value) == "m.tmx: no unit has the language 'en' (is it TMX of another language?)"
    with pytest.raises(DataError) as caught:
        translate_document(b"<tmx/>", "tmx", backwards, Setting(name="m.tmx"))
    assert str(caught.value) == "m.tmx: a memory is translated from one language to another (name both)"

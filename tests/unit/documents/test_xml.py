"""XML: tags with their source, and what is refused."""

import pytest

from nmt.data.reading.xml_units import MAX_DEPTH
from nmt.documents.units import Item, Kind
from nmt.documents.xml import code_items, meaning, parse, raw_of, xml_encoding
from nmt.errors import DataError


@pytest.mark.parametrize(
    "source",
    [
        "<?xml version='1.0'?>\n<a b='>' c=\"d\"  ><!-- <e> --><f:e/>\u00e9&lt;<![CDATA[<x>]]></a >\n",
        "<a><b/><b></b><b /></a>",
        "<!DOCTYPE a SYSTEM 'a.dtd'><a/>",
    ],
)
def test_tokens_join_to_the_document(source: str) -> None:
    tokens = parse(source, "x")
    assert raw_of(tokens) == source
    for index, token in enumerate(tokens):
        if token.kind == "start":
            assert (tokens[token.end].kind, tokens[token.end].name) == ("end", token.name)
            assert token.end > index


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("<a>\n</b>", "x:2: not well-formed XML: mismatched tag (correct that line, or write the document again)"),
        (
            "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
            "x:1: declares the entity 'b' (write its text in place of it)",
        ),
        (
            "<!DOCTYPE a [\n<!ENTITY b SYSTEM 'c.txt'>]><a>&b;</a>",
            "x:2: declares the entity 'b' (write its text in place of it)",
        ),
        (
            "<!DOCTYPE a SYSTEM 'a.dtd'><a>&b;</a>",
            "x:1: the entity 'b' is not known (write the character in place of &b;)",
        ),
        ("<a>" * (MAX_DEPTH + 1), f"x:1: more than {MAX_DEPTH:,} elements within each other"),
    ],
)
def test_what_is_refused_is_one_line(source: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        parse(source, "x")
    assert str(caught.value) == message


def test_references_are_characters() -> None:
    assert meaning("a&lt;&#65;&#x42;&amp;lt;") == "a<AB&lt;"


def test_a_document_names_its_encoding() -> None:
    assert xml_encoding(b"<?xml version='1.0' encoding='ISO-8859-1'?>") == "iso-8859-1"
    assert xml_encoding(b'<?xml version="1.0" encoding="utf-16"?>') is None
    assert xml_encoding(b"<a/>") is None


@pytest.mark.parametrize(
    ("segment", "kinds"),
    [
        ("a<g id='1'>b</g>", "TOTC"),
        ("a<x/>b<ph>c</ph>", "TPTP"),
        ("<bpt i='1'>x</bpt>a<ept i='1'>y</ept>", "OTC"),
        ("<bx id='1' rid='2'/>a<ex id='3' rid='2'/>", "OTC"),
        ("<sc id='1'/>a<ec startRef='1'/>", "OTC"),
        ("<bpt i='1'/>a<bpt i='2'/>b<ept i='1'/>", "PTPTP"),
        ("<g><bpt i='1'/>a</g><ept i='1'/>", "OPTCP"),
        ("<ept i='1'/>a", "PT"),
        ("<mrk mtype='protected'>a <g>b</g></mrk>c", "AT"),
        ("<mrk translate='no'>a</mrk>", "A"),
        ("a<!-- b --><![CDATA[<c>]]>", "TPT"),
        ("<g/>a", "PT"),
    ],
)
def test_codes_are_spans_points_and_atoms(segment: str, kinds: str) -> None:
    letters = {Kind.TEXT: "T", Kind.OPEN: "O", Kind.CLOSE: "C", Kind.POINT: "P", Kind.ATOM: "A"}
    tokens = parse(f"<s>{segment}</s>", "x")
    items: list[Item] = [item for item in code_items(tokens[1:-2], 1) if item.raw]
    assert "".join(letters[item.kind] for item in items) == kinds
    assert "".join(item.raw for item in items) == segment

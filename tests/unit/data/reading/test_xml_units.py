import io
from collections import Counter
from typing import Any

import pytest

from nmt.data.reading import xml_units
from nmt.data.reading.xml_units import local_name, parse_units
from nmt.errors import DataError


class Units:
    """The text of each <u>."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.parts: list[str] = []
        self.is_open = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.is_open |= local_name(tag) == "u"
        self.parts += [f"{tag}{attributes}"] if tag not in ("u", "root", "body") else []

    def text(self, text: str) -> None:
        if self.is_open:
            self.parts.append(text)

    def end(self, tag: str) -> None:
        if local_name(tag) == "u":
            self.found.append("".join(self.parts))
            self.drop_unit()

    def drop_unit(self) -> None:
        self.parts.clear()
        self.is_open = False


def parse(content: str | bytes, *, skip_bad: bool = False, raw: Any = None) -> tuple[list[str], Counter[str]]:
    units, anomalies = Units(), Counter[str]()
    content = content.encode() if isinstance(content, str) else content
    stream = io.BufferedReader(raw or io.BytesIO(content), 1 << 17)
    for _ in parse_units(stream, "a", units, {"u"}, anomalies, skip_bad=skip_bad):
        pass
    return units.found, anomalies


def error_of(content: str | bytes, *, skip_bad: bool = False) -> str:
    with pytest.raises(DataError) as caught:
        parse(content, skip_bad=skip_bad)
    return str(caught.value)


GOOD = "<u>{}</u>\n"
TIP = "skip_bad = true, or --skip-bad, leaves such units out"


def root(units: str, begin: str = "") -> str:
    return f"{begin}<root>\n<body>\n{units}</body></root>\n"


BAD = [
    "<u>1 & 2</u>\n",
    "<u>1 &nbsp; 2</u>\n",
    "<u>1 < 2</u>\n",
    "<u><b>1</u>\n",
    "<u>1</b></u>\n",
    "<u a=1>1</u>\n",
    '<u a="1" a="2"/>\n',
    "<u>\0</u>\n",
    "<u>1\n",
    "<u>1<b>\n",
]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le"])
def test_a_bad_unit_is_an_error_with_its_line_or_is_left_out(
    bad: str, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = root(GOOD.format("ä") + bad + GOOD.format("b") + bad + bad + GOOD.format("c")).encode(encoding)
    said = error_of(content)
    assert said.startswith(("a:4: ", "a:5: "))  # a unit without an end is found out at the next one
    assert said.endswith(f"; {TIP})")
    for size in (1, 7, 1 << 17):
        monkeypatch.setattr(xml_units, "BUFFER", size)
        found, anomalies = parse(content, skip_bad=True)
        assert found == ["ä", "b", "c"]
        assert anomalies == {"bad units left out": 3}


def test_bytes_that_are_not_of_the_encoding_cost_one_unit() -> None:
    content = root(GOOD.format("a") + GOOD.format("X") + GOOD.format("b")).encode().replace(b"X", b"\xe9")
    assert parse(content, skip_bad=True) == (["a", "b"], {"bad units left out": 1})
    begin = '<?xml version="1.0" encoding="windows-1252"?>'
    content = root(GOOD.format("a") + "<u>&x;</u>" + GOOD.format("€"), begin).encode("cp1252")
    assert parse(content, skip_bad=True) == (["a", "€"], {"bad units left out": 1})


def test_the_line_of_a_later_error_counts_from_the_start_of_the_file() -> None:
    content = root(GOOD.format("a") + "<u>\n&\n</u>\n" + GOOD.format("b"))
    assert error_of(content[:-10], skip_bad=True).startswith("a: damaged or cut short after line 8: ")


def test_a_file_that_is_cut_short_is_an_error_also_where_bad_units_are_left_out() -> None:
    content = root(GOOD.format("a") * 3)
    for cut in (-3, -12, -25):
        assert error_of(content[:cut], skip_bad=True).startswith("a: damaged or cut short after line ")
    bad_last = root(GOOD.format("a") + "<u>1 & 2</u>\n")
    assert parse(bad_last, skip_bad=True) == (["a"], {"bad units left out": 1})
    assert error_of(bad_last[:-9], skip_bad=True) == (
        "a: damaged or cut short after line 5: it ends within the root element (copy or download the file again)"
    )


def test_the_elements_around_a_bad_unit_are_closed_where_they_end() -> None:
    seen: list[str] = []

    class Groups(Units):
        def start(self, tag: str, attributes: dict[str, str]) -> None:
            if tag != "u":
                seen.append(tag + "".join(attributes))

        def end(self, tag: str) -> None:
            if tag != "u":
                seen.append(f"/{tag}")

    content = b"<root><g><u>a</u><u>&</u></g><h><u>b<u>c</u></h><u>d</u><u><e></u></root>"
    anomalies = Counter[str]()
    stream: Any = io.BufferedReader(io.BytesIO(content))
    list(parse_units(stream, "a", Groups(), {"u"}, anomalies, skip_bad=True))
    assert seen == ["root", "g", "/g", "h", "/h", "e", "/root"]
    assert anomalies == {"bad units left out": 3}


def test_what_is_no_xml_has_no_units_to_leave_out() -> None:
    for skip_bad in (False, True):
        said = error_of("text\n", skip_bad=skip_bad)
        assert said == ("a:1: not well-formed XML: syntax error (copy or download the file again, or fix that line)")


def test_prefixed_units_and_elements_within_are_read() -> None:
    content = '<x:root><x:u>1<x:b k="2"/></x:u><x:u>&</x:u><x:u>3</x:u></x:root>'
    assert parse(content, skip_bad=True)[0] == ["x:root{}x:u{}1x:b{'k': '2'}", "x:u{}3"]
    assert local_name("x:u") == local_name("u") == "u"


def test_entities_are_refused_also_where_bad_units_are_left_out() -> None:
    head = '<!DOCTYPE root [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>\n'
    said = "a:1: declares the entity 'a' (write its text in place of it)"
    assert error_of(root("<u>&b;</u>", head), skip_bad=True) == said
    head = '<!DOCTYPE root SYSTEM "root.dtd">\n'
    assert error_of(root("<u>&b;</u>", head)).startswith("a:4: the entity 'b' is not known (write the character in pl")
    assert parse(root("<u>&b;</u><u>c</u>", head), skip_bad=True) == (["c"], {"bad units left out": 1})
    head = '<!DOCTYPE root [<!ENTITY a SYSTEM "file:///etc/hostname">]>\n'
    assert error_of(root("<u>&a;</u>", head)) == said


def test_a_unit_or_depth_without_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml_units, "MAX_UNIT", 200_000)
    assert error_of(root(GOOD.format("x<b/>" * 100_000))).startswith("a:3: a unit of more than 200,000 bytes (")
    assert error_of(root("<!--" + "x" * 500_000)).startswith("a:3: a unit of more than 200,000 bytes (")
    assert len(parse(root(GOOD.format("x") * 100_000))[0]) == 100_000
    deep = "<b>" * 998
    assert error_of(root(f"<u>{deep}")) == "a:3: more than 1,000 elements within each other"


def test_a_comment_that_holds_a_unit_is_none() -> None:
    assert parse(root("<!-- <u>1</u> -->" + GOOD.format("a") + "<![CDATA[<u>]]>"))[0] == ["a"]

from pathlib import Path

import pytest

from nmt.data.reading.scored_texts import ScoredTexts, align_texts, holds_test_set
from nmt.errors import DataError


def sgm(kind: str, *segments: tuple[str, str, str], name: str = "") -> str:
    documents = "".join(f'<doc docid="{doc}"><seg id="{number}">{text}</seg></doc>\n' for doc, number, text in segments)
    return f'<{kind} setid="t" refid="{name}">{documents}</{kind}>\n'


def side(tag: str, *texts: str) -> str:
    return f"<{tag}>" + "".join(f'<seg id="{i}">{text}</seg>' for i, text in enumerate(texts, 1) if text) + "</x>"


SIDES = (
    side("src lang='en'", "one", "two", "three")
    + side("ref translator='A'", "eins", "", "drei")
    + side("ref translator='B'", "EINS", "", "")
    + side("hyp system='S'", "e", "z", "d")
    + side("hyp system='T'", "E", "Z", "D")
)
WMT = f"<dataset><doc id='d'>{SIDES}</doc></dataset>"
for _tag in ("src", "ref", "ref", "hyp", "hyp"):
    WMT = WMT.replace("</x>", f"</{_tag}>", 1)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("w.xml").write_text(WMT)
    Path("src.sgm").write_text(sgm("srcset", ("d", "1", "one"), ("e", "1", "two")))
    Path("ref.sgm").write_text(sgm("refset", ("e", "1", "zwei &amp; 2"), ("d", "1", "eins")))
    Path("hyp.sgm").write_text(sgm("tstset", ("e", "1", "Z"), ("d", "1", "E")))
    Path("lines").write_text("x\ny\n")
    return tmp_path


def aligned(source: str | None, references: list[str], hypotheses: list[str]) -> ScoredTexts:
    return align_texts(Path(source) if source else None, list(map(Path, references)), list(map(Path, hypotheses)))


@pytest.mark.usefixtures("here")
def test_sets_are_aligned_by_document_and_segment_in_the_order_of_the_source() -> None:
    texts = aligned("src.sgm", ["ref.sgm"], ["hyp.sgm"])
    assert texts == ScoredTexts(["one", "two"], [["eins", "zwei & 2"]], {"hyp.sgm": ["E", "Z"]})
    assert aligned(None, ["ref.sgm"], ["hyp.sgm"]).systems == {"hyp.sgm": ["Z", "E"]}
    assert aligned(None, ["lines"], ["hyp.sgm"]).references == [["x", "y"]]
    assert aligned("lines", ["ref.sgm"], []).sources == ["x", "y"]


@pytest.mark.usefixtures("here")
def test_xml_has_all_references_and_systems_and_what_has_no_reference_is_left_out() -> None:
    texts = aligned("w.xml", ["w.xml"], ["w.xml"])
    assert texts == ScoredTexts(
        ["one", "three"],
        [["eins", "drei"], ["EINS", ""]],
        {"S": ["e", "d"], "T": ["E", "D"]},
        ["2 references: A, B", "segments without a reference, which are left out: 1"],
    )
    texts = aligned(None, ["w.xml/B"], ["w.xml/T"])
    assert texts == ScoredTexts([], [["EINS"]], {"T": ["E"]}, ["segments without a reference, which are left out: 2"])


@pytest.mark.usefixtures("here")
def test_lines_stand_for_the_segments_in_their_order() -> None:
    Path("three").write_text("1\n2\n3\n")
    assert aligned(None, ["w.xml/A"], ["three"]).systems == {"three": ["1", "3"]}
    Path("two").write_text("1\n\u200b\n")
    assert aligned(None, ["two"], ["hyp.sgm"]).references == [["1"]]
    Path("two").write_text("\n\u200b\n")
    with pytest.raises(DataError, match="two: all segments are blank"):
        aligned(None, ["two"], ["hyp.sgm"])
    with pytest.raises(DataError, match="lines has 2 lines, but there are 3 segments"):
        aligned(None, ["w.xml/A"], ["lines"])


@pytest.mark.usefixtures("here")
def test_systems_of_the_same_name_are_told_apart_by_their_files() -> None:
    Path("v.xml").write_text(WMT)
    assert list(aligned(None, ["w.xml"], ["w.xml/S", "v.xml/S", "w.xml/T"]).systems) == ["w.xml/S", "v.xml/S", "T"]


@pytest.mark.usefixtures("here")
def test_a_missing_segment_or_version_is_an_error() -> None:
    Path("less.sgm").write_text(sgm("tstset", ("e", "1", "Z")))
    with pytest.raises(DataError, match=r"less\.sgm lacks 1 of 2 segments, first segment 1 of document 'd'"):
        aligned("src.sgm", ["ref.sgm"], ["less.sgm"])
    Path("other.sgm").write_text(sgm("refset", ("f", "1", "Z")))
    with pytest.raises(DataError, match=r"other\.sgm has none of the 2 segments \(the first is segment 1 of document"):
        aligned("src.sgm", ["other.sgm"], [])
    with pytest.raises(DataError, match=r"w\.xml: no reference 'C' in it; it has A, B"):
        aligned(None, ["w.xml/C"], ["w.xml"])
    with pytest.raises(DataError, match=r"src\.sgm: no reference in it \(it has: source\)"):
        aligned(None, ["src.sgm"], ["hyp.sgm"])


def test_a_path_may_name_a_version(here: Path) -> None:
    assert holds_test_set(here / "w.xml")
    assert holds_test_set(here / "w.xml" / "A")
    assert holds_test_set(here / "none.sgm")
    assert not holds_test_set(here / "lines")
    assert not holds_test_set(here / "lines" / "A")


@pytest.mark.usefixtures("here")
def test_lines_have_the_domains_of_their_documents() -> None:
    assert aligned("w.xml", ["w.xml"], ["w.xml"]).domains == []
    Path("w.xml").write_text(WMT.replace("<doc id='d'", "<doc id='d' domain='news'"))
    assert aligned("w.xml", ["w.xml"], ["w.xml"]).domains == ["news", "news"]
    Path("ref.sgm").write_text(Path("ref.sgm").read_text().replace('docid="e"', 'docid="e" genre="speech"'))
    assert aligned("lines", ["ref.sgm"], []).domains == ["speech", ""]
    Path("hyp.sgm").write_text(Path("hyp.sgm").read_text().replace('docid="d"', 'docid="d" domain="x" genre="y"'))
    assert aligned(None, ["ref.sgm"], ["hyp.sgm"]).domains == ["speech", "x"]

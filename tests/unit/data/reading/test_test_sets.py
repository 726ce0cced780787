import gzip
import io
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sacrebleu.dataset.fake_sgml import FakeSGMLDataset
from sacrebleu.dataset.wmt_xml import WMTXMLDataset

from nmt.config.data import CorpusConfig
from nmt.config.languages import LanguagesConfig
from nmt.data.pairs import Pair
from nmt.data.reading.corpus import read_corpus
from nmt.data.reading.streams import UnwantedFileError
from nmt.data.reading.test_sets import Key, TestSet, is_sgm, is_test_set, read_set, read_set_pairs
from nmt.errors import DataError


def stream_of(text: str | bytes) -> Any:
    return io.BufferedReader(io.BytesIO(text.encode() if isinstance(text, str) else text))


def parse(text: str | bytes) -> TestSet:
    return read_set(stream_of(text), "a")


def texts_of(text: str | bytes) -> list[str]:
    return list(parse(text).only().values())


def error_of(text: str) -> str:
    with pytest.raises(DataError) as caught:
        parse(text)
    return str(caught.value)


SOURCE = """<srcset setid="t" srclang="any">
<doc docid="d.1" genre="n" origlang="en">
<hl>
<seg id="1">Salt &amp; pepper &lt;3 &quot;now&quot;.</seg>
</hl>
<p>
<seg id="2"> Open the door. </seg>
</p>
</doc>
<doc docid="d.2" genre="n" origlang="de">
<seg id="1">Shut it.</seg>
</doc>
</srcset>
"""
REFERENCE = SOURCE.replace("srcset", "refset").replace("Salt", "Salz").replace("Shut it", "Zu")


def test_a_source_set_is_read_by_document_and_segment_with_its_entities() -> None:
    assert parse(SOURCE).versions == {
        "source": {
            "": {
                Key("d.1", "1"): 'Salt & pepper <3 "now".',
                Key("d.1", "2"): "Open the door.",
                Key("d.2", "1"): "Shut it.",
            }
        }
    }


def test_sacrebleu_reads_the_same_segments_but_leaves_entities_and_drops_what_is_no_line(tmp_path: Path) -> None:
    def theirs(text: str) -> list[str]:
        (tmp_path / "a.sgm").write_text(text)
        reader: Any = FakeSGMLDataset("wmt14", [], None, "", [])
        reader._convert_format(str(tmp_path / "a.sgm"), str(tmp_path / "a.txt"))
        return (tmp_path / "a.txt").read_text().splitlines()

    plain = SOURCE.replace("Salt &amp; pepper &lt;3 &quot;now&quot;", "Salt")
    assert theirs(plain) == texts_of(plain) == ["Salt.", "Open the door.", "Shut it."]
    assert theirs(SOURCE)[0] == "Salt &amp; pepper &lt;3 &quot;now&quot;."
    broken = plain.replace("Open the", "Open\nthe").replace('<seg id="1">Shut', '<SEG id="1">Shut')
    assert texts_of(broken) == texts_of(plain)
    assert theirs(broken) != texts_of(plain)


def seg(inner: str) -> list[str]:
    return texts_of(f"<srcset><doc docid='d'>{inner}</doc></srcset>")


@pytest.mark.parametrize(
    ("inner", "texts"),
    [
        ("<seg id=1>a & b</seg><seg id=2>AT&T; R&amp;D &copy; 1 &copy 2</seg>", ["a & b", "AT&T; R&D © 1 &copy 2"]),
        ("<SEG ID='1'>a</SEG>\n<Seg id=2 >b</sEg>", ["a", "b"]),
        ('<seg id="1">a\n  b\r\n\nc</seg>', ["a b c"]),
        ('<seg\n id="1"\n>a</seg>', ["a"]),
        ('<seg id="1">a < b > c <br> <b>d</b> <3</seg>', ["a < b > c <br> <b>d</b> <3"]),
        ('<seg id="1">a <\nb</seg>', ["a < b"]),
        ('<seg id="1">&#228;&#xE4;&apos;&nbsp;x &amp;lt; &nosuch;</seg>', ["ää'\xa0x &lt; &nosuch;"]),
        ('<seg id="1"></seg><seg id="2">b</seg>', ["", "b"]),
        ('<seg id="1">a\n<seg id="2">b\n', ["a", "b"]),
        ('<p>no text</p><seg id="1" note="a > b">c</seg>text', ["c"]),
        ("<seg>a</seg><seg>b</seg>", ["a", "b"]),
    ],
)
def test_what_is_not_well_formed_is_read_as_it_is_meant(inner: str, texts: list[str]) -> None:
    assert seg(inner) == texts


def test_segments_without_an_end_and_line_breaks_within_are_counted() -> None:
    found = parse("<srcset><doc docid='d'><seg id='1'>a\nb\n<seg id='2'>c</doc></srcset>")
    assert found.anomalies == {"segments without an end": 2, "line breaks within a text": 1}


def test_several_references_are_told_apart_by_their_set_or_by_their_documents() -> None:
    first = '<refset setid="t" refid="A"><doc docid="d"><seg id="1">a</seg></doc></refset>'
    second = first.replace('"A"', '"B"').replace(">a<", ">b<")
    expected = {"A": {Key("d", "1"): "a"}, "B": {Key("d", "1"): "b"}}
    assert parse(f"<mteval>{first}{second}</mteval>").of("reference") == expected
    documents = "".join(f'<DOC docid="d" sysid="{name}"><seg id=1>{name.lower()}</seg></DOC>' for name in "AB")
    found = parse(f'<refset setid="t" trglang="de">{documents}</refset>')
    assert found.of("reference") == expected
    assert list(found.only().values()) == ["a"]
    assert found.anomalies == {"segments of further references": 1}
    hypotheses = parse(first.replace("refset", "tstset").replace("refid", "sysid")).of("hypothesis")
    assert hypotheses == {"A": {Key("d", "1"): "a"}}


def test_a_place_that_occurs_twice_is_counted_through() -> None:
    text = "<srcset>" + '<doc docid="d"><seg id="1">a</seg></doc>' * 2 + "<doc><seg>b</seg></doc></srcset>"
    assert list(parse(text).only()) == [Key("d", "1", 0), Key("d", "1", 1), Key("number 3", "number 1")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "text\n",
            "a: no test set: it begins with text (a test set is <srcset>, <refset>, <tstset> or WMT's <dataset>)",
        ),
        ("<?xml version='1.0'?>\n<tmx/>", 'a: no test set: it begins with <tmx> (set format = "tmx", or --format tmx)'),
        ("<srcset></srcset>", "a: no <seg> in it"),
        ("<dataset/>", "a: no <seg> in it"),
    ],
)
def test_what_is_no_test_set_is_said(text: str, said: str) -> None:
    assert error_of(text) == said


def test_a_role_that_is_not_there_is_said() -> None:
    with pytest.raises(DataError, match=r"a: no reference in it \(it has: source\)"):
        parse(SOURCE).of("reference")


WMT = """<?xml version='1.0' encoding='utf-8'?>
<dataset id="test2022">
<collection id="general">
<doc origlang="en" id="d.1">
<src lang="en"><p><seg id="1">Salt &amp; pepper.</seg></p><p><seg id="2">Two.</seg><seg id="10">Ten.</seg></p></src>
<ref lang="de" translator="A"><p><seg id="1">Salz &amp; Pfeffer.</seg><seg id="10">Zehn.</seg></p></ref>
<ref lang="de" translator="B"><p><seg id="10">10.</seg><seg id="1">Salz.</seg></p></ref>
<hyp system="Ours" language="de"><p><seg id="1">S.</seg><seg id="2">Z.</seg><seg id="10">X.</seg></p></hyp>
</doc>
<doc origlang="en" id="d.2">
<src lang="en"><seg id="1">Last.</seg></src>
<ref lang="de" translator="B"><seg id="1">Ende.</seg></ref>
</doc>
</collection>
<collection id="suite"><doc id="d.3" testsuite="s"><src lang="en"><seg id="1">x</seg></src></doc></collection>
</dataset>
"""


def test_xml_of_wmt_holds_all_sides_by_translator_and_system() -> None:
    found = parse(WMT)
    one, ten = Key("d.1", "1"), Key("d.1", "10")
    assert found.versions == {
        "source": {
            "": {one: "Salt & pepper.", Key("d.1", "2"): "Two.", ten: "Ten.", Key("d.2", "1"): "Last."},
        },
        "reference": {
            "A": {one: "Salz & Pfeffer.", ten: "Zehn."},
            "B": {ten: "10.", one: "Salz.", Key("d.2", "1"): "Ende."},
        },
        "hypothesis": {"Ours": {one: "S.", Key("d.1", "2"): "Z.", ten: "X."}},
    }
    assert found.anomalies == {"documents of test suites": 1}


def test_sacrebleu_reads_the_same_but_takes_a_missing_reference_for_a_blank_one() -> None:
    theirs: Any = WMTXMLDataset
    fields = theirs._unwrap_wmt21_or_later(io.BytesIO(WMT.encode()))
    pairs = pairs_of(WMT)
    assert fields["src"] == [source for source, _ in pairs] == ["Salt & pepper.", "Ten.", "Last."]
    assert fields["ref:A"] == ["Salz & Pfeffer.", "Zehn.", ""]
    assert [target for _, target in pairs] == ["Salz & Pfeffer.", "Zehn.", "Ende."]


def pairs_of(text: str, source: str = "en", target: str = "de", anomalies: Counter[str] | None = None) -> list[Pair]:
    languages = LanguagesConfig(source=source, target=target)
    return list(read_set_pairs(stream_of(text), "a", languages, Counter() if anomalies is None else anomalies))


def test_pairs_of_wmt_are_those_that_have_a_reference_in_either_direction() -> None:
    anomalies = Counter[str]()
    pairs = pairs_of(WMT, anomalies=anomalies)
    assert pairs == [("Salt & pepper.", "Salz & Pfeffer."), ("Ten.", "Zehn."), ("Last.", "Ende.")]
    assert anomalies == {
        "segments of further references": 2,
        "segments without a reference": 1,
        "documents of test suites": 1,
    }
    assert pairs_of(WMT, "de", "en") == [(target, source) for source, target in pairs]
    assert pairs_of(WMT, "eng", "de-AT") == pairs
    with pytest.raises(UnwantedFileError, match="a: it is from en to de, not en to fr"):
        pairs_of(WMT, "en", "fr")
    blank = WMT.replace("Ende.", "")
    assert len(pairs_of(blank)) == 2


def test_xml_that_is_not_well_formed_is_an_error() -> None:
    assert error_of(WMT.replace("&amp;", "&", 1)).startswith("a:5: not well-formed XML: ")
    assert error_of(WMT[:-20]).startswith("a: damaged or cut short after line ")


def read(root: Path, languages: tuple[str, str] = ("en", "de"), **config: Any) -> tuple[list[Pair], Counter[str]]:
    anomalies = Counter[str]()
    corpus = CorpusConfig.model_validate(config)
    pair = LanguagesConfig(source=languages[0], target=languages[1])
    return list(
        read_corpus(corpus, pair, root=root, local=False, default_split="train", anomalies=anomalies)
    ), anomalies


PAIRS = [
    ('Salt & pepper <3 "now".', 'Salz & pepper <3 "now".'),
    ("Open the door.", "Open the door."),
    ("Shut it.", "Zu."),
]


def test_two_sets_are_a_corpus_by_document_and_segment(tmp_path: Path) -> None:
    (tmp_path / "t-src.en.sgm").write_text(SOURCE)
    documents = REFERENCE.partition("</doc>\n")
    swapped = documents[2].replace("</refset>\n", "") + documents[0] + "</doc></refset>"
    (tmp_path / "t-ref.de.SGM.gz").write_bytes(gzip.compress(f"<refset>{swapped}".encode()))
    assert read(tmp_path, source="t-src.en.sgm", target="t-ref.de.SGM.gz") == (PAIRS, {})
    assert read(tmp_path, files=".")[0] == PAIRS
    (tmp_path / "less.sgm").write_text(REFERENCE.replace('docid="d.2"', 'docid="d.3"'))
    pairs, anomalies = read(tmp_path, source="t-src.en.sgm", target="less.sgm")
    assert pairs == PAIRS[:2]
    assert anomalies == {"segments without the other side": 2}
    (tmp_path / "other.sgm").write_text(REFERENCE.replace("docid='d", "").replace("d.", "e."))
    with pytest.raises(DataError, match=r"have no segment in common \(one begins with document 'd.1', .*'e.1'\)"):
        read(tmp_path, source="t-src.en.sgm", target="other.sgm")
    with pytest.raises(DataError, match="a file of several sides"):
        parse(WMT).only()


def test_a_set_and_a_file_of_lines_are_a_corpus_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "a.sgm").write_text(SOURCE.replace("Open the door.", ""))
    (tmp_path / "a.de").write_text("1\n2\n3\n")
    assert [pair[1] for pair in read(tmp_path, source="a.sgm", target="a.de")[0]] == ["1", "2", "3"]
    (tmp_path / "a.de").write_text("1\n2\n")
    with pytest.raises(DataError, match=r"a\.sgm has 3 lines but .*a\.de has 2"):
        read(tmp_path, source="a.sgm", target="a.de")


def test_wmt_is_a_format_of_corpora_and_foreign_xml_in_a_folder_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(WMT)
    assert len(read(tmp_path, files="a.xml")[0]) == 3
    for name, text in (
        ("X.de-en.xml", "<cesAlign/>"),
        ("b.xml", "<project/>"),
        ("X.de-en.de", "D\n"),
        ("X.de-en.en", "E\n"),
    ):
        (tmp_path / name).write_text(text)
    pairs, anomalies = read(tmp_path, files=".")
    assert pairs == [("E", "D"), *pairs_of(WMT)]
    assert anomalies["files skipped in a folder"] == 2


@pytest.mark.parametrize(
    ("name", "sgm", "test_set"),
    [
        ("a.sgm", True, True),
        ("a.en.SGML.gz", True, True),
        ("a.xml", False, True),
        ("a.XML.xz", False, True),
        ("a.en", False, False),
        ("sgm", False, False),
        ("a.sgm.en", False, False),
        ("a.gz", False, False),
    ],
)
def test_a_name_says_that_a_file_is_a_test_set(name: str, sgm: bool, test_set: bool) -> None:
    assert (is_sgm(name), is_test_set(Path(name))) == (sgm, test_set)

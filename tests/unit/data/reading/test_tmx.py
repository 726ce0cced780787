import gzip
import io
import re
from pathlib import Path
from typing import Any

import pytest

from nmt.config.languages import LanguagesConfig
from nmt.data.pairs import Pair
from nmt.data.reading.columns import Wanted
from nmt.data.reading.formats import read_file, read_stream
from nmt.data.reading.inline_codes import KeptCodes
from nmt.errors import DataError


def wanted(source: str = "en", target: str = "de", **options: Any) -> Wanted:
    return Wanted(LanguagesConfig(source=source, target=target), **options)


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def error_of(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        list(read_file(path, wanted()))
    return str(caught.value)


def tmx(units: str, begin: str = '<?xml version="1.0" encoding="UTF-8"?>\n') -> str:
    return f'{begin}<tmx version="1.4"><header srclang="en"/><body>{units}</body></tmx>\n'


def unit(english: str, german: str, en: str = "en", de: str = "de") -> str:
    tuv = '<tuv xml:lang="{}"><note>of it</note><seg>{}</seg></tuv>'
    return f"<tu><prop>x</prop>{tuv.format(en, english)}{tuv.format(de, german)}</tu>\n"


def test_tmx_gives_the_units_that_have_both_languages(tmp_path: Path) -> None:
    what = wanted()
    only = '<tu><tuv xml:lang="en"><seg>alone</seg></tuv></tu>'
    units = unit("one", "eins") + only + unit("a\nb &amp; c", "d", "EN-us", "de_AT")
    old = '<tu><tuv lang="de"><seg>alt</seg></tuv><tuv lang="en"><seg>old</seg></tuv></tu>'
    assert list(read_file(write(tmp_path / "a.tmx", tmx(units + old)), what)) == [
        ("one", "eins"),
        ("a b & c", "d"),
        ("old", "alt"),
    ]
    assert what.anomalies == {"TMX units without both languages": 1, "line breaks within a text": 1}


def test_tmx_leaves_the_code_of_the_format_out_and_keeps_the_text(tmp_path: Path) -> None:
    english = (
        '<bpt i="1">&lt;a title="<sub>tip</sub>"&gt;</bpt>a <hi>bright <ph>{1}</ph>day</hi><ept i="1">x</ept>'
        "<it>x</it><ut>x</ut>!"
    )
    path = write(tmp_path / "a.tmx", tmx(unit(english, "<seg/>")))
    assert list(read_file(path, wanted())) == [("a bright day!", "")]


def test_the_variant_that_is_the_language_to_the_letter_is_taken_or_the_first(tmp_path: Path) -> None:
    variants = "".join(
        f'<tuv xml:lang="{language}"><seg>{language}</seg></tuv>' for language in ("en-GB", "en-US", "en", "de", "de")
    )
    path = write(tmp_path / "a.tmx", tmx(f"<tu>{variants}</tu>"))
    for language, taken, further in (("en", "en", 3), ("en-US", "en-US", 2), ("en-CA", "en", 1)):
        what = wanted(source=language)
        assert list(read_file(path, what)) == [(taken, "de")]
        assert what.anomalies == {"further variants in a TMX unit": further}


def test_tmx_may_be_of_another_encoding_and_compressed(tmp_path: Path) -> None:
    text = tmx(unit("ä", "ö"), '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE tmx SYSTEM "tmx14.dtd">')
    path = write(tmp_path / "a.tmx.gz", gzip.compress(text.encode("utf-16")))
    assert list(read_file(path, wanted())) == [("ä", "ö")]
    what = wanted()
    assert len(list(read_file(write(tmp_path / "b.tmx", f"\ufeff{tmx(unit('a', 'b'))}"), what))) == 1
    assert what.anomalies == {"byte-order marks": 1}


@pytest.mark.parametrize("encoding", ["shift_jis", "utf-7", "gb18030", "nosuch"])
def test_tmx_of_an_encoding_that_cannot_be_read_says_what_to_do(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path / "a.tmx", tmx(unit("a", "b"), f'<?xml version="1.0" encoding="{encoding}"?>'))
    said = error_of(path)
    assert said.startswith(f"{path}: its encoding, {encoding}, cannot be read: ")
    assert said.endswith(f" (convert it: iconv -f {encoding} -t UTF-8, and write UTF-8 in its first line)")


def test_tmx_is_read_as_it_comes() -> None:
    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            content = (unit("a", "b") * 100 if self.tell_begun() else tmx("").partition("</body>")[0]).encode()
            content = content[: len(buffer)]
            buffer[: len(content)] = content
            return len(content)

        def tell_begun(self) -> bool:
            begun, self.begun = getattr(self, "begun", False), True
            return begun

    pairs = read_stream(io.BufferedReader(Endless(), 1 << 20), "x", "tmx", wanted())
    assert next(pairs) == ("a", "b")


def test_tmx_without_a_language_says_which_it_has(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tmx", tmx(unit("a", "b", "fr", "de") + unit("a", "b", "pt-BR", "de")))
    assert error_of(path) == f"{path}: no unit has the language 'en'; it has fr, de, pt-BR"


def test_tmx_that_is_no_xml_or_cut_short_is_an_error(tmp_path: Path) -> None:
    text = tmx(unit("a", "b") * 3)
    path = write(tmp_path / "a.tmx", text[:-30])
    assert error_of(path).startswith(f"{path}: damaged or cut short after line ")
    write(path, text.replace("<seg>b</seg>", "<seg>b & c</seg>"))
    assert error_of(path) == (
        f"{path}:2: not well-formed XML: not well-formed (invalid token) "
        "(copy or download the file again, or fix that line; skip_bad = true, or --skip-bad, leaves such units out)"
    )
    write(path, text.encode().replace(b"<seg>b<", b"<seg>\xe9<"))
    assert error_of(path).startswith(f"{path}:2: not well-formed XML: ")
    path = write(tmp_path / "a.tmx.gz", gzip.compress(text.encode())[:-3])
    assert error_of(path).startswith(f"{path}: damaged or cut short after line ")


def test_entities_of_a_tmx_file_are_refused(tmp_path: Path) -> None:
    head = '<?xml version="1.0"?>\n<!DOCTYPE tmx [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    path = write(tmp_path / "a.tmx", tmx(unit("&b;", "x"), head))
    assert error_of(path) == f"{path}:2: declares the entity 'a' (write its text in place of it)"
    write(path, tmx("\n" + unit("a&nbsp;b", "x"), '<?xml version="1.0"?>\n<!DOCTYPE tmx SYSTEM "tmx14.dtd">'))
    assert error_of(path).startswith(
        f"{path}:3: the entity 'nbsp' is not known (write the character in place of &nbsp;"
    )


def test_tmx_without_units_has_no_pairs(tmp_path: Path) -> None:
    assert list(read_file(write(tmp_path / "a.tmx", tmx("")), wanted())) == []


def sides_of(path: Path, source: str, target: str, *languages: str) -> list[Pair]:
    """Read a unit that has `languages`, whose texts are their codes."""
    variants = "".join(f'<tuv xml:lang="{code}"><seg>{code}</seg></tuv>' for code in languages)
    both = '<tuv xml:lang="{}"><seg>1</seg></tuv><tuv xml:lang="{}"><seg>2</seg></tuv>'
    units = f"<tu>{variants}</tu><tu>{both.format(source, target)}</tu>"
    return list(read_file(write(path / "a.tmx", tmx(units)), wanted(source, target)))[:-1]


@pytest.mark.parametrize(
    ("source", "target", "languages", "pair"),
    [
        ("pt", "pt-BR", ("pt-BR", "pt-PT"), ("pt-PT", "pt-BR")),
        ("pt-BR", "pt", ("pt-BR", "pt-PT"), ("pt-BR", "pt-PT")),
        ("pt", "pt-BR", ("pt-BR", "pt"), ("pt", "pt-BR")),
        ("pt_br", "pt_PT", ("pt-PT", "pt-BR"), ("pt-BR", "pt-PT")),
        ("zh", "zh-TW", ("zh-TW", "zh-CN"), ("zh-CN", "zh-TW")),
        ("zh-CN", "zh-TW", ("zh-Hant", "zh-Hans"), ("zh-Hans", "zh-Hant")),
        ("en", "zh-CN", ("en-US", "zh-TW", "zh-Hans"), ("en-US", "zh-Hans")),
        ("en", "zh", ("en", "cmn"), ("en", "cmn")),
        ("no", "en", ("nb-NO", "en"), ("nb-NO", "en")),
        ("he", "en", ("en-GB", "iw"), ("iw", "en-GB")),
        ("en", "de", ("eng", "DE_de"), ("eng", "DE_de")),
    ],
)
def test_each_side_is_a_variant_of_its_own(
    tmp_path: Path, source: str, target: str, languages: tuple[str, ...], pair: Pair
) -> None:
    assert sides_of(tmp_path, source, target, *languages) == [pair]


@pytest.mark.parametrize(
    ("source", "target", "languages"),
    [
        ("pt", "pt-BR", ("pt-BR", "en")),
        ("pt", "pt-BR", ("pt-BR", "pt-BR")),
        ("pt-PT", "pt-BR", ("pt", "en")),
        ("zh-CN", "zh-TW", ("zh-TW", "zh-HK")),
        ("zh", "yue", ("zh", "zh-CN")),
        ("en", "de", ("", "de")),
    ],
)
def test_no_variant_is_both_sides_nor_one_of_another_language(
    tmp_path: Path, source: str, target: str, languages: tuple[str, ...]
) -> None:
    assert sides_of(tmp_path, source, target, *languages) == []


def test_a_variant_without_a_segment_or_with_two_is_counted(tmp_path: Path) -> None:
    none = '<tu><tuv xml:lang="en"><note>a</note></tuv><tuv xml:lang="de"><seg>b</seg></tuv></tu>'
    two = '<tu><tuv xml:lang="en"><seg>a</seg><seg>A</seg></tuv><tuv xml:lang="de"><seg>b</seg></tuv></tu>'
    what = wanted()
    assert list(read_file(write(tmp_path / "a.tmx", tmx(none + two)), what)) == [("a", "b")]
    assert what.anomalies == {
        "TMX variants without a <seg>": 1,
        "TMX units without both languages": 1,
        "further segments in a TMX variant": 1,
    }


def test_tmx_whose_elements_have_a_prefix_is_read(tmp_path: Path) -> None:
    text = re.sub(r"<(/?)(?=[a-z])", r"<\1tmx:", tmx(unit("a <ph>x</ph>b", "c"), ""))
    assert list(read_file(write(tmp_path / "a.tmx", text), wanted())) == [("a b", "c")]
    text = text.replace("<tmx:tmx ", '<tmx:tmx xmlns:tmx="http://www.lisa.org/tmx14" ')
    assert list(read_file(write(tmp_path / "a.tmx", text), wanted())) == [("a b", "c")]


def test_a_bad_unit_does_not_cost_the_memory(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tmx", tmx(unit("a", "b") + unit("c & d", "e") + unit("f", "g")))
    assert error_of(path).startswith(f"{path}:3: not well-formed XML: ")
    what = wanted(skip_bad=True)
    assert list(read_file(path, what)) == [("a", "b"), ("f", "g")]
    assert what.anomalies == {"bad units left out": 1}


def test_codes_of_both_sides_can_be_kept_as_placeholders(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tmx", tmx(unit("a<ph>1</ph>b<it>2</it>", "<it>2</it>c <ph>1</ph>d")))
    assert list(read_file(path, wanted(kept_codes=KeptCodes()))) == [("a⟦0⟧b⟦1⟧", "⟦1⟧c ⟦0⟧d")]
    assert list(read_file(path, wanted(kept_codes=KeptCodes(1)))) == [("a⟦0⟧b", "c ⟦0⟧d")]

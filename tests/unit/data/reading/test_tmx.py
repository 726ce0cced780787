import gzip
import io
from pathlib import Path
from typing import Any

import pytest

from nmt.config.data import LanguagesConfig
from nmt.data.reading.columns import Wanted
from nmt.data.reading.formats import read_file, read_stream
from nmt.errors import DataError


def wanted(source: str = "en") -> Wanted:
    return Wanted(LanguagesConfig(source=source, target="de"))


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
    assert list(read_file(path, wanted())) == [("tipa bright day!", "")]


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
        "(copy or download the file again, or fix that line)"
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
    assert error_of(path) == f"{path}:3: the entity 'nbsp' is not known (write the character in place of &nbsp;)"


def test_tmx_without_units_has_no_pairs(tmp_path: Path) -> None:
    assert list(read_file(write(tmp_path / "a.tmx", tmx("")), wanted())) == []

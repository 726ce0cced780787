import bz2
import gzip
import io
import lzma
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from disks import make_unreadable

from nmt import console
from nmt.data.reading import streams
from nmt.data.reading.archives import read_lines
from nmt.data.reading.streams import UpToError, decode_lines, listing, one_line
from nmt.errors import DataError, StorageError

TEXT = "".join(f"line {i * i} ä\n" for i in range(500)).encode()
LINES = TEXT.decode().splitlines()


def zstd(content: bytes) -> bytes:
    import pyarrow as pa

    return bytes(pa.compress(content, codec="zstd", asbytes=True))


COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstd,
}
KINDS = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd"}
each_compression = pytest.mark.parametrize("ending", COMPRESS)


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def error_of(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        list(read_lines(path))
    return str(caught.value)


@each_compression
def test_each_compression_is_undone_with_or_without_its_ending(tmp_path: Path, ending: str) -> None:
    write(tmp_path / f"text{ending}", COMPRESS[ending](TEXT))
    assert list(read_lines(tmp_path / f"text{ending}")) == LINES
    assert list(read_lines(tmp_path / "text")) == LINES
    assert list(read_lines(write(tmp_path / "bare", COMPRESS[ending](TEXT)))) == LINES
    assert list(read_lines(write(tmp_path / "none", COMPRESS[ending](b"")))) == []


@each_compression
def test_compressed_files_joined_together_are_one(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / "text", COMPRESS[ending](TEXT) + COMPRESS[ending](b"last"))
    assert list(read_lines(path)) == [*LINES, "last"]


@each_compression
def test_damage_where_a_later_of_joined_files_begins_is_an_error(tmp_path: Path, ending: str) -> None:
    one = COMPRESS[ending](TEXT)
    content = bytearray(one * 3)
    content[len(one) + 1] ^= 0xFF
    said = error_of(write(tmp_path / f"text{ending}", bytes(content)))
    assert said.startswith(f"{tmp_path}/text{ending}: damaged or cut short after line ")
    for rest in (b"rubbish", one[:3], one[:-9]):
        assert "damaged or cut short" in error_of(write(tmp_path / "rest", one + rest))


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz"])
def test_zeros_may_follow_compressed_files(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / "text", COMPRESS[ending](TEXT) + bytes(300_000) + COMPRESS[ending](b"last") + bytes(8))
    assert list(read_lines(path)) == [*LINES, "last"]


@pytest.mark.parametrize("ending", [".bz2", ".xz"])
def test_many_small_compressed_files_and_a_large_one_are_read_whole(tmp_path: Path, ending: str) -> None:
    packed = COMPRESS[ending](TEXT) * 50 + COMPRESS[ending](TEXT * 200)
    assert list(read_lines(write(tmp_path / "text", packed))) == LINES * 250


@each_compression
@pytest.mark.parametrize("lost", [1, 9, 100])
def test_each_compressed_file_cut_short_is_an_error(tmp_path: Path, ending: str, lost: int) -> None:
    said = error_of(write(tmp_path / f"text{ending}", COMPRESS[ending](TEXT)[:-lost]))
    assert said.startswith(f"{tmp_path}/text{ending}: damaged or cut short after line ")
    assert said.endswith(" (copy or download the file again)")


@each_compression
def test_damage_to_each_compressed_file_is_an_error(tmp_path: Path, ending: str) -> None:
    content = bytearray(COMPRESS[ending](TEXT))
    content[len(content) // 2] ^= 0xFF
    assert "damaged or cut short after line " in error_of(write(tmp_path / f"text{ending}", bytes(content)))


@each_compression
def test_a_name_that_claims_a_compression_is_an_error_where_it_is_not_so(tmp_path: Path, ending: str) -> None:
    said = error_of(write(tmp_path / f"text{ending}", b"plain\n"))
    hint = f"copy or download the file again, or name it without {ending}"
    assert said == f"{tmp_path}/text{ending}: not a {KINDS[ending]} file ({hint})"


def test_text_that_begins_like_bzip2_is_text(tmp_path: Path) -> None:
    assert list(read_lines(write(tmp_path / "text", b"BZh9 is a magic number\n"))) == ["BZh9 is a magic number"]


def test_a_frame_that_zstd_skips_may_come_first(tmp_path: Path) -> None:
    path = write(tmp_path / "text.zst", b"\x50\x2a\x4d\x18\x02\0\0\0ab" + zstd(TEXT))
    assert list(read_lines(path)) == LINES


def test_text_of_two_bytes_a_character_gets_the_right_hint(tmp_path: Path) -> None:
    said = error_of(write(tmp_path / "text", "\ufeffab\n".encode("utf-32-le")))
    assert said.endswith("iconv -f UTF-32 -t UTF-8)")
    said = error_of(write(tmp_path / "text", "\ufeffab\n".encode("utf-16-le")))
    assert said.endswith(
        "text:1: not UTF-8: byte 0xff at position 1 (find out the encoding and convert it: iconv -f UTF-16 -t UTF-8)"
    )


def test_what_is_odd_is_counted_by_name() -> None:
    anomalies = Counter[str]()
    lines = ["\ufeffa\r\n", "b\0c\0\n", "d\u2028e\u2029\x85\x0b\x0c\x1c\x1d\x1e\r!\n", "\ufeffü\u00a0\tplain\n"]
    found = list(decode_lines((line.encode() for line in lines), "text", anomalies=anomalies))
    assert found == ["a", "b\0c\0", "d\u2028e\u2029\x85\x0b\x0c\x1c\x1d\x1e\r!", "\ufeffü\u00a0\tplain"]
    breaks = {"odd line breaks": 8, "CR line ends": 1}
    assert anomalies == {"byte-order marks": 1, "CRLF line ends": 1, "NUL characters": 2, **breaks}


def test_without_a_counter_the_signs_of_another_kind_of_file_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(console, "warn", said.append)
    lines = [b"a\rb\rc\n", b"d\0e\r\n", "\u2028\n".encode()]
    assert list(decode_lines(iter(lines), "x")) == ["a\rb\rc", "d\0e", "\u2028"]
    assert said == ["x: found in the text: NUL characters 1, CR line ends 2"]
    list(decode_lines(iter(lines), "x", anomalies=Counter()))
    assert len(said) == 1


TWO_LINES = {
    "en": "The café is closed.\nCome again.\n",
    "ru": "Дом закрыт.\nПриходите ещё раз.\n",
    "th": "\u0e1a\u0e49\u0e32\u0e19 \u0e1b\u0e34\u0e14\n\u0e1e\u0e23\u0e38\u0e48\u0e07\u0e19\u0e35\u0e49\n",
}


@pytest.mark.parametrize("encoding", ["UTF-16LE", "UTF-16BE", "UTF-32LE", "UTF-32BE"])
@pytest.mark.parametrize("language", TWO_LINES)
def test_wide_characters_without_a_mark_are_an_error(tmp_path: Path, encoding: str, language: str) -> None:
    text = TWO_LINES[language]
    for content in (text, "\n" + text, text.rstrip()):
        said = error_of(write(tmp_path / "text", content.encode(encoding)))
        assert said.endswith(f"{encoding} without a byte-order mark (convert it: iconv -f {encoding} -t UTF-8)")
    with pytest.raises(DataError, match=f"seems to be {encoding}"):
        list(decode_lines(io.BytesIO(text.encode(encoding)), "text", []))


@pytest.mark.parametrize("line", ["1\t2\t3\t4\t5", "a\0\0\0\0b and more", "\x1f\x1e", "\0\0\0\0", "x\0y z w"])
def test_other_text_is_not_taken_for_wide_characters(line: str) -> None:
    assert list(decode_lines(iter([f"{line}\n".encode()] * 2), "x", anomalies=Counter())) == [line, line]


def test_ordinary_text_has_no_oddities() -> None:
    anomalies = Counter[str]()
    assert list(decode_lines(iter(TEXT.splitlines(keepends=True)), "text", anomalies=anomalies)) == LINES
    assert anomalies == {}


def test_a_text_becomes_one_line_and_that_is_counted() -> None:
    anomalies = Counter[str]()
    assert one_line("a\nb\r\nc\rd", "x", anomalies) == "a b c d"
    assert one_line(None, "x", anomalies) == ""
    assert one_line("half \ud83d of a face", "x", anomalies) == "half \ufffd of a face"
    assert one_line("\u2028\0", "x", anomalies) == "\u2028\0"
    assert anomalies == {
        "line breaks within a text": 3,
        "missing texts": 1,
        "halves of surrogate pairs": 1,
        "odd line breaks": 1,
        "NUL characters": 1,
    }


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "a\rb"])
def test_each_kind_of_line_break_alone_becomes_one_space(text: str) -> None:
    anomalies = Counter[str]()
    assert one_line(text, "x", anomalies) == "a b"
    assert anomalies == {"line breaks within a text": 1}


def test_what_is_no_text_is_an_error_with_its_position() -> None:
    with pytest.raises(DataError, match=r"^here: int where text should be: 3$"):
        one_line(3, "here", Counter())


def test_a_list_for_a_message_is_short() -> None:
    assert listing([]) == "nothing"
    assert listing("abc") == "a, b, c"
    assert listing(map(str, range(20))) == "0, 1, 2, 3, 4, 5, 6, 7 and 12 more"


def test_lines_end_at_line_feeds_alone(tmp_path: Path) -> None:
    odd = "a\u2028b\x85c\x0bd\x0ce\x1cf\tg\0h\ri"
    path = write(tmp_path / "text", f"{odd}\nlast".encode())
    assert list(read_lines(path)) == [odd, "last"]


def test_one_carriage_return_before_the_line_feed_is_dropped(tmp_path: Path) -> None:
    assert list(read_lines(write(tmp_path / "text", b"a\r\nb\r\r\n\r\nc"))) == ["a", "b\r", "", "c"]


def test_a_byte_order_mark_is_dropped_at_the_start_of_the_file_only(tmp_path: Path) -> None:
    path = write(tmp_path / "text", "\ufeffa\n\ufeffb\n".encode())
    assert list(read_lines(path)) == ["a", "\ufeffb"]


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    assert list(read_lines(write(tmp_path / "text", b""))) == []


def test_gzip_is_known_without_its_ending(tmp_path: Path) -> None:
    assert list(read_lines(write(tmp_path / "text", gzip.compress(b"a\nb\n")))) == ["a", "b"]


@pytest.mark.parametrize("keep", [-1, -9, 20])
def test_a_gzip_file_cut_short_is_an_error(tmp_path: Path, keep: int) -> None:
    whole = gzip.compress(bytes(range(97, 123)) * 50 + b"\n")
    path = write(tmp_path / "text.gz", whole[:keep])
    with pytest.raises(DataError, match=r"text\.gz: damaged or cut short after line \d+: .*\(copy or download"):
        list(read_lines(path))


@pytest.mark.parametrize("content", [b"plain\n", b""])
def test_a_gz_file_that_is_not_gzip_is_an_error(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match=r"text\.gz: not a gzip file \(copy or download the file again, or name it"):
        list(read_lines(write(tmp_path / "text.gz", content)))


def test_damaged_gzip_content_is_an_error(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(bytes(range(256)).hex().encode() * 20))
    content[30] ^= 0xFF
    with pytest.raises(DataError, match=r"text\.gz: damaged or cut short"):
        list(read_lines(write(tmp_path / "text.gz", bytes(content))))


def test_bytes_that_are_not_utf8_are_named_by_file_line_and_place(tmp_path: Path) -> None:
    path = write(tmp_path / "text", b"fine\nna\xefve\n")
    with pytest.raises(DataError) as caught:
        list(read_lines(path))
    assert caught.value.args[0] == f"{path}:2: not UTF-8: byte 0xef at position 3"
    assert caught.value.hint == "find out the encoding and convert it: iconv -f LATIN1 -t UTF-8"


def test_an_open_stream_is_decoded_line_by_line_under_its_name() -> None:
    stream = iter([b"\xef\xbb\xbfa\r\n", b"b\x85"])
    lines = decode_lines(stream, "standard input")
    assert next(lines) == "a"
    with pytest.raises(DataError, match=r"^standard input:2: not UTF-8: byte 0x85 at position 2 "):
        next(lines)


def test_a_disk_that_fails_is_no_fault_of_the_data(tmp_path: Path) -> None:
    make_unreadable(tmp_path / "text")
    with pytest.raises(StorageError) as caught:
        list(read_lines(tmp_path / "text"))
    assert str(caught.value) == f"{tmp_path / 'text'}: Input/output error"
    with pytest.raises(DataError, match="no such file"):
        list(read_lines(tmp_path / "none"))


def test_the_items_before_an_error_are_used_before_it_is_raised() -> None:
    items = UpToError(decode_lines([b"a\n", b"\xff\n", b"c\n"], "text"))
    assert not items.has_failed
    assert list(items) == ["a"]
    assert list(items) == []
    assert items.has_failed
    with pytest.raises(DataError, match="text:2"):
        items.check()
    whole = UpToError(["a", "b"])
    assert list(whole) == ["a", "b"]
    whole.check()


@pytest.mark.parametrize("ending", ["", ".gz", ".bz2", ".xz", ".zst"])
def test_a_line_without_an_end_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setattr(streams, "LONGEST_LINE", 1000)
    content = b"x" * 999 + b"\n" + b"y" * 500_000
    path = write(tmp_path / f"a{ending}", COMPRESS[ending](content) if ending else content)
    lines = read_lines(path)
    assert next(lines) == "x" * 999
    with pytest.raises(DataError, match=r"a.*:2: a line of over 1,000 bytes \(is it lines of text\?\)$"):
        next(lines)
    with pytest.raises(DataError, match=r"^t:1: a line of over 1,000 bytes"):
        list(decode_lines([b"x" * 1001], "t"))


def test_only_a_piece_of_a_long_line_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    class Endless(io.BufferedIOBase):
        def readline(self, size: int | None = -1, /) -> bytes:
            asked.append(size or 0)
            return b"x" * (size or 0)

    monkeypatch.setattr(streams, "LONGEST_LINE", 1000)
    with pytest.raises(DataError, match="a line of over 1,000 bytes"):
        list(decode_lines(Endless(), "t"))
    assert asked == [1001]

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from nmt.data.reading.archives import find_file, member_names, open_container, read_lines
from nmt.data.reading.streams import decode_lines, listing, one_line
from nmt.errors import DataError

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


def tar(members: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as file:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return target.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return target.getvalue()


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
    said = error_of(write(tmp_path / "text", "\ufeffab\n".encode("utf-16-le")))
    assert said.endswith(
        "text:1: not UTF-8: byte 0xff at position 1 (find out the encoding and convert it: iconv -f UTF-16 -t UTF-8)"
    )


def test_what_is_odd_is_counted_by_name() -> None:
    anomalies = Counter[str]()
    lines = ["\ufeffa\r\n", "b\0c\0\n", "d\u2028e\u2029\x85\x0b\x0c\x1c\x1d\x1e\r!\n", "\ufeffü\u00a0\tplain\n"]
    found = list(decode_lines((line.encode() for line in lines), "text", anomalies=anomalies))
    assert found == ["a", "b\0c\0", "d\u2028e\u2029\x85\x0b\x0c\x1c\x1d\x1e\r!", "\ufeffü\u00a0\tplain"]
    assert anomalies == {"byte-order marks": 1, "CRLF line ends": 1, "NUL characters": 2, "odd line breaks": 9}


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


def test_what_is_no_text_is_an_error_with_its_place() -> None:
    with pytest.raises(DataError, match=r"^here: int where text should be: 3$"):
        one_line(3, "here", Counter())


def test_a_list_for_a_message_is_short() -> None:
    assert listing([]) == "nothing"
    assert listing("abc") == "a, b, c"
    assert listing(map(str, range(20))) == "0, 1, 2, 3, 4, 5, 6, 7 and 12 more"


MEMBERS = {"./b/y.de": b"y\n", "z.en": b"z\n", "a.en.gz": gzip.compress(b"a\n"), ".hidden": b"", "__MACOSX/a.en": b""}
ARCHIVES = {
    "all.zip": zipped(MEMBERS),
    "all.tar": tar(MEMBERS),
    "all.tgz": gzip.compress(tar(MEMBERS)),
    "all.tar.gz": gzip.compress(tar(MEMBERS)),
    "all.tar.bz2": bz2.compress(tar(MEMBERS)),
    "all.tar.xz": lzma.compress(tar(MEMBERS)),
    "all.tar.zst": zstd(tar(MEMBERS)),
}
each_archive = pytest.mark.parametrize("name", ARCHIVES)


@each_archive
def test_a_name_goes_on_within_an_archive(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, ARCHIVES[name])
    assert list(read_lines(path / "z.en")) == ["z"]
    assert list(read_lines(path / "b/y.de")) == ["y"]
    assert list(read_lines(path / "a.en")) == ["a"]
    assert find_file(path / "a.en") == path / "a.en.gz"
    assert sorted(file.name for file in tmp_path.iterdir()) == [name]


@each_archive
def test_the_files_of_an_archive_are_opened_in_any_order(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, ARCHIVES[name])
    assert member_names(path) == ["a.en.gz", "b/y.de", "z.en"]
    with open_container(path) as container:
        assert [container.open(member).read() for member in ("z.en", "b/y.de", "z.en")] == [b"z\n", b"y\n", b"z\n"]


def test_a_folder_names_all_files_below_it(tmp_path: Path) -> None:
    for name in ("b/c/d", "a", ".git/x", "b/.y"):
        write(tmp_path / name, b"")
    assert member_names(tmp_path) == ["a", "b/c/d"]


@each_archive
def test_what_an_archive_lacks_is_named_beside_what_it_has(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, ARCHIVES[name])
    assert error_of(path / "x.en") == f"{path}: no x.en in it (it has a.en.gz, b/y.de, z.en)"
    assert error_of(path / "b") == f"{path}/b: a folder, where a file should be"


@each_archive
def test_an_archive_cut_short_is_an_error(tmp_path: Path, name: str) -> None:
    content = ARCHIVES[name]
    # The zeros at the end of a plain tar file may be fewer, but nothing else.
    for length in (700, 1300) if name == "all.tar" else (len(content) // 2, len(content) - 9):
        path = write(tmp_path / str(length) / name, content[:length])
        assert error_of(path / "z.en").startswith(f"{path}: damaged or cut short")


def test_a_tar_file_cut_between_two_files_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "all.tar", tar({"a": b"a\n", "b": b"b\n"})[:1024])
    assert error_of(path / "b").startswith(f"{path}: damaged or cut short: the mark of its end is missing (")


def test_a_file_that_is_no_archive_has_nothing_in_it(tmp_path: Path) -> None:
    path = write(tmp_path / "text", b"a\n")
    assert error_of(path / "b/c") == f"{path}: no archive, so there is no b/c in it (archives are .zip and .tar)"


def test_an_archive_under_a_password_is_an_error(tmp_path: Path) -> None:
    content = bytearray(zipped({"a": b"a\n"}))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    said = error_of(write(tmp_path / "all.zip", bytes(content)) / "a")
    assert said.startswith(f"{tmp_path}/all.zip/a: ")
    assert "password" in said
    assert said.endswith("(pack the archive anew)")

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest

from nmt.config.data import DownloadConfig
from nmt.data.reading.archives import (
    count_lines,
    download_of,
    find_file,
    member_names,
    open_container,
    printable,
    read_lines,
    split_path,
)
from nmt.data.reading.streams import is_archive
from nmt.errors import DataError


def zstd(content: bytes) -> bytes:
    import pyarrow as pa

    return bytes(pa.compress(content, codec="zstd", asbytes=True))


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


def test_a_name_without_gz_finds_the_gzip_file(tmp_path: Path) -> None:
    write(tmp_path / "text.gz", gzip.compress("ä\nb\n".encode()))
    assert list(read_lines(tmp_path / "text")) == ["ä", "b"]
    assert find_file(tmp_path / "text") == tmp_path / "text.gz"


def test_a_missing_file_is_named_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        list(read_lines(tmp_path / "none"))
    assert caught.value.args[0] == f"{tmp_path}/none: no such file"
    assert caught.value.hint == "nor none.gz"


def test_a_folder_is_no_text_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Is a directory"):
        list(read_lines(tmp_path))


def test_lines_are_counted_as_they_are_read(tmp_path: Path) -> None:
    write(tmp_path / "text.gz", gzip.compress("a\u2028\x85\n\nlast".encode()))
    assert count_lines(tmp_path / "text") == 3


@pytest.mark.parametrize(
    "suffix", ["zip", "tar", "tgz", "tbz2", "txz", "tzst", "tar.gz", "tar.bz2", "tar.xz", "tar.zst"]
)
def test_archives_are_known_by_their_suffixes(suffix: str) -> None:
    assert is_archive(f"a.{suffix}")
    assert is_archive(f"A.{suffix}".upper())
    assert not is_archive(f"a.{suffix}x")


def test_a_path_is_split_where_it_ends_on_the_disk(tmp_path: Path) -> None:
    path = write(tmp_path / "d" / "a.zip", b"")
    assert split_path(path) == (path, "")
    assert split_path(path / "b" / "c") == (path, "b/c")
    assert split_path(tmp_path / "e" / "f") == (tmp_path, "e/f")


def test_a_relative_path_that_is_not_there_starts_in_this_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert split_path(Path("a/b")) == (Path(), "a/b")
    with pytest.raises(DataError, match=r"^a/b: no such file \(nor b\.gz\)$"):
        find_file(Path("a/b"))


def test_a_name_that_is_not_utf8_is_printable() -> None:
    assert printable("café") == "café"
    assert printable("caf\udce9") == "caf\\udce9"


def test_a_compressed_file_is_preferred_in_the_order_of_the_compressions(tmp_path: Path) -> None:
    for suffix in (".bz2", ".zst", ".xz", ".gz", ""):
        write(tmp_path / f"a{suffix}", b"")
        assert find_file(tmp_path / "a") == tmp_path / f"a{suffix}"


def test_a_download_is_named_by_the_file_or_archive_that_is_missing(tmp_path: Path) -> None:
    one = DownloadConfig(url="https://x.org", sha256="0" * 64)
    downloads = {"a.zip": one, "b.en.gz": one, "c": one}
    names = ["a.zip", "a.zip/x.en", "b.en", "b.en.gz", "c", "d", "d/c"]
    found = [download_of(tmp_path / name, downloads) for name in names]
    assert found == ["a.zip", "a.zip", "b.en.gz", "b.en.gz", "c", None, None]
    write(tmp_path / "a.zip", b"")
    write(tmp_path / "b.en.xz", b"")
    assert [download_of(tmp_path / name, downloads) for name in names[:3]] == [None] * 3


def test_one_block_of_zeros_ends_a_plain_tar_file(tmp_path: Path) -> None:
    whole = tar({"a": b"x" * 512})
    assert list(read_lines(write(tmp_path / "all.tar", whole[: 3 * 512]) / "a")) == ["x" * 512]


def test_the_names_in_an_archive_are_read_again_when_it_changes(tmp_path: Path) -> None:
    path = write(tmp_path / "all.zip", zipped({"a": b"x\n"}))
    assert member_names(path) == ["a"]
    write(path, zipped({"a": b"x\n", "b": b"y\n"}))
    assert member_names(path) == ["a", "b"]
    with pytest.raises(DataError, match=rf"^{tmp_path}/none: No such file or directory$"):
        member_names(tmp_path / "none")


def test_a_tar_file_is_read_twice_at_most_for_a_member(tmp_path: Path) -> None:
    path = write(tmp_path / "all.tar", tar({"a": b"a\n"}))
    with open_container(path) as container, pytest.raises(tarfile.ReadError, match=r"^no b in it$"):
        container.open("b")


def test_opening_a_file_of_a_folder_closes_the_one_before(tmp_path: Path) -> None:
    for name in "ab":
        write(tmp_path / name, name.encode())
    with open_container(tmp_path) as container:
        first, second = container.open("a"), container.open("b")
        assert (first.closed, second.read()) == (True, b"b")
    assert second.closed

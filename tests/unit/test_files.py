"""Atomic writes, JSON, digests."""

import errno
import json
import math
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from disks import failing, make_unreadable

from nmt import files
from nmt.errors import UsageError
from nmt.files import (
    check_new_folder,
    check_output,
    differences,
    differing,
    digest,
    digest_file,
    digest_json,
    entries,
    is_missing,
    is_running,
    is_stream,
    parse_json,
    read_json,
    read_record,
    remove,
    remove_leftovers,
    remove_partials,
    replacing,
    write_json,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def make_folder(path: Path, content: str) -> None:
    (path / "inner").mkdir(parents=True)
    (path / "inner" / "file").write_text(content)


def test_a_file_is_replaced_when_the_block_succeeds(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with replacing(path) as scratch:
        scratch.write_text("new")
        assert scratch.parent == path.parent
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["file"]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    make_folder(path, "old")
    (path / "leftover").touch()
    with replacing(path) as scratch:
        make_folder(scratch, "new")
        assert (path / "inner" / "file").read_text() == "old"
    assert (path / "inner" / "file").read_text() == "new"
    assert names(path) == ["inner"]
    assert names(tmp_path) == ["folder"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_block_that_fails_leaves_the_old_and_nothing_partial(
    kind: str, error: type[BaseException], tmp_path: Path
) -> None:
    path = tmp_path / "it"
    write: Callable[[Path, str], object] = Path.write_text if kind == "file" else make_folder
    write(path, "old")

    def fail() -> None:
        with replacing(path) as scratch:
            write(scratch, "new")
            raise error

    with pytest.raises(error):
        fail()
    assert names(tmp_path) == ["it"]
    assert (path if kind == "file" else path / "inner" / "file").read_text() == "old"


def test_a_write_that_fails_is_named_by_the_path_it_was_for(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with pytest.raises(OSError, match="No space left") as caught, replacing(path):
        raise OSError(28, "No space left on device")  # as Python's own writes raise it
    assert caught.value.filename == str(path)
    with pytest.raises(OSError, match="No space left") as caught, replacing(path):
        raise OSError(28, "No space left on device", "/another")
    assert caught.value.filename == "/another"


def test_a_block_that_writes_nothing_is_an_error_and_leaves_the_old(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), replacing(path):
        pass
    assert path.read_text() == "old"


def test_missing_parents_are_made(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b" / "file", "text")
    assert (tmp_path / "a" / "b" / "file").read_text() == "text"


def test_the_scratch_of_a_killed_writer_is_no_obstacle(tmp_path: Path) -> None:
    make_folder(tmp_path / f".file.{os.getpid()}.partial", "left behind")
    write_text(tmp_path / "file", "text")
    assert names(tmp_path) == ["file"]


def test_all_of_it_reaches_the_disk_before_the_move_and_the_name_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "folder"
    synced: list[tuple[str, bool]] = []
    monkeypatch.setattr(files, "sync", lambda part: synced.append((part.name, path.exists())))
    with replacing(path) as scratch:
        make_folder(scratch, "new")
    before, after = ([name for name, moved in synced if moved == is_moved] for is_moved in (False, True))
    assert sorted(before) == sorted(["inner", "file", scratch.name])
    assert after == [tmp_path.name]


def test_remove_deletes_files_and_folders_and_does_not_follow_links(tmp_path: Path) -> None:
    make_folder(tmp_path / "folder", "x")
    (tmp_path / "file").touch()
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept")
    for name in ("folder", "file", "link", "missing"):
        remove(tmp_path / name)
    assert names(tmp_path) == ["kept"]


def test_partials_are_removed_and_nothing_else(tmp_path: Path) -> None:
    make_folder(tmp_path / ".step-1.42.partial", "x")
    (tmp_path / ".state.json.7.partial").touch()
    for name in (".hidden", "x.partial", "file"):
        (tmp_path / name).touch()
    remove_partials(tmp_path)
    assert names(tmp_path) == [".hidden", "file", "x.partial"]
    remove_partials(tmp_path / "missing")


def test_a_link_stays_and_what_it_points_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for name, target in (("old", "there/old"), ("new", "there/new"), ("chain", "old")):
        (tmp_path / name).symlink_to(target)
    (tmp_path / "there" / "old").write_text("old")
    make_folder(tmp_path / "there" / "folder", "old")
    (tmp_path / "folder").symlink_to("there/folder")
    write_text(tmp_path / "chain", "chained")
    write_text(tmp_path / "new", "new")
    with replacing(tmp_path / "folder") as scratch:
        make_folder(scratch, "new")
    assert all((tmp_path / name).is_symlink() for name in ("old", "new", "chain", "folder"))
    assert [(tmp_path / "there" / name).read_text() for name in ("old", "new", "folder/inner/file")] == [
        *("chained", "new", "new")
    ]
    assert names(tmp_path / "there") == ["folder", "new", "old"]


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o755])
def test_permissions_of_a_replaced_file_stay_and_a_new_one_has_those_of_the_umask(mode: int, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.touch()
    old.chmod(mode)
    before = os.umask(0o027)
    try:
        write_text(old, "x")
        write_text(new, "x")
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (old, new)] == [mode, 0o640]


def test_an_output_is_checked_by_trying_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    (tmp_path / "link").symlink_to("no/file")
    for name in ("old", "new", "no/new", "link"):
        check_output(tmp_path / name)
    assert not (tmp_path / "no").exists()
    for path, number in (
        (tmp_path, errno.EISDIR),
        (tmp_path / "old" / "new", errno.ENOTDIR),
        (tmp_path / ("n" * 250), errno.ENAMETOOLONG),
        (Path("/proc/sys/kernel/file"), None),  # forbidden to root too
    ):
        with pytest.raises(OSError, match=r".") as caught:
            check_output(path)
        assert caught.value.filename == str(path)
        assert number in (None, caught.value.errno)
    assert names(tmp_path) == ["link", "old"]
    assert (tmp_path / "old").read_text() == "old"


@pytest.mark.parametrize(("folder", "file"), [(0o555, 0o644), (0o755, 0o444)])
def test_an_output_that_permissions_forbid_is_named(
    folder: int, file: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").touch()
    (tmp_path / "out").chmod(file)
    tmp_path.chmod(folder)
    if os.geteuid() == 0:  # root may do all
        monkeypatch.setattr(os, "access", lambda path, _: bool(path.stat().st_mode & 0o200))
        monkeypatch.setattr(Path, "touch", lambda path: open_as_user(path.parent))

    def open_as_user(parent: Path) -> None:
        if not parent.stat().st_mode & 0o200:
            raise PermissionError(errno.EACCES, "Permission denied", "another")

    with pytest.raises(PermissionError) as caught:
        check_output(tmp_path / "out")
    assert caught.value.filename == str(tmp_path / "out")
    tmp_path.chmod(0o755)


def test_a_new_folder_is_checked_by_trying_and_one_in_use_is_refused(tmp_path: Path) -> None:
    make_folder(tmp_path / "used", "old")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for name in ("empty", "new", "no/new"):
        check_new_folder(tmp_path / name)
    for name in ("used", "file"):
        with pytest.raises(UsageError) as caught:
            check_new_folder(tmp_path / name)
        assert str(caught.value) == f"{tmp_path / name}: is there already (name a new or an empty folder)"
    with pytest.raises(NotADirectoryError):
        check_new_folder(tmp_path / "file" / "new")
    assert names(tmp_path) == ["empty", "file", "used"]


def test_devices_pipes_and_open_files_are_streams(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    streams = [tmp_path / "pipe", tmp_path / "null", Path("/dev/stdout"), Path("/dev/fd/1"), Path("/proc/self/fd/1")]
    assert all(map(is_stream, streams))
    assert not any(map(is_stream, [tmp_path / "new", tmp_path, Path("/dev/shm/new")]))
    check_output(Path("/dev/null"))


def test_scratch_files_of_processes_that_ended_are_removed(tmp_path: Path) -> None:
    with subprocess.Popen("true") as ended:
        pass
    ours, others = os.getpid(), os.getppid()
    gone = [f".x.{ended.pid}.text.partial", f".x.{ended.pid}.partial", f".x.{ours}.old.partial"]
    kept = [f".x.{others}.partial", f".y.{ended.pid}.partial", f".x.{ended.pid}", f"x.{ended.pid}.partial"]
    kept += [f".x.en.{ended.pid}.partial", f".x.{ended.pid}.partial.gz", ".x..partial"]
    for name in (*gone, *kept):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path / "x")
    assert names(tmp_path) == sorted(kept)


def test_an_output_is_cleared_of_what_killed_commands_left(tmp_path: Path) -> None:
    with subprocess.Popen("true") as ended:
        pass
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there/x[1]")
    make_folder(tmp_path / "there" / f".x[1].{ended.pid}.partial", "half")
    check_output(tmp_path / "link")
    assert names(tmp_path / "there") == []


@pytest.mark.parametrize(
    "error", [None, ProcessLookupError(), PermissionError(), OverflowError()], ids=lambda error: type(error).__name__
)
def test_a_process_runs_unless_the_system_says_that_there_is_none(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    def kill(process: int, signal: int) -> None:
        assert (process, signal) == (77_777_777, 0)
        if error:
            raise error

    monkeypatch.setattr(os, "kill", kill)
    assert is_running(77_777_777) == (error is None or isinstance(error, PermissionError))
    assert not is_running(os.getpid())


def test_digests_are_known_sha_256(tmp_path: Path) -> None:
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "abc").write_bytes(b"abc")
    assert digest("abc") == digest(b"abc") == digest_file(tmp_path / "abc") == abc
    assert digest("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest("é") == digest(b"\xc3\xa9")


def test_the_digest_of_json_depends_on_values_and_not_on_the_order_of_keys() -> None:
    assert digest_json({"b": [1, 2], "a": "é"}) == digest('{"a":"é","b":[1,2]}')
    assert digest_json({"a": 1, "b": 2}) == digest_json({"b": 2, "a": 1})
    assert digest_json([1, 2]) != digest_json([2, 1])


def test_text_is_written_with_line_feeds_in_utf_8(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "é\nb\n")
    assert (tmp_path / "file").read_bytes() == b"\xc3\xa9\nb\n"


def test_json_is_indented_readable_and_read_back(tmp_path: Path) -> None:
    value = {"name": "Übung", "list": [1, 2.5, None]}
    write_json(tmp_path / "file", value)
    assert '  "name": "Übung"' in (tmp_path / "file").read_text(encoding="utf-8")
    assert read_json(tmp_path / "file") == value
    write_json(tmp_path / "file", {"a": [math.nan, (-math.inf, 1.5)]})
    assert read_json(tmp_path / "file") == {"a": [None, [None, 1.5]]}


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "b": {"c": 1, "c": 2}}', '{"a": 1, "a": 1}', '{"a": "\\ud800"}', '["\\udfff\\ud800"]',
        '{"\\uDC00": 1}', "[" * 65 + "]" * 65, '{"a":' * 65 + "1" + "}" * 65, "[" * 20_000, "[" * 900 + "]" * 900,
        "9" * 5000, "\ufeff{}", "{'a': 1}", "[1,]", "",
    ],
)  # fmt: skip
def test_json_that_only_python_reads_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


def test_json_is_parsed_to_its_values() -> None:
    deep = "[" * 64 + "]" * 64
    assert parse_json(deep) == json.loads(deep)
    assert parse_json("[NaN, 1e999]")[1] == float("inf")  # as Python itself writes them
    text = '{"a": [1, -2.5e3, true, null, "\\ud83d\\ude00\\u00e9"], "b": {"a": {}}, "": 1e-400}'
    assert parse_json(text) == {"a": [1, -2500.0, True, None, "\U0001f600\xe9"], "b": {"a": {}}, "": 0.0}


def test_json_of_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert read_json(tmp_path / "pipe") is None


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE, errno.EMFILE])
def test_json_that_cannot_be_read_is_neither_missing_nor_damaged(number: int, tmp_path: Path) -> None:
    write_json(tmp_path / "file", {})
    for read in (read_json, read_record):
        with failing(Path, "open", number), pytest.raises(OSError, match=os.strerror(number)) as caught:
            read(tmp_path / "file")
        assert (caught.value.errno, caught.value.filename) == (number, str(tmp_path / "file"))


def test_a_file_whose_reads_fail_is_named(tmp_path: Path) -> None:
    make_unreadable(tmp_path / "broken")
    for read in (read_json, digest_file):
        with pytest.raises(OSError, match="Input/output error") as caught:
            read(tmp_path / "broken")
        assert caught.value.filename == str(tmp_path / "broken")


def test_what_is_missing_is_told_from_what_cannot_be_looked_at(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert not is_missing(tmp_path / "file")
    assert not is_missing(tmp_path)
    assert is_missing(tmp_path / "none")
    assert is_missing(tmp_path / "file" / "in it")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links"):
        is_missing(tmp_path / "loop")
    with failing(Path, "stat", errno.EACCES), pytest.raises(PermissionError):
        is_missing(tmp_path / "file")


def test_a_folder_that_cannot_be_read_is_not_an_empty_one(tmp_path: Path) -> None:
    for name in ("step-2", "step-1", ".step-3.9.partial", "best-1"):
        (tmp_path / name).touch()
    assert [path.name for path in entries(tmp_path, "step-[0-9]")] == ["step-1", "step-2"]
    assert entries(tmp_path / "none", "*") == []
    for number in (errno.EACCES, errno.EIO, errno.ESTALE):
        with failing(Path, "iterdir", number), pytest.raises(OSError, match=os.strerror(number)):
            entries(tmp_path, "*")


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_a_disk_that_cannot_flush_a_folder_takes_files_all_the_same(number: int, tmp_path: Path) -> None:
    real = os.fsync

    def fsync(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(number, os.strerror(number))
        real(handle)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        write_text(tmp_path / "file", "text")
        with replacing(tmp_path / "folder") as scratch:
            make_folder(scratch, "new")
    assert (tmp_path / "file").read_text() == "text"
    with failing(os, "fsync", number), pytest.raises(OSError, match=os.strerror(number)):
        write_text(tmp_path / "file", "of a file it is an error")
    assert (tmp_path / "file").read_text() == "text"


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_flush_that_fails_keeps_its_name_and_leaves_the_old(number: int, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with failing(os, "fsync", number), pytest.raises(OSError, match=os.strerror(number)) as caught:
        write_text(tmp_path / "file", "new")
    assert str(caught.value.filename).startswith(str(tmp_path))
    assert [path.read_text() for path in tmp_path.iterdir()] == ["old"]


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), SystemExit(143)])
def test_an_old_folder_comes_back_where_the_new_one_cannot_take_its_place(error: BaseException, tmp_path: Path) -> None:
    make_folder(tmp_path / "folder", "old")
    real = Path.replace

    def replace(path: Path, target: Path) -> Path:
        if path.name.endswith(f".{os.getpid()}.partial"):
            raise error
        return real(path, target)

    def make() -> None:
        with replacing(tmp_path / "folder") as scratch:
            make_folder(scratch, "new")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        with pytest.raises(type(error)):
            make()
    assert names(tmp_path) == ["folder"]
    assert (tmp_path / "folder" / "inner" / "file").read_text() == "old"


@pytest.mark.parametrize("content", [b"", b'{"a": ', b"\xff\xfe", b"[" * 20_000, b"9" * 5_000])
def test_damaged_or_missing_json_is_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    assert read_json(tmp_path / "file") is None
    assert read_json(tmp_path / "missing") is None
    assert read_json(tmp_path) is None


@pytest.mark.parametrize(
    ("first", "second", "keys"),
    [
        ({"a": 1, "b": {"c": 2, "d": {"e": 3}}}, {"a": 2, "b": {"c": 2, "d": {"e": 4}, "f": 0}}, ["a", "b.d.e", "b.f"]),
        ({"a": {"b": 1}}, {"a": None}, ["a"]),
        ({"a": {"b": [1, 2]}}, {"a": {"b": [2, 1]}}, ["a.b"]),
        ({"a": {"b": 1}}, {"a": {"b": 1}}, []),
    ],
)
def test_differing_names_the_keys_of_inner_sections_with_a_dot(
    first: dict[str, Any], second: dict[str, Any], keys: list[str]
) -> None:
    assert differing(first, second) == keys
    assert differing(second, first) == keys


def test_differences_have_the_values_of_all() -> None:
    first, second = {"a": {"b": 1, "c": 2}, "d": {}}, {"a": {"b": 3, "c": 2}, "e": [0]}
    assert differences(first, second, prefix="x.") == {"x.a.b": (1, 3), "x.d": ({}, None), "x.e": (None, [0])}
    assert differences(first, first, {**first, "a": {"b": 1}}) == {"a.c": (2, 2, None)}

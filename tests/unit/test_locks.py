"""One writer at a time: the second one is told who the first is, and a dead one is in nobody's way."""

import errno
import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from disks import failing

from nmt import locks
from nmt.errors import InUseError
from nmt.locks import IN_USE, holder_of, holding_folder, holding_output
from nmt.processes import Child

HOLD = """
import sys
from pathlib import Path
from nmt.locks import holding_folder
with holding_folder(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
"""A program that holds a folder until its standard input ends."""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path / "run"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_lock_is_there_in_the_block_alone(tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    with holding_folder(tmp_path) as is_writable:
        assert is_writable
        assert names(tmp_path) == [IN_USE, "kept"]
    assert names(tmp_path) == ["kept"]


def test_a_folder_is_made_and_one_that_stays_empty_goes_again(tmp_path: Path) -> None:
    with holding_folder(tmp_path / "a" / "run"):
        (tmp_path / "a" / "run" / "file").touch()
    assert names(tmp_path / "a" / "run") == ["file"]
    with holding_folder(tmp_path / "b"):
        pass
    assert names(tmp_path) == ["a"]
    (tmp_path / "b").mkdir()
    with holding_folder(tmp_path / "b"):
        pass
    assert names(tmp_path) == ["a", "b"]


def test_the_second_is_told_who_the_first_is(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    with pytest.raises(InUseError) as caught, holding_folder(tmp_path / "run"):
        pass
    said = re.fullmatch(r"(.*): in use by process (\d+) on (.*) since (.*): (.*) \((.*)\)", str(caught.value))
    assert said is not None
    assert said.groups()[:3] == (str(tmp_path / "run"), str(holder.pid), socket.gethostname())
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d", said[4])
    assert said[5] == f"nmt {tmp_path / 'run'}"
    assert said[6] == "wait for it, end it, or write to another folder"
    holder.communicate()
    with holding_folder(tmp_path / "run"):
        pass


def test_a_holder_is_seen_without_a_lock(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    folder = tmp_path / "run"
    assert holder_of(tmp_path / "other") == ""
    assert holder_of(folder).startswith(f"process {holder.pid} on {socket.gethostname()} since ")
    record = json.loads((folder / IN_USE).read_text())
    holder.kill()
    holder.wait()
    assert holder_of(folder) == ""
    (folder / IN_USE).write_text(json.dumps({**record, "host": "elsewhere"}))
    assert holder_of(folder).startswith(f"process {holder.pid} on elsewhere since ")
    (folder / IN_USE).write_text("[]")
    assert holder_of(folder) == ""


def test_a_killed_holder_is_in_nobodys_way(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert names(tmp_path / "run") == [IN_USE]
    with holding_folder(tmp_path / "run"):
        assert json.loads((tmp_path / "run" / IN_USE).read_text())["pid"] == os.getpid()
    assert names(tmp_path / "run") == []


def read_descriptors(_: None) -> list[str]:
    return [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.exists()]


def test_a_child_process_does_not_inherit_the_lock(tmp_path: Path) -> None:
    with holding_folder(tmp_path), Child(None) as child:
        child.call(read_descriptors)
        found = child.receive().result()
        assert isinstance(found, list)
        assert not [name for name in found if IN_USE in name]


def test_another_output_in_the_same_folder_is_free(tmp_path: Path) -> None:
    with holding_output(tmp_path / "clean"), holding_output(tmp_path / "clean.tsv"):
        assert names(tmp_path) == [f".clean{IN_USE}", f".clean.tsv{IN_USE}"]
        with pytest.raises(InUseError, match="clean: in use by process"), holding_output(tmp_path / "clean"):
            pass
    assert names(tmp_path) == []


def test_an_unknown_holder_is_another_process(tmp_path: Path) -> None:
    with holding_folder(tmp_path):
        (tmp_path / IN_USE).write_text("{")
        with pytest.raises(InUseError, match="in use by another process"), holding_folder(tmp_path):
            pass


def test_a_command_that_is_shown_is_short_and_has_no_control_characters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["nmt", "run", "\x1b[31m" + "x" * 300])
    with holding_folder(tmp_path), pytest.raises(InUseError) as caught, holding_folder(tmp_path):
        pass
    assert ": nmt run '?[31mxxx" in str(caught.value)
    assert str(caught.value).count("x") < 200


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_folder_that_cannot_be_written_needs_no_lock(tmp_path: Path, number: int) -> None:
    with failing(os, "open", number, tmp_path), holding_folder(tmp_path) as is_writable:
        assert not is_writable


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.ESTALE])
def test_another_failure_of_the_disk_is_not_hidden(tmp_path: Path, number: int) -> None:
    with failing(os, "open", number, tmp_path), pytest.raises(OSError, match=os.strerror(number)):  # noqa: SIM117
        with holding_folder(tmp_path):
            pass
    with failing(fcntl, "flock", errno.EIO), pytest.raises(OSError, match="Input/output error") as caught:  # noqa: SIM117
        with holding_folder(tmp_path):
            pass
    assert caught.value.filename == str(tmp_path / IN_USE)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_locks_is_said_once(
    tmp_path: Path, number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    locks._warn_once.cache_clear()
    with failing(fcntl, "flock", number), holding_folder(tmp_path) as is_writable, holding_output(tmp_path / "x"):
        assert is_writable
    warning = "the file system has no locks: see to it that no other process writes into the same folder"
    assert capsys.readouterr().err == f"nmt: warning: {warning}\n"
    assert names(tmp_path) == []


def test_a_lock_that_its_holder_has_just_removed_is_not_taken_for_the_one_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, opened = os.open, []

    def open_and_lose(path: Path, flags: int, mode: int = 0o777) -> int:
        handle = real(path, flags, mode)
        opened.append(path)
        if len(opened) == 1:  # the holder ends between the opening and the locking
            Path(path).unlink()
        return handle

    monkeypatch.setattr(os, "open", open_and_lose)
    with holding_folder(tmp_path), pytest.raises(InUseError), holding_folder(tmp_path):
        pass
    assert len(opened) == 3


def test_the_lock_of_another_that_replaced_a_deleted_folder_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with holding_folder(folder):
        folder.rename(tmp_path / "moved")
        folder.mkdir()
        (folder / IN_USE).write_text("another's")
    assert (folder / IN_USE).read_text() == "another's"

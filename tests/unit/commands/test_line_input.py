"""Lines of a pipe: none lost, none waited for longer than allowed."""

import os
import random
import sys
import threading
import time
from collections.abc import Iterator
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from nmt.commands.line_input import BLOCK, STDIN, Live, open_input, read_beside
from nmt.data.reading import streams
from nmt.errors import DataError


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Return both ends of a pipe, the one that is read first."""
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def written(pipe: tuple[int, int], *blocks: bytes) -> Live:
    """Write what fits into a pipe, and close it."""
    for block in blocks:
        os.write(pipe[1], block)
    os.close(pipe[1])
    return Live(pipe[0], 0.05)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (b"", []),
        (b"\n", [b""]),
        (b"a", [b"a"]),
        (b"a\n", [b"a"]),
        (b"a\n\nb\r\n", [b"a", b"", b"b\r"]),
        (b"\n\nc", [b"", b"", b"c"]),
        ("\u2028\x85\x0c\r".encode(), ["\u2028\x85\x0c\r".encode()]),
    ],
)
def test_a_line_ends_at_a_line_feed_alone(pipe: tuple[int, int], text: bytes, lines: list[bytes]) -> None:
    assert list(written(pipe, text)) == lines


def test_lines_are_whole_however_they_come_in_blocks(pipe: tuple[int, int]) -> None:
    text = b"".join(b"x" * size + b"\n" for size in (0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 10 * BLOCK, 3)) + b"end"
    cuts = sorted(random.Random(1).sample(range(len(text)), 30))

    def write() -> None:
        for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
            rest = text[start:end]
            while rest:
                rest = rest[os.write(pipe[1], rest) :]
        os.close(pipe[1])

    writer = threading.Thread(target=write)
    writer.start()
    found = list(Live(pipe[0], 0.05))
    writer.join()
    assert found == text.split(b"\n")


def test_a_line_without_an_end_is_given_up(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LONGEST_LINE", 10)
    live = Live(pipe[0], 0.05)
    for block in (b"12345678", b"9\n12345", b"67890"):
        os.write(pipe[1], block)
        live.ready(time.monotonic())
    assert next(live) == b"123456789"
    os.write(pipe[1], b"1")
    with pytest.raises(DataError, match=r"^standard input: a line of over 10 bytes \("):
        next(live)


def test_what_is_there_is_ready_and_what_is_not_is_waited_for_so_long(pipe: tuple[int, int]) -> None:
    live = Live(pipe[0], 0.1)
    os.write(pipe[1], b"a\nb\nc")
    assert next(live) == b"a"
    assert live.ready(time.monotonic() - 1000)
    assert next(live) == b"b"
    before = time.monotonic()
    assert not live.ready(before), "half a line is none"
    assert 0.09 < time.monotonic() - before < 1
    assert not live.ready(before - 1000)
    assert time.monotonic() - before < 1
    os.write(pipe[1], b"d\n")
    assert live.ready(before - 1000)
    assert next(live) == b"cd"


def test_a_line_that_comes_in_time_is_ready(pipe: tuple[int, int]) -> None:
    live = Live(pipe[0], 5.0)
    writer = threading.Timer(0.05, os.write, (pipe[1], b"late\n"))
    writer.start()
    before = time.monotonic()
    assert live.ready(before)
    assert time.monotonic() - before < 4
    assert next(live) == b"late"
    writer.join()


def test_at_the_end_nothing_is_ready_but_a_last_line_without_its_end(pipe: tuple[int, int]) -> None:
    live = written(pipe, b"a\nb")
    assert next(live) == b"a"
    assert live.ready(time.monotonic())
    assert next(live) == b"b"
    assert not live.ready(time.monotonic())
    with pytest.raises(StopIteration):
        next(live)


def test_an_input_that_fails_is_a_data_error(tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(DataError) as caught:
            next(Live(folder, 0.05))
    finally:
        os.close(folder)
    assert str(caught.value) == "standard input: Is a directory"


def test_standard_input_without_a_descriptor_is_read_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(b"\xef\xbb\xbfa\r\nb")))
    reader = open_input(None, "strict", 0.05)
    assert (reader.name, reader.ready, reader.interactive) == (STDIN, None, False)
    assert list(reader.lines) == ["a", "b"]


def test_bytes_that_are_not_utf8_become_replacement_characters_and_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"a\nna\xefve\n\xff\xfe\nb \xef\xbf\xbd\n\xe2\x82\n")
    reader = open_input(path, "replace", 0.05)
    assert list(reader.lines) == ["a", "na\ufffdve", "\ufffd\ufffd", "b \ufffd", "\ufffd"]
    assert reader.replaced == [2, 3, 5]
    with pytest.raises(DataError, match=r"text:2: not UTF-8: byte 0xef at position 3"):
        list(open_input(path, "strict", 0.05).lines)


def test_a_file_that_cannot_be_read_is_an_error_before_its_first_line_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        open_input(tmp_path / "none", "strict", 0.05)
    (tmp_path / "bad").write_bytes(b"\xff\n")
    with pytest.raises(DataError, match="bad:1: not UTF-8"):
        open_input(tmp_path / "bad", "strict", 0.05)
    (tmp_path / "empty").touch()
    assert list(open_input(tmp_path / "empty", "strict", 0.05).lines) == []


@pytest.mark.parametrize("count", [0, 2, 4])
def test_a_file_beside_the_input_has_to_have_as_many_lines(
    tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, beside = tmp_path / "text", tmp_path / "beside"
    text.write_bytes(b"a\nb\nc\n")
    beside.write_bytes(b"x\n" * count)
    with pytest.raises(DataError) as caught:
        read_beside(beside, open_input(text, "strict", 0.05), text)
    assert str(caught.value) == f"{text} has 3 lines but {beside} has {count}"
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(text.read_bytes())))
    reader = open_input(None, "strict", 0.05)
    assert read_beside(beside, reader, None) == ["x"] * count
    with pytest.raises(DataError) as caught:
        list(reader.lines)
    said = f"has 3 lines but {beside} has {count}" if count > 3 else f"has more lines than {beside}, which has {count}"
    assert str(caught.value) == f"standard input {said}"


def test_a_file_beside_the_input_with_as_many_lines_is_read(tmp_path: Path) -> None:
    text, beside = tmp_path / "text", tmp_path / "beside"
    text.write_bytes(b"a\nb")
    beside.write_bytes(b"x\ny\n")
    reader = open_input(text, "strict", 0.05)
    assert read_beside(beside, reader, text) == ["x", "y"]
    assert list(reader.lines) == ["a", "b"]

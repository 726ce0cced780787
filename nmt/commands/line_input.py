"""The input of `nmt translate`: a file, or standard input, whose lines may come one by one or all at once."""

import itertools
import os
import select
import stat
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from nmt import console
from nmt.data.reading import streams
from nmt.data.reading.archives import count_lines, read_lines
from nmt.data.reading.streams import decode_lines
from nmt.errors import DataError, input_error

Errors = Literal["strict", "replace"]
STDIN = "standard input"
BLOCK = 1 << 16  # bytes read at once: the capacity of a pipe


class Live:
    """The lines of a pipe or a terminal, with a way to ask for a further line without waiting for it.

    It reads the descriptor itself, because a buffered file cannot say what it holds, and without a thread, because a
    thread that waits for input when the process ends brings the process down.
    """

    def __init__(self, descriptor: int, wait: float) -> None:
        self._descriptor, self._wait = descriptor, wait
        self._lines: deque[bytes] = deque()
        self._rest: list[bytes] = []  # blocks of a line whose end has not been read
        self._held = 0  # their bytes, at most those of a block too many
        self._ended = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        """Return the next line without its line feed, waiting for it."""
        while not self._lines and not self._ended:
            select.select([self._descriptor], [], [])
            self._read()
        if not self._lines:
            raise StopIteration
        return self._lines.popleft()

    def ready(self, since: float) -> bool:
        """Return whether a line is there, or comes within the wait that began at `since`, a time.monotonic()."""
        while not self._lines and not self._ended:
            left = max(0.0, since + self._wait - time.monotonic())
            if not select.select([self._descriptor], [], [], left)[0]:
                return False
            self._read()
        return bool(self._lines)

    def _read(self) -> None:
        try:
            block = os.read(self._descriptor, BLOCK)
        except OSError as error:
            raise input_error(STDIN, error) from None
        first, *others = block.split(b"\n")
        self._rest.append(first)
        self._held = (0 if others else self._held) + len(block)
        if self._held > streams.LONGEST_LINE:
            raise DataError(f"{STDIN}: a line of over {streams.LONGEST_LINE:,} bytes", hint="is it lines of text?")
        for part in others:
            self._lines.append(b"".join(self._rest))
            self._rest = [part]
        if not block:
            self._ended = True
            if any(self._rest):
                self._lines.append(b"".join(self._rest))


def never(_: float) -> bool:
    """Return that no further line is there."""
    return False


@dataclass
class Reader:
    """The lines of an input."""

    name: str  # name of the input in messages
    lines: Iterator[str]
    ready: Callable[[float], bool] | None = None
    """Whether a further line comes in time, given when the first of the batch came; see `Translator.stream`. None where
    all lines are there already."""
    interactive: bool = False  # whether the input is a terminal
    replaced: list[int] = field(default_factory=list)  # numbers of the lines read so far that were not UTF-8


def open_input(path: Path | None, errors: Errors, wait: float) -> Reader:
    """Open `path`, or standard input, where a batch waits at most `wait` seconds for more lines.

    With `replace` bytes that are not UTF-8 become U+FFFD. Raises DataError at once where `path` cannot be read.
    """
    replaced: list[int] = []
    noted = replaced if errors == "replace" else None
    if path is not None:
        lines = read_lines(path, noted)
        return Reader(str(path), itertools.chain(list(itertools.islice(lines, 1)), lines), replaced=replaced)
    stream = console.stdin()
    interactive = stream.isatty()
    try:
        descriptor = stream.fileno()
    except OSError:  # no file at all
        return Reader(STDIN, decode_lines(stream, STDIN, noted), replaced=replaced)
    if os.name != "posix" or stat.S_ISREG(os.fstat(descriptor).st_mode):  # cannot be waited for, or need not be
        return Reader(STDIN, decode_lines(stream, STDIN, noted), never if interactive else None, interactive, replaced)
    live = Live(descriptor, wait)
    return Reader(STDIN, decode_lines(live, STDIN, noted), never if interactive else live.ready, interactive, replaced)


def read_beside(path: Path, reader: Reader, lines: Path | None) -> list[str]:
    """Read `path`, which has a line for each line of `reader`: of the file `lines`, or of standard input.

    Raises DataError where their numbers differ: at once for a file, otherwise while the lines of `reader` are read.
    """
    found = list(read_lines(path))
    if lines is not None and lines.is_file() and (count := count_lines(lines)) != len(found):
        raise DataError(f"{lines} has {count:,} lines but {path} has {len(found):,}")
    reader.lines = _counted(reader.lines, reader.name, len(found), path)
    return found


def _counted(lines: Iterator[str], name: str, count: int, path: Path) -> Iterator[str]:
    """Yield `lines`. Raises DataError where they are not `count`, as many as in `path`."""
    number = 0
    for number, line in enumerate(lines, 1):
        if number > count:
            raise DataError(f"{name} has more lines than {path}, which has {count:,}")
        yield line
    if number != count:
        raise DataError(f"{name} has {number:,} lines but {path} has {count:,}")

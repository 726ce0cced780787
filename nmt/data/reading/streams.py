"""Bytes without their compression, and lines of them.

A line ends at "\\n" and nowhere else: U+2028, U+0085, form feeds and tabs are text. One "\\r" before the "\\n" and
a byte-order mark at the start of a file are dropped. What is odd in a text is counted by name.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

from nmt.errors import DataError

COMPRESSIONS = {".gz": "gzip", ".xz": "xz", ".zst": "zstd", ".bz2": "bzip2"}
"""Endings of compressed files, in the order in which they are tried, and what they claim."""
MAGIC = {
    "gzip": re.compile(rb"\x1f\x8b"),
    "xz": re.compile(rb"\xfd7zXZ\0"),
    # A frame, or a skippable one before it.
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),
    # "BZh" alone begins text just as well: the first block follows, or the end.
    "bzip2": re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"),
}
UNREADABLE = (EOFError, OSError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile)
"""What reading a file raises: the system's errors, and those of damage."""
BUFFER = 1 << 17
"""Bytes that are read at once."""
BREAKS = re.compile("[\u2028\u2029\x85\x0b\x0c\x1c-\x1e\r]")
"""What ends a line for some programs, and is text here."""
SURROGATE = re.compile("[\ud800-\udfff]")

Decompressor = bz2.BZ2Decompressor | lzma.LZMADecompressor


def decode_lines(
    stream: Iterable[bytes],
    name: str,
    replaced: list[int] | None = None,
    oddities: Counter[str] | None = None,
    *,
    are_texts: bool = True,
) -> Iterator[str]:
    """Yield the lines of `stream`, as they come, without their ends; `name` stands in the DataError.

    Given a list `replaced`, bytes that are not UTF-8 are no error: they become U+FFFD, and the list gets the number
    of their line. `oddities` counts what was dropped, and, where the lines `are_texts` themselves, what is odd in them.
    """
    oddities = Counter() if oddities is None else oddities
    number = 0
    try:
        for number, line in enumerate(stream, 1):
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError:
                if replaced is None:
                    raise
                replaced.append(number)
                text = line.decode("utf-8", errors="replace")
            text = text.removesuffix("\n")
            if not text.isprintable():
                if text.endswith("\r"):
                    text = text[:-1]
                    oddities["CRLF line ends"] += 1
                if number == 1 and text.startswith("\ufeff"):
                    text = text[1:]
                    oddities["byte-order marks"] += 1
                if are_texts:
                    count_odd(text, oddities)
            yield text
    except UnicodeDecodeError as error:
        raise _not_utf8(name, number, error) from None
    except UNREADABLE as error:
        raise unreadable(name, error, f" after line {number}") from None


def count_odd(text: str, oddities: Counter[str]) -> None:
    """Count the odd characters that stay in `text`."""
    if "\0" in text:
        oddities["NUL characters"] += text.count("\0")
    if BREAKS.search(text):
        oddities["odd line breaks"] += len(BREAKS.findall(text))


def one_line(text: Any, name: str, oddities: Counter[str]) -> str:
    """Make the text of a field a line; a missing one is blank. `name` stands in the DataError for what is no text."""
    if text is None:
        oddities["missing texts"] += 1
        return ""
    if not isinstance(text, str):
        raise DataError(f"{name}: {type(text).__name__} where text should be: {text!r}")
    if text.isprintable():
        return text
    if "\n" in text or "\r" in text:
        text, breaks = re.subn(r"\r\n|\n|\r", " ", text)
        oddities["line breaks within a text"] += breaks
    if SURROGATE.search(text):  # JSON's escapes can spell halves of characters, which cannot be written as UTF-8
        text, halves = SURROGATE.subn("\ufffd", text)
        oddities["halves of surrogate pairs"] += halves
    count_odd(text, oddities)
    return text


def some(names: Iterable[str]) -> str:
    """List the first few of `names` for a message."""
    names = list(names)
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") or "nothing"


def decompress(raw: io.BufferedReader, name: str) -> io.BufferedReader:
    """Undo the compression of `raw`, which its first bytes tell; a DataError where `name` claims one and it is not."""
    begin = raw.peek(10)
    kind = next((kind for kind, magic in MAGIC.items() if magic.match(begin)), None)
    ending = Path(name).suffix
    claimed = COMPRESSIONS.get(ending)
    if kind is None and claimed is not None:
        raise DataError(
            f"{name}: not a {claimed} file", hint=f"copy or download the file again, or name it without {ending}"
        )
    if kind is None:
        return raw
    opened: Any
    if kind == "gzip":
        opened = gzip.GzipFile(fileobj=raw)
    elif kind == "bzip2":
        opened = _Streams(raw, bz2.BZ2Decompressor)
    elif kind == "xz":
        opened = _Streams(raw, partial(lzma.LZMADecompressor, lzma.FORMAT_XZ))
    else:
        import pyarrow as pa

        opened = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")
    return io.BufferedReader(cast(io.RawIOBase, opened), BUFFER)


class _Streams(io.RawIOBase):
    """What compressed streams hold that lie one behind the other, zeros between them or behind.

    `bz2.BZ2File` and `lzma.LZMAFile` take a stream with a damaged beginning, and all that follows, for no part of it.
    """

    def __init__(self, raw: io.BufferedReader, start: Callable[[], Decompressor]) -> None:
        self._raw, self._start = raw, start
        self._stream = start()

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`; return the number of bytes, 0 at the end. Raises what the decompressor does, and EOFError."""
        while True:
            packed = b""
            if self._stream.eof:
                packed = self._stream.unused_data.lstrip(b"\0")
                while not packed:
                    if not (block := self._raw.read1(BUFFER)):
                        return 0
                    packed = block.lstrip(b"\0")
                self._stream = self._start()
            elif self._stream.needs_input and not (packed := self._raw.read1(BUFFER)):
                raise EOFError("it ends within a stream")
            if text := self._stream.decompress(packed, len(buffer)):
                buffer[: len(text)] = text
                return len(text)


@contextmanager
def reading(name: Path | str, after: str = "") -> Iterator[None]:
    """Make DataErrors of what goes wrong in the block with the file `name`; `after` says how far it was read."""
    try:
        yield
    except UNREADABLE as error:
        raise unreadable(name, error, after) from None


def unreadable(name: Path | str, error: Exception, after: str = "") -> DataError:
    """Say what is wrong with the file `name`: errors of the system have a number, all others are damage."""
    if isinstance(error, OSError) and error.errno:
        return DataError(f"{name}: {error.strerror}")
    return DataError(f"{name}: damaged or cut short{after}: {error}", hint="copy or download the file again")


def _not_utf8(name: str, number: int, error: UnicodeDecodeError) -> DataError:
    wide = number == 1 and error.object[:2] in (b"\xff\xfe", b"\xfe\xff")
    return DataError(
        f"{name}:{number}: not UTF-8: byte 0x{error.object[error.start]:02x} at place {error.start + 1}",
        hint=f"find out the encoding and convert it: iconv -f {'UTF-16' if wide else 'LATIN1'} -t UTF-8",
    )

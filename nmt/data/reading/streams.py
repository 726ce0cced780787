"""Decompress bytes and split them into lines; compress what is written.

A line ends at "\\n" and nowhere else: U+2028, U+0085, form feeds and tabs are text. One "\\r" before the "\\n" and
a byte-order mark at the start of a file are dropped. Anomalies of the text are counted by name.
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
from types import ModuleType
from typing import TYPE_CHECKING, BinaryIO, Generic, TypeVar, cast

from nmt import console
from nmt.data.reading.markup import refuse_line
from nmt.errors import DataError, NmtError, input_error

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

COMPRESSIONS = {".gz": "gzip", ".xz": "xz", ".zst": "zstd", ".bz2": "bzip2"}
"""Suffixes of compressed files, in the order in which they are tried, and the compression that each promises."""
ARCHIVES = (".zip", ".tar", ".tgz", ".tbz2", ".txz", ".tzst", ".tar.gz", ".tar.bz2", ".tar.xz", ".tar.zst")
"""Suffixes of archives."""
MAGIC = {
    "gzip": re.compile(rb"\x1f\x8b"),
    "xz": re.compile(rb"\xfd7zXZ\0"),
    # A frame, or a skippable one before it.
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18"),
    # "BZh" alone begins text just as well: the first block follows, or the end.
    "bzip2": re.compile(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)"),
}
UNREADABLE = (EOFError, OSError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile)
"""Exceptions of reading a file: the system's errors, and the errors of damaged content."""
LONGEST_LINE = 1 << 26  # bytes of the longest line that is read
BUFFER = 1 << 17  # bytes to read at once
BREAKS = re.compile("[\u2028\u2029\x85\x0b\x0c\x1c-\x1e]")
"""Characters that end a line for some programs, and are text here."""
MARKS = {"UTF-32": (b"\xff\xfe\0\0", b"\0\0\xfe\xff"), "UTF-16": (b"\xff\xfe", b"\xfe\xff")}
"""The byte-order marks of encodings other than UTF-8."""
CONTROL = re.compile(rb"[\0-\x08\x0e-\x1f]")
CR_TIP = "convert the line ends: tr '\\r' '\\n'"
SUSPICIOUS = ("NUL characters", "CR line ends")  # anomalies of text in another encoding, or of another system
SURROGATE = re.compile("[\ud800-\udfff]")
T = TypeVar("T")
Decompressor = bz2.BZ2Decompressor | lzma.LZMADecompressor


def decode_lines(
    stream: Iterable[bytes],
    name: str,
    replaced: list[int] | None = None,
    anomalies: Counter[str] | None = None,
    *,
    are_texts: bool = True,
) -> Iterator[str]:
    """Yield the lines of `stream` as they arrive, without their ends; `name` names it in the DataError.

    Bytes that are not UTF-8 are an error; with a list `replaced` they become U+FFFD, and the list receives the numbers
    of their lines. `anomalies` counts the dropped characters, and also the unusual ones inside each line where the
    lines `are_texts` (and not rows of a table or JSON); without it, those that betray another kind of file are warned
    of at the end. UTF-16 without a byte-order mark is an error, as is mark-up in place of texts.
    """
    found = Counter[str]() if anomalies is None else anomalies
    number, start, is_start = 0, b"", are_texts
    try:
        for number, line in enumerate(_bounded(stream), 1):
            if len(line) > LONGEST_LINE:
                raise DataError(f"{name}:{number}: a line of over {LONGEST_LINE:,} bytes", hint="is it lines of text?")
            if number <= 2:
                start += line
                if encoding := wide_encoding(start):
                    problem = f"{name}: seems to be {encoding} without a byte-order mark"
                    raise DataError(problem, hint=f"convert it: iconv -f {encoding} -t UTF-8")
            if is_start and line.strip(b"\xef\xbb\xbf \t\r\n"):
                refuse_line(line, name)
                is_start = False
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
                    found["CRLF line ends"] += 1
                if number == 1 and text.startswith("\ufeff"):
                    text = text[1:]
                    found["byte-order marks"] += 1
                if are_texts:
                    count_anomalies(text, found)
            yield text
        if anomalies is None and (odd := [f"{kind} {found[kind]:,}" for kind in SUSPICIOUS if found[kind]]):
            console.warn(f"{name}: found in the text: {', '.join(odd)}")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}:{number}: not UTF-8: byte 0x{error.object[error.start]:02x} at position {error.start + 1}",
            hint=f"find out the encoding and convert it: iconv -f {likely_encoding(error.object, number)} -t UTF-8",
        ) from None
    except UNREADABLE as error:
        raise unreadable(name, error, f" after line {number}") from None


class UpToError(Generic[T]):
    """The items of an iterator before its first NmtError, which `check` raises when these have been used.

    So a line that cannot be read costs none of the lines before it, however many are taken at a time.
    """

    def __init__(self, items: Iterable[T]) -> None:
        self._items = iter(items)
        self._error: NmtError | None = None

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        if self._error is not None:
            raise StopIteration
        try:
            return next(self._items)
        except NmtError as error:
            self._error = error
            raise StopIteration from None

    @property
    def has_failed(self) -> bool:
        return self._error is not None

    def check(self) -> None:
        """Raise the error that ended the items, if one did."""
        if self._error is not None:
            raise self._error


def _bounded(stream: Iterable[bytes]) -> Iterator[bytes]:
    """Return the lines of a stream, of longer ones than `LONGEST_LINE` pieces, so that none fills the memory."""
    if isinstance(stream, io.BufferedIOBase):
        return iter(partial(stream.readline, LONGEST_LINE + 1), b"")
    return iter(stream)


def wide_encoding(start: bytes) -> str | None:
    """Return the encoding of UTF-16 or UTF-32 without a byte-order mark by the start of a file; None of other text.

    In such text a byte of each character is a control character for most scripts, and NUL for spaces and digits.
    """
    is_marked = any(start.startswith(marks) for marks in MARKS.values())
    if is_marked or len(start) < 4 or not CONTROL.search(start) or not start.strip(bytes(range(0x20))):
        return None
    low = [len(CONTROL.findall(half)) / len(half) for half in (start[0::2], start[1::2])]
    zero = [quarter.count(0) / len(quarter) for quarter in (start[0::4], start[1::4], start[2::4], start[3::4])]
    if min(zero[2:]) > 0.7 > 2 * zero[0] or min(zero[:2]) > 0.7 > 2 * zero[3]:
        return "UTF-32LE" if zero[2] > zero[0] else "UTF-32BE"
    if max(low) < 0.85 or abs(low[0] - low[1]) < 0.2:
        return None
    return "UTF-16LE" if low[1] > low[0] else "UTF-16BE"


def likely_encoding(line: bytes, number: int) -> str:
    """Return the likely encoding of line `number`, which is not UTF-8: by its byte-order mark, or else Latin 1."""
    return next((name for name, starts in MARKS.items() if number == 1 and line.startswith(starts)), "LATIN1")


def count_anomalies(text: str, anomalies: Counter[str]) -> None:
    """Count the unusual characters that stay in `text`."""
    if "\0" in text:
        anomalies["NUL characters"] += text.count("\0")
    if "\r" in text:
        anomalies["CR line ends"] += text.count("\r")
    if BREAKS.search(text):
        anomalies["odd line breaks"] += len(BREAKS.findall(text))


def one_line(text: object, name: str, anomalies: Counter[str]) -> str:
    """Return the text of a field as one line, None as a blank one. Raises DataError, with `name`, for other types."""
    if text is None:
        anomalies["missing texts"] += 1
        return ""
    if not isinstance(text, str):
        raise DataError(f"{name}: {type(text).__name__} where text should be: {text!r}")
    if text.isprintable():
        return text
    if "\n" in text or "\r" in text:
        text, breaks = re.subn(r"\r\n|\n|\r", " ", text)
        anomalies["line breaks within a text"] += breaks
    if SURROGATE.search(text):  # JSON's escapes can spell halves of characters, which cannot be written as UTF-8
        text, halves = SURROGATE.subn("\ufffd", text)
        anomalies["halves of surrogate pairs"] += halves
    count_anomalies(text, anomalies)
    return text


class UnwantedFileError(DataError):
    """A file is of other languages, or no corpus; beside others in a folder it is skipped."""


def listing(names: Iterable[str]) -> str:
    """List the first eight of `names` for a message."""
    names = list(names)
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") or "nothing"


def is_archive(name: str) -> bool:
    return name.lower().endswith(ARCHIVES)


def compression_suffix(name: str) -> str:
    """Return the suffix of compression of a file name, in upper or lower case; "" where it has none."""
    suffix = Path(name).suffix
    return suffix if suffix.lower() in COMPRESSIONS else ""


def plain_name(name: str) -> str:
    """Return a file name without its suffix of compression."""
    return name.removesuffix(compression_suffix(name))


def _arrow() -> ModuleType:
    import pyarrow  # 0.2 s that other files need not wait for

    return pyarrow


@contextmanager
def compressing(file: BinaryIO, name: str) -> Iterator[BinaryIO]:
    """Yield a file that compresses into `file` as the suffix of `name` says, or `file` itself where it says nothing.

    Flushing it flushes no compressor, which a flush for each line would deprive of all repetitions. The same content
    gives the same bytes.
    """
    kind = COMPRESSIONS.get(compression_suffix(name).lower())
    if kind is None:
        yield file
        return
    opened: object
    if kind == "gzip":
        opened = gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=0, compresslevel=6)
    elif kind == "bzip2":
        opened = bz2.BZ2File(file, "wb")
    elif kind == "xz":
        opened = lzma.LZMAFile(file, "wb")  # noqa: SIM115 - closed below
    else:
        pa = _arrow()
        # Closing an Arrow stream closes the file below it.
        opened = pa.CompressedOutputStream(pa.PythonFile(_Unclosed(file), mode="w"), "zstd")
    with io.BufferedWriter(cast(io.RawIOBase, opened), BUFFER) as written:
        yield written


class _Unclosed(io.RawIOBase):
    """A file that stays open when this is closed."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: ReadableBuffer) -> int:
        return self._file.write(data)


def decompress(raw: io.BufferedReader, name: str) -> io.BufferedReader:
    """Return `raw` decompressed, by its magic number. Raises DataError where the suffix of `name` promises another."""
    start = raw.peek(10)
    kind = next((kind for kind, magic in MAGIC.items() if magic.match(start)), None)
    suffix = compression_suffix(name)
    if kind is None and suffix:
        hint = f"copy or download the file again, or name it without {suffix}"
        raise DataError(f"{name}: not a {COMPRESSIONS[suffix.lower()]} file", hint=hint)
    if kind is None:
        return raw
    opened: object
    if kind == "gzip":
        opened = gzip.GzipFile(fileobj=raw)
    elif kind == "bzip2":
        opened = _Concatenated(raw, bz2.BZ2Decompressor)
    elif kind == "xz":
        opened = _Concatenated(raw, partial(lzma.LZMADecompressor, lzma.FORMAT_XZ))
    else:
        pa = _arrow()
        opened = pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")
    return io.BufferedReader(cast(io.RawIOBase, opened), BUFFER)


class _Concatenated(io.RawIOBase):
    """The content of concatenated compressed streams, which zeros may separate and follow.

    `bz2.BZ2File` and `lzma.LZMAFile` silently ignore a later stream with a damaged header, and all that follows it.
    """

    def __init__(self, raw: io.BufferedReader, start: Callable[[], Decompressor]) -> None:
        self._raw, self._start = raw, start
        self._stream = start()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill `buffer` and return the number of bytes, 0 at the end. Raises EOFError and the decompressor's errors."""
        view = memoryview(buffer)
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
            if text := self._stream.decompress(packed, len(view)):
                view[: len(text)] = text
                return len(text)


@contextmanager
def reading(name: Path | str) -> Iterator[None]:
    """Raise a DataError that names the file `name` where the block cannot read it."""
    try:
        yield
    except UNREADABLE as error:
        raise unreadable(name, error) from None


def unreadable(name: Path | str, error: Exception, after: str = "") -> NmtError:
    """Return the error of the file `name`, read until `after`. The system's errors have a number, damage has none."""
    if isinstance(error, OSError) and error.errno:
        return input_error(name, error)
    return DataError(f"{name}: damaged or cut short{after}: {error}", hint="copy or download the file again")

"""Parse XML unit by unit, as a stream: the ground of the readers of TMX, XLIFF and WMT's test sets.

Entities of its own are refused: a few lines of them can grow to gigabytes. Nothing outside the file is read.
"""

import codecs
import io
import re
from collections import Counter
from collections.abc import Collection, Iterator
from functools import lru_cache
from typing import Protocol
from xml.parsers import expat

from nmt.data.reading.streams import BUFFER, UNREADABLE, unreadable
from nmt.errors import DataError

MAX_UNIT = 2**26  # bytes of the longest unit, or of a tag or comment
MAX_DEPTH = 1000  # open elements
OVERLAP = 256  # bytes of a block that are searched again with the next one
UTF_16 = re.compile(rb"\xff\xfe|\xfe\xff|<\0|\0<")
REPAIR = "copy or download the file again, or fix that line"
SKIP_TIP = "; skip_bad = true, or --skip-bad, leaves such units out"


class BadUnitError(Exception):
    """A unit that cannot be read: the problem, what to do, and where, as a byte of the parser and its line."""

    def __init__(self, problem: str, hint: str, index: int, line: int) -> None:
        super().__init__(problem)
        self.problem, self.hint, self.index, self.line = problem, hint, index, line


class Handler(Protocol):
    """Receives the events of a parser; names of elements and attributes are without their prefixes."""

    def start(self, tag: str, attributes: dict[str, str]) -> None: ...
    def text(self, text: str) -> None: ...
    def end(self, tag: str) -> None: ...
    def drop_unit(self) -> None:
        """Forget the unit that is open."""


@lru_cache(maxsize=1000)
def local_name(name: str) -> str:
    """Return the name of an element without its prefix."""
    return name.rpartition(":")[2]


def parse_units(
    stream: io.BufferedReader,
    name: str,
    handler: Handler,
    units: Collection[str],
    anomalies: Counter[str],
    *,
    skip_bad: bool = False,
) -> Iterator[None]:
    """Send the events of an XML file to `handler`, and yield after each block; `units` are the elements of a unit.

    With `skip_bad`, a unit that is not well-formed is left out and counted, and reading goes on at the next one.
    Raises DataError, with `name` and the line.
    """
    document = _Document(name, handler, units, anomalies, skip_bad=skip_bad)
    try:
        start = stream.peek(4)[:4]
        if start.startswith(codecs.BOM_UTF8):
            anomalies["byte-order marks"] += 1
        if UTF_16.match(start):
            document.set_encoding("utf-8")
        blocks = _blocks(stream, start)
        for block in blocks:
            document.feed(block, blocks)
            yield
        document.finish()
        yield
    except (*UNREADABLE, UnicodeDecodeError) as error:  # UTF-16 may end within a character
        raise unreadable(name, error, f" after line {document.line}") from None
    except (ValueError, LookupError) as error:
        hint = f"convert it: iconv -f {document.encoding} -t UTF-8, and write UTF-8 in its first line"
        raise DataError(f"{name}: its encoding, {document.encoding}, cannot be read: {error}", hint=hint) from None


def _blocks(stream: io.BufferedReader, start: bytes) -> Iterator[bytes]:
    """Yield the bytes of `stream`, which begins with `start`, UTF-16 converted to UTF-8."""
    if not UTF_16.match(start):
        while block := stream.read(BUFFER):
            yield block
        return
    order = "" if start[:1] != b"<" and start[:1] != b"\0" else "-le" if start[:1] == b"<" else "-be"
    decoder = codecs.getincrementaldecoder(f"utf-16{order}")()
    while block := stream.read(BUFFER):
        yield decoder.decode(block).encode()
    decoder.decode(b"", final=True)


class _Document:
    """An XML file that is parsed: by one parser, and after each bad unit by another."""

    def __init__(
        self,
        name: str,
        handler: Handler,
        units: Collection[str],
        anomalies: Counter[str],
        *,
        skip_bad: bool,
    ) -> None:
        self.encoding: str | None = None  # encoding that the file declares
        self._name, self._handler, self._units, self._anomalies = name, handler, units, anomalies
        self._skip_bad = skip_bad
        self._unit_names = "|".join(units).encode()
        self._open: list[str] = []  # names of the open elements, those within a unit left out
        self._depth = 0  # open elements of a unit, itself included
        self._window, self._first = b"", 0  # bytes that an error may lie in, and the index of the first
        self._lines = 0  # lines before the first line of the parser
        self._start_of_unit = 0
        self._parser = self._new_parser()

    @property
    def line(self) -> int:
        return self._lines + self._parser.CurrentLineNumber

    def set_encoding(self, encoding: str) -> None:
        """Set the encoding before the first block, whatever the file declares."""
        self.encoding = encoding
        self._parser = self._new_parser()

    def feed(self, block: bytes, blocks: Iterator[bytes]) -> None:
        """Parse `block`; where a unit is bad, find the next one in it or in the further `blocks`."""
        while block:
            self._window += block
            try:
                self._parser.Parse(block)
                break
            except expat.ExpatError as error:
                problem = f"not well-formed XML: {expat.ErrorString(error.code)}"
                bad = BadUnitError(problem, REPAIR, self._parser.ErrorByteIndex, error.lineno)
                may_begin = False  # with a tag that is bad itself
            except BadUnitError as error:
                bad, may_begin = error, True
            self._lines += bad.line - 1
            if not self._skip_bad or not self._open:
                hint = bad.hint + (SKIP_TIP if self._open else "")
                raise DataError(f"{self._name}:{self._lines + 1}: {bad.problem}", hint=hint)
            rest = self._window[max(bad.index - self._first, 0) :]
            block = self._next_start(rest, blocks, may_begin=may_begin)
        index = self._parser.CurrentByteIndex
        if (self._depth and index - self._start_of_unit > MAX_UNIT) or len(self._window) > MAX_UNIT:
            raise DataError(f"{self._name}:{self.line}: a unit of more than {MAX_UNIT:,} bytes", hint="is it XML?")
        self._window, self._first = self._window[max(index - self._first, 0) :], index

    def finish(self) -> None:
        """End the parsing. Raises DataError where the file is cut short."""
        try:
            self._parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise unreadable(self._name, error, f" after line {self._lines + error.lineno}") from None

    def _next_start(self, rest: bytes, blocks: Iterator[bytes], *, may_begin: bool) -> bytes:
        """Drop the bad unit, and return the bytes of `rest` and `blocks` that a new parser is to read.

        They begin with the next unit, or the end of the innermost open element; `may_begin` says whether `rest` may
        begin with a good unit. Raises DataError where neither is found.
        """
        self._anomalies["bad units left out"] += 1
        self._handler.drop_unit()
        end = re.escape(self._open[-1]).encode()
        pattern = re.compile(rb"<(?:[\w.-]+:)?(?:" + self._unit_names + rb")(?=[\s>/])|</" + end + rb"\s*>")
        begin = 1 if rest[:2] != b"</" and not may_begin else 0
        while not (match := pattern.search(rest, begin)):
            block = next(blocks, None)
            if block is None:
                line = self._lines + 1 + rest.count(b"\n")
                raise unreadable(self._name, EOFError("it ends within the root element"), f" after line {line}")
            keep = max(len(rest) - OVERLAP, 0)
            self._lines += rest.count(b"\n", 0, keep)
            rest, begin = rest[keep:] + block, max(begin - keep, 0)
        self._lines += rest.count(b"\n", 0, match.start())
        self._depth = 0
        self._parser = self._new_parser()
        self._window = b""
        return rest[match.start() :]

    def _new_parser(self) -> expat.XMLParserType:
        """Return a parser within the open elements."""
        parser = expat.ParserCreate(self.encoding)
        parser.buffer_text = True
        start = "".join(f"<{tag}>" for tag in self._open).encode()
        self._first = len(start)
        parser.Parse(start)
        parser.XmlDeclHandler = self._declaration
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._handler.text
        parser.EntityDeclHandler = self._declared_entity
        parser.SkippedEntityHandler = self._unknown_entity
        return parser

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        self.encoding = self.encoding or encoding

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        is_unit = local_name(tag) in self._units
        if self._depth and is_unit:
            raise self._bad_unit(f"<{tag}> within another", "is an end tag missing before it?")
        if self._depth:
            self._depth += 1
        elif is_unit:
            self._depth, self._start_of_unit = 1, self._parser.CurrentByteIndex
        else:
            self._open.append(tag)
        if self._depth + len(self._open) > MAX_DEPTH:
            raise DataError(f"{self._name}:{self.line}: more than {MAX_DEPTH:,} elements within each other")
        self._handler.start(tag, attributes)

    def _end(self, tag: str) -> None:
        if self._depth:
            self._depth -= 1
        else:
            self._open.pop()
        self._handler.end(tag)

    def _declared_entity(self, entity: str, *_: object) -> None:
        problem = f"{self._name}:{self.line}: declares the entity {entity!r}"
        raise DataError(problem, hint="write its text in place of it")

    def _unknown_entity(self, entity: str, _: bool) -> None:
        raise self._bad_unit(f"the entity {entity!r} is not known", f"write the character in place of &{entity};")

    def _bad_unit(self, problem: str, hint: str) -> BadUnitError:
        # The parser goes on to the end of the block before it raises the error of a handler.
        return BadUnitError(problem, hint, self._parser.CurrentByteIndex, self._parser.CurrentLineNumber)

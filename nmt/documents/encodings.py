"""From the bytes of a document to its text and back, in the encoding that it names."""

import codecs
import re
from dataclasses import dataclass

from nmt.data.reading.streams import likely_encoding, wide_encoding
from nmt.errors import DataError

MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
META = re.compile(rb"""<meta\s[^>]*?charset\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
META_BYTES = 1024  # of a page, in which it names its encoding


@dataclass(frozen=True)
class Decoded:
    """The text of a document, without its byte-order mark."""

    text: str
    encoding: str = "utf-8"
    mark: bytes = b""

    def encode(self, text: str, errors: str = "strict") -> bytes:
        """Return `text` in the encoding of the document. Raises DataError where it has no such character."""
        try:
            return self.mark + text.encode(self.encoding, errors)
        except UnicodeEncodeError as error:
            problem = f"{self.encoding.upper()}, the encoding of the document, has no {error.object[error.start]!r}"
            raise DataError(problem, hint="convert the document to UTF-8") from None


def decode(content: bytes, name: str, declared: str | None = None) -> Decoded:
    """Decode a document by its byte-order mark, or as `declared`, by default UTF-8.

    Raises DataError, with `name` and the line, where it is something else.
    """
    mark = next((mark for mark in MARKS if content.startswith(mark)), b"")
    encoding = MARKS[mark] if mark else declared or "utf-8"
    if not mark and (wide := wide_encoding(content[:1024])):
        problem = f"{name}: seems to be {wide} without a byte-order mark"
        raise DataError(problem, hint=f"convert it: iconv -f {wide} -t UTF-8")
    try:
        return Decoded(content[len(mark) :].decode(encoding), encoding, mark)
    except UnicodeDecodeError as error:
        line = content[: len(mark) + error.start].count(b"\n") + 1
        found = f"byte 0x{error.object[error.start]:02x}"
        hint = f"find out the encoding and convert it: iconv -f {likely_encoding(content, line)} -t UTF-8"
        raise DataError(f"{name}:{line}: not {encoding.upper()}: {found}", hint=hint) from None
    except (LookupError, UnicodeError):
        raise DataError(f"{name}: its encoding, {encoding}, is not known", hint="convert it to UTF-8") from None


def html_encoding(content: bytes) -> str | None:
    """Return the encoding that a page names; None where it names none."""
    found = META.search(content[:META_BYTES])
    name = found[1].decode("ascii").lower() if found else None
    # As browsers read pages that name these.
    return {"iso-8859-1": "cp1252", "latin1": "cp1252", "us-ascii": "cp1252", "utf-16": "utf-8"}.get(name or "", name)

"""Tell mark-up, tables and documents from lines of text, by the name of a file and by its first line."""

import json
import re
from pathlib import PurePath
from typing import get_args

from nmt.config.data import Format
from nmt.errors import DataError

KINDS = {
    **dict.fromkeys(("sgm", "sgml"), "SGML"),
    **dict.fromkeys(("xml", "xhtml"), "XML"),
    **dict.fromkeys(("html", "htm"), "HTML"),
    **dict.fromkeys(("xlf", "xliff"), "XLIFF"),
    **dict.fromkeys(("po", "pot"), "PO"),
    **dict.fromkeys(("json", "jsonl", "ndjson"), "JSON"),
    **dict.fromkeys(("xlsx", "xls", "ods"), "a spreadsheet"),
    **dict.fromkeys(("docx", "doc", "odt", "rtf", "pdf"), "a document"),
    **dict.fromkeys(("srt", "vtt"), "subtitles with their times"),
    **{"tmx": "TMX", "tsv": "a table", "csv": "a table", "parquet": "Parquet"},
}
"""The suffixes of files that hold no lines of text, and what they hold."""
STARTS = {
    "SGML": re.compile(r"<(?:srcset|refset|tstset|mteval|doc)(?:\s[^<>]*)?>|<!DOCTYPE\s+mteval\b", re.IGNORECASE),
    "HTML": re.compile(r"<!DOCTYPE\s+html\b|<html(?:\s[^<>]*)?>", re.IGNORECASE),
    "TMX": re.compile(r"<tmx(?:\s[^<>]*)?>|<!DOCTYPE\s+tmx\b", re.IGNORECASE),
    "XLIFF": re.compile(r"<xliff(?:\s[^<>]*)?>", re.IGNORECASE),
    "XML": re.compile(r"<\?xml\s|<!DOCTYPE\s+\w+"),
    "PO": re.compile(r'msgid\s+"'),
}
"""The beginnings of the first line of such files, by what they hold."""
BINARY = {b"PK\x03\x04": "an archive or a document", b"%PDF-": "PDF", b"PAR1": "Parquet"}
"""The first bytes of files that hold no text."""


def refuse_name(path: PurePath, plain: str) -> None:
    """Raise DataError where the suffix of `plain`, the name without a compression's, is of no lines of text."""
    suffix = PurePath(plain).suffix.lower().removeprefix(".")
    if suffix in KINDS:
        raise _refused(str(path), f"its name says that it is {KINDS[suffix]}")


def refuse_line(line: bytes, name: str) -> None:
    """Raise DataError where the first line of the file `name` is that of a file that holds no lines of text."""
    if kind := next((kind for start, kind in BINARY.items() if line.startswith(start)), None):
        raise _refused(name, f"it is {kind}")
    if line.lstrip(b"\xef\xbb\xbf \t")[:1] in (b"<", b"{", b"[", b"m"):
        text = line.decode("utf-8-sig", errors="replace").strip()
        kind = next((kind for kind, start in STARTS.items() if start.match(text)), "JSON" if _is_json(text) else None)
        if kind:
            raise _refused(name, f"its first line is that of {kind}")


def _is_json(text: str) -> bool:
    """Check whether a line is an object of JSON, or the beginning of a list of such."""
    if not re.match(r'\[?\{\s*"', text):
        return False
    try:
        value = json.loads(text.removeprefix("[").removesuffix(",").removesuffix("]"))
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict)


def _refused(name: str, reason: str) -> DataError:
    kinds = ", ".join(get_args(Format))
    hint = (
        f"`nmt data clean` reads files of both sides ({kinds}) and writes lines; `nmt translate --format` takes "
        "documents; of others, extract the text first"
    )
    return DataError(f"{name}: lines of text are wanted, but {reason}", hint=hint)

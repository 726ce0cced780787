"""Read pairs from PO, the message catalogues of GNU gettext.

The grammar is that of `msgfmt`, as in the manual of gettext, "The Format of PO Files" and its lexer.
"""

import codecs
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from nmt.config.languages import LanguagesConfig
from nmt.data.languages import is_backward
from nmt.data.pairs import Pair
from nmt.data.reading.streams import UNREADABLE, UnwantedFileError, one_line, unreadable
from nmt.errors import DataError

STRING = re.compile(r'\s*"((?:[^"\\]|\\.)*)"\s*')
KEYWORD = re.compile(r"\s*(domain|msgctxt|msgid_plural|msgid|msgstr(?:\s*\[\s*\d+\s*\])?)(?=[\s\"])")
ESCAPE = re.compile(r"(?:\\(?:[0-7]{1,3}|x[0-9a-fA-F]+))+|\\(.)")
NUMERIC = re.compile(r"\\(?:([0-7]{1,3})|x([0-9a-fA-F]+))")
NAMED = {"n": "\n", "t": "\t", "b": "\b", "r": "\r", "f": "\f", "v": "\v", "a": "\a", "\\": "\\", '"': '"'}
CHARSET = re.compile(r"charset=([\w.:-]+)", re.IGNORECASE)
LANGUAGE = re.compile(r"^Language:[ \t]*(\S+)", re.MULTILINE)
SKIP_TIP = "; skip_bad = true, or --skip-bad, leaves such entries out"
HEADER_LINES = 1000  # lines in which the header's charset is looked for


def read_po(
    stream: io.BufferedReader,
    name: str,
    languages: LanguagesConfig,
    anomalies: Counter[str],
    *,
    skip_bad: bool = False,
) -> Iterator[Pair]:
    """Yield the pairs (msgid, msgstr) of an open PO file; `name` names it in messages.

    If the header's `Language` is the source language, the pairs are read backwards. The header is left out and counted,
    and so are entries that are fuzzy, obsolete, plural or without a translation. Raises DataError where an entry is
    malformed, unless `skip_bad`, and where the header's language is neither.
    """
    catalogue = _Catalogue(name, languages, anomalies)
    is_skipping = False
    number = 0
    try:
        # A comment ends the last entry.
        for number, text in enumerate(itertools.chain(_decoded(stream, name, catalogue), ["#"]), 1):
            line = text.strip()
            if is_skipping and line and not line.startswith("#"):
                continue
            is_skipping = False
            try:
                if catalogue.ends_before(line) and (pair := catalogue.end_entry()):
                    yield pair
            except _BadEntryError as error:
                catalogue.leave_out(error, number - 1, skip_bad=skip_bad)
            try:
                catalogue.add(line)
            except _BadEntryError as error:
                catalogue.leave_out(error, number, skip_bad=skip_bad)
                is_skipping = True
        if "msgid" in catalogue.entry.fields:
            raise EOFError("it ends within an entry")
    except UnicodeDecodeError as error:
        problem = f"not {catalogue.encoding}: byte 0x{error.object[error.start]:02x} at position {error.start + 1}"
        raise DataError(f"{name}:{number + 1}: {problem}", hint="correct the charset in its header") from None
    except UNREADABLE as error:
        raise unreadable(name, error, f" after line {number - 1}") from None


class _BadEntryError(Exception):
    """An entry that gettext would refuse."""


def _decoded(stream: io.BufferedReader, name: str, catalogue: "_Catalogue") -> Iterator[str]:
    """Yield the lines in the encoding that the header names, UTF-8 where there is none."""
    begin: list[bytes] = []
    for line in stream:
        begin.append(line)
        if b"charset=" in line or len(begin) == HEADER_LINES:
            break
    charset = CHARSET.search(begin[-1].decode("latin-1")) if begin else None
    if charset and charset[1] != "CHARSET":
        catalogue.encoding = charset[1]
        try:
            "".encode(charset[1])
        except (LookupError, UnicodeError):  # `undefined` is an encoding too
            raise DataError(f"{name}: its charset, {charset[1]}, is not known", hint="convert it to UTF-8") from None
    for number, line in enumerate((line for lines in (begin, stream) for line in lines), 1):
        yield line.removeprefix(codecs.BOM_UTF8 if number == 1 else b"").decode(catalogue.encoding)


@dataclass
class _Entry:
    """An entry that is being read."""

    fields: dict[str, list[str]] = field(default_factory=dict)  # strings by keyword
    keyword: str = ""
    is_fuzzy: bool = False

    @property
    def has_translation(self) -> bool:
        return any(keyword.startswith("msgstr") for keyword in self.fields)


@dataclass
class _Catalogue:
    """The entries of a PO file, line by line."""

    name: str
    languages: LanguagesConfig
    anomalies: Counter[str]
    encoding: str = "utf-8"
    entry: _Entry = field(default_factory=_Entry)
    is_backward: bool = False

    def leave_out(self, error: _BadEntryError, number: int, *, skip_bad: bool) -> None:
        """Forget the current entry, and count it. Raises DataError unless `skip_bad`."""
        if not skip_bad:
            raise DataError(f"{self.name}:{number}: {error}", hint=f"correct it, see msgfmt -c{SKIP_TIP}")
        self.anomalies["bad units left out"] += 1
        self.entry = _Entry()

    def ends_before(self, line: str) -> bool:
        """Check whether the current entry is complete, and `line` begins another one."""
        goes_on = not line or line.startswith(('"', "msgstr", "msgid_plural"))
        return self.entry.has_translation and not goes_on

    def add(self, line: str) -> None:
        """Read a line of the current entry. Raises _BadEntryError."""
        if line.startswith("#~"):
            if re.match(r"#~\s*msgid\b", line):
                self.anomalies["PO entries that are obsolete"] += 1
                self.entry = _Entry()
        elif line.startswith(("#,", "#=")):
            self.entry.is_fuzzy |= "fuzzy" in re.split(r"[,=\s]+", line[1:])
        else:
            self._read(line)

    def end_entry(self) -> Pair | None:
        """End the current entry, and return its pair, or count why it has none."""
        entry, self.entry = self.entry, _Entry()
        if not entry.has_translation:
            return None
        texts = {keyword: self._unescape("".join(strings)) for keyword, strings in entry.fields.items()}
        source, target = texts.get("msgid", ""), texts.get("msgstr", "")
        if source == "" and "msgctxt" not in texts:
            self.anomalies["PO headers"] += 1
            self._read_language(target)
        elif entry.is_fuzzy:
            self.anomalies["PO entries marked fuzzy"] += 1
        elif "msgid_plural" in texts:
            self.anomalies["PO entries with a plural"] += 1
        elif target == "":
            self.anomalies["PO entries without a translation"] += 1
        else:
            # gettext has both sides begin and end with a line break, or neither.
            left, right = (one_line(text.strip("\n"), self.name, self.anomalies) for text in (source, target))
            return (right, left) if self.is_backward else (left, right)
        return None

    def _read(self, line: str) -> None:
        """Read the keywords and strings of a line."""
        while line and not line.startswith("#"):
            if match := STRING.match(line):
                if not self.entry.keyword:
                    raise _BadEntryError("a string without a keyword")
                self.entry.fields[self.entry.keyword].append(match[1])
            elif match := KEYWORD.match(line):
                self._begin(re.sub(r"\s", "", match[1]))
            else:
                raise _BadEntryError(f"not the syntax of a PO file: {line[:40]!r}")
            line = line[match.end() :].lstrip()

    def _begin(self, keyword: str) -> None:
        if keyword == "domain":
            self.entry = _Entry()
        if keyword in self.entry.fields:
            raise _BadEntryError(f"a second {keyword} in an entry")
        if keyword.startswith("msgstr") and "msgid" not in self.entry.fields:
            raise _BadEntryError(f"{keyword} without a msgid before it")
        self.entry.fields[keyword] = []
        self.entry.keyword = keyword

    def _unescape(self, text: str) -> str:
        """Return a string with its escapes, those of C, replaced: numbers are bytes in the file's encoding."""

        def character(match: re.Match[str]) -> str:
            if match[1]:
                if match[1] not in NAMED:
                    raise _BadEntryError(f"an unknown escape, \\{match[1]}")
                return NAMED[match[1]]
            numbers = (int(octal, 8) if octal else int(digits, 16) for octal, digits in NUMERIC.findall(match[0]))
            return bytes(number & 0xFF for number in numbers).decode(self.encoding, errors="replace")

        return ESCAPE.sub(character, text) if "\\" in text else text

    def _read_language(self, header: str) -> None:
        """Find out the direction from the header. Raises DataError where its language is neither side."""
        found = LANGUAGE.search(header)
        if not found:
            return
        backward = is_backward(("", found[1]), self.languages.pair)
        if backward is None:
            problem = f"its header says Language: {found[1]}, which is neither {' nor '.join(self.languages.pair)}"
            raise UnwantedFileError(
                f"{self.name}: {problem}", hint="name the languages that it has, or correct the header"
            )
        self.is_backward = backward

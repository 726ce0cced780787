"""Find the units of PO, the message catalogues of GNU gettext: entries without a translation get one.

A machine's translation is marked fuzzy: a translator is to review it, and `msgfmt` leaves it out until the mark is
gone.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from nmt.data.reading.po import ESCAPE, KEYWORD, NAMED, NUMERIC, STRING
from nmt.documents.filling import Setting
from nmt.documents.units import Part, parts_of, tagged_items
from nmt.errors import DataError

TAGS = re.compile(r"</?[A-Za-z][^<>]*>")
ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"})
CHARSET = re.compile(rb"charset=([\w.:-]+)", re.IGNORECASE)
HEADER_BYTES = 10_000  # in which the header names its encoding


def po_encoding(content: bytes) -> str | None:
    """Return the encoding that the header names; None where it names none."""
    found = CHARSET.search(content[:HEADER_BYTES])
    return found[1].decode("ascii") if found and found[1] != b"CHARSET" else None


@dataclass
class _Entry:
    """The lines of an entry, up to the blank line or the entry after it."""

    lines: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)  # unescaped, by keyword
    first: int = 0  # line of the first keyword
    begins: dict[str, int] = field(default_factory=dict)  # line of each keyword
    keyword: str = ""
    has_numbers: bool = False  # whether it has escapes by number, of bytes

    @property
    def targets(self) -> list[str]:
        return [keyword for keyword in self.texts if keyword.startswith("msgstr")]


def po_parts(source: str, setting: Setting) -> list[Part]:
    """Return the parts of a catalogue. Raises DataError, with the line, where it is not one."""
    parts: list[Part] = []
    for entry in _entries(source, setting.name):
        parts += _entry_parts(entry, setting)
    return parts


def _entries(source: str, name: str) -> Iterator[_Entry]:
    entry = _Entry()
    for number, line in enumerate(re.findall(r"[^\n]*\n|[^\n]+$", source), 1):
        bare = line.strip()
        is_new = bare.startswith(("#", "msgctxt", "msgid")) and not bare.startswith("msgid_plural")
        if entry.targets and (is_new or not bare):
            yield entry
            entry = _Entry()
        entry.lines.append(line)
        if bare and not bare.startswith("#"):
            _read(entry, bare, f"{name}:{number}")
    yield entry


def _read(entry: _Entry, line: str, place: str) -> None:
    """Read the keyword and the strings of a line. Raises DataError."""
    while line:
        if (match := STRING.match(line)) and entry.keyword:
            entry.has_numbers |= NUMERIC.search(match[1].replace("\\\\", "")) is not None
            entry.texts[entry.keyword] += _unescape(match[1])
        elif (match := KEYWORD.match(line)) and (keyword := re.sub(r"\s", "", match[1])) not in entry.texts:
            entry.keyword, entry.texts[keyword] = keyword, ""
            entry.begins[keyword] = len(entry.lines) - 1
        else:
            raise DataError(f"{place}: not the syntax of a PO file: {line[:40]!r}", hint="correct it, see msgfmt -c")
        line = line[match.end() :].lstrip()


def _unescape(text: str) -> str:
    """Replace the escapes of C, but for those by number."""
    return ESCAPE.sub(lambda match: NAMED.get(match[1] or "", match[0]), text)


def _entry_parts(entry: _Entry, setting: Setting) -> list[Part]:
    """Return the parts of an entry; those with a translation or bytes as numbers, and obsolete ones, are kept."""
    whole = "".join(entry.lines)
    texts = entry.texts
    if not texts.get("msgid"):
        return [_header(whole, setting) if "msgid" in texts and "msgctxt" not in texts else whole]
    if not entry.targets or entry.has_numbers or any(texts[keyword] for keyword in entry.targets):
        return [whole]
    begins = [entry.begins[keyword] for keyword in entry.targets]
    parts: list[Part] = [_with_fuzzy(entry.lines[: begins[0]])]
    end = "\r\n" if entry.lines[begins[0]].endswith("\r\n") else "\n"
    for keyword in entry.targets:
        # A language with one form alone has it for many.
        is_one = keyword == "msgstr" or (keyword == "msgstr[0]" and len(entry.targets) > 1)
        text = texts["msgid"] if is_one else texts.get("msgid_plural", texts["msgid"])
        parts.append(f'{keyword} "')
        for at, line in enumerate(text.split("\n")):
            parts += ["\\n"] * (at > 0) + parts_of(tagged_items(line, TAGS, _escape), _escape)
        parts.append(f'"{end}')
    return parts


def _escape(text: str) -> str:
    return text.translate(ESCAPES)


def _with_fuzzy(lines: list[str]) -> str:
    """Return the lines of an entry before its translation, marked fuzzy."""
    for at, line in enumerate(lines):
        if line.startswith("#,"):
            flags = line if "fuzzy" in re.split(r"[,\s]+", line) else f"#, fuzzy,{line[2:]}"
            return "".join([*lines[:at], flags, *lines[at + 1 :]])
        if not line.startswith("#") and line.strip():
            return "".join([*lines[:at], f"#, fuzzy{chr(13) * line.endswith(chr(13) + chr(10))}\n", *lines[at:]])
    return "".join(lines)


def _header(whole: str, setting: Setting) -> str:
    """Return the header, with the target language where it names none. Raises DataError where it names another."""
    found = re.search(r'"Language:[ ]*([^\\"]*?)[ ]*\\n"', whole)
    if not found or not setting.languages:
        return whole
    setting.check_language(found[1], "its header says Language: ")
    return whole if found[1] else whole[: found.start(1)].rstrip() + f" {setting.languages[1]}" + whole[found.end(1) :]

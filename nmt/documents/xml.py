"""The tags and texts of an XML document, each with its source: the ground of XLIFF, TMX and docx.

Entities of its own are refused: a few lines of them can grow to gigabytes. Nothing outside the document is read.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.parsers import expat
from xml.sax import saxutils

from nmt.data.reading.xml_units import MAX_DEPTH, local_name
from nmt.documents.units import Item, Kind
from nmt.errors import DataError

DECLARED = re.compile(rb"""^<\?xml[^>]*?encoding\s*=\s*["']([\w.:-]+)""")
REFERENCE = re.compile(r"&(?:#([0-9]+)|#[xX]([0-9a-fA-F]+)|(\w+));")
NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}
MARKUP = re.compile(r"<!--.*?-->|<\?.*?\?>|<!\[CDATA\[.*?\]\]>", re.DOTALL)
TAG = re.compile(rb"<(?:[^<>\"']|\"[^\"]*\"|'[^']*')*>")
STARTS, ENDS = frozenset({"bpt", "bx", "sc"}), frozenset({"ept", "ex", "ec"})
CODES = STARTS | ENDS | {"ph", "it", "ut", "x", "cp"}
"""Elements that are codes of TMX 1.4, XLIFF 1.2 and XLIFF 2; others hold text."""


@dataclass
class Token:
    """A piece of XML, whose `raw` texts join to the whole."""

    kind: str  # start, end, or text: characters, comments and the like
    raw: str
    name: str = ""  # without its prefix
    attributes: dict[str, str] = field(default_factory=dict)
    end: int = -1  # of a start: the index of its end, whose `raw` is empty in a tag that is both


def xml_encoding(content: bytes) -> str | None:
    """Return the encoding that an XML document declares; None where it declares none."""
    found = DECLARED.match(content)
    name = found[1].decode("ascii").lower() if found else None
    return None if name and name.startswith("utf-16") else name


def parse(source: str, name: str) -> list[Token]:
    """Return the tokens of a document. Raises DataError, with `name` and the line."""
    return _Parser(source, name).tokens()


class _Parser:
    """Records where tags begin."""

    def __init__(self, source: str, name: str) -> None:
        self.data, self.name = source.encode(), name
        self.found: list[tuple[int, Token]] = []
        self.open: list[int] = []  # indices in `found`
        self.parser = expat.ParserCreate("utf-8")
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.EntityDeclHandler = self._entity
        self.parser.SkippedEntityHandler = self._unknown
        try:
            self.parser.Parse(self.data, True)
        except expat.ExpatError as error:
            problem = f"{name}:{error.lineno}: not well-formed XML: {expat.ErrorString(error.code)}"
            raise DataError(problem, hint="correct that line, or write the document again") from None

    def tokens(self) -> list[Token]:
        """Return the tags, and the texts between them."""
        tokens: list[Token] = []
        places: list[int] = []  # of each tag, in `tokens`
        done = 0
        for number, (at, tag) in enumerate(self.found):
            if at > done:
                tokens.append(Token("text", self.data[done:at].decode()))
                done = at
            before = self.found[number - 1][1]
            if not (tag.kind == "end" and before.end == number and before.raw.endswith("/>")):
                match = TAG.match(self.data, at)
                tag.raw = match[0].decode() if match else ""
                done = at + len(match[0]) if match else at
            places.append(len(tokens))
            tokens.append(tag)
        tokens.append(Token("text", self.data[done:].decode()))
        for _, tag in self.found:
            tag.end = places[tag.end] if tag.kind == "start" else -1
        return tokens

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self.open.append(len(self.found))
        if len(self.open) > MAX_DEPTH:
            raise self._error(f"more than {MAX_DEPTH:,} elements within each other", None)
        self.found.append((self.parser.CurrentByteIndex, Token("start", "", local_name(tag), attributes)))

    def _end(self, tag: str) -> None:
        self.found[self.open.pop()][1].end = len(self.found)
        self.found.append((self.parser.CurrentByteIndex, Token("end", "", local_name(tag))))

    def _entity(self, entity: str, *_: object) -> None:
        raise self._error(f"declares the entity {entity!r}", "write its text in place of it")

    def _unknown(self, entity: str, _: bool) -> None:
        raise self._error(f"the entity {entity!r} is not known", f"write the character in place of &{entity};")

    def _error(self, problem: str, hint: str | None) -> DataError:
        return DataError(f"{self.name}:{self.parser.CurrentLineNumber}: {problem}", hint=hint)


def escape(text: str) -> str:
    """Write text in XML."""
    return saxutils.escape(text)


def meaning(raw: str) -> str:
    """Return the text that the source of a text stands for, without comments."""
    return REFERENCE.sub(_character, raw)


def _character(match: re.Match[str]) -> str:
    if match[3]:
        return NAMED.get(match[3], match[0])
    return chr(int(match[1]) if match[1] else int(match[2], 16))


def raw_of(tokens: Sequence[Token]) -> str:
    return "".join(token.raw for token in tokens)


def text_items(raw: str) -> list[Item]:
    """Return the items of a text: characters, sections of CDATA, and comments, which are points."""
    items: list[Item] = []
    last = 0
    for match in MARKUP.finditer(raw):
        items.append(Item(Kind.TEXT, raw[last : match.start()], meaning(raw[last : match.start()])))
        is_text = match[0].startswith("<![CDATA[")
        items.append(Item(Kind.TEXT, match[0], match[0][9:-3]) if is_text else Item(Kind.POINT, match[0]))
        last = match.end()
    return [*items, Item(Kind.TEXT, raw[last:], meaning(raw[last:]))]


def code_items(tokens: Sequence[Token], offset: int) -> list[Item]:
    """Return the items of a segment, whose tokens begin at `offset` in the document.

    Elements around text are spans; so is what stands between the start and the end of a paired code. Other codes are
    points, and marked text that is not to be translated is kept.
    """
    items: list[Item] = []
    open_codes: list[tuple[int, str]] = []  # items, and the keys of paired codes; "" for an element
    index = 0
    while index < len(tokens):
        token = tokens[index]
        last = token.end - offset if token.kind == "start" else index
        if token.kind == "text":
            items += text_items(token.raw)
        elif token.kind == "end":
            while open_codes and open_codes.pop()[1]:  # a paired code that goes on behind the element
                pass
            items.append(Item(Kind.CLOSE, token.raw))
        elif _is_protected(token) or token.name in CODES:
            raw = raw_of(tokens[index : last + 1])
            index = last
            if token.name in CODES:
                _add_code(items, open_codes, token, raw)
            else:
                inside = "".join(meaning(one.raw) for one in tokens[: last + 1] if one.kind == "text")
                items.append(Item(Kind.ATOM, raw, inside))
        elif last == index + 1 and not tokens[last].raw:  # a tag that is both
            items.append(Item(Kind.POINT, token.raw))
            index = last
        else:
            open_codes.append((len(items), ""))
            items.append(Item(Kind.OPEN, token.raw))
        index += 1
    return items


def _is_protected(token: Token) -> bool:
    is_mark = token.name == "mrk" and token.attributes.get("mtype") == "protected"
    return is_mark or token.attributes.get("translate") == "no"


def _add_code(items: list[Item], open_codes: list[tuple[int, str]], token: Token, raw: str) -> None:
    """Add a code: a point, or the end of a span whose start it turns from a point into one."""
    names = ("rid", "i", "id") if token.name in ("bpt", "ept", "bx", "ex") else ("startRef", "id")
    key = next((token.attributes[name] for name in names if name in token.attributes), "?")
    items.append(Item(Kind.POINT, raw))
    if token.name in STARTS:
        open_codes.append((len(items) - 1, key))
    elif token.name in ENDS and open_codes and open_codes[-1][1] == key:
        start = open_codes.pop()[0]
        items[start], items[-1] = Item(Kind.OPEN, items[start].raw), Item(Kind.CLOSE, raw)

"""The units of a document: the texts that are translated one by one, each with the inline tags that stand in it.

A document is a list of parts: strings, which are kept as they are, and units.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from nmt.data.placeholders import MARKUP

SPACES = re.compile(r"[ \t\n\r\f]+")
"""White space that may be broken over lines; a no-break space is text."""
LETTER = re.compile(r"[^\W\d_]")
SEPARATOR = re.compile(r"\s*[|\u2022\u00b7\u203a\u00bb\u2192]+\s*")
ATOMS = re.compile(MARKUP)


class Kind(Enum):
    """The kinds of items in a unit."""

    TEXT = auto()
    OPEN = auto()  # the start of a span
    CLOSE = auto()  # its end; spans are nested
    POINT = auto()  # a tag without text, such as a picture
    ATOM = auto()  # text that the model reads, but that is kept as it is, such as code or an address


@dataclass(frozen=True)
class Item:
    """A piece of a unit: its source, and the text that it stands for."""

    kind: Kind
    raw: str
    text: str = ""  # of an end: how it is written around a translation, where that is another way
    is_optional: bool = False  # of a start: whether the span means nothing without text

    @property
    def tag(self) -> str:
        """How a tag is written around a translation."""
        return (self.kind is Kind.CLOSE and self.text) or self.raw

    @property
    def is_blank(self) -> bool:
        """Whether it is a text of white space alone."""
        return self.kind is Kind.TEXT and not self.text.strip()


@dataclass
class Node:
    """A tag in a unit, with the part of the unit's line that it spans; a point spans nothing."""

    kind: Kind  # OPEN for a span with both of its ends
    raw: str
    start: int
    end: int
    parent: int  # index of the innermost span around it, -1 for none
    close: str = ""  # the source of the end of a span
    spaced: tuple[bool, bool] = False, False  # whether white space stands before and after it
    is_optional: bool = False  # whether it is left out where it spans nothing


@dataclass(frozen=True)
class Unit:
    """Text that is translated as one line, with its tags."""

    items: Sequence[Item]
    escape: Callable[[str], str]  # writes translated text in the document's format
    is_line: bool = False  # whether it is one text, whose white space is part of it
    finish: Callable[[str], str] = str  # is given the whole translated unit, tags included

    @property
    def is_plain(self) -> bool:
        """Whether it holds text alone."""
        return all(item.kind is Kind.TEXT for item in self.items)

    def layout(self) -> tuple[str, list[Node]]:
        """Return the line for the model, without tags, and the tags with their places in it, outer ones first."""
        if self.is_line:
            return self.items[0].text, []
        line = ""
        nodes: list[Node] = []
        open_spans: list[int] = []
        for item in self.items:
            at, parent = len(line), open_spans[-1] if open_spans else -1
            if item.kind in (Kind.TEXT, Kind.ATOM):
                text = SPACES.sub(" ", item.text)
                if text[:1] == " " and line[-1:] in ("", " "):
                    text = text[1:]
                    for node in reversed(nodes):  # points between two spaces, which are one in the line
                        if node.start < at:
                            break
                        node.spaced = False, True
                line += text
            if item.kind is Kind.CLOSE:
                node = nodes[open_spans.pop()]
                node.close, node.end = item.tag, max(node.start, len(line.rstrip(" ")))
            elif item.kind is not Kind.TEXT:
                if item.kind is Kind.OPEN:
                    open_spans.append(len(nodes))
                nodes.append(Node(item.kind, item.raw, at, len(line), parent, is_optional=item.is_optional))
        for node in nodes:
            before, after = line[node.start - 1 : node.start], line[node.end : node.end + 1]
            node.spaced = before in ("", " "), node.spaced[1] or after in ("", " ")
        return line.rstrip(" "), nodes


Part = str | Unit


def text(raw: str, meaning: str | None = None) -> Item:
    return Item(Kind.TEXT, raw, raw if meaning is None else meaning)


def parts_of(items: Iterable[Item], escape: Callable[[str], str], finish: Callable[[str], str] = str) -> list[Part]:
    """Return the parts of a run of items between two block boundaries.

    Marks such as `|` between the items of a menu divide it. A run without a letter is kept as it is. White space,
    points and spans around everything are no part of the unit.
    """
    parts: list[Part] = []
    run: list[Item] = []
    depth = 0
    for item in _without_empty_spans(_with_atoms(items, escape)):
        depth += (item.kind is Kind.OPEN) - (item.kind is Kind.CLOSE)
        if depth == 0 and item.kind is Kind.TEXT and SEPARATOR.fullmatch(item.text):
            parts += [*_unit_of(run, escape, finish), item.raw]
            run = []
        else:
            run.append(item)
    return [part for part in [*parts, *_unit_of(run, escape, finish)] if part]


def _unit_of(inner: list[Item], escape: Callable[[str], str], finish: Callable[[str], str]) -> list[Part]:
    if not any(item.kind is Kind.TEXT and LETTER.search(item.text) for item in inner):
        return ["".join(item.raw for item in inner)]
    before, after = _peel(inner)
    return [before, Unit(inner, escape, finish=finish), after]


def _with_atoms(items: Iterable[Item], escape: Callable[[str], str]) -> list[Item]:
    """Join neighbouring texts, and make atoms of the addresses and variables in them."""
    joined: list[Item] = []
    for item in items:
        if item.kind is Kind.TEXT and joined and joined[-1].kind is Kind.TEXT:
            joined[-1] = text(joined[-1].raw + item.raw, joined[-1].text + item.text)
        else:
            joined.append(item)
    found: list[Item] = []
    for item in joined:
        matches = list(ATOMS.finditer(item.text)) if item.kind is Kind.TEXT else []
        if not matches:
            found.append(item)
            continue
        write = str if item.raw == item.text else escape
        last = 0
        for match in matches:
            found.append(text(write(item.text[last : match.start()]), item.text[last : match.start()]))
            found.append(Item(Kind.ATOM, write(match[0]), match[0]))
            last = match.end()
        found.append(text(write(item.text[last:]), item.text[last:]))
    return [item for item in found if item.raw or item.text]


def _without_empty_spans(items: Iterable[Item]) -> list[Item]:
    """Turn spans around nothing but points and white space into points."""
    kept: list[Item] = []
    open_spans: list[tuple[int, bool]] = []  # index in `kept`, and whether text was met since
    for item in items:
        if item.kind is Kind.OPEN:
            open_spans.append((len(kept), False))
        elif item.kind is Kind.CLOSE:
            at, has_text = open_spans.pop()
            if not has_text:
                raw = "".join(one.raw for one in [*kept[at:], item])
                is_spaced = any(one.is_blank and one.text for one in kept[at:])
                kept[at:] = [Item(Kind.POINT, raw), *([text("", " ")] if is_spaced else [])]
                continue
            if open_spans:
                open_spans[-1] = open_spans[-1][0], True
        elif open_spans and item.kind is not Kind.POINT and not item.is_blank:
            open_spans[-1] = open_spans[-1][0], True
        kept.append(item)
    return kept


def _peel(items: list[Item]) -> tuple[str, str]:
    """Take white space, points, and spans around everything off both ends of `items`; return their source."""
    before, after = "", ""
    ends = _ends(items)
    first, last = 0, len(items) - 1
    while True:
        if items[first].kind is Kind.POINT or items[first].is_blank:
            before += items[first].raw
            first += 1
        elif items[last].kind is Kind.POINT or items[last].is_blank:
            after = items[last].raw + after
            last -= 1
        elif items[first].kind is Kind.OPEN and ends[first] == last:
            before, after = before + items[first].raw, items[last].tag + after
            first, last = first + 1, last - 1
        else:
            break
    del items[last + 1 :], items[:first]
    for at in (0, -1):
        if items[at].kind is Kind.TEXT:
            raw, meaning = items[at].raw, items[at].text
            bare = raw.lstrip(" \t\n\r\f") if at == 0 else raw.rstrip(" \t\n\r\f")
            if at == 0:
                before += raw[: len(raw) - len(bare)]
            else:
                after = raw[len(bare) :] + after
            items[at] = text(bare, meaning.strip(" \t\n\r\f") if len(items) == 1 else _stripped(meaning, at))
    return before, after


def _stripped(meaning: str, at: int) -> str:
    return meaning.lstrip(" \t\n\r\f") if at == 0 else meaning.rstrip(" \t\n\r\f")


def _ends(items: Sequence[Item]) -> dict[int, int]:
    """Return the index of the end of each span by that of its start."""
    ends: dict[int, int] = {}
    open_spans: list[int] = []
    for index, item in enumerate(items):
        if item.kind is Kind.OPEN:
            open_spans.append(index)
        elif item.kind is Kind.CLOSE:
            ends[open_spans.pop()] = index
    return ends


def tagged_items(source: str, tags: re.Pattern[str], write: Callable[[str], str] = str) -> list[Item]:
    """Return the items of a text whose `tags` are written within it, such as `<i>`; `write` writes it in the document.

    A tag whose other end is missing, or stands in another tag, is a point.
    """
    items: list[Item] = []
    open_tags: list[tuple[int, str]] = []  # items, and the names of their elements
    last = 0
    for match in tags.finditer(source):
        if match.start() > last:
            items.append(text(write(source[last : match.start()]), source[last : match.start()]))
        last = match.end()
        raw = write(match[0])
        name = match[0].strip("</>").partition(" ")[0].lower()
        items.append(Item(Kind.POINT, raw))
        if match[0].startswith("</"):
            while open_tags and open_tags[-1][1] != name and any(other == name for _, other in open_tags):
                open_tags.pop()
            if open_tags and open_tags[-1][1] == name:
                at = open_tags.pop()[0]
                items[at], items[-1] = Item(Kind.OPEN, items[at].raw), Item(Kind.CLOSE, raw)
        elif match[0].startswith("<") and not match[0].endswith("/>"):
            open_tags.append((len(items) - 1, name))
    if last < len(source):
        items.append(text(write(source[last:]), source[last:]))
    return items

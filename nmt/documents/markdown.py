"""Find the units of Markdown: CommonMark with tables and strikethrough, by the package markdown-it-py.

Its parser tells which lines a block has; here it notes, too, where in a block each inline token stands, so that
everything but the text of the units keeps its characters. A paragraph becomes one line.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from itertools import zip_longest

from markdown_it import MarkdownIt, rules_inline
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from nmt.documents.filling import DocumentReport, Setting
from nmt.documents.html import CODE, VOID, html_parts
from nmt.documents.units import Item, Kind, Part, parts_of, text

AT = "at"
"""Key of a token's `meta`: the start and the end of what made it, within the content of the block."""
FRONT_MATTER = re.compile(r"---[ \t]*\r?\n.*?\n(?:---|\.\.\.)[ \t]*(?:\r?\n|$)", re.DOTALL)
"""Settings of a page, at its top."""
SPECIAL = re.compile(r"([\\`*_\[\]<>~#&!|])")
BEGINS_BLOCK = re.compile(r"(\d+(?=[.)])|(?=[-+=:]))")
TASK = re.compile(r"\[[ xX]\][ \t]+")
NOTE = re.compile(r"\[\^[^\]\s]+\]:?")  # the mark of a footnote
TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9-]*)")
Rule = Callable[[StateInline, bool], bool]


def _noting(name: str, rule: Rule) -> Rule:
    """Return a rule that notes the places of the tokens that `rule` makes."""

    def noting(state: StateInline, silent: bool) -> bool:
        start, count = state.pos, len(state.tokens)
        if not rule(state, silent):
            return False
        new = state.tokens[count:]
        if silent or not new:
            return True
        end = state.pos
        if name in ("emphasis", "strikethrough"):
            for token in reversed(new):
                if end <= start:
                    break  # text before the delimiters
                token.meta[AT], end = (end - len(token.content), end), end - len(token.content)
        elif name == "link":
            label = state.md.helpers.parseLinkLabel(state, start, True)
            opening = next(token for token in new if token.type == "link_open" and AT not in token.meta)
            opening.meta[AT], new[-1].meta[AT] = (start, start + 1), (label, end)
        elif name == "autolink":
            new[-3].meta[AT] = start, end
        else:
            new[-1].meta[AT] = start, end
        return True

    return noting


RULES: dict[str, Rule] = {
    "newline": rules_inline.newline,
    "escape": rules_inline.escape,
    "backticks": rules_inline.backtick,
    "strikethrough": rules_inline.strikethrough.tokenize,
    "emphasis": rules_inline.emphasis.tokenize,
    "link": rules_inline.link,
    "image": rules_inline.image,
    "autolink": rules_inline.autolink,
    "html_inline": rules_inline.html_inline,
    "entity": rules_inline.entity,
}


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"]).disable("text_join")
    for name, rule in RULES.items():
        parser.inline.ruler.at(name, _noting(name, rule))
    return parser


def markdown_parts(source: str, setting: Setting) -> list[Part]:
    """Return the parts of a document in Markdown."""
    front = FRONT_MATTER.match(source)
    begin = front.end() if front else 0
    body = source[begin:].replace("\0", " ")
    lines = _line_spans(body)
    env: dict[str, object] = {}
    parts: list[Part] = [source[:begin]]
    done = 0
    cell = 0  # where in its line the last cell of a table ends
    kind = ""
    for token in _parser().parse(body, env):
        if token.type.endswith("_open"):
            kind = token.type
            cell = 0 if kind == "tr_open" else cell
        if token.type not in ("inline", "html_block") or not token.map:
            continue
        if token.type == "html_block":
            start, end = lines[token.map[0]][0], lines[token.map[1] - 1][1]
            found = _html_block(body[start:end], token.content, setting)
        else:
            places = _places(body, lines[slice(*token.map)], token.content, kind, cell)
            if not places:
                continue
            start, end = places[0], places[-1]
            cell = end - lines[token.map[0]][0]
            found = _Block(body, places, env, is_cell=kind in ("td_open", "th_open")).parts(token)
        parts += [body[done:start], *found]
        done = end
    return [*parts, body[done:]]


def _line_spans(source: str) -> list[tuple[int, int]]:
    """Return the start and the end of each line, without its line break."""
    spans = []
    start = 0
    for match in re.finditer("\r\n|\r|\n|$", source):
        spans.append((start, match.start()))
        start = match.end()
    return spans


def _html_block(raw: str, content: str, setting: Setting) -> list[Part]:
    """Return the parts of a block of HTML; one that is not whole, or stands in a quotation, is kept."""
    trial = replace(setting, report=DocumentReport())
    parts = html_parts(raw, trial)
    return parts if raw.rstrip() == content.rstrip() and not trial.report.repaired else [raw]


def _places(source: str, lines: Sequence[tuple[int, int]], content: str, kind: str, cell: int) -> list[int]:
    """Return where in `source` each character of `content` stands, and where it ends; nothing if not found."""
    places: list[int] = []
    reached = 0
    for number, ((start, end), part) in enumerate(zip(lines, content.split("\n"), strict=False)):
        line, bare = source[start:end], part.strip(" \t")
        if kind in ("td_open", "th_open"):
            bare = bare.replace("|", "\\|")
            at = line.find(bare, cell)
        else:
            at = line.rfind(bare)
        if at < 0:
            return []
        lead, trail = len(part) - len(part.lstrip(" \t")), len(part.rstrip(" \t"))
        if number:
            places += [reached] + [start + at] * lead  # the line break, and an indentation
        skipped = 0
        for index, letter in enumerate(part[lead:trail]):
            skipped += letter == "|" and bare[index + skipped] == "\\"
            places.append(start + at + index + skipped)
        reached = start + at + len(bare)
        places += range(reached, reached + len(part) - max(lead, trail))
    return [*places, places[-1] + 1] if len(places) == len(content) > 0 else []


class _Block:
    """The inline content of a block."""

    def __init__(self, source: str, places: list[int], env: dict[str, object], *, is_cell: bool) -> None:
        self.source, self.places, self.env, self.is_cell = source, places, env, is_cell
        self.items: list[Item] = []
        self.open: list[tuple[int, str]] = []  # open spans: their items, and the names of those of HTML
        self.reached = 0  # in the content
        self.meaning = ""  # of the text since the last tag

    def parts(self, token: Token) -> list[Part]:
        """Return the parts of the content of `token`; a hard line break ends a unit."""
        found: list[Part] = []
        children = iter(token.children or [])
        if task := TASK.match(token.content):
            self._add(Kind.POINT, 0, task.end())
            self.meaning = next(children).content[task.end() :]
        for child in children:
            if child.type in ("text", "text_special", "softbreak"):
                self.meaning += child.content or " "
                continue
            start, end = child.meta[AT]
            if child.type == "hardbreak" or (child.type == "html_inline" and child.content[:3].lower() == "<br"):
                start -= len(self.meaning) - len(self.meaning.rstrip(" ")) if child.type == "hardbreak" else 0
                found += [*self._end(start), self._raw(start, end)]
                self.reached = end
            elif child.type == "html_inline":
                self._html(child, start, end)
            elif child.markup == "autolink":
                address = next(children).content
                next(children)
                self._add(Kind.ATOM, start, end, address)
            elif child.nesting == 0:
                is_code = child.type == "code_inline"
                self._add(Kind.ATOM if is_code else Kind.POINT, start, end, child.content if is_code else "")
            else:
                self._span(child, start, end)
        return [*found, *self._end(len(self.places) - 1)]

    def _raw(self, start: int, end: int) -> str:
        return self.source[self.places[start] : self.places[end]]

    def _flush(self, start: int) -> None:
        """Add the text before `start`."""
        raw = self._raw(self.reached, start)
        self.meaning, meaning = "", self.meaning
        self.reached = start
        for part, note in zip_longest(NOTE.split(raw), NOTE.findall(raw)) if NOTE.search(raw) else [(raw, None)]:
            if part:
                self.items.append(text(part, part if note or part != raw else meaning))
            if note:
                self.items.append(Item(Kind.POINT, note))

    def _add(self, kind: Kind, start: int, end: int, meaning: str = "", *, is_optional: bool = False) -> None:
        self._flush(start)
        self.items.append(Item(kind, self._raw(start, end), meaning, is_optional))
        self.reached = end

    def _span(self, token: Token, start: int, end: int) -> None:
        """Add the start or the end of a link, or of emphasis, whose delimiters are `markup`."""
        if token.nesting > 0:
            start = start if token.type == "link_open" else end - len(token.markup)
            self._flush(start)
            self.open.append((len(self.items), ""))
            self._add(Kind.OPEN, start, end, is_optional=token.type != "link_open")
            return
        while self.open and self.open[-1][1]:
            self._make_point(self.open.pop()[0])
        opened = self.open.pop()[0] if self.open else None  # before a hard line break
        end = end if token.type == "link_close" else start + len(token.markup)
        self._add(Kind.CLOSE, start, end)
        if (
            opened is not None and token.type == "link_close" and self.items[-1].raw in ("]", "][]")
        ):  # named by its text, which changes
            raw = "".join(item.raw for item in self.items[opened:])
            if NOTE.fullmatch(raw):
                self.items[opened:] = [Item(Kind.POINT, raw)]
            else:
                label = raw[1 : -len(self.items[-1].raw)]
                self.items[-1] = replace(self.items[-1], text=f"][{label}]")

    def _html(self, token: Token, start: int, end: int) -> None:
        """Add a tag of HTML: a span where its end is in the same spans, otherwise a point."""
        found = TAG.match(token.content)
        name = found[2].lower() if found else ""
        if found and not found[1] and name not in VOID and not token.content.endswith("/>"):
            self._flush(start)
            self.open.append((len(self.items), name))
            self._add(Kind.OPEN, start, end)
        elif found and found[1] and self.open and self.open[-1][1] == name:
            opened = self.open.pop()[0]
            self._add(Kind.CLOSE, start, end)
            if name in CODE:
                inside = self.items[opened:]
                meaning = "".join(item.text for item in inside)
                self.items[opened:] = [Item(Kind.ATOM, "".join(item.raw for item in inside), meaning)]
        else:
            self._add(Kind.POINT, start, end)

    def _make_point(self, index: int) -> None:
        self.items[index] = replace(self.items[index], kind=Kind.POINT)

    def _end(self, end: int) -> list[Part]:
        """End the unit at `end`; a span that goes on behind it is no span."""
        self._flush(end)
        depth: list[int] = []
        for index, item in enumerate(self.items):
            if item.kind is Kind.OPEN:
                depth.append(index)
            elif item.kind is Kind.CLOSE and depth:
                depth.pop()
            elif item.kind is Kind.CLOSE:
                self._make_point(index)
        for index in depth:
            self._make_point(index)
        self.open = []
        items, self.items = self.items, []
        return parts_of(items, self.escape)

    def escape(self, translation: str) -> str:
        """Write text in Markdown, with backslashes only where it would be read as something else."""
        written = translation
        if not self._is_read_as(written, translation):
            written = SPECIAL.sub(r"\\\1", translation)
            if not self._is_read_as(written, translation):
                written = BEGINS_BLOCK.sub(r"\1\\", written, count=1)
        return re.sub(r"(?<!\\)\|", r"\\|", written) if self.is_cell else written

    def _is_read_as(self, written: str, translation: str) -> bool:
        """Whether a paragraph of `written` is the text `translation`."""
        if not translation.strip():
            return True
        tokens = _parser().parse(written.strip(), dict(self.env))
        children = tokens[1].children or [] if len(tokens) == 3 and tokens[0].type == "paragraph_open" else []
        is_text = {child.type for child in children} <= {"text", "text_special"}
        return is_text and "".join(child.content for child in children) == translation.strip()

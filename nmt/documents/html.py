"""Find the units of HTML: a page or a fragment, whose tags are balanced where they are not.

Tags are found by Python's own parser, which tells where each begins, so that everything but the text of the units keeps
its bytes. Elements are nested as in the HTML standard, sections 13.1.2.4 (optional tags) and 13.2.6, as far as it tells
where one ends.
"""

import html
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser

from nmt.documents.filling import Setting
from nmt.documents.units import LETTER, Item, Kind, Part, parts_of


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


VOID = _names("area base br col embed hr img input link meta param source track wbr")
INLINE = _names(
    "a abbr acronym b bdi bdo big cite code data del dfn em font i img ins kbd label mark nobr q rp rt ruby s "
    "samp small span strike strong sub sup time tt u var wbr"
)
"""Elements within a sentence; every other one, and any that holds another one, ends a unit."""
FORMATTING = _names("a b big code em font i nobr s small strike strong tt u")
CODE = frozenset({"code", "kbd", "samp", "tt", "var"})
"""Inline elements that the model reads, but whose text is kept."""
EMBEDDED = _names("audio canvas iframe map math object picture script style svg template video")
"""Elements kept as they are, which may stand within a sentence."""
KEPT = _names("listing noembed noframes plaintext pre textarea xmp")
"""Elements kept as they are, between units."""
RAW_TEXT = _names("iframe noembed noframes plaintext script style textarea title xmp")
"""Elements whose text is no markup."""
OPTIONAL_END = {
    "caption": "thead tbody tfoot tr",
    "colgroup": "thead tbody tfoot tr",
    "dd": "dt dd",
    "dt": "dt dd",
    "head": "body",
    "li": "li",
    "optgroup": "optgroup",
    "option": "option optgroup",
    "p": "p",
    "rp": "rp rt",
    "rt": "rp rt",
    "tbody": "tbody tfoot",
    "td": "td th tr tbody tfoot",
    "tfoot": "",
    "th": "td th tr tbody tfoot",
    "thead": "tbody tfoot",
    "tr": "tr tbody tfoot",
    "body": "",
    "html": "",
}
"""Elements whose end tag may be left out, and the elements whose start ends them."""
ENDED_BY = {name: _names(names) for name, names in OPTIONAL_END.items()}
TABLE_PARTS = _names("caption table tbody td tfoot th thead tr")
SHORT = 10  # tokens of an element that are looked at for its being the mark of a note
MAX_REOPENED = 8  # elements opened again after an end tag that crosses them
UNFINISHED = re.compile("<(?=[a-zA-Z/!?])")
"""Begins a tag that the end of the document cuts off, which is text."""
LANGUAGE = re.compile(r"""(\s(?:xml:)?lang\s*=\s*)(?:"[^"]*"|'[^']*'|[^\s>"']+)""", re.IGNORECASE)
IGNORED = re.compile("(</>)")  # which parsers leave out in silence

KINDS = {"start": Kind.OPEN, "end": Kind.CLOSE, "point": Kind.POINT, "text": Kind.TEXT}


@dataclass
class Token:
    """A piece of HTML, whose `raw` texts join to the whole."""

    kind: str  # start, end, point or text
    raw: str
    name: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    end: int = -1  # of a start: the index of its end
    is_raw: bool = False  # whether a text is that of an element of `RAW_TEXT`


class _Tokenizer(HTMLParser):
    """Records where each piece of HTML begins."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.source = source
        self.tokens: list[Token] = []
        self._starts: list[int] = []
        self._lines = [0, *(match.end() for match in re.finditer("\n", source))]
        self.feed(source)
        self.close()

    def found(self) -> list[Token]:
        """Return the tokens with their source; neighbouring texts are one."""
        ends = [*self._starts[1:], len(self.source)]
        tokens: list[Token] = []
        for token, start, end in zip(self.tokens, self._starts, ends, strict=False):
            raw = self.source[start:end]
            is_text = token.kind == "text" and not token.is_raw
            for part in IGNORED.split(raw) if is_text else [raw]:
                if is_text and part == "</>":
                    tokens.append(Token("point", part))
                elif is_text and tokens and tokens[-1].kind == "text":
                    tokens[-1].raw += part
                else:
                    tokens.append(replace(token, raw=part))
        for token in tokens:
            if token.kind == "text" and not token.is_raw:
                token.raw = UNFINISHED.sub("&lt;", token.raw)
        return [token for token in tokens if token.raw]

    def parse_marked_section(self, i: int, report: bool = True) -> int:
        """Take what begins like `<![CDATA[` but goes on otherwise for a comment (HTML standard, section 13.2.5.42)."""
        try:
            return super().parse_marked_section(i, report)
        except AssertionError:  # of the parser in Python 3.11, which expects a name there
            return self.parse_bogus_comment(i, report)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        kind = "text" if "<" in tag else "point" if tag in VOID else "start"  # a tag within a tag is none
        self._add(Token(kind, "", tag, {name: value or "" for name, value in attrs}))
        if tag in RAW_TEXT:
            self.set_cdata_mode(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        self._add(Token("point", "", tag))

    def handle_endtag(self, tag: str) -> None:
        self._add(Token("end", "", tag))

    def handle_data(self, data: str) -> None:
        self._add(Token("text", data, is_raw=self.cdata_elem is not None))

    def handle_comment(self, data: str) -> None:  # noqa: ARG002
        self._add(Token("point", ""))

    def handle_decl(self, decl: str) -> None:
        self.handle_comment(decl)

    def handle_pi(self, data: str) -> None:
        self.handle_comment(data)

    def unknown_decl(self, data: str) -> None:
        self.handle_comment(data)

    def _add(self, token: Token) -> None:
        line, column = self.getpos()
        self.tokens.append(token)
        self._starts.append(self._lines[line - 1] + column)


def is_inline(name: str) -> bool:
    """Whether an element may stand within a sentence, as one of a name of its own does."""
    return name in INLINE or "-" in name


class _Balancer:
    """Gives each start tag its end, and leaves out ends without a start."""

    def __init__(self) -> None:
        self.tokens: list[Token] = []
        self.open: list[int] = []  # indices of the start tags that are open
        self.names: Counter[str] = Counter()  # of these
        self.repaired = 0

    def add(self, token: Token) -> None:
        """Add the next token of the source."""
        if token.kind == "start":
            self._end_optional(token.name)
            self._start(token)
        elif token.kind == "end":
            self._end(token)
        else:
            self.tokens.append(token)

    def finish(self) -> list[Token]:
        """Close what is open, and return all tokens."""
        while self.open:
            self._close()
        return self.tokens

    def _start(self, token: Token) -> None:
        self.open.append(len(self.tokens))
        self.names[token.name] += 1
        self.tokens.append(token)

    def _close(self, raw: str | None = None) -> Token:
        """Close the innermost element by `raw`, or by nothing where its end tag is optional; return its start."""
        start = self.tokens[self.open.pop()]
        self.names[start.name] -= 1
        if raw is None:
            raw = "" if start.name in ENDED_BY and not is_inline(start.name) else f"</{start.name}>"
            self.repaired += start.name not in ENDED_BY
            if raw:
                self._spell_ends()
        start.end = len(self.tokens)
        self.tokens.append(Token("end", raw, start.name))
        return start

    def _spell_ends(self) -> None:
        """Write the optional end tags before an end tag that is added: it would not reach beyond their elements."""
        for token in reversed(self.tokens):
            if token.kind != "end" or token.raw:
                break
            token.raw = f"</{token.name}>"

    def _end_optional(self, name: str) -> None:
        """Close the elements that the start of `name` ends."""
        count = 0
        for depth, index in enumerate(reversed(self.open), 1):
            if (outer := self.tokens[index].name) not in ENDED_BY:
                break
            if name in ENDED_BY[outer]:
                count = depth
            if name == "p":  # which ends the innermost alone
                break
        for _ in range(count):
            self._close()

    def _end(self, token: Token) -> None:
        """Close the element that an end tag ends, with those inside; leave out the tag where there is none."""
        depth = self._depth_of(token.name) if self.names[token.name] else 0
        if not depth:
            self.repaired += 1
            if token.name == "p":  # an element of its own, as is a line break
                self._start(Token("start", "<p>", "p"))
                self._close(token.raw)
            elif token.name == "br":
                self.tokens.append(Token("point", "<br>", "br"))
            return
        crossed = [self._close() for _ in range(depth - 1)]
        self._close(token.raw)
        if is_inline(token.name):
            again = [start for start in crossed if start.name in FORMATTING][:MAX_REOPENED]
            for start in reversed(again):
                self._start(replace(start))

    def _depth_of(self, name: str) -> int:
        """Return the number of elements from the one that `</name>` ends to the innermost, 0 for none."""
        for depth, index in enumerate(reversed(self.open), 1):
            outer = self.tokens[index].name
            if outer == name:
                return depth
            if is_inline(name) and not is_inline(outer):
                return 0
            if outer in TABLE_PARTS and name not in TABLE_PARTS:
                return 0
        return 0


def balanced(source: str) -> tuple[list[Token], int]:
    """Return the tokens of `source`, where every start has an end, and the number of tags added or left out.

    An end tag that may be left out is an empty token.
    """
    balancer = _Balancer()
    for token in _Tokenizer(source).found():
        balancer.add(token)
    return balancer.finish(), balancer.repaired


def html_parts(source: str, setting: Setting) -> list[Part]:
    """Return the parts of a page or a fragment; the tags added or left out to balance it are reported.

    The language that the tag `html` of a page names becomes the target language.
    """
    tokens, repaired = balanced(source)
    setting.report.repaired += repaired
    for token in tokens:
        if token.name == "html" and setting.languages:
            token.raw = LANGUAGE.sub(rf'\g<1>"{setting.languages[1]}"', token.raw)
    kept = _kept(tokens)
    breaks = _breaks(tokens, kept)
    parts: list[Part] = []
    run: list[Item] = []
    index = 0
    while index < len(tokens):
        inside = tokens[index : kept.get(index, index) + 1]
        raw = "".join(token.raw for token in inside)
        if tokens[index].name in KEPT or any(breaks[index : index + len(inside)]):
            parts += [*parts_of(run, escape), raw]
            run = []
        elif index in kept:
            meaning = "" if tokens[index].name in EMBEDDED else _meaning(inside)
            run.append(Item(Kind.ATOM if LETTER.search(meaning) else Kind.POINT, raw, meaning))
        else:
            run.append(Item(KINDS[tokens[index].kind], raw, _meaning(inside)))
        index += len(inside)
    return [*parts, *parts_of(run, escape)]


def escape(translation: str) -> str:
    """Write text in HTML."""
    return html.escape(translation, quote=False)


def _meaning(tokens: Sequence[Token]) -> str:
    return html.unescape("".join(token.raw for token in tokens if token.kind == "text"))


def _kept(tokens: Sequence[Token]) -> dict[int, int]:
    """Return the index of the end of each outermost element that is kept as it is, by that of its start."""
    kept: dict[int, int] = {}
    last = -1
    for index, token in enumerate(tokens):
        if token.kind == "start" and index > last and _is_kept(token, tokens[index : min(token.end, index + SHORT)]):
            kept[index] = last = token.end
    return kept


def _is_kept(token: Token, begin: Sequence[Token]) -> bool:
    """Whether an element, which begins with the tokens `begin`, is code, not to be translated, or a mark of a note."""
    return (
        token.name in CODE | EMBEDDED | KEPT
        or token.attributes.get("translate", "").lower() == "no"
        or "notranslate" in token.attributes.get("class", "").split()
        or (token.name == "sup" and not LETTER.search(_meaning(begin)))
    )


def _breaks(tokens: Sequence[Token], kept: dict[int, int]) -> list[bool]:
    """Mark the tokens that end a unit: tags of elements that are not inline, or have one inside that is not."""
    breaks = [False] * len(tokens)
    open_elements: list[tuple[int, bool]] = []  # start, and whether something inside ends a unit
    skip_to = -1
    for index, token in enumerate(tokens):
        if token.name in EMBEDDED and index in kept:
            skip_to = kept[index]
        if index <= skip_to or token.kind == "text" or not token.name:
            continue
        is_break = not (is_inline(token.name) or token.name in EMBEDDED)
        if token.kind == "start":
            open_elements.append((index, is_break))
        elif token.kind == "end":
            start, is_break = open_elements.pop()
            breaks[start] = breaks[index] = is_break
        else:
            breaks[index] = is_break
        if is_break and token.kind != "start" and open_elements:
            open_elements[-1] = open_elements[-1][0], True
    return breaks

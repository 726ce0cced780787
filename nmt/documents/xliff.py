"""Find the units of XLIFF (1.0 to 1.2, and 2): a unit or segment without a translation gets a target."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from nmt.documents.filling import Setting
from nmt.documents.units import Part, parts_of
from nmt.documents.xml import Token, code_items, escape, parse, raw_of
from nmt.errors import DataError

HOLDERS = ("trans-unit", "segment")
STATE = ' state="needs-review-translation" state-qualifier="mt-suggestion"'
"""Of a target in version 1, where these are the values for a machine's translation."""
Edits = dict[int, tuple[int, list[Part]]]
"""By the index of the first token of what they replace: the index behind it, and the new parts."""


def xliff_parts(source: str, setting: Setting) -> list[Part]:
    """Return the parts of a document.

    Units with a translation, and those not to be translated, are kept. Raises DataError where the document is not
    XLIFF, or is in other languages than those of `setting`.
    """
    tokens = parse(source, setting.name)
    if not any(token.name == "xliff" for token in tokens):
        raise DataError(f"{setting.name}: has no element <xliff>", hint="is it XLIFF?")
    edits: Edits = {}
    translate = [True]
    for index, token in enumerate(tokens):
        if token.kind == "start":
            own = {"no": False, "yes": True}.get(token.attributes.get("translate", ""), translate[-1])
            translate.append(own)
            if token.name in ("xliff", "file"):
                _set_languages(token, setting)
            elif token.name in HOLDERS and own:
                _fill(tokens, index, edits)
        elif token.kind == "end":
            translate.pop()
    return with_edits(tokens, edits)


def with_edits(tokens: Sequence[Token], edits: Edits) -> list[Part]:
    """Return the parts of a document in which `edits` are made."""
    parts: list[Part] = []
    done = 0
    for index in sorted(edits):
        end, new = edits[index]
        parts += [raw_of(tokens[done:index]), *new]
        done = end
    return [*parts, raw_of(tokens[done:])]


def add_attribute(token: Token, attribute: str) -> None:
    """Write a further attribute into a start tag."""
    token.raw = re.sub(r"\s*/?>$", lambda end: f" {attribute}{end[0].strip()}", token.raw)


def _set_languages(token: Token, setting: Setting) -> None:
    """Check the languages of a file, and name the target language where it has none. Raises DataError."""
    names = ("srcLang", "trgLang") if token.name == "xliff" else ("source-language", "target-language")
    for side, name in enumerate(names):
        setting.check_language(token.attributes.get(name, ""), f"its {name} is ", side)
    if setting.languages and names[0] in token.attributes and names[1] not in token.attributes:
        add_attribute(token, f'{names[1]}="{setting.languages[1]}"')


@dataclass
class _Holder:
    """The children of a unit of version 1, or of a segment of version 2: their first and last tokens."""

    source: tuple[int, int] | None = None
    divided: tuple[int, int] | None = None  # the source in segments
    target: tuple[int, int] | None = None


def _fill(tokens: Sequence[Token], index: int, edits: Edits) -> None:
    """Give the unit or segment at `index` a target, unless it has one with text."""
    holder = _Holder()
    names = {"source": "source", "seg-source": "divided", "target": "target"}
    at = index + 1
    while at < tokens[index].end:
        token = tokens[at]
        if token.kind == "start":
            if token.name in names:
                setattr(holder, names[token.name], (at, token.end))
            at = token.end
        at += 1
    if holder.source is None:
        return
    if holder.target and any(tokens[at].raw.strip() for at in range(holder.target[0] + 1, holder.target[1])):
        return
    first, last = holder.divided or holder.source
    is_version_2 = tokens[index].name == "segment"
    content = _content(tokens, first + 1, last)
    prefix = tokens[first].raw[1:].partition(tokens[first].name)[0]
    if is_version_2 and "state" not in tokens[index].attributes:
        add_attribute(tokens[index], 'state="translated"')
    new: list[Part] = [f"<{prefix}target{'' if is_version_2 else STATE}>", *content, f"</{prefix}target>"]
    if holder.target:
        edits[holder.target[0]] = holder.target[1] + 1, new
    else:
        edits[last + 1] = last + 1, [_space_before(tokens, first), *new]


def _content(tokens: Sequence[Token], first: int, last: int) -> list[Part]:
    """Return the parts of a text; its segments are units of their own."""
    parts: list[Part] = []
    at = run = first
    while at < last:
        token = tokens[at]
        if token.kind == "start" and token.name == "mrk" and token.attributes.get("mtype") == "seg":
            inner = parts_of(code_items(tokens[at + 1 : token.end], at + 1), escape)
            parts += [raw_of(tokens[run : at + 1]), *inner]
            at = run = token.end
        at += 1
    if run == first:
        return parts_of(code_items(tokens[first:last], first), escape)
    return [*parts, raw_of(tokens[run:last])]


def _space_before(tokens: Sequence[Token], index: int) -> str:
    """Return the white space, a line break and an indentation, before a tag."""
    raw = tokens[index - 1].raw if index and tokens[index - 1].kind == "text" else ""
    return raw if not raw.strip() else ""

"""Find the units of TMX, the exchange format of translation memories: a unit gets a variant in the target language."""

from nmt.data.languages import best_match
from nmt.documents.filling import Setting
from nmt.documents.units import Part, parts_of
from nmt.documents.xliff import Edits, with_edits
from nmt.documents.xml import Token, code_items, escape, parse
from nmt.errors import DataError


def tmx_parts(source: str, setting: Setting) -> list[Part]:
    """Return the parts of a memory; units with a variant in the target language, or none in the source, are kept.

    Raises DataError where no unit has the source language, or `setting` does not name the languages.
    """
    if setting.languages is None:
        raise DataError(f"{setting.name}: a memory is translated from one language to another", hint="name both")
    tokens = parse(source, setting.name)
    edits: Edits = {}
    codes: set[str] = set()
    for index, token in enumerate(tokens):
        if token.kind == "start" and token.name == "tu":
            variants = _variants(tokens, index)
            codes |= variants.keys()
            _fill(tokens, variants, setting.languages, edits)
    if best_match(setting.languages[0], list(codes)) is None:
        problem = f"{setting.name}: no unit has the language {setting.languages[0]!r}"
        raise DataError(problem, hint="is it TMX of another language?")
    return with_edits(tokens, edits)


def _variants(tokens: list[Token], index: int) -> dict[str, int]:
    """Return the first variants of the unit at `index`, by their languages."""
    found: dict[str, int] = {}
    for at in range(index + 1, tokens[index].end):
        token = tokens[at]
        if token.kind == "start" and token.name == "tuv":
            found.setdefault(token.attributes.get("xml:lang") or token.attributes.get("lang") or "", at)
    return found


def _fill(tokens: list[Token], variants: dict[str, int], languages: tuple[str, str], edits: Edits) -> None:
    """Add a variant behind the last one."""
    source = best_match(languages[0], list(variants))
    if source is None or best_match(languages[1], list(variants)) is not None:
        return
    first = variants[source]
    segments = [at for at in range(first, tokens[first].end) if tokens[at].kind == "start" and tokens[at].name == "seg"]
    if not segments:
        return
    begin, end = segments[0] + 1, tokens[segments[0]].end
    last = max(tokens[at].end for at in variants.values()) + 1
    before = tokens[first - 1].raw if tokens[first - 1].kind == "text" else ""
    content = parts_of(code_items(tokens[begin:end], begin), escape)
    new = [f'{before}<tuv xml:lang="{languages[1]}"><seg>', *content, "</seg></tuv>"]
    edits[last] = last, new

"""Translate documents: the text inside markup and files, in place."""

import re
from collections.abc import Callable, Mapping

from nmt.data.pairs import is_blank
from nmt.documents.encodings import decode, html_encoding
from nmt.documents.filling import Setting, TranslateLines, translate_parts
from nmt.documents.formats import DocumentFormat
from nmt.documents.html import html_parts
from nmt.documents.markdown import markdown_parts
from nmt.documents.units import Part, Unit, text


def translate_html(fragment: str, translate: TranslateLines, setting: Setting | None = None) -> str:
    """Translate a fragment of HTML, or a page; the result is balanced.

    The text of a unit without tags inside gives the same as the line by itself. Raises what `translate` raises.
    """
    setting = setting or Setting()
    return "".join(translate_parts(html_parts(fragment, setting), translate, setting))


def translate_document(
    content: bytes, format: DocumentFormat, translate: TranslateLines, setting: Setting | None = None
) -> bytes:
    """Translate the text of a document in place; everything else keeps its bytes.

    Raises DataError, with the name of `setting` and the line where it is known, where the document cannot be read.
    """
    setting = setting or Setting()
    decoded = decode(content, setting.name, html_encoding(content) if format == "html" else None)
    parts = READERS[format](decoded.text, setting)
    whole = "".join(translate_parts(parts, translate, setting))
    return decoded.encode(whole, "xmlcharrefreplace" if format == "html" else "strict")


def text_parts(source: str, _: Setting) -> list[Part]:
    """Return the lines of a text, each a unit that is translated as it is; a blank line is kept."""
    parts: list[Part] = []
    for line in re.split("(\r?\n)", source):
        parts.append(line if is_blank(line) else Unit([text(line)], str, is_line=True))
    return parts


READERS: Mapping[DocumentFormat, Callable[[str, Setting], list[Part]]] = {
    "text": text_parts,
    "html": html_parts,
    "markdown": markdown_parts,
}
"""The functions that find the parts of a document's text, by its format."""

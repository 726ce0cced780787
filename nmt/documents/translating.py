"""Translate documents: the text inside markup and files, in place."""

import re
from collections.abc import Callable, Mapping
from itertools import islice

from nmt.data.pairs import is_blank
from nmt.documents.docx import docx_parts, unpack
from nmt.documents.encodings import decode, html_encoding
from nmt.documents.filling import Setting, TranslateLines, translate_parts
from nmt.documents.formats import DocumentFormat
from nmt.documents.html import html_parts
from nmt.documents.markdown import markdown_parts
from nmt.documents.po import po_encoding, po_parts
from nmt.documents.srt import srt_parts
from nmt.documents.table import table_parts
from nmt.documents.tmx import tmx_parts
from nmt.documents.units import Part, Unit, text
from nmt.documents.xliff import xliff_parts
from nmt.documents.xml import xml_encoding


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
    if format == "docx":
        return _translate_docx(content, translate, setting)
    declared = ENCODINGS[format](content) if format in ENCODINGS else None
    decoded = decode(content, setting.name, declared)
    parts = READERS[format](decoded.text, setting)
    whole = "".join(translate_parts(parts, translate, setting))
    return decoded.encode(whole, "xmlcharrefreplace" if format in REFERENCES else "strict")


def _translate_docx(content: bytes, translate: TranslateLines, setting: Setting) -> bytes:
    archive = unpack(content, setting)
    parts = {name: docx_parts(xml.text, f"{setting.name}/{name}") for name, xml in archive.texts.items()}
    done = iter(translate_parts([part for each in parts.values() for part in each], translate, setting))
    return archive.pack({name: "".join(islice(done, len(each))) for name, each in parts.items()})


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
    "xliff": xliff_parts,
    "po": po_parts,
    "tmx": tmx_parts,
    "csv": table_parts,
    "srt": srt_parts,
}
"""The functions that find the parts of a document's text, by its format."""
ENCODINGS: Mapping[DocumentFormat, Callable[[bytes], str | None]] = {
    "html": html_encoding,
    "xliff": xml_encoding,
    "po": po_encoding,
    "tmx": xml_encoding,
}
"""The functions that find the encoding that a document names, by its format."""
REFERENCES: set[DocumentFormat] = {"html", "xliff", "tmx"}
"""Formats that write a character that their encoding lacks as a reference."""

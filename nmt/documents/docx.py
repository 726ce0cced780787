"""Find the units of a document of Word (.docx): paragraphs, whose runs of another format are spans.

A .docx is a ZIP archive of XML; only the XML of texts is read and written, all other members are copied.
"""

import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from nmt.documents.encodings import Decoded, decode
from nmt.documents.filling import Setting
from nmt.documents.units import Item, Kind, Part, parts_of
from nmt.documents.xliff import Edits, with_edits
from nmt.documents.xml import Token, escape, meaning, parse, raw_of, xml_encoding
from nmt.errors import DataError

TEXTS = re.compile(r"word/(?:document|header\d*|footer\d*|footnotes|endnotes)\.xml")
MAX_UNPACKED = 2**28
"""Bytes that all members may have together, unpacked."""
MAX_MEMBERS = 10_000
WRAPPERS = frozenset({"hyperlink", "ins", "smartTag", "fldSimple"})
BREAKS = frozenset({"br", "cr", "tab", "ptab"})
TAG = re.compile(r"<(/?)(?:[^<>\"']|\"[^\"]*\"|'[^']*')*?(/?)>")
UNSEEN = re.compile(r"<w:lang\b[^>]*/>|<w:noProof\b[^>]*/>")
"""Properties of a run that change nothing of its look."""
NO_LOOK = ("<w:rPr/>", "<w:rPr></w:rPr>")


@dataclass
class Archive:
    """The members of a .docx, and the texts among them."""

    file: zipfile.ZipFile
    texts: dict[str, Decoded]

    def pack(self, texts: dict[str, str]) -> bytes:
        """Return the archive with other texts."""
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as packed:
            for info in self.file.infolist():
                if info.filename in texts:
                    packed.writestr(info, self.texts[info.filename].encode(texts[info.filename], "xmlcharrefreplace"))
                else:
                    packed.writestr(info, self.file.read(info))
        return out.getvalue()


def unpack(content: bytes, setting: Setting) -> Archive:
    """Open a .docx. Raises DataError where it is none, is damaged, or would unpack to too much."""
    try:
        file = zipfile.ZipFile(io.BytesIO(content))
        infos = file.infolist()
        size = sum(info.file_size for info in infos)
        if size > MAX_UNPACKED or len(infos) > MAX_MEMBERS:
            problem = f"{setting.name}: {len(infos):,} members of {size:,} bytes, which is too much"
            raise DataError(problem, hint=f"at most {MAX_MEMBERS:,} of {MAX_UNPACKED:,} bytes")
        names = [info.filename for info in infos if TEXTS.fullmatch(info.filename)]
        contents = {name: file.read(name) for name in names}
        file.testzip()
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError, ValueError) as error:
        raise DataError(f"{setting.name}: not a .docx, or damaged: {error}", hint="save it again as .docx") from None
    if "word/document.xml" not in contents:
        raise DataError(f"{setting.name}: no .docx: it has no word/document.xml", hint="save it as .docx")
    texts = {name: decode(xml, f"{setting.name}/{name}", xml_encoding(xml)) for name, xml in contents.items()}
    return Archive(file, texts)


def docx_parts(source: str, name: str) -> list[Part]:
    """Return the parts of the XML of a text, `name` in messages. Raises DataError."""
    tokens = parse(source, name)
    edits: Edits = {}
    index = 0
    while index < len(tokens):
        token = tokens[index]
        if token.kind == "start" and token.name == "p" and token.raw.startswith("<w:p"):
            if token.end > index + 1:
                edits[index + 1] = token.end, _paragraph(tokens, index + 1, token.end)
            index = token.end
        index += 1
    return with_edits(tokens, edits)


@dataclass(frozen=True)
class _Run:
    """A piece of a paragraph."""

    kind: str  # text, point or break
    raw: str
    text: str = ""
    begin: str = ""  # of a text: what stands before its characters, and behind them
    end: str = ""
    look: str = ""  # the properties of the run

    @property
    def inner(self) -> str:
        return self.raw[len(self.begin) : len(self.raw) - len(self.end)]


def _paragraph(tokens: Sequence[Token], first: int, last: int) -> list[Part]:
    """Return the parts of a paragraph: line breaks and tabulators divide it."""
    runs = list(_joined(_runs(tokens, first, last)))
    looks: Counter[str] = Counter()
    for run in runs:
        looks[run.look] += len(run.text) if run.kind == "text" and not run.begin.startswith("<w:hyper") else 0
    base = max(looks, key=lambda look: looks[look], default="")
    parts: list[Part] = []
    items: list[Item] = []
    finish = partial(_wrapped, look=base)
    for run in runs:
        if run.kind == "break":
            parts += [*parts_of(items, escape, finish), run.raw]
            items = []
        elif run.kind == "point":
            items.append(Item(Kind.POINT, run.raw))
        elif run.look == base and run.begin.startswith("<w:r"):
            items.append(Item(Kind.TEXT, run.raw, run.text))
        else:
            items.append(Item(Kind.OPEN, run.begin, is_optional=True))
            items += [Item(Kind.TEXT, run.inner, run.text), Item(Kind.CLOSE, run.end)]
    return [*parts, *parts_of(items, escape, finish)]


def _runs(tokens: Sequence[Token], first: int, last: int) -> Iterator[_Run]:
    """Yield the pieces of a paragraph in order."""
    index = first
    while index < last:
        token = tokens[index]
        end = token.end if token.kind == "start" else index
        raw = raw_of(tokens[index : end + 1])
        if token.kind == "start" and token.name == "r":
            yield from _run(tokens, index, end)
        elif token.kind == "start" and token.name in WRAPPERS:
            inner = list(_joined(_runs(tokens, index + 1, end), any_look=True))
            if len(inner) == 1 and inner[0].kind == "text":
                run = inner[0]
                yield _Run("text", raw, run.text, token.raw + run.begin, run.end + tokens[end].raw, run.look)
            else:
                yield _Run("point", raw)
        else:
            yield _Run("break" if token.name == "pPr" else "point", raw)
        index = end + 1


def _run(tokens: Sequence[Token], first: int, last: int) -> Iterator[_Run]:
    """Yield the text of a run, or what stands in its place; a run of several elements becomes one for each."""
    at, properties = first + 1, ""
    children: list[tuple[int, int]] = []
    while at < last:
        end = tokens[at].end if tokens[at].kind == "start" else at
        if tokens[at].name == "rPr":
            properties = raw_of(tokens[at : end + 1])
        elif tokens[at].kind == "start" and tokens[at].name != "lastRenderedPageBreak":
            children.append((at, end))
        at = end + 1
    whole = raw_of(tokens[first : last + 1])
    look = UNSEEN.sub("", properties)
    look = "" if look in NO_LOOK else look
    for at, end in children:
        raw = whole if len(children) == 1 else f"<w:r>{properties}{raw_of(tokens[at : end + 1])}</w:r>"
        if tokens[at].name == "t" and end > at + 1:
            text = raw_of(tokens[at + 1 : end])
            head = f'<w:r>{properties}<w:t xml:space="preserve">'
            yield _Run("text", f"{head}{text}</w:t></w:r>", meaning(text), head, "</w:t></w:r>", look)
        else:
            yield _Run("break" if tokens[at].name in BREAKS else "point", raw)
    if not children:
        yield _Run("point", whole)


def _joined(runs: Iterator[_Run], *, any_look: bool = False) -> Iterator[_Run]:
    """Join neighbouring texts of one look; marks of the spelling checker between them are left out."""
    last: _Run | None = None
    for run in runs:
        if run.kind == "point" and run.raw.startswith("<w:proofErr"):
            continue
        is_same = last and last.kind == run.kind == "text" and (any_look or last.look == run.look)
        if last and is_same and last.begin.startswith("<w:r") and run.begin.startswith("<w:r"):
            raw = last.begin + last.inner + run.inner + last.end
            last = _Run("text", raw, last.text + run.text, last.begin, last.end, last.look)
            continue
        if last:
            yield last
        last = run
    if last:
        yield last


def _wrapped(written: str, look: str) -> str:
    """Put the text between the runs of a translated unit into runs of the look of the paragraph."""
    out: list[str] = []
    depth = last = 0
    for match in [*TAG.finditer(written), None]:
        end = match.start() if match else len(written)
        between = written[last:end]
        out.append(f'<w:r>{look}<w:t xml:space="preserve">{between}</w:t></w:r>' if between and not depth else between)
        if match:
            out.append(match[0])
            depth += 0 if match[2] else -1 if match[1] else 1
            last = match.end()
    return "".join(out)

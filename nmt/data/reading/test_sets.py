"""Read test sets of WMT and NIST, by document and segment: SGM of one side (to 2020), XML of all sides (since 2021).

SGM is read leniently, as few files are well-formed: a bare `&` or `<` is text, the case of tags does not matter, nor
do quotation marks around attributes, and a segment may lack its end or go over several lines.
"""

import html
import io
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from nmt.config.languages import LanguagesConfig
from nmt.data.languages import is_backward
from nmt.data.pairs import Pair
from nmt.data.reading.archives import open_bytes
from nmt.data.reading.streams import (
    UnwantedFileError,
    decode_lines,
    listing,
    one_line,
    plain_name,
    reading,
)
from nmt.data.reading.xml_units import local_name, parse_units
from nmt.errors import DataError

Role = Literal["source", "reference", "hypothesis"]
ROLES: dict[str, Role] = {"srcset": "source", "refset": "reference", "tstset": "hypothesis"}  # of SGM
WMT_ROLES: dict[str, Role] = {"src": "source", "ref": "reference", "hyp": "hypothesis"}
ROOT = re.compile(rb"(?:\s|<\?[^>]*>|<!--.*?-->|<!DOCTYPE[^>\[]*(?:\[[^\]]*\])?[^>]*>)*<([^\s>/]+)", re.DOTALL | re.I)
TAG = re.compile(r"""<(/?)(srcset|refset|tstset|doc|seg)\b((?:"[^"]*"|'[^']*'|[^<>"'])*)>""", re.IGNORECASE)
UNFINISHED_TAG = re.compile(r"</?(?:srcset|refset|tstset|doc|seg)\b[^<>]*$", re.IGNORECASE)
ATTRIBUTE = re.compile(r"""([\w:.-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
ENTITY = re.compile(r"&(?:#[0-9]+|#[xX][0-9a-fA-F]+|[A-Za-z][A-Za-z0-9]*);")


class Key(NamedTuple):
    """The place of a segment; `number` counts the segments of the same document and id, from 0."""

    document: str
    segment: str
    number: int = 0


Texts = dict[Key, str]


@dataclass
class TestSet:
    """The sides of a test set, as far as a file has them: each version by its name, with its texts in order."""

    __test__ = False  # no test of pytest
    name: str
    versions: dict[Role, dict[str, Texts]] = field(default_factory=dict)
    languages: dict[Role, str] = field(default_factory=dict)
    domains: dict[str, str] = field(default_factory=dict)  # of the documents that say theirs
    anomalies: Counter[str] = field(default_factory=Counter)
    _places: Counter[tuple[Role, str, str, str]] = field(default_factory=Counter)

    def add(self, role: Role, version: str, document: str, segment: str, text: str) -> None:
        """Add a segment of a version: of a reference by its translator, of a hypothesis by its system."""
        texts = self.versions.setdefault(role, {}).setdefault(version, {})
        place = role, version, document, segment
        key = Key(document, segment, self._places[place])
        self._places[place] += 1
        texts[key] = one_line(re.sub(r"\s*\n\s*", "\n", text.strip()), self.name, self.anomalies)

    def of(self, role: Role) -> dict[str, Texts]:
        """Return the versions of a role. Raises DataError where there are none."""
        if role not in self.versions:
            raise DataError(f"{self.name}: no {role} in it", hint=f"it has: {listing(self.versions)}")
        return self.versions[role]

    def only(self) -> Texts:
        """Return the texts of a file of one side: of several versions, each segment has the first."""
        if len(self.versions) > 1:
            raise DataError(f"{self.name}: a file of several sides", hint='files = "..." reads it')
        texts, further = merged(next(iter(self.versions.values())))
        if further:
            self.anomalies["segments of further references"] += further
        return texts


def is_sgm(name: str | Path) -> bool:
    """Check whether a file is SGM by its name, which may end in a suffix of compression."""
    return _suffix(name) in (".sgm", ".sgml")


def is_test_set(name: str | Path) -> bool:
    """Check whether a file is a test set by its name: .sgm, or .xml of WMT."""
    return _suffix(name) in (".sgm", ".sgml", ".xml")


def _suffix(name: str | Path) -> str:
    return Path(plain_name(str(name))).suffix.lower()


def read_test_set(path: Path, anomalies: Counter[str] | None = None) -> TestSet:
    """Read the test set at `path`, as returned by `find_file`. Raises DataError."""
    with open_bytes(path) as stream:
        return read_set(stream, str(path), anomalies)


def read_set(stream: io.BufferedReader, name: str, anomalies: Counter[str] | None = None) -> TestSet:
    """Read a test set, of SGM or XML by its first element; `name` names it in messages. Raises DataError."""
    test_set = TestSet(name, anomalies=Counter() if anomalies is None else anomalies)
    with reading(name):
        start = stream.peek(4096)[:4096].removeprefix(b"\xef\xbb\xbf")
    root = ROOT.match(start)
    kind = local_name(root[1].decode("utf-8", errors="replace")).lower() if root else ""
    if kind == "dataset":
        for _ in parse_units(stream, name, _Wmt(test_set), {"doc"}, test_set.anomalies):
            pass
    elif kind in {*ROLES, "mteval", "doc"}:
        _read_sgm(decode_lines(stream, name, anomalies=test_set.anomalies, are_texts=False), test_set)
    else:
        problem = f"no test set: it begins with <{kind}>" if kind else "no test set: it begins with text"
        hint = "a test set is <srcset>, <refset>, <tstset> or WMT's <dataset>"
        if kind in ("tmx", "xliff"):
            hint = f'set format = "{kind}", or --format {kind}'
        raise UnwantedFileError(f"{name}: {problem}", hint=hint)
    if not test_set.versions:
        raise DataError(f"{name}: no <seg> in it")
    return test_set


def read_set_pairs(
    stream: io.BufferedReader, name: str, languages: LanguagesConfig, anomalies: Counter[str]
) -> Iterator[Pair]:
    """Yield the pairs of source and reference of an open test set of WMT, by their ids.

    Of several references, each segment has the first. Segments without a reference are left out and counted. Raises
    UnwantedFileError where the languages are others; those of the opposite direction are read backwards.
    """
    test_set = read_set(stream, name, anomalies)
    sources, references = merged(test_set.of("source"))[0], test_set.of("reference")
    target, further = merged(references)
    if further:
        anomalies["segments of further references"] += further
    given = test_set.languages.get("source", ""), test_set.languages.get("reference", "")
    backward = is_backward(given, languages.pair)
    if backward is None:
        raise UnwantedFileError(f"{name}: it is from {' to '.join(given)}, not {' to '.join(languages.pair)}")
    for key, text in sources.items():
        if not target.get(key):
            anomalies["segments without a reference"] += 1
        else:
            yield (target[key], text) if backward else (text, target[key])


def pair_texts(source: Texts, target: Texts, names: tuple[Path, Path], anomalies: Counter[str]) -> Iterator[Pair]:
    """Yield the pairs of two files of one side by document and segment.

    Segments that one file lacks are left out and counted. Raises DataError where the files have none in common.
    """
    if source and target and source.keys().isdisjoint(target):
        first = f"document {next(iter(source)).document!r}, {names[1]} with {next(iter(target)).document!r}"
        raise DataError(f"{names[0]} and {names[1]} have no segment in common", hint=f"one begins with {first}")
    if missing := len(source.keys() ^ target.keys()):
        anomalies["segments without the other side"] += missing
    for key, text in source.items():
        if key in target:
            yield text, target[key]


def merged(versions: dict[str, Texts]) -> tuple[Texts, int]:
    """Return the first text of each segment, a blank one where all are, and the number of the further ones."""
    texts: Texts = {}
    further = 0
    for version in versions.values():
        for key, text in version.items():
            if not texts.get(key):
                texts[key] = text
            elif text:
                further += 1
    return texts, further


def _read_sgm(lines: Iterator[str], test_set: TestSet) -> None:
    """Add the segments of SGM to `test_set`."""
    reader = _Sgm(test_set)
    rest = ""
    for line in lines:
        text = f"{rest}{line}\n"
        unfinished = UNFINISHED_TAG.search(text)
        text, rest = (text[: unfinished.start()], text[unfinished.start() :]) if unfinished else (text, "")
        end = 0
        for tag in TAG.finditer(text):
            reader.text(text[end : tag.start()])
            reader.tag(tag[2].lower(), tag[3], is_end=bool(tag[1]))
            end = tag.end()
        reader.text(text[end:])
    reader.text(rest)
    reader.end_segment()


class _Sgm:
    """Receives the tags and the text of SGM."""

    def __init__(self, test_set: TestSet) -> None:
        self._set = test_set
        self._role: Role = "source"
        self._version = self._version_of_set = ""
        self._document = self._segment = ""
        self._documents = self._segments = 0
        self._parts: list[str] | None = None  # text of the open segment

    def text(self, text: str) -> None:
        """Add text to the open segment; other text is none of the test set."""
        if self._parts is not None:
            self._parts.append(text)

    def tag(self, name: str, attributes: str, *, is_end: bool) -> None:
        """Begin or end a set, a document or a segment; each of them ends an open segment."""
        if self._parts is not None and not (is_end and name == "seg"):
            self._set.anomalies["segments without an end"] += 1
        self.end_segment()
        if is_end:
            return
        values = {
            match[1].lower(): html.unescape(match[2] or match[3] or match[4] or "")
            for match in ATTRIBUTE.finditer(attributes)
        }
        if name in ROLES:
            self._role = ROLES[name]
            self._version_of_set = self._version = values.get("refid") or values.get("sysid") or ""
            self._documents = self._segments = 0
        elif name == "doc":
            self._documents += 1
            self._segments = 0
            self._document = values.get("docid") or values.get("id") or f"number {self._documents}"
            self._version = self._version_of_set or values.get("sysid", "")
            if domain := values.get("domain") or values.get("genre"):
                self._set.domains[self._document] = domain
        else:
            self._segments += 1
            self._segment = values.get("id") or f"number {self._segments}"
            self._parts = []

    def end_segment(self) -> None:
        """Keep the open segment, if there is one."""
        if self._parts is not None:
            text = ENTITY.sub(lambda match: html.unescape(match[0]), "".join(self._parts))
            self._set.add(self._role, self._version, self._document, self._segment, text)
        self._parts = None


class _Wmt:
    """Receives the elements of WMT's XML."""

    def __init__(self, test_set: TestSet) -> None:
        self._set = test_set
        self._documents = self._segments = 0
        self._document = self._segment = self._version = ""
        self._role: Role | None = None
        self._parts: list[str] | None = None
        self._is_test_suite = False  # documents of a test suite are made for other measures, and have no references

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Begin a document, a side of it, or a segment."""
        tag = local_name(tag)
        if tag == "doc":
            self._documents += 1
            self._document = attributes.get("id") or f"number {self._documents}"
            self._is_test_suite = "testsuite" in attributes
            if domain := attributes.get("domain"):
                self._set.domains[self._document] = domain
            if self._is_test_suite:
                self._set.anomalies["documents of test suites"] += 1
        elif tag in WMT_ROLES:
            self._role, self._segments = WMT_ROLES[tag], 0
            self._version = attributes.get("translator") or attributes.get("system") or ""
            if language := attributes.get("lang") or attributes.get("language") or "":
                self._set.languages.setdefault(self._role, language)
        elif tag == "seg" and self._role:
            self._segments += 1
            self._segment = attributes.get("id") or f"number {self._segments}"
            self._parts = []

    def text(self, text: str) -> None:
        """Add text to the open segment."""
        if self._parts is not None:
            self._parts.append(text)

    def end(self, tag: str) -> None:
        """End a side of a document, or a segment."""
        tag = local_name(tag)
        if tag == "seg" and self._role and self._parts is not None:
            if not self._is_test_suite:
                self._set.add(self._role, self._version, self._document, self._segment, "".join(self._parts))
            self._parts = None
        elif tag in WMT_ROLES:
            self._role = None

    def drop_unit(self) -> None:
        """Forget the open document."""
        self._role = self._parts = None

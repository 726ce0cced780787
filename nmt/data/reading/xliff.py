"""Read pairs from XLIFF, the exchange format of texts in translation (versions 1.0 to 1.2, and 2), a unit at a time."""

import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from nmt.config.languages import LanguagesConfig
from nmt.data.languages import is_backward
from nmt.data.pairs import Pair
from nmt.data.reading.inline_codes import KeptCodes, Segment, pair_of_segments
from nmt.data.reading.streams import UnwantedFileError, listing, one_line
from nmt.data.reading.xml_units import local_name, parse_units

UNITS = ("trans-unit", "unit")  # of version 1 and 2
HOLDERS = ("trans-unit", "segment")
"""Parents of the texts: those of suggestions (`alt-trans`, `match`) have others."""
TEXTS = ("source", "seg-source", "target")
UNFINISHED = {"new", "initial", "needs-translation", "needs-l10n", "needs-review-translation", "needs-review-l10n"}
"""States of a target whose text is no translation yet, or is to be reviewed."""
FINISHED = {"translated", "reviewed", "signed-off", "final"}  # states that outweigh a missing approval


def read_xliff(
    stream: io.BufferedReader,
    name: str,
    languages: LanguagesConfig,
    anomalies: Counter[str],
    keep: KeptCodes | None = None,
    *,
    skip_bad: bool = False,
) -> Iterator[Pair]:
    """Yield the pairs of an open XLIFF file; `name` names it in messages, `keep` keeps codes as placeholders.

    A file in the opposite direction is read backwards. A unit that is divided into segments gives a pair for each.
    Left out and counted are units and segments without a translation, those not to be translated, and those whose
    state or approval says that the translation is not finished. Raises DataError where no part of the file has the
    languages.
    """
    document = _Document(languages, anomalies, keep)
    for _ in parse_units(stream, name, document, UNITS, anomalies, skip_bad=skip_bad):
        yield from document.pairs
        document.pairs.clear()
    document.check(name)


@dataclass
class _Text:
    """A source or target: all of it, and its segments by their ids (`<mrk mtype="seg">`)."""

    state: str = ""
    whole: Segment = field(default_factory=Segment)
    segments: dict[str, Segment] = field(default_factory=dict)
    open: list[bool] = field(default_factory=list)  # of the open elements: whether they are a segment
    current: Segment | None = None

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Open an element; a segment begins the text of its own."""
        is_segment = tag == "mrk" and attributes.get("mtype") == "seg" and self.current is None
        self.open.append(is_segment)
        self.whole.start(tag, attributes)
        if is_segment:
            self.current = self.segments.setdefault(attributes.get("mid", str(len(self.segments))), Segment())
        elif self.current:
            self.current.start(tag, attributes)

    def text(self, text: str) -> None:
        """Add text to the whole and to the open segment."""
        self.whole.text(text)
        if self.current:
            self.current.text(text)

    def end(self, tag: str) -> None:
        """Close the innermost element."""
        self.whole.end(tag)
        if self.open.pop():
            self.current = None
        elif self.current:
            self.current.end(tag)


@dataclass
class _Document:
    """The units that a parser has met."""

    languages: LanguagesConfig
    anomalies: Counter[str]
    keep: KeptCodes | None
    pairs: list[Pair] = field(default_factory=list)
    path: list[str] = field(default_factory=list)  # open elements, those within a text left out
    translate: list[bool] = field(default_factory=list)  # of each element of `path`: whether it is to be translated
    direction: tuple[str, str] = "", ""  # the languages of the current file, "" where it does not say
    default_direction: tuple[str, str] = "", ""
    seen: dict[str, None] = field(default_factory=dict)  # directions of the file
    is_wanted: bool = False  # whether some part has the languages
    above_unit: int = 0  # elements of `path` above the current unit
    approved: str = ""
    state: str = ""  # of the current segment, in version 2
    texts: dict[str, _Text] = field(default_factory=dict)
    open_text: _Text | None = None
    depth: int = 0  # open elements of the text, itself included

    def check(self, name: str) -> None:
        """Raise DataError where there are files, and none has the languages."""
        if self.seen and not self.is_wanted:
            wanted = f"{self.languages.source} to {self.languages.target}"
            raise UnwantedFileError(f"{name}: no part of it is from {wanted}; it has {listing(self.seen)}")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Open an element: a file, a group, a unit, a text, or one within a text."""
        name = local_name(tag)
        if self.open_text:
            self.depth += 1
            self.open_text.start(name, attributes)
        elif name in TEXTS and self.path and self.path[-1] in HOLDERS:
            self.open_text = self.texts.setdefault(name, _Text(attributes.get("state") or self.state))
            self.depth = 1
            if name == "target" and not self.direction[1]:
                self.direction = self.direction[0], attributes.get("xml:lang", "")
        else:
            if name in ("xliff", "file"):
                self._start_file(name, attributes)
            elif name in UNITS:
                self.above_unit, self.approved, self.state = len(self.path), attributes.get("approved", ""), ""
            elif name == "segment":
                self.state = attributes.get("state", "")
            inherited = self.translate[-1] if self.translate else True
            self.translate.append({"no": False, "yes": True}.get(attributes.get("translate", ""), inherited))
            self.path.append(name)

    def text(self, text: str) -> None:
        """Add text to the open source or target."""
        if self.open_text:
            self.open_text.text(text)

    def end(self, tag: str) -> None:
        """Close the innermost element."""
        if self.open_text:
            self.depth -= 1
            if self.depth:
                self.open_text.end(local_name(tag))
            else:
                self.open_text = None
            return
        if local_name(tag) in HOLDERS:
            self._end_holder()
        self.path.pop()
        self.translate.pop()

    def drop_unit(self) -> None:
        """Forget the unit that is open."""
        del self.path[self.above_unit :], self.translate[self.above_unit :]
        self.texts, self.open_text = {}, None

    def _start_file(self, name: str, attributes: dict[str, str]) -> None:
        given = (
            attributes.get("source-language") or attributes.get("srcLang") or "",
            attributes.get("target-language") or attributes.get("trgLang") or "",
        )
        self.direction = given[0] or self.default_direction[0], given[1] or self.default_direction[1]
        if name == "xliff":
            self.default_direction = given

    def _end_holder(self) -> None:
        """Keep the pairs of a unit, or of a segment in version 2, or count why it has none."""
        texts, self.texts = self.texts, {}
        self.seen["-".join(self.direction)] = None
        backward, target = is_backward(self.direction, self.languages.pair), texts.get("target", _Text())
        if backward is None:
            self.anomalies["XLIFF units of other languages"] += 1
            return
        self.is_wanted = True
        if not self.translate[-1]:
            self.anomalies["XLIFF units not to be translated"] += 1
        elif "source" not in texts or not target.whole.has_text:
            self.anomalies["XLIFF units without a translation"] += 1
        elif target.state in UNFINISHED or (self.approved == "no" and target.state not in FINISHED):
            self.anomalies["XLIFF units not finished"] += 1
        else:
            sources = texts.get("seg-source", texts["source"]).segments
            if not sources or not target.segments:
                self._keep(texts["source"].whole, target.whole, backward=backward)
            for identifier in sources if target.segments else ():
                if (segment := target.segments.get(identifier)) and segment.has_text:
                    self._keep(sources[identifier], segment, backward=backward)
                else:
                    self.anomalies["XLIFF segments without a translation"] += 1

    def _keep(self, source: Segment, target: Segment, *, backward: bool) -> None:
        sides = (target, source) if backward else (source, target)
        left, right = (
            one_line(side, "", self.anomalies) for side in pair_of_segments(*sides, self.anomalies, self.keep)
        )
        self.pairs.append((left, right))

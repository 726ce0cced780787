"""Read pairs from TMX, the exchange format of translation memories (version 1.4b), a unit at a time."""

import io
from collections import Counter
from collections.abc import Iterator
from xml.parsers import expat

from nmt.config.data import LanguagesConfig
from nmt.data.pairs import Pair
from nmt.data.reading.streams import BUFFER, UNREADABLE, listing, one_line, unreadable
from nmt.errors import DataError

CODE = {"bpt", "ept", "ph", "it", "ut"}  # elements in a segment that hold markup of the original document
TEXT = {"hi", "sub"}  # elements in a segment that hold text, also within markup


def read_tmx(
    stream: io.BufferedReader, name: str, languages: LanguagesConfig, anomalies: Counter[str]
) -> Iterator[Pair]:
    """Yield the pairs of an open TMX file; `name` names it in messages.

    A variant is of a language if its code is the same, or one code extends the other, in any case: `en-US` is `en`.
    Raises DataError where no unit has one of the languages.
    """
    units = _Units(name, languages, anomalies)
    parser = units.parser
    try:
        if stream.peek(3).startswith(b"\xef\xbb\xbf"):
            anomalies["byte-order marks"] += 1
        while block := stream.read(BUFFER):
            parser.Parse(block)
            yield from units.pairs
            units.pairs.clear()
    except expat.ExpatError as error:
        problem = f"{name}:{error.lineno}: not well-formed XML: {expat.ErrorString(error.code)}"
        raise DataError(problem, hint="copy or download the file again, or fix that line") from None
    except UNREADABLE as error:
        raise unreadable(name, error, f" after line {parser.CurrentLineNumber}") from None
    except (ValueError, LookupError) as error:
        hint = f"convert it: iconv -f {units.encoding} -t UTF-8, and write UTF-8 in its first line"
        raise DataError(f"{name}: its encoding, {units.encoding}, cannot be read: {error}", hint=hint) from None
    try:
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise unreadable(name, error, f" after line {error.lineno}") from None
    units.check()


class _Units:
    """The translation units that a parser has met."""

    def __init__(self, name: str, languages: LanguagesConfig, anomalies: Counter[str]) -> None:
        self.pairs: list[Pair] = []
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.XmlDeclHandler = self._declaration
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.EntityDeclHandler = self._declared_entity
        self.parser.SkippedEntityHandler = self._unknown_entity
        self.encoding: str | None = None  # encoding that the file declares
        self._name, self._anomalies = name, anomalies
        self._codes = {code: _normalized(code) for code in (languages.source, languages.target)}
        self._units = 0
        self._matched: set[str] = set()  # languages that some unit has
        self._seen: dict[str, None] = {}  # all language codes of the file, in order
        self._language = ""  # language of the current variant
        self._parts: list[str] = []  # text of the current segment
        self._is_text: list[bool] = []
        """Whether the content is text: of the current segment, and of each open element in it."""
        self._texts: dict[str, tuple[bool, str]] = {}
        """Of the current unit, by language: whether the code is exactly the same, and the text."""

    def check(self) -> None:
        """Raise DataError where there are units, and none has one of the languages."""
        for language in self._codes:
            if self._units and language not in self._matched:
                raise DataError(f"{self._name}: no unit has the language {language!r}; it has {listing(self._seen)}")

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        self.encoding = encoding

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if self._is_text:
            self._is_text.append(tag in TEXT or (tag not in CODE and self._is_text[-1]))
        elif tag == "seg":
            self._is_text.append(True)
            self._parts.clear()
        elif tag == "tuv":
            self._language = attributes.get("xml:lang") or attributes.get("lang") or ""
            self._seen[self._language] = None
        elif tag == "tu":
            self._texts.clear()

    def _text(self, text: str) -> None:
        if self._is_text and self._is_text[-1]:
            self._parts.append(text)

    def _end(self, tag: str) -> None:
        if self._is_text:
            self._is_text.pop()
            if not self._is_text:
                self._end_segment("".join(self._parts))
        elif tag == "tu":
            self._units += 1
            self._matched.update(self._texts)
            if len(self._texts) < len(self._codes):
                self._anomalies["TMX units without both languages"] += 1
            else:
                position = f"{self._name}:{self.parser.CurrentLineNumber}"
                source, target = (one_line(self._texts[code][1], position, self._anomalies) for code in self._codes)
                self.pairs.append((source, target))

    def _end_segment(self, text: str) -> None:
        """Keep the text of a variant for its language: the first exact match of several, or else the first."""
        found = _normalized(self._language)
        for language, code in self._codes.items():
            exact = found == code
            if not exact and not found.startswith(f"{code}-") and not code.startswith(f"{found}-"):
                continue
            if language in self._texts:
                self._anomalies["further variants in a TMX unit"] += 1
            if language not in self._texts or exact > self._texts[language][0]:
                self._texts[language] = exact, text

    # A memory needs no entities of its own, and a few lines of them can grow to gigabytes.
    def _declared_entity(self, entity: str, *_: object) -> None:
        raise self._error(f"declares the entity {entity!r}", "write its text in place of it")

    def _unknown_entity(self, entity: str, _: bool) -> None:
        raise self._error(f"the entity {entity!r} is not known", f"write the character in place of &{entity};")

    def _error(self, reason: str, hint: str) -> DataError:
        return DataError(f"{self._name}:{self.parser.CurrentLineNumber}: {reason}", hint=hint)


def _normalized(language: str) -> str:
    return language.lower().replace("_", "-")

"""Pairs out of TMX, the exchange format of translation memories (version 1.4b), a unit at a time."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from xml.parsers import expat

from nmt.config.data import LanguagesConfig
from nmt.data.reading.streams import BUFFER, UNREADABLE, one_line, some, unreadable
from nmt.errors import DataError

CODE = {"bpt", "ept", "ph", "it", "ut"}
"""Elements in a segment whose content is code of the format that the text was taken from."""
TEXT = {"hi", "sub"}
"""Elements in a segment whose content is text, within code too."""


def read_tmx(
    stream: io.BufferedReader, name: str, languages: LanguagesConfig, oddities: Counter[str]
) -> Iterator[tuple[str, str]]:
    """Yield the pairs of a TMX file, open as `stream`; `name` stands in messages.

    A language is met by its code or by one that goes on from it, in any case: `en` by `en-US`. Raises DataError where
    no unit has one of the languages.
    """
    units = _Units(name, languages, oddities)
    parser = units.parser
    try:
        if stream.peek(3).startswith(b"\xef\xbb\xbf"):
            oddities["byte-order marks"] += 1
        while block := stream.read(BUFFER):
            parser.Parse(block)
            yield from units.pairs
            units.pairs.clear()
    except expat.ExpatError as error:
        raise DataError(
            f"{name}:{error.lineno}: not well-formed XML: {expat.ErrorString(error.code)}",
            hint="copy or download the file again, or mend that line",
        ) from None
    except UNREADABLE as error:
        raise unreadable(name, error, f" after line {parser.CurrentLineNumber}") from None
    except (ValueError, LookupError) as error:
        raise DataError(
            f"{name}: its encoding, {units.encoding}, cannot be read: {error}",
            hint=f"convert it: iconv -f {units.encoding} -t UTF-8, and write UTF-8 in its first line",
        ) from None
    try:
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise unreadable(name, error, f" after line {error.lineno}") from None
    units.check()


class _Units:
    """The units that a parser meets."""

    def __init__(self, name: str, languages: LanguagesConfig, oddities: Counter[str]) -> None:
        self.pairs: list[tuple[str, str]] = []
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.XmlDeclHandler = self._declare
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.EntityDeclHandler = self._refuse_entity
        self.parser.SkippedEntityHandler = self._miss_entity
        self._name, self._oddities = name, oddities
        self._codes = {side: _normal(side) for side in (languages.source, languages.target)}
        self.encoding: str | None = None
        """As the file declares it."""
        self._units = 0
        self._found: set[str] = set()
        """The languages that some unit has."""
        self._seen: dict[str, None] = {}
        """The languages as the file writes them."""
        self._language = ""
        """Of the variant that is being read."""
        self._parts: list[str] = []
        """Text of the segment that is being read."""
        self._kept: list[bool] = []
        """For the segment and each element that is open in it: whether what it holds is text."""
        self._texts: dict[str, tuple[bool, str]] = {}
        """Of the unit that is being read: the languages' texts, and whether their codes were met to the letter."""

    def check(self) -> None:
        """Raise DataError where there are units, and none has a language."""
        for language in self._codes:
            if self._units and language not in self._found:
                raise DataError(f"{self._name}: no unit has the language {language!r}; it has {some(self._seen)}")

    def _declare(self, _version: str, encoding: str | None, _standalone: int) -> None:
        self.encoding = encoding

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if self._kept:
            self._kept.append(tag in TEXT or (tag not in CODE and self._kept[-1]))
        elif tag == "seg":
            self._kept.append(True)
            self._parts.clear()
        elif tag == "tuv":
            self._language = attributes.get("xml:lang") or attributes.get("lang") or ""
            self._seen[self._language] = None
        elif tag == "tu":
            self._texts.clear()

    def _text(self, text: str) -> None:
        if self._kept and self._kept[-1]:
            self._parts.append(text)

    def _end(self, tag: str) -> None:
        if self._kept:
            self._kept.pop()
            if not self._kept:
                self._take("".join(self._parts))
        elif tag == "tu":
            self._units += 1
            self._found.update(self._texts)
            if len(self._texts) < len(self._codes):
                self._oddities["TMX units without both languages"] += 1
            else:
                place = f"{self._name}:{self.parser.CurrentLineNumber}"
                source, target = (one_line(self._texts[side][1], place, self._oddities) for side in self._codes)
                self.pairs.append((source, target))

    def _take(self, text: str) -> None:
        """Keep the text of a variant for the language it is of; of several, the first, or the first to the letter."""
        found = _normal(self._language)
        for language, code in self._codes.items():
            exact = found == code
            if not exact and not found.startswith(f"{code}-") and not code.startswith(f"{found}-"):
                continue
            if language in self._texts:
                self._oddities["further variants in a TMX unit"] += 1
            if language not in self._texts or exact > self._texts[language][0]:
                self._texts[language] = exact, text

    # The texts of a memory need no entities of their own, and a few lines of them can grow to gigabytes.
    def _refuse_entity(self, entity: str, *_: object) -> None:
        raise self._error(f"declares the entity {entity!r}", "write its text in place of it")

    def _miss_entity(self, entity: str, _: bool) -> None:
        raise self._error(f"the entity {entity!r} is not known", f"write the character in place of &{entity};")

    def _error(self, said: str, hint: str) -> DataError:
        return DataError(f"{self._name}:{self.parser.CurrentLineNumber}: {said}", hint=hint)


def _normal(language: str) -> str:
    return language.lower().replace("_", "-")

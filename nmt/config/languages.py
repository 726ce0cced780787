"""The section [languages]: the direction of translation, or the directions of one model."""

import re
from collections.abc import Sequence
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator

from nmt.config.section import Effect, Name, Section, shown
from nmt.files import Json


def plain_direction(direction: str) -> str:
    """Return `direction`. Raises ValueError where it is not two codes with a hyphen between them."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._]*-[A-Za-z0-9][A-Za-z0-9._]*", direction):
        raise ValueError(
            f"{shown(direction)} is no direction, which has one hyphen, as en-de; a code of parts has underscores, as "
            "in en-pt_BR"
        )
    return direction


Direction = Annotated[str, AfterValidator(plain_direction)]
"""Two codes with a hyphen between them; a code of several parts has underscores, as in `en-pt_BR`."""


def tag_of(target: str) -> str:
    """Return the tag before a source that is to be translated into `target` (Johnson et al. 2017, section 3)."""
    return f"<2{target}>"


MOST_DIRECTIONS = 100  # of one model


class LanguagesConfig(Section):
    """The direction of translation, or the directions of one model."""

    affects: ClassVar[frozenset[Effect]] = frozenset({"text", "bundle"})
    source: Name
    """Code of the source language, as in ISO 639-1: `en`."""
    target: Name
    """Code of the target language; chooses BLEU's tokenization."""
    directions: Annotated[list[Direction], Field(max_length=MOST_DIRECTIONS)] = Field(default_factory=list)
    """Directions of one model, in place of `source` and `target`: ["en-de", "de-en", "en-pt_BR"]. Each corpus names its
    own, and its sources begin with a tag of the target language, such as `<2de>` (Johnson et al. 2017)."""

    @model_validator(mode="before")
    @classmethod
    def the_first_direction_is_the_default(cls, values: Json) -> Json:
        match values:
            case {"directions": [str(first), *_]}:
                source, _, target = first.partition("-")
                if source:  # or the message is of a key that nobody gave
                    return {"source": source, "target": target or source, **values}
            case {"directions": given} if given != []:
                raise ValueError(f'directions is a list of texts, as ["en-de", "de-en"], not {shown(given)}')
        return values

    @model_validator(mode="after")
    def directions_differ(self) -> Self:
        if not self.directions:
            return self
        if twice := [one for one in self.directions if self.directions.count(one) > 1]:
            raise ValueError(f"directions: {twice[0]} is named twice")
        if same := [one.direction for one in self.each if one.source == one.target]:
            raise ValueError(f"directions: {same[0]} is from a language to itself")
        if self.direction != self.directions[0]:
            raise ValueError("directions are given in place of source and target: leave these out")
        return self

    @property
    def pair(self) -> tuple[str, str]:
        """Source and target of the only direction, or of the first."""
        return self.source, self.target

    @property
    def direction(self) -> str:
        """The only direction, or the first: `en-de`."""
        return f"{self.source}-{self.target}"

    @property
    def each(self) -> "list[LanguagesConfig]":
        """The languages of each direction, in their order."""
        return [self.of(direction) for direction in self.directions] or [self]

    @property
    def codes(self) -> list[str]:
        """The codes of all languages, each once."""
        pairs = [one.split("-") for one in self.directions] or [[*self.pair]]
        return list(dict.fromkeys(code for pair in pairs for code in pair))

    @property
    def tags(self) -> list[str]:
        """The tags of the target languages, each once; none of a model of one direction."""
        return list(dict.fromkeys(tag_of(one.partition("-")[2]) for one in self.directions))

    @property
    def title(self) -> str:
        """The directions for people: `en to de`, or `en-de, de-en`."""
        return ", ".join(self.directions) or f"{self.source} to {self.target}"

    def of(self, direction: str | None) -> "LanguagesConfig":
        """Return the languages of a corpus of `direction`, which a corpus names where there are several directions."""
        if direction is None or not self.directions:
            return self
        source, _, target = direction.partition("-")
        return LanguagesConfig(source=source, target=target)


def with_tags(sections: Json, directions: Sequence[Json]) -> Json:
    """Add to a corpus, or to each of a table, the tag of the language into which it is translated."""
    match sections:
        case {"direction": str(direction)} if direction in directions:
            tag, own = tag_of(direction.partition("-")[2]), sections.get("tags", [])
            if not isinstance(own, list):
                return sections
            return {**sections, "tags": [tag, *(one for one in own if one != tag)]}
        case dict():
            return {
                name: with_tags(each, directions) if isinstance(each, dict) else each for name, each in sections.items()
            }
    return sections

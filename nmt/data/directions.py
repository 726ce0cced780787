"""The direction in which a model is to translate: one of its own, or one that it was not trained for."""

from dataclasses import dataclass

from nmt.config.languages import LanguagesConfig, tag_of
from nmt.data.languages import best_match
from nmt.errors import UsageError


@dataclass(frozen=True)
class Direction:
    """A direction of translation."""

    source: str | None  # code of the source language; None where it is any of several
    target: str | None
    tags: tuple[str, ...] = ()  # of a model of several directions: the tag before each source, and those of the others
    is_trained: bool = True

    @classmethod
    def of(cls, source: str | None, target: str, languages: LanguagesConfig, *, is_trained: bool = True) -> "Direction":
        """Return a direction of a model of `languages`."""
        own = [tag_of(target)] if languages.directions else []
        return cls(source, target, (*own, *(tag for tag in languages.tags if tag not in own)), is_trained)

    @property
    def languages(self) -> tuple[str | None, str | None]:
        return self.source, self.target


def choose_direction(languages: LanguagesConfig, source: str | None, target: str | None) -> Direction:
    """Return the direction of a model of `languages` from `source` to `target`, codes in any spelling.

    The target may be left out where there is one alone, or one from `source`; the source at all times, and of several
    none is then assumed. A direction between languages of the model for which it was not trained is marked. Raises
    UsageError where a language is none of the model's, or the target is not known.
    """
    targets = list(dict.fromkeys(one.target for one in languages.each))
    # A language that is only a target may be translated, too; of a model of one direction it may not.
    origin = source and _match(
        source, languages.codes if languages.directions else [languages.source], "from", languages
    )
    known = [one.target for one in languages.each if origin in (None, one.source)]
    to = _match(target, targets, "to", languages) if target else known[0] if len({*known}) == 1 else None
    if to is None:
        raise UsageError(
            f"the model translates {languages.title}: no target language is given", hint=f"--to {' or '.join(targets)}"
        )
    if origin == to and languages.directions:
        raise UsageError(f"from {origin} to {to}: a direction has two languages")
    sources = [one.source for one in languages.each if one.target == to]
    if origin is None and len(sources) == 1:
        origin = sources[0]
    return Direction.of(origin, to, languages, is_trained=origin in (None, *sources))


def _match(code: str, candidates: list[str], side: str, languages: LanguagesConfig) -> str:
    """Return the candidate that a code names. Raises UsageError where none does."""
    if found := best_match(code, candidates):
        return found
    raise UsageError(f"--{side} {code}: the model translates {languages.title}, and not {side} {code}")

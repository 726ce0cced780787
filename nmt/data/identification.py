"""Identify languages, by the model of py3langid where that is installed."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from itertools import islice
from typing import Protocol

from nmt import runtime
from nmt.data.languages import best_match
from nmt.data.pairs import Pair
from nmt.errors import UsageError

LINES = 50  # lines that are taken together to identify their language
SHORTEST = 20  # characters of a line below which its language is a guess


class Identifier(Protocol):
    """The part of py3langid's identifier that is used."""

    labels: Sequence[str]

    def classify(self, text: str) -> tuple[str, float]: ...

    def rank(self, text: str) -> list[tuple[str, float]]: ...

    def set_languages(self, langs: Sequence[str]) -> None: ...


@cache
def identifier(user: str, *, is_calibrated: bool = False) -> Identifier:
    """Load the model that identifies languages; `is_calibrated` gives probabilities that fit texts of any length.

    Raises UsageError, which names its `user`, where the package is missing.
    """
    package = runtime.import_extra("py3langid.langid", "langid", user)
    return package.LanguageIdentifier.from_model_file(package.MODEL_FILE, norm_probs=is_calibrated)


@cache
def find_identifier() -> Identifier | None:
    """Load the model that identifies languages; None where the package is missing."""
    with suppress(UsageError):
        return identifier("identifying languages")
    return None


def identify(lines: Iterable[str]) -> str | None:
    """Return the code of the language that most of `lines` are like; None where that cannot be said."""
    model = find_identifier()
    text = " ".join(islice(lines, LINES))
    return model.classify(text)[0] if model and len(text) >= SHORTEST else None


def share_swapped(pairs: Iterable[Pair], source: str, target: str) -> float | None:
    """Return the share of `pairs` whose sides are more like each other's language than like their own.

    None where the package is missing, one of the languages is unknown to it, or no pair is long enough.
    """
    model = find_identifier()
    if model is None:
        return None
    source, target = (best_match(code, model.labels) or "" for code in (source, target))
    if not source or not target or source == target:
        return None
    swapped = []
    for pair in pairs:
        if min(map(len, pair)) >= SHORTEST:
            first, second = (dict(model.rank(side)) for side in pair)
            swapped.append(first[source] + second[target] < first[target] + second[source])
    return sum(swapped) / len(swapped) if swapped else None

"""The language of a text, among those that can be translated."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from nmt.data.identification import identifier
from nmt.data.languages import best_match
from nmt.errors import UsageError
from nmt.server.errors import bad_request

_ONE_AT_A_TIME = threading.Lock()  # the package does not say that threads may share a model


@dataclass(frozen=True)
class Detected:
    """A language that a text may be in."""

    language: str
    confidence: float  # per cent, of the languages that are served


def detect(text: str, languages: Iterable[str]) -> list[Detected]:
    """Return those of `languages` that can be identified, the likeliest first.

    Raises ApiError (400) where that cannot be done at all.
    """
    with _ONE_AT_A_TIME:
        try:
            model = identifier("identifying a language", is_calibrated=True)
        except UsageError as error:
            raise bad_request(f"{error}; name the source language") from None
        shares = {label: float(share) for label, share in model.rank(text)}
    labels = {code: best_match(code, model.labels) for code in languages}
    of_codes = {code: shares[label] for code, label in labels.items() if label}
    total = sum(of_codes.values()) or 1.0
    found = [Detected(code, round(100 * share / total, 1)) for code, share in of_codes.items()]
    return sorted(found, key=lambda one: -one.confidence)

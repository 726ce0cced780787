"""The formats of `nmt translate`: text, a table, or JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from nmt.inference.results import Candidate, Translation

Format = Literal["text", "tsv", "jsonl"]


MARK = "[?] "
"""Before the text of a translation of less than the least confidence."""


def render(form: Format, number: int, translation: Translation, *, is_withheld: bool = False) -> str:
    """Return the translation of line `number` as whole lines: one, or in `tsv` one for each hypothesis.

    `text` is the best hypothesis, followed by ` ||| ` and its alignment, and by ` ||| ` and its confidence, if it has
    them; `tsv` is line number, score, text, and alignment, confidence and failed checks, those that are wanted; `jsonl`
    is an object with `source` and `hypotheses`, and with `is_unsure` for a translation of less than the least
    confidence, which is marked in the other forms. Where it `is_withheld`, its texts are empty, its pieces left out.
    """
    mark = ""
    if translation.is_unsure and is_withheld:
        translation = replace(translation, candidates=[_withheld(one) for one in translation.candidates])
    elif translation.is_unsure:
        mark = MARK
    if form == "jsonl":
        hypotheses = [_object(candidate) for candidate in translation.candidates]
        unsure = {"is_unsure": True} if translation.is_unsure else {}
        return json.dumps({"source": translation.source, **unsure, "hypotheses": hypotheses}, ensure_ascii=False) + "\n"
    if form == "text":
        best = translation.candidates[0]
        return " ||| ".join([mark + translation.text, *_pharaoh(best), *_confidence(best)]) + "\n"
    return "".join(
        "\t".join(
            [str(number), f"{one.score:.6f}", mark + _cell(one.text), *_pharaoh(one), *_confidence(one), *_failed(one)]
        )
        + "\n"
        for one in translation.candidates
    )


def _withheld(candidate: Candidate) -> Candidate:
    """Return a hypothesis of which only the scores are left, in as many columns."""
    return replace(
        candidate,
        text="",
        pieces=[],
        token_scores=candidate.token_scores and [],
        alignment=candidate.alignment and [],
        checks=candidate.checks and {},
    )


def _pharaoh(candidate: Candidate) -> list[str]:
    """Return the alignment as `0-0 1-2` (source word, target word) in a list, empty without an alignment."""
    if candidate.alignment is None:
        return []
    return [" ".join(f"{source}-{target}" for source, target in candidate.alignment)]


def _confidence(candidate: Candidate) -> list[str]:
    """Return the confidence in a list, empty without one."""
    return [] if candidate.confidence is None else [f"{candidate.confidence:.2f}"]


def _failed(candidate: Candidate) -> list[str]:
    """Return the failed checks in a list, empty without checks."""
    return [] if candidate.checks is None else [_cell(candidate.failures)]


def _cell(text: str) -> str:
    return text.replace("\t", " ")


def _object(candidate: Candidate) -> dict[str, object]:
    """Return a hypothesis for JSON; scores have six decimals, as in a table."""
    found: dict[str, object] = {"text": candidate.text, "score": round(candidate.score, 6), "pieces": candidate.pieces}
    if candidate.token_scores is not None:
        found["token_scores"] = [round(score, 6) for score in candidate.token_scores]
    if candidate.alignment is not None:
        found["alignment"] = candidate.alignment
    if candidate.unrestored is not None:
        found["unrestored"] = candidate.unrestored
    if candidate.unmet is not None:
        found["unmet"] = candidate.unmet
    if candidate.confidence is not None:
        found["confidence"] = round(candidate.confidence, 2)
    if candidate.checks is not None:
        found["checks"] = candidate.checks
    return found

"""The formats of `nmt translate`: text, a table, or JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from nmt.inference.results import Candidate, Translation

Format = Literal["text", "tsv", "jsonl"]


def render(form: Format, number: int, translation: Translation) -> str:
    """Return the translation of line `number` as whole lines: one, or in `tsv` one for each hypothesis.

    `text` is the best hypothesis, followed by ` ||| ` and its alignment if it has one; `tsv` is line number, score,
    text, alignment and failed checks, of the last two those that are wanted; `jsonl` is an object with `source` and
    `hypotheses`.
    """
    if form == "jsonl":
        hypotheses = [_object(candidate) for candidate in translation.candidates]
        return json.dumps({"source": translation.source, "hypotheses": hypotheses}, ensure_ascii=False) + "\n"
    if form == "text":
        return " ||| ".join([translation.text, *_pharaoh(translation.candidates[0])]) + "\n"
    return "".join(
        "\t".join([str(number), f"{one.score:.6f}", _cell(one.text), *_pharaoh(one), *_failed(one)]) + "\n"
        for one in translation.candidates
    )


def _pharaoh(candidate: Candidate) -> list[str]:
    """Return the alignment as `0-0 1-2` (source word, target word) in a list, empty without an alignment."""
    if candidate.alignment is None:
        return []
    return [" ".join(f"{source}-{target}" for source, target in candidate.alignment)]


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
    if candidate.checks is not None:
        found["checks"] = candidate.checks
    return found

"""Translations of single lines, with what a model found and did for each of their segments."""

from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass

import numpy as np
import torch

from nmt.config.inference import Options
from nmt.data.encoding.tokenizer import EOS_ID
from nmt.errors import DataError, UsageError
from nmt.evaluation.attention_maps import AttentionMaps
from nmt.inference.engines.native import NativeEngine, pad_pairs
from nmt.inference.protocol import Hypothesis, Request, Row
from nmt.inference.report import ODD_PIECE, Report
from nmt.inference.translator import Candidate, Translator


@dataclass(frozen=True)
class Observed:
    """A line, its translation, and the rows and hypotheses of its segments."""

    source: str
    best: Candidate
    segments: list[tuple[Row, list[Hypothesis]]]
    warnings: list[str]


class ObservedEngine(NativeEngine):
    """The native engine, which keeps the rows that it translates and their hypotheses."""

    def __init__(self, engine: NativeEngine) -> None:
        super().__init__(engine.models)
        self.found: list[tuple[Row, list[Hypothesis]]] = []

    def search(self, batches: Iterable[list[Row]], request: Request) -> Iterator[list[list[Hypothesis]]]:
        for batch in batches:
            (found,) = super().search([batch], request)
            self.found += zip(batch, found, strict=True)
            yield found


def observe(translator: Translator, line: str, *, layer: int | None = None) -> Observed:
    """Translate `line` as `translator` does, whose report stays as it is.

    The word alignment of the translation is that of decoder layer `layer`, see `Options`; with placeholders there is
    none. Raises DataError where `line` is blank, UsageError where the engine is not the native one.
    """
    if not isinstance(translator.engine, NativeEngine):
        raise UsageError("only the native engine, in one process, shows how it works")
    copied, engine = copy(translator), ObservedEngine(translator.engine)
    copied.engine, copied.report = engine, Report()
    rows = copied.rows(line)
    if not rows:
        raise DataError("the text is blank", hint="give a sentence")
    copied.report = Report()
    has_words = translator.protector is None
    (translation,) = copied.translate(
        [line], Options(alignment=has_words, alignment_layer=layer if has_words else None)
    )
    segments = [next(found for found in engine.found if found[0] == row) for row in rows]
    warnings = copied.report.warnings()
    pieces = [piece for row in rows for piece in translator.tokenizer.source.pieces(row.ids)]
    if unknown := sum(ODD_PIECE.fullmatch(piece) is not None for piece in pieces):
        warnings.insert(0, f"characters of the text that are unknown or spelled in bytes: {unknown}")
    return Observed(line, translation.candidates[0], segments, warnings)


@torch.inference_mode()
def attention_maps(translator: Translator, observed: Observed) -> list[AttentionMaps]:
    """Return the attention of the model over each segment of a line, for its best hypothesis.

    Raises UsageError where `translator` is an ensemble.
    """
    assert isinstance(translator.engine, NativeEngine)
    if len(translator.engine.models) > 1:
        raise UsageError("an ensemble has no attention of its own", hint="take one model")
    model, tokenizer, maps = translator.engine.models[0], translator.tokenizer, []
    attentions = model.attentions()
    for row, (best, *_) in observed.segments:
        src, tgt_in = pad_pairs([(row.ids, best.ids)], model.device)
        found = iter(model.attention_weights(src, tgt_in, [one for of_kind in attentions.values() for one in of_kind]))
        weights = {
            str(kind): np.stack([next(found)[0].float().cpu().numpy() for _ in of_kind])
            for kind, of_kind in attentions.items()
        }
        source, target = tokenizer.source.pieces([*row.ids, EOS_ID]), tokenizer.target.pieces([*best.ids, EOS_ID])
        maps.append(AttentionMaps(source, target, weights))
    return maps

"""How a model translates a line: the steps of the search and all attention weights, segment by segment."""

from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from nmt.config.inference import AttentionConfig, Options
from nmt.data.encoding.tokenizer import EOS_ID
from nmt.errors import DataError, UsageError
from nmt.evaluation.attention_maps import (
    AttentionMaps,
    Form,
    Weights,
    draw_alignment,
    draw_attention,
    fonts_for,
)
from nmt.files import Json, JsonObject
from nmt.inference.engines.native import NativeEngine, pad_pairs
from nmt.inference.protocol import Hypothesis, Request, Row, length_penalty
from nmt.inference.report import ODD_PIECE, Report
from nmt.inference.results import Candidate
from nmt.inference.search import search
from nmt.inference.trace import Extension, Tracer
from nmt.inference.translator import Translator
from nmt.model.protocol import LayerMaps


@dataclass(frozen=True)
class ObservedSegment:
    """A segment of a line, its best hypothesis, and each step of the search."""

    row: Row
    best: Hypothesis
    steps: list[list[Extension]]  # best first


@dataclass(frozen=True)
class Observed:
    """A line, its translation, and its segments."""

    translator: Translator
    source: str
    best: Candidate
    segments: list[ObservedSegment]
    warnings: list[str]

    @cached_property
    def maps(self) -> list[AttentionMaps]:
        """The attention over each segment."""
        return attention_maps(self.translator, self)

    def picture(self, shown: AttentionConfig, form: Form) -> bytes:
        """Draw the attention that is `shown` over the first segment, see `draw_attention`, or the alignment of words.

        Raises UsageError where there is no such layer or head, or placeholders leave no alignment.
        """
        if shown.kind != "alignment":
            kind, layer, head = shown.kind or "cross", shown.layer, shown.head
            return draw_attention(self.maps[0], kind, layer=layer, head=head, measure=shown.measure, form=form)
        if self.best.alignment is None:
            raise UsageError("an alignment and placeholders exclude each other", hint="add --protect none")
        return draw_alignment(self.source.split(), self.best.text.split(), self.best.alignment, form=form)

    def without_font(self, kind: str | None) -> str:
        """Return the characters of a picture of `kind` that no installed font has."""
        words = [self.source, self.best.text] if kind == "alignment" else [*self.maps[0].source, *self.maps[0].target]
        return fonts_for(words)[1]

    def attention_json(self, shown: AttentionConfig) -> JsonObject:
        """Return the pieces, weights and norms of all segments: of one kind, layer or head, or of all.

        Raises UsageError where there is no such layer or head.
        """
        kind, layer, head = shown.kind, shown.layer, shown.head
        kinds = {"alignment": [], None: list(self.maps[0].weights)}.get(kind, [str(kind)])
        segments = [
            {
                "source": maps.source,
                "target": maps.target,
                "weights": {name: rounded(maps.chosen(name, layer, head)) for name in kinds},
                "norms": {name: rounded(maps.chosen(name, layer, head, "norms")) for name in kinds},
                "layer_norms": {name: rounded(maps.together(name, layer)) for name in kinds},
            }
            for maps in self.maps
        ]
        return {**self._json(), "alignment": self.best.alignment, "segments": segments}

    def search_json(self) -> JsonObject:
        """Return the steps of the search of all segments, with their pieces, and the finished hypotheses, best first.

        Each segment has the score of its best hypothesis, and the line their sum.
        """
        decoding, tokenizer = self.translator.decoding, self.translator.tokenizer
        segments = []
        for segment in self.segments:
            steps = [[self._extension(one) for one in step] for step in segment.steps]
            ended = [one for step in steps for one in step if one["fate"] == "finished"]
            finished = [
                {
                    "pieces": one["pieces"],
                    "log_probability": one["total"],
                    "length_penalty": round(length_penalty(len(one["pieces"]), decoding.length_penalty), 6),
                    "score": one["score"],
                }
                for one in sorted(ended, key=lambda one: -one["score"])[: decoding.beam_size]
            ]
            source = tokenizer.source.pieces([*segment.row.ids, EOS_ID])
            score = round(segment.best.score, 6)
            segments.append({"source": source, "steps": steps, "finished": finished, "score": score})
        settings = {key: value for key, value in decoding.model_dump().items() if key != "batch_tokens"}
        return {**self._json(), "search": settings, "segments": segments}

    def _extension(self, one: Extension) -> JsonObject:
        return {
            "pieces": self.translator.tokenizer.target.pieces(one.ids),
            "log_probability": round(one.log_prob, 6),
            "total": round(one.total, 6),
            "fate": one.fate,
            "score": None if one.score is None else round(one.score, 6),
        }

    def _json(self) -> JsonObject:
        return {"source": self.source, "translation": self.best.text, "score": round(self.best.score, 6)}


class ObservedEngine(NativeEngine):
    """The native engine, which keeps the rows that it translates, their hypotheses and the steps of the search."""

    def __init__(self, engine: NativeEngine) -> None:
        super().__init__(engine.models)
        self.found: list[ObservedSegment] = []

    def search(self, batches: Iterable[list[Row]], request: Request) -> Iterator[list[list[Hypothesis]]]:
        for batch in batches:
            tracer = Tracer()
            found = search(self.models, batch, request, tracer)
            yield found  # where a row has no hypothesis, this raises
            self.found += [
                ObservedSegment(row, best, tracer.steps[index])
                for index, (row, (best, *_)) in enumerate(zip(batch, found, strict=True))
            ]


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
    segments = [next(segment for segment in engine.found if segment.row == row) for row in rows]
    warnings = copied.report.warnings()
    pieces = [piece for row in rows for piece in translator.tokenizer.source.pieces(row.ids)]
    if unknown := sum(ODD_PIECE.fullmatch(piece) is not None for piece in pieces):
        warnings.insert(0, f"characters of the text that are unknown or spelled in bytes: {unknown}")
    return Observed(translator, line, translation.candidates[0], segments, warnings)


def rounded(weights: Weights) -> Json:
    return weights.astype(float).round(6).tolist()


@torch.inference_mode()
def attention_maps(translator: Translator, observed: Observed) -> list[AttentionMaps]:
    """Return the attention of the model over each segment of a line, for its best hypothesis.

    Raises UsageError where `translator` is an ensemble.
    """
    assert isinstance(translator.engine, NativeEngine)
    if len(translator.engine.models) > 1:
        raise UsageError("an ensemble has no attention of its own", hint="take one model")
    model, tokenizer, maps = translator.engine.models[0], translator.tokenizer, []
    for segment in observed.segments:
        src_ids, tgt_ids = segment.row.ids, segment.best.ids
        found = model.attention_maps(*pad_pairs([(src_ids, tgt_ids)], model.device))
        weights, norms, layer_norms = (
            {
                str(kind): np.stack([layer[measure][0].float().cpu().numpy() for layer in of_kind])
                for kind, of_kind in found.items()
            }
            for measure in range(len(LayerMaps._fields))
        )
        source, target = tokenizer.source.pieces([*src_ids, EOS_ID]), tokenizer.target.pieces([*tgt_ids, EOS_ID])
        maps.append(AttentionMaps(source, target, weights, norms, layer_norms))
    return maps

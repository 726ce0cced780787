"""Text in, text out, in order: the one path from raw text to raw text, for every engine."""

import copy
import itertools
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Self, TypeVar

from nmt import console
from nmt.config.decoding import DecodingConfig, InferencePrecision
from nmt.config.inference import Options, TrainingLines
from nmt.data.directions import Direction, choose_direction
from nmt.data.encoding.batching import by_tokens
from nmt.data.encoding.tokenizer import Tokenizer
from nmt.data.encoding.trees import TreePieces
from nmt.data.pairs import is_blank
from nmt.data.placeholders import Protector
from nmt.data.reading.streams import UpToError
from nmt.data.reading.terms import Terms
from nmt.data.sentences import SentenceSplitter
from nmt.errors import DataError, UsageError
from nmt.evaluation.checks import Checker
from nmt.inference.alignment import align_words
from nmt.inference.bundle import BundleConfig
from nmt.inference.candidates import Joiner
from nmt.inference.confidence import Calibration, no_calibration
from nmt.inference.loading import Parts, load_parts
from nmt.inference.mbr import choose, request_of
from nmt.inference.protocol import Engine, Hypothesis, Matrix, Pair, Request, Row, by_batch, length_penalty, nan_error
from nmt.inference.repair import check_options, terms_for
from nmt.inference.report import Report
from nmt.inference.results import Candidate, Output, PairScore, Translation
from nmt.inference.segments import Segment, Segmenter
from nmt.inference.sources import UNBOUND, Chunk, Source, SourceReader, check_trees
from nmt.inference.terms import TermEncoder, Wanted

R = TypeVar("R")
FIRST_CHUNK, LARGEST_CHUNK = 32, 2048
"""Lines of the first chunk and, doubling, of the largest: early answers first, then full batches."""
AS_MANY = "give as many prefixes as lines; a blank one leaves the start to the model"


class Translator:
    """Translates text by an engine, with its tokenizer and settings.

    Several threads may call the methods of one translator in one process (`devices = 1`); each call takes its share of
    the one model.
    """

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        decoding: DecodingConfig,
        *,
        max_length: int,
        protector: Protector | None = None,
        tags: Sequence[str] = (),
        direction: Direction | None = None,
        lines: TrainingLines | None = None,
    ) -> None:
        self.engine, self.tokenizer, self.decoding = engine, tokenizer, decoding
        check_trees(tokenizer, decoding)
        self.max_length = max_length  # longest source in pieces, EOS included
        segmenter = Segmenter(tokenizer, max_length - 1, SentenceSplitter(), decoding.segments, lines)
        self.reader = SourceReader(tokenizer, segmenter, protector, tuple(tags))
        self._face(direction or Direction(None, None))
        self.report = Report()
        """Report on all lines since the translator was made, or since the report was last replaced."""
        self.terms: TermEncoder | None = None  # see `with_terms`
        self.has_terms = False  # whether the models take terms from their source, where `load` made the translator
        self.is_native = True  # whether the search takes constraints
        self._counting = threading.Lock()
        self.bundle: BundleConfig | None = None  # config of the first bundle, where `load` made the translator
        self.path: Path | None = None  # the only bundle, where `load` made the translator
        self.calibration: Calibration | None = None  # of the only bundle

    @property
    def batch_tokens(self) -> int:
        share = max(1, self.decoding.mbr // DecodingConfig().beam_size)  # hypotheses to a row beyond the usual ones
        return self.decoding.batch_tokens or max(1, self.engine.batch_tokens // share)

    @property
    def protector(self) -> Protector | None:
        return self.reader.protector

    @property
    def trees(self) -> TreePieces | None:
        """The pieces of trees, if the search is among well-formed ones."""
        return self.tokenizer.target.trees if self.decoding.well_formed else None

    def _face(self, direction: Direction) -> None:
        """Translate in `direction` from now on."""
        self.direction = direction
        self.reader = self.reader.facing(direction)
        self.target_splitter = SentenceSplitter(direction.target)
        self.checker = Checker(direction.languages)

    @classmethod
    def load(
        cls,
        *paths: Path | str,
        decoding: Mapping[str, object] | None = None,
        precision: InferencePrecision | None = None,
        terms: Terms | None = None,
        **settings: object,
    ) -> Self:
        """Load the bundle at each of `paths`; several form an ensemble.

        `decoding` replaces settings of the first bundle, and `precision` the one of this name; `settings` are fields of
        `InferenceConfig`, such as `device`. Translations keep to `terms`, see `with_terms`.
        With more than one of `devices`, the processes translate different batches. Raises ArtifactError, UsageError.
        """
        return cls._of(load_parts([Path(path) for path in paths], decoding or {}, precision, terms, settings))

    @classmethod
    def _of(cls, parts: Parts) -> Self:
        translator = cls(
            parts.engine,
            parts.tokenizer,
            parts.decoding,
            max_length=parts.max_length,
            protector=parts.protector,
            tags=parts.tags,
            direction=parts.direction,
            lines=parts.config.training_lines,
        )
        translator.bundle, translator.path, translator.is_native = parts.config, parts.path, parts.is_native
        translator.terms, translator.has_terms, translator.calibration = parts.terms, parts.has_terms, parts.calibration
        return translator

    def facing(self, direction: Direction) -> Self:
        """Return a translator in `direction`, with the same model and settings, and a report of its own."""
        other = self.with_engine(self.engine)
        other._face(direction)
        return other if self.terms is None else other.with_terms(self.terms.terms)

    def with_direction(self, to: str | None = None, from_: str | None = None) -> Self:
        """Return a translator of the same model into the language `to`, see `choose_direction`. Raises UsageError."""
        if self.bundle is None:
            raise UsageError("only a translator that was loaded from a bundle knows the directions of its model")
        return self.facing(choose_direction(self.bundle.languages, from_, to))

    def with_engine(self, engine: Engine) -> Self:
        """Return a translator with the same tokenizer and settings, another engine, and a report of its own."""
        other = copy.copy(self)
        other.engine, other.report = engine, Report()
        return other

    def with_terms(self, terms: Terms | None) -> Self:
        """Return a translator that keeps to `terms`, with the same model and a report of its own.

        Raises DataError, UsageError where the model cannot; see `TermEncoder`.
        """
        other = self.with_engine(self.engine)
        if terms is None:
            other.terms = None
        else:
            languages = self.direction.languages
            other.terms = TermEncoder(terms, self.tokenizer, is_for_terms=self.has_terms, languages=languages)
        return other

    def translate_all(self, lines: Sequence[str]) -> list[str]:
        """Translate `lines` in the batches of `stream`, so that scores equal those of `nmt translate`.

        Prints the warnings of the report.
        """
        self.report = Report()
        texts = [translation.text for translation in self.stream(lines)]
        for warning in [*self.report.warnings(), *self.report.unused]:
            console.warn(warning)
        return texts

    def translate(
        self, lines: Sequence[str], options: Options | None = None, *, prefixes: Sequence[str] | None = None
    ) -> list[Translation]:
        """Translate each of `lines` to one line, in order; each translation begins with its prefix.

        Raises DataError where a prefix is longer than the model's targets, or the numbers of prefixes and lines differ.
        """
        check_options(options, prefixes)
        if prefixes is not None and len(prefixes) != len(lines):
            raise DataError(f"{len(lines):,} lines but {len(prefixes):,} prefixes")
        return list(self._run(iter([self._chunk(lines, prefixes)]), options or Options()))

    def stream(
        self,
        lines: Iterable[str],
        options: Options | None = None,
        *,
        prefixes: Iterable[str] | None = None,
        ready: Callable[[float], bool] | None = None,
        first_chunk: int = FIRST_CHUNK,
    ) -> Iterator[Translation]:
        """Translate `lines` as they arrive, in order, holding a bounded number of them.

        Lines are batched by length within a chunk. A chunk ends when it is full, or when `ready`, called with the
        time.monotonic() of its first line, returns False because no other line is there; with `ready` each chunk is
        translated before more is read. The first chunk has at most `first_chunk` lines, which double up to
        `LARGEST_CHUNK`. Raises DataError where the numbers of prefixes and lines differ.
        """
        options = options or Options()
        check_options(options, prefixes)
        readable = UpToError(lines)
        chunks = self._chunks(readable, prefixes, ready, first_chunk)
        ahead = chunks if ready is None else iter(())
        for chunk in chunks:
            yield from self._run(itertools.chain([chunk], ahead), options)
        readable.check()

    def check_calibration(self) -> Calibration:
        """Return the calibration of the model. Raises UsageError where it has none, as several models have none."""
        if self.calibration is None:
            raise no_calibration(self.path)
        return self.calibration

    def rows(self, line: str) -> list[Row]:
        """Return the rows of the segments of `line`, in order; a blank line has none."""
        return self._chunk([line], None).rows

    def _chunks(
        self,
        lines: UpToError[str],
        prefixes: Iterable[str] | None,
        ready: Callable[[float], bool] | None,
        size: int,
    ) -> Iterator[Chunk]:
        starts = None if prefixes is None else iter(prefixes)
        for line in lines:
            chunk, since = [line], time.monotonic()
            while len(chunk) < size and (ready is None or ready(since)) and (more := next(lines, None)) is not None:
                chunk.append(more)
            begun = None if starts is None else list(islice(starts, len(chunk)))
            if begun is not None and len(begun) < len(chunk):
                raise DataError(f"line {self.report.lines + len(begun) + 1} has no prefix", hint=AS_MANY)
            size = min(2 * size, LARGEST_CHUNK) if len(chunk) == size else size
            yield self._chunk(chunk, begun)
        if starts is not None and not lines.has_failed and next(starts, None) is not None:
            raise DataError(f"more prefixes than the {self.report.lines:,} lines", hint=AS_MANY)

    def _chunk(self, lines: Sequence[str], prefixes: Sequence[str] | None) -> Chunk:
        if prefixes is not None and self.trees is not None:
            raise UsageError("a prefix and trees exclude each other", hint=UNBOUND)
        first = self._count(lines)
        sources = self._read(lines, first)
        starts = self._starts(prefixes, sources, first) if prefixes is not None else [[]] * len(lines)
        # A prefix goes on from sentence to sentence only within the first segment.
        begun = map(self.target_splitter.count, prefixes or [""] * len(lines))
        numbered = enumerate(zip(sources, begun, strict=True), first)
        parts = [self._segments(source, number, least) for number, (source, least) in numbered]
        rows = [
            Row(segment.ids, begun, self.reader.forbidden(segment, begun), segment.words)
            for segments, start in zip(parts, starts, strict=True)
            for segment, begun in zip(segments, itertools.chain([start], itertools.repeat([])), strict=False)
        ]
        wanted = [Wanted()] * len(rows)
        if self.terms is not None:
            texts = [text for pair in zip(sources, parts, strict=True) for text in self.reader.texts(*pair)]
            wanted, is_soft = [*map(self.terms.wanted, texts)], self.terms.is_soft
            if is_soft:
                heads = [source.head for source, segments in zip(sources, parts, strict=True) for _ in segments]
                rows = self.terms.annotate(rows, heads, texts, self.max_length - 1)
            limit = partial(Row.limit, decoding=self.decoding, longest=self.engine.target_limit)
            rows = [one.added_to(row, limit(row), is_soft=is_soft) for one, row in zip(wanted, rows, strict=True)]
            self._count_terms(sum(count for one in wanted for _, count in one.counts))
        batches = by_tokens([len(row.ids) + 1 for row in rows], self.batch_tokens, self.engine.workers)
        return Chunk(first, lines, sources, parts, rows, wanted, batches)

    def _run(self, chunks: Iterator[Chunk], options: Options) -> Iterator[Translation]:
        """Translate `chunks`, up to and including the first chunk of only blank lines: no engine answers it.

        An engine that works ahead receives the next chunk before this one is done. Raises UsageError where more
        hypotheses are wanted than the search has, or an alignment that there cannot be.
        """
        if options.alignment:
            self.reader.check_alignment()
        if options.check:
            self.reader.check_text()
        if options.confidence:
            self.check_calibration()
        if options.repair and not self.is_native:
            raise UsageError("a repair needs the native engine", hint="leave it out")
        edges = self.terms.edges if self.terms is not None and self.terms.binds else None
        request = replace(request_of(self.decoding, options, self.trees), edges=edges)
        if (
            request.sampling is not None
            and self.terms is not None
            and self.terms.has_glossary
            and not self.terms.is_soft
        ):
            hint = "search, or leave out the glossary; a model for terms samples with soft ones"
            raise UsageError("hard terms and sampling exclude each other", hint=hint)
        begun: deque[Chunk] = deque()

        def batches() -> Iterator[list[Row]]:
            for chunk in chunks:
                begun.append(chunk)
                yield from ([chunk.rows[index] for index in batch] for batch in chunk.batches)
                if not chunk.batches:
                    return

        for hypotheses in self.engine.search(batches(), request):
            begun[0].take(hypotheses)
            if begun[0].is_done:
                yield from self._finish(begun.popleft(), options, request)
        for chunk in begun:
            yield from self._finish(chunk, options, request)

    def _finish(self, chunk: Chunk, options: Options, request: Request) -> Iterator[Translation]:
        chunk.search_again(partial(self._search, request=request), self.tokenizer.target.decode)
        hypotheses = [chunk.hypotheses[index] for index in range(len(chunk.rows))]
        if self.decoding.mbr:
            hypotheses = [choose(of_row, self.tokenizer.target, options.n_best) for of_row in hypotheses]
        joiner = Joiner(self.tokenizer, self.reader, self.checker, self.terms, self.calibration)
        of_rows = zip(self._details(chunk.rows, hypotheses, options), chunk.wanted, strict=True)
        lines = zip(chunk.lines, chunk.sources, chunk.segments, strict=True)
        for number, (line, source, segments) in enumerate(lines, chunk.first):
            found = [next(of_rows) for _ in segments]
            parts, wanted = [part for part, _ in found], [one for _, one in found]
            first = joiner.join(parts, segments, source, options, wanted)
            again = self._repair(number, line, first[0], options) if options.repair else None
            candidates = again or first
            best = candidates[0]
            if segments and again is None:
                self._judge(number, source, best, [part[0] for part in parts], options)
            self.report.add_best(number, best)
            self.report.unavoided += [number] * any(one.avoids and one.avoids.is_in(best.text) for one in wanted)
            yield Translation(line, candidates, self.report.is_unsure(number, best, options.min_confidence))

    def _repair(self, number: int, line: str, best: Candidate, options: Options) -> list[Candidate] | None:
        """Return candidates of a line whose `best` one fails checks, by a search with constraints; None if they fail.

        Each line is searched by itself, so that the result does not depend on the batch.
        """
        if not best.checks:
            return None
        self.report.tried.append(number)
        try:
            own = self.terms.terms if self.terms else Terms()
            searcher = self.with_terms(terms_for(best.checks, self.checker.languages, own))
        except DataError:  # terms that contradict each other, or of which the model has no pieces
            return None
        searcher.decoding = self.decoding.model_copy(update={"mbr": 0})
        count = min(options.n_best, self.decoding.beam_size)
        (again,) = searcher.translate([line], replace(options, n_best=count, repair=False))
        if again.checks:
            return None
        self.report.repaired.append(number)
        self.report.take_judgement(number, searcher.report)
        return again.candidates

    def _search(self, rows: list[Row], request: Request) -> list[list[Hypothesis]]:
        lengths, search = [len(row.ids) + 1 for row in rows], partial(self.engine.search, request=request)
        return by_batch(rows, lengths, self.batch_tokens, search, self.engine.workers)

    def _judge(self, number: int, source: Source, best: Candidate, outputs: Sequence[Output], options: Options) -> None:
        """Report the best candidate of line `number`, joined from `outputs`, if it looks wrong."""
        lengths = [len(output.tgt) + 1 for output in outputs]
        penalties = [length_penalty(length, self.decoding.length_penalty) for length in lengths]
        total = sum(output.score * penalty for output, penalty in zip(outputs, penalties, strict=True))
        is_drawn = request_of(self.decoding, options, self.trees).sampling is not None
        log_prob = 0.0 if is_drawn else total / sum(lengths)  # samples are improbable by nature
        if self.trees is not None:  # the search leaves nothing else to be wrong
            self.report.judge_probability(number, log_prob)
            return
        expected = self.reader.expected_pieces(source)
        self.report.judge(number, source.text, best.text, best.pieces, expected=expected, log_prob=log_prob)

    def score(self, sources: Sequence[str], targets: Sequence[str]) -> list[PairScore]:
        """Score each target as the translation of its source. Raises ArtifactError, DataError."""
        if len(sources) != len(targets):
            raise DataError(f"{len(sources):,} sources but {len(targets):,} targets")
        first = self._count(sources)
        read = self._read(sources, first)
        encoded = self._encode_targets(targets, read)
        fits = [
            not source.is_blank and len(source.ids) < self.max_length and 0 < len(tgt) < self.engine.target_limit
            for source, tgt in zip(read, encoded, strict=True)
        ]
        self.report.unscored += [number for number, fit in enumerate(fits, first) if not fit]
        pairs = [(source.ids, tgt) for source, tgt, fit in zip(read, encoded, fits, strict=True) if fit]
        of_pairs = self._by_batch(pairs, self.engine.score)
        if any(map(math.isnan, itertools.chain.from_iterable(of_pairs))):
            raise nan_error()
        scores = iter(of_pairs)
        return [self._pair_score(tgt, next(scores) if fit else []) for tgt, fit in zip(encoded, fits, strict=True)]

    def align(self, sources: Sequence[str], targets: Sequence[str]) -> list[list[tuple[int, int]]]:
        """Return the word alignment of each target as the translation of its source, by attention.

        A pair with a side that is blank, or too long for the model, has none. Raises UsageError where the engine gives
        no attention, with placeholders, and of trees.
        """
        self.reader.check_alignment()
        first = self._count(sources)
        read = self._read(sources, first)
        encoded = self._encode_targets(targets, read)
        pairs = {
            index: (source.ids, tgt)
            for index, (source, tgt) in enumerate(zip(read, encoded, strict=True))
            if not source.is_blank and len(source.ids) < self.max_length and 0 < len(tgt) < self.engine.target_limit
        }
        shown = [not source.is_blank and not is_blank(target) for source, target in zip(read, targets, strict=True)]
        self.report.unscored += [
            first + index for index, is_shown in enumerate(shown) if is_shown and index not in pairs
        ]
        matrices = self._by_batch(list(pairs.values()), partial(self.engine.attention, layer=None))
        links: list[list[tuple[int, int]]] = [[] for _ in read]
        models = self.tokenizer.source, self.tokenizer.target
        for (index, sides), attention in zip(pairs.items(), matrices, strict=True):
            tags = len(read[index].head)
            source, target = (model.pieces(ids) for model, ids in zip(models, sides, strict=True))
            links[index] = align_words([row[tags:] for row in attention], source[tags:], target)[1]
        return links

    def _pair_score(self, tgt: list[int], token_scores: list[float]) -> PairScore:
        penalty = length_penalty(len(token_scores), self.decoding.length_penalty)
        score = sum(token_scores) / penalty if token_scores else math.nan
        return PairScore(score, self.tokenizer.target.pieces(tgt), token_scores)

    def _count(self, lines: Sequence[str]) -> int:
        """Add `lines` to those of the report; return the number of the first."""
        with self._counting:
            first = self.report.lines + 1
            self.report.lines += len(lines)
        return first

    def _count_terms(self, number: int) -> None:
        """Add to the terms of the report, where there is a glossary."""
        if self.terms is not None and self.terms.has_glossary:
            with self._counting:
                self.report.terms = (self.report.terms or 0) + number

    def _read(self, lines: Sequence[str], first: int) -> list[Source]:
        """Encode `lines`, numbered from `first`, and report the text that could not be protected."""
        sources = self.reader.read(lines)
        self.report.beyond += [number for number, source in enumerate(sources, first) for _ in range(source.beyond)]
        return sources

    def _segments(self, source: Source, number: int, least: int = 0) -> list[Segment]:
        """Return the segments of `source`, the first of `least` sentences; report a line that is not simply one."""
        segments, is_cut = self.reader.split(source, least)
        if not segments:
            self.report.blank.append(number)
        elif len(segments) > 1:
            self.report.segmented.append(number)
        if is_cut:
            self.report.cut.append(number)
        return segments

    def _starts(self, prefixes: Sequence[str], sources: Sequence[Source], first: int) -> list[list[int]]:
        """Encode the prefixes of `sources`, numbered from `first`. Raises DataError where one is too long."""
        starts, limit = self._encode_targets(prefixes, sources), self.engine.target_limit
        for number, ids in enumerate(starts, first):
            if len(ids) >= limit:
                raise DataError(f"prefix of line {number}: {len(ids):,} pieces, the model takes {limit - 1}")
        return starts

    def _encode_targets(self, targets: Sequence[str], sources: Sequence[Source]) -> list[list[int]]:
        spelled = [self.reader.spell(target, source) for target, source in zip(targets, sources, strict=True)]
        return self.tokenizer.target.encode(["" if is_blank(text) else text for text in spelled])

    def _details(self, rows: list[Row], of_rows: list[list[Hypothesis]], options: Options) -> list[list[Output]]:
        """Add the token scores and the attention that `options` ask for to the hypotheses of each of `rows`."""
        pairs = [(row.ids, h.ids) for row, hypotheses in zip(rows, of_rows, strict=True) for h in hypotheses]
        is_scored = options.token_scores or options.confidence or options.features
        scores = iter(self._by_batch(pairs, self.engine.score)) if is_scored else itertools.repeat([])
        matrices: Iterator[Matrix] = itertools.repeat([])
        if options.alignment:
            matrices = iter(self._by_batch(pairs, partial(self.engine.attention, layer=options.alignment_layer)))
        return [
            [Output(row.ids, h.ids, h.score, next(scores), next(matrices)) for h in hypotheses]
            for row, hypotheses in zip(rows, of_rows, strict=True)
        ]

    def _by_batch(self, pairs: list[Pair], work: Callable[[Iterable[list[Pair]]], Iterator[list[R]]]) -> list[R]:
        lengths = [1 + max(len(src), len(tgt)) for src, tgt in pairs]
        return by_batch(pairs, lengths, self.batch_tokens, work, self.engine.workers)

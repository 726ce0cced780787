"""Text in, text out, order kept: the one path from raw text to raw text, whatever engine computes."""

from __future__ import annotations

import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from nmt import console
from nmt.config.decoding import DecodingConfig, SamplingConfig
from nmt.config.inference import EngineName
from nmt.config.training import Precision
from nmt.data.encoding.batching import by_tokens
from nmt.data.encoding.tokenizer import Tokenizer
from nmt.data.placeholders import Protector, check_tags, protector_for
from nmt.errors import ArtifactError, DataError, UsageError
from nmt.inference.alignment import align_segments
from nmt.inference.bundle import BundleConfig
from nmt.inference.engines.loading import EnginePlan, open_bundles
from nmt.inference.protocol import Engine, Hypothesis, Matrix, Request, Row, length_penalty
from nmt.inference.report import Report
from nmt.inference.sources import Chunk, Source, SourceReader

Pair = tuple[list[int], list[int]]
R = TypeVar("R")

FIRST_CHUNK, LARGEST_CHUNK = 32, 2048
"""Lines read before the first batch and, doubling, at the most: early answers, then full batches."""
AS_MANY = "give as many prefixes as lines; a blank one leaves the start to the model"


@dataclass(frozen=True)
class Options:
    """What is wanted of each line."""

    n_best: int = 1
    """Hypotheses: at most the beam, or any number of samples."""
    sampling: SamplingConfig | None = None
    """Draw at random, instead of searching for the best."""
    token_scores: bool = False
    """Tell the log-probability of every piece."""
    alignment: bool = False
    """Tell which words of the source belong to which of the translation."""
    alignment_layer: int | None = None
    """Decoder layer, from 1, whose attention says so; by default the last but one."""


@dataclass(frozen=True)
class Candidate:
    """One hypothesis of a line."""

    text: str
    """One line."""
    score: float
    """Log-probability over the length penalty; of a line in segments, the sum; of a blank line, 0."""
    pieces: list[str]
    """What the model said, piece by piece, without EOS."""
    token_scores: list[float] | None = None
    """Log-probability of each piece, and last of EOS; of a line in segments there is an EOS after each."""
    alignment: list[tuple[int, int]] | None = None
    """Pairs of a source word and a target word, counted from 0."""
    unrestored: list[str] | None = None
    """Protected text of the line that is missing: the model did not say its placeholder; None without protection."""
    invented: int = 0
    """Placeholders that the model said and that stood for nothing; they are not in the text."""


@dataclass(frozen=True)
class Translation:
    """What became of one line."""

    source: str
    candidates: list[Candidate]
    """Best first (samples: as drawn); as many as asked for where the search found so many."""

    @property
    def text(self) -> str:
        """The best hypothesis, one line."""
        return self.candidates[0].text

    @property
    def score(self) -> float:
        """Its score."""
        return self.candidates[0].score


@dataclass(frozen=True)
class Segment:
    """A hypothesis of a row: of a line, or of a part of one."""

    src: list[int]
    tgt: list[int]
    """Pieces of both sides, without EOS."""
    score: float
    token_scores: list[float] | None
    attention: Matrix | None


@dataclass(frozen=True)
class PairScore:
    """How likely the model finds a given translation."""

    score: float
    """Log-probability over the length penalty; NaN where a side is blank or too long for the model."""
    pieces: list[str]
    """The target's."""
    token_scores: list[float]
    """Log-probability of each, and last of EOS."""


class Translator:
    """An engine with its tokenizer and settings."""

    def __init__(
        self,
        engine: Engine,
        tokenizer: Tokenizer,
        decoding: DecodingConfig,
        *,
        max_length: int,
        protector: Protector | None = None,
        tags: Sequence[str] = (),
    ) -> None:
        self.engine = engine
        self.tokenizer = tokenizer
        self.decoding = decoding
        self.max_length = max_length
        """Longest source in pieces, EOS included."""
        self.reader = SourceReader(tokenizer, max_length - 1, protector, tuple(tags))
        self.report = Report()
        """Of all lines since the translator was made, or since this was last replaced."""
        self.bundle: BundleConfig | None = None
        """Of what `load` loaded, the first."""

    @property
    def protector(self) -> Protector | None:
        """What keeps some text as it is, if anything does."""
        return self.reader.protector

    @classmethod
    def load(
        cls,
        *paths: Path | str,
        decoding: Mapping[str, Any] | None = None,
        engine: EngineName = "native",
        export: str | None = None,
        device: str = "auto",
        precision: Precision = "float32",
        threads: int | None = None,
        devices: int = 1,
        tags: Sequence[str] = (),
        protect: str | None = None,
    ) -> Translator:
        """Load the bundle at each of `paths`, an ensemble where they are several.

        `decoding` replaces settings of the first. With the engine `ctranslate2` the bundle must hold an export,
        called `export` where there are several.
        More than one of `devices` are processes, each with a GPU or a share of the processor, that translate
        different batches; `threads` are those of each. The model's `tags` stand before every line. What matches the
        regular expression `protect` is kept as it is, by default that of the first bundle; "none" switches it off.
        Raises ArtifactError, UsageError.
        """
        for name, value, known in (
            ("engine", engine, get_args(EngineName)),
            ("device", device, ("auto", "cpu", "cuda")),
            ("precision", precision, get_args(Precision)),
        ):
            if value not in known:
                raise UsageError(f"{name} = {value!r} is none of {', '.join(known)}")
        if not paths or (export is not None and engine == "native"):
            raise UsageError("no model to load" if not paths else "an export is for another engine than the native one")
        bundles = open_bundles([Path(path) for path in paths])
        config = bundles[0].config
        try:
            settings = DecodingConfig.model_validate({**config.decoding.model_dump(), **(decoding or {})})
        except ValidationError as error:
            finding = error.errors()[0]
            raise UsageError(f"decoding.{'.'.join(map(str, finding['loc']))}: {finding['msg']}") from None
        tokenizer = bundles[0].tokenizer
        check_tags(tags, tokenizer.tags)
        protector = protector_for(config.protect if protect is None else protect, tokenizer.placeholders)
        plan = EnginePlan(
            [bundle.path for bundle in bundles],
            engine=engine,
            export=export,
            device=device,
            precision=precision,
            threads=threads,
        )
        loaded = plan.load() if devices == 1 else plan.share(devices)
        longest = min(bundle.config.model.max_length for bundle in bundles)
        translator = cls(loaded, tokenizer, settings, max_length=longest, protector=protector, tags=tags)
        translator.bundle = config
        return translator

    def translate_all(self, lines: Sequence[str]) -> list[str]:
        """Translate `lines` in the batches of `stream`, so that each number is that of `nmt translate`.

        Says on the console which were not simply translated.
        """
        self.report = Report()
        texts = [translation.text for translation in self.stream(lines)]
        for warning in self.report.warnings(self.max_length - 1):
            console.warn(warning)
        return texts

    def translate(
        self, lines: Sequence[str], options: Options | None = None, *, prefixes: Sequence[str] | None = None
    ) -> list[Translation]:
        """Translate `lines`, each to one line, in their order; each translation begins with its prefix.

        Raises DataError where a prefix is longer than the model's targets, or there are not as many as lines.
        """
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
    ) -> Iterator[Translation]:
        """Translate `lines` as they come, in their order, holding a bounded number of them.

        Lines of a chunk are batched by length. A chunk is full, or ends where `ready`, called with the
        time.monotonic() of its first line, says that no other is there; with `ready` each chunk is answered before
        more is read. Raises DataError where `prefixes` are not as many as lines.
        """
        options = options or Options()
        chunks = self._chunks(iter(lines), prefixes, ready)
        ahead = chunks if ready is None else iter(())
        for chunk in chunks:
            yield from self._run(itertools.chain([chunk], ahead), options)

    def _chunks(
        self, lines: Iterator[str], prefixes: Iterable[str] | None, ready: Callable[[float], bool] | None
    ) -> Iterator[Chunk]:
        """Read the chunks of `stream`."""
        starts = None if prefixes is None else iter(prefixes)
        size = FIRST_CHUNK
        for line in lines:
            chunk, since = [line], time.monotonic()
            while len(chunk) < size and (ready is None or ready(since)) and (more := next(lines, None)) is not None:
                chunk.append(more)
            given = None if starts is None else list(islice(starts, len(chunk)))
            if given is not None and len(given) < len(chunk):
                raise DataError(f"line {self.report.lines + len(given) + 1} has no prefix", hint=AS_MANY)
            size = min(2 * size, LARGEST_CHUNK) if len(chunk) == size else size
            yield self._chunk(chunk, given)
        if starts is not None and next(starts, None) is not None:
            raise DataError(f"more prefixes than the {self.report.lines:,} lines", hint=AS_MANY)

    def _chunk(self, lines: Sequence[str], prefixes: Sequence[str] | None) -> Chunk:
        """Encode `lines`, each beginning with its prefix, and plan their batches."""
        first = self.report.lines + 1
        self.report.lines += len(lines)
        sources = self._read(lines, first)
        parts = [self._segments(source, number) for number, source in enumerate(sources, first)]
        starts = self._starts(prefixes, sources, first) if prefixes is not None else [[]] * len(lines)
        rows = [
            # What stands before the translation of a line stands before that of its first segment.
            Row(ids, start if place == 0 else [])
            for segments, start in zip(parts, starts, strict=True)
            for place, ids in enumerate(segments)
        ]
        batches = by_tokens([len(row.ids) + 1 for row in rows], self.decoding.batch_tokens)
        return Chunk(first, lines, sources, [len(segments) for segments in parts], rows, batches)

    def _run(self, chunks: Iterator[Chunk], options: Options) -> Iterator[Translation]:
        """Translate `chunks`, up to one of blank lines alone: for it no engine would answer.

        An engine that works ahead is given the next one before this one is done. Raises UsageError where more
        hypotheses are wanted than there can be, or an alignment together with placeholders.
        """
        # The words of what a placeholder stands for would have to be aligned, and the model has not seen them.
        if options.alignment and self.protector is not None:
            raise UsageError("an alignment and placeholders exclude each other", hint='load with protect = "none"')
        most = self.decoding.beam_size if options.sampling is None else math.inf
        if not 1 <= options.n_best <= most:
            raise UsageError(f"n_best = {options.n_best} must be 1 to the beam size, {self.decoding.beam_size}")
        begun: deque[Chunk] = deque()

        def batches() -> Iterator[list[Row]]:
            for chunk in chunks:
                begun.append(chunk)
                yield from ([chunk.rows[index] for index in batch] for batch in chunk.batches)
                if not chunk.batches:
                    return

        request = Request(self.decoding, options.n_best, options.sampling)
        for hypotheses in self.engine.search(batches(), request):
            begun[0].take(hypotheses)
            if begun[0].is_done:
                yield from self._finish(begun.popleft(), options)
        for chunk in begun:
            yield from self._finish(chunk, options)

    def _finish(self, chunk: Chunk, options: Options) -> Iterator[Translation]:
        """Make text of what was found for `chunk`."""
        found = iter(self._details(chunk.rows, [chunk.found[index] for index in range(len(chunk.rows))], options))
        lines = zip(chunk.lines, chunk.sources, chunk.segments, strict=True)
        for number, (line, source, segments) in enumerate(lines, chunk.first):
            candidates = self._join([next(found) for _ in range(segments)], source, options)
            best = candidates[0]
            if segments:
                self.report.judge(number, source.text, best.text, best.pieces)
            self.report.unrestored += [number] * len(best.unrestored or [])
            self.report.invented += [number] * best.invented
            yield Translation(line, candidates)

    def score(self, sources: Sequence[str], targets: Sequence[str]) -> list[PairScore]:
        """Tell how likely each target is as the translation of its source. Raises ArtifactError, DataError."""
        if len(sources) != len(targets):
            raise DataError(f"{len(sources):,} sources but {len(targets):,} targets")
        first = self.report.lines + 1
        self.report.lines += len(sources)
        given = self._read(sources, first)
        spelled = [self.reader.spell(line, source) for line, source in zip(targets, given, strict=True)]
        pairs = list(zip([source.ids for source in given], self.tokenizer.encode_target(spelled), strict=True))
        fits = [
            not source.is_blank and len(src) < self.max_length and 0 < len(tgt) < self.engine.target_limit
            for source, (src, tgt) in zip(given, pairs, strict=True)
        ]
        self.report.unscored += [number for number, fit in enumerate(fits, first) if not fit]
        found = self._by_batch([pair for pair, fit in zip(pairs, fits, strict=True) if fit], self.engine.score)
        if any(map(math.isnan, itertools.chain.from_iterable(found))):
            raise ArtifactError("the model's output is not a number", hint="its training diverged")
        those = iter(found)
        scores = []
        for (_, tgt), fit in zip(pairs, fits, strict=True):
            token_scores = next(those) if fit else []
            penalty = length_penalty(len(tgt) + 1, self.decoding.length_penalty)
            score = sum(token_scores) / penalty if fit else math.nan
            scores.append(PairScore(score, self.tokenizer.target.pieces(tgt), token_scores))
        return scores

    def _read(self, lines: Sequence[str], first: int) -> list[Source]:
        """Encode `lines`, counted from `first`, and note what could not be protected."""
        sources = [self.reader.read(line) for line in lines]
        self.report.beyond += [number for number, source in enumerate(sources, first) for _ in range(source.beyond)]
        return sources

    def _segments(self, source: Source, number: int) -> list[list[int]]:
        """Return the ids of `source`, in as many rows as the model needs, and note if it is not simply one."""
        rows, is_cut = self.reader.split(source)
        if source.is_blank:
            self.report.blank.append(number)
        elif len(source.ids) >= self.max_length:
            self.report.segmented.append(number)
        if is_cut:
            self.report.cut.append(number)
        return rows

    def _starts(self, prefixes: Sequence[str], sources: Sequence[Source], first: int) -> list[list[int]]:
        """Return the ids of the prefixes of `sources`, which are the lines from `first`."""
        spelled = [self.reader.spell(prefix, source) for prefix, source in zip(prefixes, sources, strict=True)]
        starts = self.tokenizer.encode_target(spelled)
        for number, ids in enumerate(starts, first):
            if len(ids) >= self.engine.target_limit:
                raise DataError(
                    f"prefix of line {number}: {len(ids):,} pieces, the model takes {self.engine.target_limit - 1}"
                )
        return starts

    def _details(self, rows: list[Row], found: list[list[Hypothesis]], options: Options) -> list[list[Segment]]:
        """Find out what else is wanted of the hypotheses `found` for each of `rows`."""
        pairs = [(row.ids, h.ids) for row, hypotheses in zip(rows, found, strict=True) for h in hypotheses]
        nothing: Iterator[None] = itertools.repeat(None)
        scores = iter(self._by_batch(pairs, self.engine.score)) if options.token_scores else nothing
        matrices = (
            iter(self._by_batch(pairs, lambda batches: self.engine.attention(batches, options.alignment_layer)))
            if options.alignment
            else nothing
        )
        return [
            [Segment(row.ids, h.ids, h.score, next(scores), next(matrices)) for h in hypotheses]
            for row, hypotheses in zip(rows, found, strict=True)
        ]

    def _by_batch(self, pairs: list[Pair], work: Callable[[Iterable[list[Pair]]], Iterator[list[R]]]) -> list[R]:
        """Give `pairs` to `work` in batches of like length; return the results in their order."""
        batches = by_tokens([1 + max(len(src), len(tgt)) for src, tgt in pairs], self.decoding.batch_tokens)
        results: dict[int, R] = {}
        for batch, found in zip(batches, work([pairs[index] for index in batch] for batch in batches), strict=True):
            results.update(zip(batch, found, strict=True))
        return [results[index] for index in range(len(pairs))]

    def _join(self, parts: list[list[Segment]], source: Source, options: Options) -> list[Candidate]:
        """Make lines of the hypotheses of a line's segments, the k-th best of each together."""
        if not parts:
            return [
                Candidate(
                    *("", 0.0, []),
                    token_scores=[] if options.token_scores else None,
                    alignment=[] if options.alignment else None,
                    unrestored=[] if self.protector else None,
                )
            ]
        most = max(map(len, parts))
        return [self._candidate([part[min(k, len(part) - 1)] for part in parts], source) for k in range(most)]

    def _candidate(self, segments: list[Segment], source: Source) -> Candidate:
        """Make a line of one hypothesis of each segment."""
        pieces = self.tokenizer.target.pieces([i for segment in segments for i in segment.tgt])
        text = " ".join(self.tokenizer.decode_target([segment.tgt for segment in segments]))
        restored = self.reader.restore(text, source)
        return Candidate(
            restored.text,
            sum(segment.score for segment in segments),
            pieces,
            [score for segment in segments for score in segment.token_scores or []]
            if segments[0].token_scores is not None
            else None,
            self._alignment(segments, source) if segments[0].attention is not None else None,
            restored.missing if self.protector else None,
            restored.unknown,
        )

    def _alignment(self, segments: list[Segment], line: Source) -> list[tuple[int, int]]:
        """Return the word alignment of `line`; no word belongs to a tag, and what is taken out is no word."""
        tags, parts = len(line.head), []
        for one in segments:
            said = self.tokenizer.target.pieces(one.tgt)
            gone = self.reader.invented(said, line)
            rows = [row[tags:] for place, row in enumerate(one.attention or []) if place not in gone]
            stays = [piece for place, piece in enumerate(said) if place not in gone]
            parts.append((rows, self.tokenizer.source.pieces(one.src[tags:]), stays))
        return align_segments(parts, line.words)

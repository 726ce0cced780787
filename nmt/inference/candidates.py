"""The candidates of a line, joined from the hypotheses of its segments, with all that is wanted of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from nmt.config.inference import Options
from nmt.data.encoding.tokenizer import Tokenizer
from nmt.data.term_marks import read_through
from nmt.evaluation.checks import Checker, Checks, Finding
from nmt.inference.alignment import SPACE, align_segments
from nmt.inference.confidence import Calibration, features_of
from nmt.inference.results import Candidate, Output
from nmt.inference.segments import Segment
from nmt.inference.sources import Source, SourceReader
from nmt.inference.terms import TermEncoder, Wanted


@dataclass(frozen=True)
class Joiner:
    """Joins the hypotheses of the segments of lines."""

    tokenizer: Tokenizer
    reader: SourceReader
    checker: Checker
    terms: TermEncoder | None
    calibration: Calibration | None

    def join(
        self,
        parts: list[list[Output]],
        segments: list[Segment],
        source: Source,
        options: Options,
        wanted: Sequence[Wanted],
    ) -> list[Candidate]:
        """Return the candidates of a line: the k-th joins the k-th best hypotheses of its segments."""
        most = max(map(len, parts), default=1)
        of_candidates = ([part[min(k, len(part) - 1)] for part in parts] for k in range(most))
        return [self._candidate(outputs, segments, source, options, wanted) for outputs in of_candidates]

    def _candidate(
        self,
        outputs: list[Output],
        segments: list[Segment],
        source: Source,
        options: Options,
        wanted: Sequence[Wanted],
    ) -> Candidate:
        """Join one hypothesis of each segment of `source`; a blank line has no segments."""
        pieces = self.tokenizer.target.pieces([i for output in outputs for i in output.tgt])
        texts = self.tokenizer.target.decode([output.tgt for output in outputs])
        restored = self.reader.restore(self.reader.joined(texts), source)
        unmet = self.terms.unmet(texts, wanted) if self.terms else None
        token_scores = [score for output in outputs for score in output.token_scores]
        features = features_of(token_scores, pieces, self.reader.expected_pieces(source)) if token_scores else None
        return Candidate(
            text=restored.text,
            score=sum((output.score for output in outputs), 0.0),
            pieces=pieces,
            token_scores=token_scores if options.token_scores else None,
            alignment=self._alignment(outputs, segments, source) if options.alignment else None,
            unrestored=restored.missing if self.reader.protector else None,
            invented=restored.unknown,
            unmet=unmet,
            checks=self._checks(source.text, restored.text, unmet) if options.check else None,
            confidence=self.calibration.confidence(features) if options.confidence and self.calibration else None,
            features=features if options.features else None,
        )

    def _checks(self, source: str, text: str, unmet: list[str] | None) -> Checks:
        """Return the checks that `text` fails, that of the glossary among them."""
        terms: Checks = {"terms": Finding(missing=unmet, invented=[])} if unmet else {}
        return self.checker.check(source, text) | terms

    def _alignment(self, outputs: list[Output], segments: list[Segment], line: Source) -> list[tuple[int, int]]:
        """Return the word alignment of `line`, without its tags and without invented placeholders."""
        tags, parts = len(line.head), []
        for output, segment in zip(outputs, segments, strict=True):
            pieces = self.tokenizer.target.pieces(output.tgt)
            invented = self.reader.invented(pieces, line)
            kept = [index for index in range(len(pieces)) if index not in invented]
            attention = [output.attention[index][tags:] for index in kept]
            source = self.tokenizer.source.pieces(output.src[tags:])
            if output.src != segment.ids:  # with its terms
                source, attention = read_through(source, attention)
            if segment.is_glued:
                source[0] = source[0].removeprefix(SPACE)  # by which the tokenizer begins every text
            parts.append((attention, source, [pieces[index] for index in kept]))
        return align_segments(parts, line.words)

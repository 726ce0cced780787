"""Text in, text out, order kept: the one path from raw text to raw text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from nmt import console
from nmt.config import DecodingConfig, Precision
from nmt.data.batching import by_tokens
from nmt.data.tokenizer import BOS_ID, EOS_ID, PAD_ID, Tokenizer
from nmt.errors import ArtifactError
from nmt.inference.bundle import BundleConfig, open_bundle
from nmt.inference.search import Hypothesis, SpecialIds, search
from nmt.model.transformer import Transformer
from nmt.runtime import pick_device

SPECIAL = SpecialIds(pad=PAD_ID, bos=BOS_ID, eos=EOS_ID)
SENTENCE_END = re.compile(r"(?<=[.!?…;])\s+|(?<=[。！？；])")
FIRST_CHUNK, LARGEST_CHUNK = 32, 2048
"""Lines read before the first batch and, doubling, at the most: early answers, then full batches."""


@dataclass(frozen=True)
class Translation:
    """What became of one line."""

    text: str
    """The best hypothesis, one line."""
    score: float
    """Its log-probability over its length penalty; of a line in segments, the sum; of a blank line, 0."""
    n_best: list[tuple[float, str]]
    """Scores and texts, best first; as many as asked for where the search found so many."""


@dataclass
class Report:
    """Counts of the lines that were not simply translated."""

    lines: int = 0
    blank: list[int] = field(default_factory=list)
    """Lines, from 1, without a piece: their translation is blank."""
    segmented: list[int] = field(default_factory=list)
    """Lines longer than the model takes, translated in segments at sentence ends."""
    cut: list[int] = field(default_factory=list)
    """Of those, lines with a sentence that is too long by itself, split within it."""

    def warnings(self, limit: int) -> list[str]:
        """Write each count that is not 0 as a sentence; `limit` is the longest source in pieces."""
        kinds = (
            (self.blank, "blank, and so are their translations"),
            (self.segmented, f"longer than {limit} pieces, and translated in segments"),
            (self.cut, f"with a sentence longer than {limit} pieces, split within it"),
        )
        return [
            f"input lines {what}: {len(lines):,} "
            f"(line {', '.join(map(str, lines[:10]))}{', ...' if len(lines) > 10 else ''})"
            for lines, what in kinds
            if lines
        ]


class Translator:
    """A model with its tokenizer and search."""

    def __init__(self, model: Transformer, tokenizer: Tokenizer, decoding: DecodingConfig, *, max_length: int) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.decoding = decoding
        self.max_length = max_length
        """Longest source in pieces, EOS included."""
        self.report = Report()
        self.bundle: BundleConfig | None = None
        """Of what `load` loaded."""

    @classmethod
    def load(
        cls,
        path: Path | str,
        *,
        decoding: Mapping[str, Any] | None = None,
        device: str = "auto",
        precision: Precision = "float32",
    ) -> Translator:
        """Load the bundle at `path`; `decoding` replaces settings of its own. Raises ArtifactError, UsageError."""
        bundle = open_bundle(Path(path))
        kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
        model = bundle.model().to(pick_device(device), kind).eval()
        config = bundle.config
        settings = DecodingConfig.model_validate({**config.decoding.model_dump(), **(decoding or {})})
        translator = cls(model, bundle.tokenizer, settings, max_length=config.model.max_length)
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

    def translate(self, lines: Sequence[str], n_best: int = 1) -> list[Translation]:
        """Translate `lines`, each to one line, in their order."""
        segments = [self._segments(line, number) for number, line in enumerate(lines, self.report.lines + 1)]
        self.report.lines += len(lines)
        flat = [ids for parts in segments for ids in parts]
        found = iter(self._search(flat, n_best))
        return [self._join([next(found) for _ in parts]) for parts in segments]

    def stream(self, lines: Iterable[str], n_best: int = 1, *, interactive: bool = False) -> Iterator[Translation]:
        """Translate `lines` as they come, in their order, holding a bounded number of them.

        Lines of a chunk are batched by length. With `interactive` each is answered before the next is read.
        """
        lines = iter(lines)
        size = 1 if interactive else FIRST_CHUNK
        while chunk := list(islice(lines, size)):
            yield from self.translate(chunk, n_best)
            size = 1 if interactive else min(2 * size, LARGEST_CHUNK)

    def _segments(self, line: str, number: int) -> list[list[int]]:
        """Return the ids of `line`, in as many rows as the model needs; none for a blank line."""
        (ids,) = self.tokenizer.encode_source([line])
        limit = self.max_length - 1
        if not ids:
            self.report.blank.append(number)
            return []
        if len(ids) <= limit:
            return [ids]
        self.report.segmented.append(number)
        rows: list[list[int]] = []
        sentences = self.tokenizer.encode_source(SENTENCE_END.split(line))
        if any(len(sentence) > limit for sentence in sentences):
            self.report.cut.append(number)
        for sentence in sentences:
            if rows and len(rows[-1]) + len(sentence) <= limit:
                rows[-1] += sentence
            else:
                rows += [sentence[start : start + limit] for start in range(0, len(sentence), limit)]
        return rows

    def _search(self, rows: list[list[int]], n_best: int) -> list[list[Hypothesis]]:
        """Search for every row, in batches of rows of like length."""
        device = next(self.model.parameters()).device
        found: list[list[Hypothesis]] = [[] for _ in rows]
        for batch in by_tokens([len(row) + 1 for row in rows], self.decoding.batch_tokens):
            longest = max(len(rows[index]) for index in batch)
            padded = [[*rows[i], EOS_ID, *[PAD_ID] * (longest - len(rows[i]))] for i in batch]
            hypotheses = search(
                self.model,
                torch.tensor(padded, device=device),
                SPECIAL,
                beam_size=self.decoding.beam_size,
                alpha=self.decoding.length_penalty,
                max_extra_length=self.decoding.max_extra_length,
                n_best=n_best,
            )
            for index, best in zip(batch, hypotheses, strict=True):
                if not best:
                    raise ArtifactError("the model's output is not a number", hint="its training diverged")
                found[index] = best
        return found

    def _join(self, parts: list[list[Hypothesis]]) -> Translation:
        """Make one line of the hypotheses of its segments, the k-th best of each together."""
        if not parts:
            return Translation("", 0.0, [(0.0, "")])
        ranks = [[part[min(k, len(part) - 1)] for part in parts] for k in range(max(map(len, parts)))]
        n_best = [
            (sum(h.score for h in rank), " ".join(self.tokenizer.decode_target([h.ids for h in rank])))
            for rank in ranks
        ]
        return Translation(n_best[0][1], n_best[0][0], n_best)

"""The two kinds of models that CTranslate2 loads: both score pairs and translate rows, as tasks in the background."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nmt.config.decoding import DecodingConfig
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID
from nmt.errors import UsageError
from nmt.inference.protocol import Matrix, Pair, Row

if TYPE_CHECKING:
    from ctranslate2 import Generator, Translator

PATIENCE = 2
"""With a length penalty, a search goes on until this multiple of the beam size has ended: at 1, 2 of 1,000 lines of
Multi30k differed from the native engine's, at 2 none."""
Found = list[tuple[list[str], float]]  # the hypotheses of a row, prefix included, each with its log-probability


@dataclass(frozen=True)
class Settings:
    """Settings of a search by CTranslate2 for some rows."""

    limits: list[int]  # pieces of the hypotheses of each row, EOS included
    decoding: DecodingConfig
    quick: bool  # search for the single best by log-probability
    banned: list[str]  # pieces that no hypothesis holds

    def least(self, limit: int) -> int:
        """Return the fewest pieces, without EOS, of a hypothesis within `limit`."""
        return min(self.decoding.min_length, limit - 1)

    def options(self) -> dict[str, object]:
        """Return the arguments that both kinds of models know by the same names."""
        patience = 1 if self.quick else PATIENCE
        return {
            "beam_size": self.decoding.beam_size,
            "patience": patience,
            "num_hypotheses": 1 if self.quick else patience * self.decoding.beam_size,
            "length_penalty": 0,
            "no_repeat_ngram_size": self.decoding.no_repeat_ngram,
            "suppress_sequences": [[piece] for piece in self.banned] or None,
            "return_scores": True,
            "return_end_token": True,
            "asynchronous": True,
        }


@dataclass(frozen=True)
class EncoderDecoder:
    """An encoder and a decoder, CTranslate2's `Translator`."""

    model: "Translator"
    source: list[str]
    target: list[str]  # pieces of each side by id

    def score(self, pairs: list[Pair]) -> Callable[[], list[list[float]]]:
        """Start to score `pairs`; return a function that waits for the log-probabilities."""
        task = self.model.score_batch(
            [[self.source[i] for i in src] for src, _ in pairs],
            [[self.target[i] for i in tgt] for _, tgt in pairs],
            max_input_length=0,
            asynchronous=True,
        )
        return lambda: [promise.result().log_probs for promise in task]

    def attention(self, pairs: list[Pair]) -> Callable[[], list[Matrix]]:
        """Start to decode the targets of `pairs`; return a function that waits for their attention, EOS left out.

        It is that of a greedy search with the target as a prefix: a beam search of CTranslate2 4.8 for several rows
        returns the attention of others, as findings/ctranslate2_beam_attention.sh shows.
        """
        task = self.model.translate_batch(
            [[self.source[i] for i in src] for src, _ in pairs],
            [[self.target[i] for i in tgt] for _, tgt in pairs],
            max_input_length=0,
            beam_size=1,
            max_decoding_length=1 + max(len(tgt) for _, tgt in pairs),
            return_attention=True,
            asynchronous=True,
        )
        results = zip(pairs, task, strict=True)
        return lambda: [
            [row[: len(src)] for row in promise.result().attention[0][: len(tgt)]] for (src, tgt), promise in results
        ]

    def search(self, rows: list[Row], settings: Settings) -> Callable[[], list[Found]]:
        """Start to translate `rows` within the largest limit; return a function that waits for their hypotheses."""
        limit = max(settings.limits)
        task = self.model.translate_batch(
            [[self.source[i] for i in row.ids] for row in rows],
            [[self.target[i] for i in row.prefix] for row in rows] if any(row.prefix for row in rows) else None,
            max_input_length=0,
            # One less than the limit: CTranslate2 does not count the EOS of a cut hypothesis.
            max_decoding_length=limit - 1,
            min_decoding_length=settings.least(limit),
            **settings.options(),
        )
        results = (promise.result() for promise in task)
        return lambda: [list(zip(result.hypotheses, result.scores, strict=True)) for result in results]


@dataclass(frozen=True)
class Decoder:
    """A decoder alone, CTranslate2's `Generator`: it goes on with the source, EOS, BOS and the prefix of a row."""

    model: "Generator"
    source: list[str]
    target: list[str]  # the same pieces

    def beginning(self, src: list[int], prefix: list[int]) -> list[str]:
        """Return the pieces that the decoder is given."""
        return [self.target[i] for i in (*src, EOS_ID, BOS_ID, *prefix)]

    def score(self, pairs: list[Pair]) -> Callable[[], list[list[float]]]:
        """Start to score `pairs`; return a function that waits for the log-probabilities of the targets."""
        whole = [self.beginning(src, [*tgt, EOS_ID]) for src, tgt in pairs]
        task = self.model.score_batch(whole, max_input_length=0, asynchronous=True)
        counts = [len(tgt) + 1 for _, tgt in pairs]
        return lambda: [promise.result().log_probs[-count:] for promise, count in zip(task, counts, strict=True)]

    def search(self, rows: list[Row], settings: Settings) -> Callable[[], list[Found]]:
        """Start to translate `rows`, each within its limit; return a function that waits for their hypotheses.

        Raises UsageError where a prefix is to count among the n-grams that are not repeated.
        """
        if settings.decoding.no_repeat_ngram and any(row.prefix for row in rows):
            raise UsageError(
                "in a decoder alone CTranslate2 does not see the n-grams of a prefix",
                hint="leave out no_repeat_ngram, or the engine ctranslate2",
            )
        # Of beginnings of several lengths CTranslate2 would read the ends piece by piece, and count all as the longest.
        groups: dict[tuple[int, int, int], list[int]] = {}
        for at, (row, limit) in enumerate(zip(rows, settings.limits, strict=True)):
            groups.setdefault((limit, len(row.prefix), len(row.ids)), []).append(at)
        waiting = [(at, self._start_group([rows[i] for i in at], *key[:2], settings)) for key, at in groups.items()]

        def finish() -> list[Found]:
            found = {
                at: of_row for indices, of_group in waiting for at, of_row in zip(indices, of_group(), strict=True)
            }
            return [found[at] for at in range(len(rows))]

        return finish

    def _start_group(self, rows: list[Row], limit: int, begun: int, settings: Settings) -> Callable[[], list[Found]]:
        """Start to translate `rows` of one length, with prefixes of `begun` pieces."""
        prefixes = [[self.target[i] for i in row.prefix] for row in rows]
        if limit - 1 <= begun:  # CTranslate2 has no limit of 0
            return lambda: [[(prefix, 0.0)] for prefix in prefixes]
        task = self.model.generate_batch(
            [self.beginning(row.ids, row.prefix) for row in rows],
            max_length=limit - 1 - begun,
            min_length=max(settings.least(limit) - begun, 0),
            include_prompt_in_result=False,
            **settings.options(),
        )
        results = ((prefix, promise.result()) for prefix, promise in zip(prefixes, task, strict=True))
        return lambda: [
            [(prefix + pieces, total) for pieces, total in zip(result.sequences, result.scores, strict=True)]
            for prefix, result in results
        ]

"""Beam search, greedy search and sampling over a cached decoder.

Shapes as in `nmt.model.layers`; K hypotheses a sentence, of T pieces so far, BOS first.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn import functional as F

from nmt.config.decoding import DecodingConfig, SamplingConfig
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, PAD_ID
from nmt.inference.protocol import Hypothesis, Request, Row, length_penalty
from nmt.model.protocol import Model

BLOCK = 64
"""Pieces of the vocabulary whose maximum is looked at before they are."""
CHUNK = 32
"""Rows of logits that are looked at together on a CPU."""
SHRINK = 31 / 32
"""Sentences that are done leave the batch when no more than this share is under way."""


@torch.inference_mode()
def search(models: Sequence[Model], rows: Sequence[Row], request: Request) -> list[list[Hypothesis]]:
    """Return the hypotheses that `request` wants of each of `rows`, best first; several models are an ensemble.

    A beam of one is greedy search: it takes the likeliest piece each time and ends at its first EOS. Samples
    come as drawn. No hypothesis is found where the model's output is not a number.
    """
    device = models[0].device
    decoder = Decoder(models, pad([[*row.ids, EOS_ID] for row in rows], device))
    longest = min(model.position_limit for model in models)
    rules = Rules(request.decoding, rows, longest, device)
    if request.sampling is not None:
        keys = [sample_key(row, request.sampling.seed) for row in rows]
        return walk(decoder, rules, request.n_best, Sampler(request.sampling, torch.tensor(keys, device=device)))
    if request.decoding.beam_size == 1:
        return walk(decoder, rules, 1, None)
    return beam_search(decoder, rules, request.n_best)


def pad(rows: Sequence[list[int]], device: torch.device) -> Tensor:
    """Return `rows` of ids as one tensor (B, longest), padded at the right."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[PAD_ID] * (longest - len(row))] for row in rows], dtype=torch.long, device=device)


class Decoder:
    """One model or several, each with its cache, as one next-piece distribution."""

    def __init__(self, models: Sequence[Model], src: Tensor) -> None:
        self.models = models
        self.caches = [model.start_cache(src) for model in models]
        self.size = len(src)
        self.device = src.device

    def next(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, K, V) of the piece after `tokens` (B, K), and the logarithms (B, K) of their norms.

        Of several models the logits are the logarithms of the mean probabilities.
        """
        pairs = zip(self.models, self.caches, strict=True)
        logits, *others = (model.decode_next(tokens, cache) for model, cache in pairs)
        if not others:
            return logits, log_norms(logits)
        mean = torch.stack([row.float().log_softmax(-1) for row in (logits, *others)]).logsumexp(0)
        return mean, torch.full(tokens.shape, math.log(len(self.models)), device=self.device)

    def follow(self, parents: Tensor) -> None:
        """Go on with the hypotheses `parents` (B, K) of each sentence."""
        for cache in self.caches:
            cache.reorder(parents)

    def keep_sentences(self, sentences: Tensor) -> None:
        """Keep the sentences at `sentences`."""
        for cache in self.caches:
            cache.keep_sentences(sentences)


def chunks(logits: Tensor) -> tuple[Tensor, ...]:
    """Return the rows (N, V) of `logits` (..., V): on a CPU as many at a time as its cache holds."""
    rows = logits.flatten(0, -2)
    return (rows,) if rows.is_cuda else rows.split(CHUNK)


def log_norms(logits: Tensor) -> Tensor:
    """Return log(sum(exp(logits))) over the last dimension, at least in float32."""
    exact = torch.promote_types(logits.dtype, torch.float32)
    found = []
    for rows in chunks(logits):
        rows = rows.to(exact)
        found.append(rows[:, 0] - rows.log_softmax(-1)[:, 0])  # twice as fast as torch's logsumexp
    return torch.cat(found).view(logits.shape[:-1])


class Rules:
    """What may come next, whatever the model says."""

    def __init__(self, decoding: DecodingConfig, rows: Sequence[Row], longest: int, device: torch.device) -> None:
        limits = [row.limit(decoding, longest) for row in rows]
        self.decoding = decoding
        self.limits = torch.tensor(limits, device=device)
        """(B) longest target in pieces, EOS included."""
        self.prefixes = pad([row.prefix for row in rows], device)
        """(B, P) how each target begins, padded."""
        self.first_limit = min(limits)

    def keep_sentences(self, sentences: Tensor) -> None:
        """Keep the sentences at `sentences`."""
        self.limits, self.prefixes = self.limits[sentences], self.prefixes[sentences]

    def apply(self, logits: Tensor, histories: Tensor) -> None:
        """Take minus infinity for what may not follow `histories` (B, K, T) in `logits` (B, K, V).

        Padding and BOS never come; a prefix does; at its limit a hypothesis ends.
        """
        step = histories.size(-1)  # of the piece to come, from 1
        forced = None
        if step >= self.first_limit or step <= self.prefixes.size(1):
            wanted = (
                self.prefixes[:, step - 1] if step <= self.prefixes.size(1) else torch.full_like(self.limits, PAD_ID)
            )
            forced = torch.where(self.limits == step, EOS_ID, wanted)[:, None, None].expand(*logits.shape[:2], 1)
            kept = logits.gather(2, forced)
        if (size := self.decoding.no_repeat_ngram) and step > size:
            windows = histories[..., 1:].unfold(-1, size, 1)  # (B, K, windows, size)
            same = (windows[..., :-1] == histories[..., None, step - size + 1 :]).all(-1)
            logits.scatter_(2, torch.where(same, windows[..., -1], PAD_ID), -torch.inf)
        logits[..., PAD_ID] = logits[..., BOS_ID] = -torch.inf
        if step <= self.decoding.min_length:
            logits[..., EOS_ID] = -torch.inf
        if forced is not None:
            is_forced = forced != PAD_ID
            logits.masked_fill_(is_forced, -torch.inf)
            logits.scatter_(2, forced, torch.where(is_forced, kept, -torch.inf))


@dataclass
class BeamState:
    """The hypotheses of the sentences still under way."""

    sentences: Tensor
    """(B) rows of the source batch."""
    tokens: Tensor
    """(B, K, T) hypotheses that go on, best first."""
    totals: Tensor
    """(B, K) their log-probabilities; -inf where there is none."""
    finished: Tensor
    """(B, K, T) the best finished hypotheses, right padded."""
    finished_scores: Tensor
    """(B, K) their scores, best first; -inf where there is none."""

    def select(self, sentences: Tensor) -> BeamState:
        """Keep the sentences at `sentences`."""
        return BeamState(*(getattr(self, field.name)[sentences] for field in fields(self)))


def beam_search(decoder: Decoder, rules: Rules, n_best: int) -> list[list[Hypothesis]]:
    """Keep the best hypotheses at each step, as many as the beam is wide; return the `n_best` finished ones.

    A sentence ends only when no hypothesis under way can still enter its n best: totals never rise, so
    a total divided by the penalty of the longest target bounds every score that it can lead to.
    """
    size, device, beam_size, alpha = (
        decoder.size,
        decoder.device,
        rules.decoding.beam_size,
        rules.decoding.length_penalty,
    )
    state = BeamState(
        torch.arange(size, device=device),
        torch.full((size, 1, 1), BOS_ID, device=device),  # one hypothesis at the start
        torch.zeros(size, 1, device=device),
        torch.full((size, beam_size, 1), BOS_ID, device=device),
        torch.full((size, beam_size), -torch.inf, device=device),
    )
    found: list[list[Hypothesis]] = [[] for _ in range(size)]
    while True:
        logits, norms = decoder.next(state.tokens[..., -1])
        rules.apply(logits, state.tokens)
        state, parents = advance(state, logits, norms, beam_size, alpha)
        bound = state.totals[:, 0] / length_penalty(rules.limits, alpha)
        is_going = state.finished_scores[:, n_best - 1] < bound  # so written, a NaN ends the search too
        if int(is_going.sum()) <= SHRINK * len(bound):
            collect(state.select((~is_going).nonzero()[:, 0]), found, n_best)
            going = in_place(is_going)
            if not len(going):
                return found
            state, parents = state.select(going), parents[going]
            rules.keep_sentences(going)
            decoder.keep_sentences(going)
        decoder.follow(parents)


def in_place(kept: Tensor) -> Tensor:
    """Return where `kept` (B) is true, in an order that leaves as many as it can at their places."""
    places = torch.arange(int(kept.sum()), device=kept.device)
    first, last = kept[: len(places)], kept[len(places) :]
    places[~first] = last.nonzero()[:, 0] + len(places)
    return places


def extend(totals: Tensor, logits: Tensor, norms: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Extend each hypothesis by every piece; keep the `count` best of each sentence.

    `totals` (B, K) are sums of log-probabilities, `logits` (B, K, V) less `norms` (B, K) those of the next piece.
    Returns totals, parents and tokens, each (B, count) or as many as there are, best first.
    """
    width, vocab = logits.shape[1:]
    offsets = totals - norms
    # The best are in the blocks with the highest maxima: the others are read once, and not sorted.
    maxima = torch.cat([block_maxima(rows) for rows in chunks(logits)])
    blocks = (offsets[..., None] + maxima.view(*offsets.shape, -1)).flatten(1)  # (B, K * blocks of V)
    chosen = blocks.topk(min(count, blocks.size(1))).indices
    parents, starts = chosen // maxima.size(1), chosen % maxima.size(1) * BLOCK
    tokens = starts[..., None] + torch.arange(BLOCK, device=starts.device)  # (B, count, BLOCK)
    places = (parents[..., None] * vocab + tokens.clamp(max=vocab - 1)).flatten(1)
    candidates = logits.flatten(1).gather(1, places) + offsets.gather(1, parents).repeat_interleave(BLOCK, dim=1)
    candidates.masked_fill_(tokens.flatten(1) >= vocab, -torch.inf)
    best, flat = candidates.topk(min(count, width * vocab))
    places = places.gather(1, flat)
    return best, places // vocab, places % vocab


def block_maxima(logits: Tensor) -> Tensor:
    """Return the maxima of the blocks of `logits` (N, V), of which the last may be short."""
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))  # those of bfloat16 are slow to find
    whole = logits.size(1) // BLOCK * BLOCK
    maxima = logits[:, :whole].unflatten(1, (-1, BLOCK)).amax(-1)
    return maxima if whole == logits.size(1) else torch.cat([maxima, logits[:, whole:].amax(-1, keepdim=True)], dim=1)


def advance(state: BeamState, logits: Tensor, norms: Tensor, beam_size: int, alpha: float) -> tuple[BeamState, Tensor]:
    """Take one step of the search; return the new state and the parents (B, beam_size) of what goes on.

    Twice as many candidates as the beam is wide are looked at, so that K go on whatever number ends. Those
    that end count only if they are among the K best, as if they still needed their place in the beam.
    """
    totals, parents, tokens = extend(state.totals, logits, norms, 2 * beam_size)
    if (missing := 2 * beam_size - totals.size(1)) > 0:  # only where the vocabulary is smaller than the beam
        totals = F.pad(totals, (0, missing), value=-torch.inf)
        parents, tokens = F.pad(parents, (0, missing)), F.pad(tokens, (0, missing))
    histories = torch.cat([gather(state.tokens, parents), tokens[..., None]], dim=-1)  # (B, 2K, T+1)

    ends = tokens == EOS_ID
    length = histories.size(-1) - 1  # EOS counts, BOS does not
    ended_scores = (totals / length_penalty(length, alpha)).masked_fill(~ends, -torch.inf)[:, :beam_size]
    finished_scores, best = torch.cat([state.finished_scores, ended_scores], dim=1).topk(beam_size)
    finished = gather(torch.cat([F.pad(state.finished, (0, 1), value=PAD_ID), histories[:, :beam_size]], dim=1), best)

    totals, going = totals.masked_fill(ends, -torch.inf).topk(beam_size)
    new = BeamState(state.sentences, gather(histories, going), totals, finished, finished_scores)
    return new, parents.gather(1, going)


def gather(histories: Tensor, chosen: Tensor) -> Tensor:
    """Choose of `histories` (B, N, T) the rows `chosen` (B, M) of each sentence."""
    return histories.gather(1, chosen[..., None].expand(-1, -1, histories.size(-1)))


def collect(state: BeamState, found: list[list[Hypothesis]], n_best: int) -> None:
    """Write the finished hypotheses of `state` into `found`, at their sentences' places."""
    for sentence, rows, scores in zip(
        state.sentences.tolist(), state.finished.tolist(), state.finished_scores.tolist(), strict=True
    ):
        found[sentence] = [
            Hypothesis(row[1 : row.index(EOS_ID)], score)
            for row, score in zip(rows[:n_best], scores[:n_best], strict=True)
            if score > -torch.inf
        ]


@dataclass(frozen=True)
class Sampler:
    """Draws pieces. What is drawn depends on a sentence's key, the sample and the step, on nothing beside them."""

    config: SamplingConfig
    keys: Tensor
    """(B) by `sample_key`."""

    def select(self, sentences: Tensor) -> Sampler:
        """Keep the sentences at `sentences`."""
        return Sampler(self.config, self.keys[sentences])

    def draw(self, logits: Tensor, step: int) -> Tensor:
        """Draw a piece (B, K) by each row of `logits` (B, K, V)."""
        scaled = (logits.double() - logits.amax(-1, keepdim=True)) / self.config.temperature  # never infinite
        order = None
        if self.config.top_k:
            scaled, order = scaled.topk(min(self.config.top_k, scaled.size(-1)))
        elif self.config.top_p < 1:
            scaled, order = scaled.sort(dim=-1, descending=True)
        shares = scaled.softmax(-1).cumsum(-1)
        if self.config.top_p < 1:
            # As many of the likeliest as are needed to reach top_p, the last of them whole.
            reached = shares.gather(
                -1, (shares < self.config.top_p).sum(-1, keepdim=True).clamp(max=shares.size(-1) - 1)
            )
        else:
            reached = shares[..., -1:]
        drawn = torch.searchsorted(shares, self.uniform(step, logits.size(1))[..., None] * reached, right=True)
        drawn = drawn.clamp(max=shares.size(-1) - 1)
        return (drawn if order is None else order.gather(-1, drawn))[..., 0]

    def uniform(self, step: int, samples: int) -> Tensor:
        """Return numbers (B, samples) in [0, 1), by the mixing function of SplitMix64 (Steele et al. 2014)."""
        number = torch.arange(samples, device=self.keys.device) * 2**20 + step
        x = self.keys[:, None] + (number + 1) * -0x61C8864680B583EB  # 64-bit integers wrap around
        for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
            x = (x ^ ((x >> shift) & (2 ** (64 - shift) - 1))) * factor
        x = x ^ ((x >> 31) & (2**33 - 1))
        return ((x >> 11) & (2**53 - 1)).double() / 2**53


def sample_key(row: Row, seed: int) -> int:
    """Name `row` and `seed` by a 64-bit integer."""
    text = f"{seed} {row.ids} {row.prefix}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)


def walk(decoder: Decoder, rules: Rules, width: int, sampler: Sampler | None) -> list[list[Hypothesis]]:
    """Take one piece a step for each of `width` hypotheses a sentence, drawn or else the likeliest, until EOS."""
    device, alpha = decoder.device, rules.decoding.length_penalty
    sentences = torch.arange(decoder.size, device=device)
    tokens = torch.full((decoder.size, width, 1), BOS_ID, device=device)
    totals = torch.zeros(decoder.size, width, device=device)
    ended = torch.zeros_like(totals, dtype=torch.bool)
    found: list[list[Hypothesis]] = [[] for _ in range(decoder.size)]
    while True:
        logits, norms = decoder.next(tokens[..., -1])
        rules.apply(logits, tokens)
        chosen = logits.argmax(-1) if sampler is None else sampler.draw(logits, tokens.size(-1))
        chosen = chosen.masked_fill(ended, PAD_ID)
        totals = totals + (logits.gather(2, chosen[..., None])[..., 0] - norms).masked_fill(ended, 0.0)
        tokens = torch.cat([tokens, chosen[..., None]], dim=-1)
        ended = ended | (chosen == EOS_ID) | totals.isnan()
        is_going = (~ended).any(1)
        if int(is_going.sum()) <= SHRINK * len(sentences):
            done = ~is_going
            for sentence, rows, sums in zip(
                sentences[done].tolist(), tokens[done].tolist(), totals[done].tolist(), strict=True
            ):
                found[sentence] = [
                    Hypothesis(row[1 : (length := row.index(EOS_ID))], total / length_penalty(length, alpha))
                    for row, total in zip(rows, sums, strict=True)
                    if EOS_ID in row and total > -torch.inf
                ]
            going = in_place(is_going)
            if not len(going):
                return found
            sentences, tokens, totals, ended = (kept[going] for kept in (sentences, tokens, totals, ended))
            sampler = sampler and sampler.select(going)
            rules.keep_sentences(going)
            decoder.keep_sentences(going)

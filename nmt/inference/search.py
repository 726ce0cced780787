"""Beam search, greedy search and sampling over a cached decoder.

Shapes as in `nmt.model.layers`; K hypotheses per sentence, of T pieces so far, BOS first.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from nmt.config.decoding import SamplingConfig
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, PAD_ID
from nmt.inference.constraints import Constraints, pad
from nmt.inference.protocol import Hypothesis, Request, Row, length_penalty
from nmt.inference.term_constraint import TermConstraint
from nmt.model.protocol import Model

BLOCK = 64  # pieces of the vocabulary in a block: only the blocks with the highest maxima are searched
CHUNK = 128  # rows of logits computed and processed at a time on a CPU, so that they stay in its cache
SMALL = 1e-30  # sums of exponentials this small, or as large, are computed with care
SHRINK = {"cpu": 31 / 32, "cuda": 1 / 2}
"""Finished sentences leave the batch once at most this share of it is unfinished; to copy the others costs a GPU more
than to compute all."""
LEAST_WIDTH = 3
"""Hypotheses of each sentence with terms, where the beam is smaller: one is to hold none yet, one some, one all."""
WAIT, NEVER = 1, 10**9
"""Pieces for which hypotheses that lack terms are waited for once there are as many finished ones as wanted."""
LOOK_EVERY = {"cpu": 1, "cuda": 4}
"""Steps from one look at which sentences are finished to the next; for each look the host waits for a GPU."""


@torch.inference_mode()
def search(
    models: Sequence[Model], rows: Sequence[Row], request: Request, observer: "Observer | None" = None
) -> list[list[Hypothesis]]:
    """Return the hypotheses of each of `rows`, best first, samples in the order drawn; several models form an ensemble.

    Beam size 1 is greedy search: it takes the likeliest piece at each step and ends at its first EOS. A row has no
    hypothesis where the model's output is not a number. An `observer` is called after each step.
    """
    bound = [index for index, row in enumerate(rows) if row.needs]
    if 0 < len(bound) < len(rows):  # the others are searched as they would be without any terms
        free = [index for index, row in enumerate(rows) if not row.needs]
        results: list[list[Hypothesis]] = [[] for _ in rows]
        for indices in (bound, free):
            found = search(models, [rows[index] for index in indices], request, observer)
            for index, hypotheses in zip(indices, found, strict=True):
                results[index] = hypotheses
        return results
    device = models[0].device
    longest = min(model.position_limit for model in models)
    constraints = Constraints(request.decoding, rows, longest, device, request.trees, request.edges)
    decoder = Decoder(models, pad([[*row.ids, EOS_ID] for row in rows], device), constraints)
    if request.sampling is not None:
        keys = [sample_key(row, request.sampling.seed) for row in rows]
        return walk(decoder, request.n_best, Sampler(request.sampling, torch.tensor(keys, device=device)), observer)
    if constraints.terms is not None:
        return term_search(decoder, constraints.terms, request.n_best, observer)
    if request.decoding.beam_size == 1:
        return walk(decoder, 1, None, observer)
    return beam_search(decoder, request.n_best, observer)


class Decoder:
    """The constrained next-piece distribution of one model or of an ensemble, each model with its cache."""

    def __init__(self, models: Sequence[Model], src: Tensor, constraints: Constraints) -> None:
        self.models = models
        self.constraints = constraints
        self.caches = [model.start_cache(src) for model in models]
        self.size = len(src)
        self.device = src.device

    def is_done(self, is_going: Tensor, length: int) -> bool:
        """Return whether so few of the sentences are going, after `length` pieces, that the others are to leave."""
        # At the limit of the longest sentence all are finished, and no model has more positions.
        if length % LOOK_EVERY[self.device.type] and length < self.constraints.last_limit:
            return False
        return int(is_going.sum()) <= SHRINK[self.device.type] * len(is_going)

    def next(self, histories: Tensor) -> Iterator[tuple["slice[int, int, int]", Tensor, Tensor]]:
        """Yield, for the sentences of one slice after another, the logits (b, K, V) of the piece after `histories`
        (B, K, T), and log-norms (b, K).

        The logits of an ensemble are the logarithms of its mean probabilities. Logits of pieces that may not follow are
        minus infinity; they count in the norms.
        """
        pairs = zip(self.models, self.caches, strict=True)
        of_models = [model.next_hidden(histories[..., -1], cache) for model, cache in pairs]
        size, width = histories.shape[:2]
        step = size if histories.is_cuda else max(CHUNK // width, 1)
        for start in range(0, size, step):
            part = slice(start, start + step)
            rows = zip(self.models, of_models, strict=True)
            logits, *others = (model.generator(hidden[part]) for model, hidden in rows)
            if others:
                logits = torch.stack([each.float().log_softmax(-1) for each in (logits, *others)]).logsumexp(0)
                norms = torch.full(logits.shape[:2], math.log(len(self.models)), device=self.device)
            else:
                norms = log_norms(logits)
            self.constraints.apply(logits, norms, histories[part], part)
            yield part, logits, norms

    def reorder(self, parents: Tensor) -> None:
        for cache in self.caches:
            cache.reorder(parents)

    def keep_sentences(self, sentences: Tensor) -> None:
        self.constraints.keep_sentences(sentences)
        for cache in self.caches:
            cache.keep_sentences(sentences)


def log_norms(logits: Tensor) -> Tensor:
    """Return log(sum(exp(logits))) over the last dimension, at least in float32."""
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if exact.is_cuda:
        return exact.logsumexp(-1)
    sums = by_block(exact.exp(), torch.sum).sum(-1)  # on a CPU three times as fast as torch's logsumexp
    norms = sums.log()
    is_beyond = ~((sums > SMALL) & (sums < 1 / SMALL))  # or not a number
    if is_beyond.any():
        norms[is_beyond] = exact[is_beyond].logsumexp(-1)
    return norms


@dataclass
class BeamState:
    """The hypotheses of the unfinished sentences."""

    sentences: Tensor  # (B) indices in the source batch
    tokens: Tensor  # (B, K, T) unfinished hypotheses, best first
    totals: Tensor  # (B, K) their log-probabilities; -inf where there is no hypothesis
    finished: Tensor  # (B, K, T) the best finished hypotheses, right padded
    finished_scores: Tensor  # (B, K) their scores, best first; -inf where there is no hypothesis

    def select(self, sentences: Tensor) -> "BeamState":
        return BeamState(*(getattr(self, field.name)[sentences] for field in fields(self)))


Candidates = tuple[Tensor, Tensor, Tensor]  # totals, parents and tokens, see `extend`


class Observer(Protocol):
    """Sees each step of a search."""

    def __call__(self, histories: Tensor, candidates: Candidates, state: BeamState) -> None:
        """Take the `histories` (B, K, T) that a step extends, its candidates, and the state after it.

        Of a search without a beam, the state has hypotheses as finished, with scores, at the step that ends them alone.
        """


def beam_search(decoder: Decoder, n_best: int, observer: Observer | None = None) -> list[list[Hypothesis]]:
    """Keep the best hypotheses of each sentence at each step, up to the beam size; return the `n_best` finished ones.

    A sentence ends only when no unfinished hypothesis can still enter its n best: totals never rise, so that
    a total divided by the penalty of the longest target bounds every score that can follow from it.
    """
    size, device, decoding = decoder.size, decoder.device, decoder.constraints.decoding
    beam_size, alpha = decoding.beam_size, decoding.length_penalty
    state = BeamState(
        torch.arange(size, device=device),
        torch.full((size, 1, 1), BOS_ID, device=device),  # one hypothesis at the start
        torch.zeros(size, 1, device=device),
        torch.full((size, beam_size, 1), BOS_ID, device=device),
        torch.full((size, beam_size), -torch.inf, device=device),
    )
    results: list[list[Hypothesis]] = [[] for _ in range(size)]
    while True:
        candidates = [
            extend(state.totals[part], logits, norms, 2 * beam_size)
            for part, logits, norms in decoder.next(state.tokens)
        ]
        totals, parents, tokens = map(torch.cat, zip(*candidates, strict=True))
        histories = state.tokens
        state, chosen = advance(state, totals, parents, tokens, alpha)
        if observer is not None:
            observer(histories, (totals, parents, tokens), state)
        bound = state.totals[:, 0] / length_penalty(decoder.constraints.limits, alpha)
        is_going = state.finished_scores[:, n_best - 1] < bound  # false for NaN, which ends the search too
        if decoder.is_done(is_going, state.tokens.size(-1) - 1):
            collect(state.select((~is_going).nonzero()[:, 0]), results, n_best)
            going = in_place(is_going)
            if not len(going):
                return results
            state, chosen = state.select(going), chosen[going]
            decoder.keep_sentences(going)
        decoder.reorder(chosen)


def term_search(
    decoder: Decoder, terms: TermConstraint, n_best: int, observer: Observer | None = None
) -> list[list[Hypothesis]]:
    """Search as `beam_search` among hypotheses that hold all `terms`, with a beam that those on the way share.

    Those that hold all end a sentence by the same rule; those that lack some are waited for only a little longer than
    the `n_best` finished ones took, as no bound for them would ever be reached. Greedy search ends at the first one.
    """
    size, device, decoding = decoder.size, decoder.device, decoder.constraints.decoding
    width, alpha = max(decoding.beam_size, LEAST_WIDTH), decoding.length_penalty
    state = BeamState(
        torch.arange(size, device=device),
        torch.full((size, 1, 1), BOS_ID, device=device),
        torch.zeros(size, 1, device=device),
        torch.full((size, width, 1), BOS_ID, device=device),
        torch.full((size, width), -torch.inf, device=device),
    )
    enough = torch.full((size,), NEVER, device=device)  # (B) length of the hypotheses when n best were finished
    results: list[list[Hypothesis]] = [[] for _ in range(size)]
    while True:
        candidates = []
        for part, logits, norms in decoder.next(state.tokens):
            totals = state.totals[part]
            leading = logits.gather(2, terms.following) + (totals - norms)[..., None]
            candidates.append(terms.choose(extend_each(totals, logits, norms, width), leading, width, part))
        totals, parents, tokens, has_all = map(torch.cat, zip(*candidates, strict=True))
        left, finished, finished_scores = finish(state, totals, parents, tokens, alpha)
        order = torch.arange(left.size(1), device=device).masked_fill(left == -torch.inf, left.size(1))
        going_on = order.topk(width, largest=False).indices
        chosen = parents.gather(1, going_on)
        histories = state.tokens
        state = BeamState(
            state.sentences,
            append(histories, chosen, tokens.gather(1, going_on)),
            left.gather(1, going_on),
            finished,
            finished_scores,
        )
        if observer is not None:
            observer(histories, (totals, parents, tokens), state)
        length = state.tokens.size(-1) - 1
        enough = torch.where(state.finished_scores[:, n_best - 1] > -torch.inf, enough.clamp(max=length), enough)
        is_waited_for = has_all.gather(1, going_on) | (length < enough + WAIT)[:, None]
        totals = state.totals.masked_fill(~is_waited_for, -torch.inf)
        bound = totals.amax(1) / length_penalty(decoder.constraints.limits, alpha)
        is_going = state.finished_scores[:, n_best - 1] < bound
        if decoding.beam_size == 1:
            is_going &= enough == NEVER
        state.totals.masked_fill_(~is_going[:, None], -torch.inf)  # nothing is added while it is still in the batch
        if decoder.is_done(is_going, length):
            collect(state.select((~is_going).nonzero()[:, 0]), results, n_best)
            going = in_place(is_going)
            if not len(going):
                return results
            state, chosen, enough = state.select(going), chosen[going], enough[going]
            decoder.keep_sentences(going)
        decoder.reorder(chosen)


def extend_each(totals: Tensor, logits: Tensor, norms: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return totals and pieces (B, K, count) of the best extensions of each hypothesis, see `extend`."""
    rows = logits.flatten(0, 1)[:, None], norms.flatten()[:, None]
    found, _, tokens = extend(totals.flatten()[:, None], *rows, count)
    return found.unflatten(0, totals.shape), tokens.unflatten(0, totals.shape)


def in_place(kept: Tensor) -> Tensor:
    """Return the indices where `kept` (B) is true, in an order that moves as few of them as possible."""
    indices = torch.arange(int(kept.sum()), device=kept.device)
    first, last = kept[: len(indices)], kept[len(indices) :]
    indices[~first] = last.nonzero()[:, 0] + len(indices)
    return indices


def extend(totals: Tensor, logits: Tensor, norms: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Extend each hypothesis by every piece; keep the `count` best extensions of each sentence.

    `totals` (B, K) are sums of log-probabilities; `logits` (B, K, V) minus `norms` (B, K) are the log-probabilities
    of the next piece. Returns totals, parents and tokens, each (B, count) or fewer where there are fewer, best first.
    """
    width, vocab = logits.shape[1:]
    offsets = totals - norms
    # The best are in the blocks with the highest maxima; the other blocks are read once and not sorted.
    maxima = by_block(logits.to(torch.promote_types(logits.dtype, torch.float32)), torch.amax)  # bfloat16's are slow
    blocks = (offsets[..., None] + maxima).flatten(1)  # (B, K * blocks of V)
    chosen = blocks.topk(min(count, blocks.size(1))).indices
    parents, starts = chosen // maxima.size(-1), chosen % maxima.size(-1) * BLOCK
    tokens = starts[..., None] + torch.arange(BLOCK, device=starts.device)  # (B, count, BLOCK)
    flat = (parents[..., None] * vocab + tokens.clamp(max=vocab - 1)).flatten(1)
    candidates = logits.flatten(1).gather(1, flat) + offsets.gather(1, parents).repeat_interleave(BLOCK, dim=1)
    candidates.masked_fill_(tokens.flatten(1) >= vocab, -torch.inf)
    best, order = candidates.topk(min(count, width * vocab))
    flat = flat.gather(1, order)
    return best, flat // vocab, flat % vocab


def by_block(logits: Tensor, reduce: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Return each block of `logits` (..., V) reduced to a number; the last block may be short."""
    whole = logits.size(-1) // BLOCK * BLOCK
    reduced = reduce(logits[..., :whole].unflatten(-1, (-1, BLOCK)), -1)
    if whole == logits.size(-1):
        return reduced
    return torch.cat([reduced, reduce(logits[..., whole:], -1)[..., None]], dim=-1)


def advance(
    state: BeamState, totals: Tensor, parents: Tensor, tokens: Tensor, alpha: float
) -> tuple[BeamState, Tensor]:
    """Take the step to the best candidates of `extend`; return the new state and the parents (B, K) of its hypotheses.

    There are twice as many candidates (B, 2K) as the beam size, so that K go on however many end. A candidate that
    ends counts only if it is among the K best, as if it still took a place in the beam.
    """
    beam_size = state.finished.size(1)
    if (missing := 2 * beam_size - totals.size(1)) > 0:  # a vocabulary smaller than the beam
        totals = F.pad(totals, (0, missing), value=-torch.inf)
        parents, tokens = F.pad(parents, (0, missing)), F.pad(tokens, (0, missing))
    totals, finished, finished_scores = finish(state, totals, parents, tokens, alpha)
    totals, going = totals.topk(beam_size)
    parents = parents.gather(1, going)
    histories = append(state.tokens, parents, tokens.gather(1, going))
    return BeamState(state.sentences, histories, totals, finished, finished_scores), parents


def finish(
    state: BeamState, totals: Tensor, parents: Tensor, tokens: Tensor, alpha: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Take the candidates that end, among the first as many as the beam size, to the finished hypotheses.

    Returns the totals without those that end, the best finished hypotheses, and their scores.
    """
    beam_size, ends = state.finished.size(1), tokens == EOS_ID
    finished, finished_scores = state.finished, state.finished_scores
    if ends.is_cuda or bool(ends.any()):  # on a GPU to ask costs more than to compute
        ended = append(state.tokens, parents[:, :beam_size], tokens[:, :beam_size])
        length = ended.size(-1) - 1  # EOS counts, BOS does not
        scores = (totals / length_penalty(length, alpha)).masked_fill(~ends, -torch.inf)[:, :beam_size]
        finished_scores, best = torch.cat([finished_scores, scores], dim=1).topk(beam_size)
        finished = F.pad(finished, (0, ended.size(-1) - finished.size(-1)), value=PAD_ID)
        finished = gather(torch.cat([finished, ended], dim=1), best)
        totals = totals.masked_fill(ends, -torch.inf)
    return totals, finished, finished_scores


def append(histories: Tensor, chosen: Tensor, tokens: Tensor) -> Tensor:
    """Return the rows `chosen` (B, M) of `histories` (B, N, T), each with its next of `tokens` (B, M)."""
    return torch.cat([gather(histories, chosen), tokens[..., None]], dim=-1)


def gather(histories: Tensor, chosen: Tensor) -> Tensor:
    """Select the rows `chosen` (B, M) of each sentence from `histories` (B, N, T)."""
    return histories.gather(1, chosen[..., None].expand(-1, -1, histories.size(-1)))


def collect(state: BeamState, results: list[list[Hypothesis]], n_best: int) -> None:
    """Write the finished hypotheses of `state` into `results`, by the indices of their sentences."""
    columns = (column.tolist() for column in (state.sentences, state.finished, state.finished_scores))
    for sentence, rows, scores in zip(*columns, strict=True):
        results[sentence] = [
            Hypothesis(row[1 : row.index(EOS_ID)], score)
            for row, score in zip(rows[:n_best], scores[:n_best], strict=True)
            if score > -torch.inf
        ]


@dataclass(frozen=True)
class Sampler:
    """Draws pieces at random, as a function of the sentence's key, the number of the sample, and the step."""

    config: SamplingConfig
    keys: Tensor  # (B) from `sample_key`

    def select(self, sentences: "Tensor | slice[int, int, int]") -> "Sampler":
        return Sampler(self.config, self.keys[sentences])

    def draw(self, logits: Tensor, step: int) -> Tensor:
        """Draw a piece (B, K) from the distribution of each row of `logits` (B, K, V)."""
        scaled = (logits.double() - logits.amax(-1, keepdim=True)) / self.config.temperature  # never infinite
        order = None
        if self.config.top_k:
            scaled, order = scaled.topk(min(self.config.top_k, scaled.size(-1)))
        elif self.config.top_p < 1:
            scaled, order = scaled.sort(dim=-1, descending=True)
        shares = scaled.softmax(-1).cumsum(-1)
        last = shares.size(-1) - 1
        # The fewest likeliest pieces that reach top_p together, the last of them whole.
        cutoff = (shares < self.config.top_p).sum(-1, keepdim=True).clamp(max=last)
        reached = shares.gather(-1, cutoff) if self.config.top_p < 1 else shares[..., -1:]
        drawn = torch.searchsorted(shares, self.uniform(step, logits.size(1))[..., None] * reached, right=True)
        drawn = drawn.clamp(max=last)
        return (drawn if order is None else order.gather(-1, drawn))[..., 0]

    def uniform(self, step: int, samples: int) -> Tensor:
        """Return random numbers (B, samples) in [0, 1) by the mixing function of SplitMix64 (Steele et al. 2014)."""
        number = torch.arange(samples, device=self.keys.device) * 2**20 + step
        x = self.keys[:, None] + (number + 1) * -0x61C8864680B583EB  # 64-bit integers wrap around
        for shift, factor in ((30, -0x40A7B892E31B1A47), (27, -0x6B2FB644ECCEEE15)):
            x = (x ^ ((x >> shift) & (2 ** (64 - shift) - 1))) * factor
        x = x ^ ((x >> 31) & (2**33 - 1))
        return ((x >> 11) & (2**53 - 1)).double() / 2**53


def sample_key(row: Row, seed: int) -> int:
    """Return a 64-bit hash of `row` and `seed`."""
    text = f"{seed} {row.ids} {row.prefix}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little", signed=True)


def walk(
    decoder: Decoder, width: int, sampler: Sampler | None, observer: Observer | None = None
) -> list[list[Hypothesis]]:
    """Extend `width` hypotheses per sentence until EOS, by the piece that `sampler` draws or else by the likeliest."""
    device, alpha = decoder.device, decoder.constraints.decoding.length_penalty
    sentences = torch.arange(decoder.size, device=device)
    tokens = torch.full((decoder.size, width, 1), BOS_ID, device=device)
    totals = torch.zeros(decoder.size, width, device=device)
    ended = torch.zeros_like(totals, dtype=torch.bool)
    results: list[list[Hypothesis]] = [[] for _ in range(decoder.size)]
    while True:
        parts = []
        for part, logits, norms in decoder.next(tokens):
            best = logits.argmax(-1) if sampler is None else sampler.select(part).draw(logits, tokens.size(-1))
            parts.append((best, logits.gather(2, best[..., None])[..., 0] - norms))
        chosen, log_probs = map(torch.cat, zip(*parts, strict=True))
        chosen = chosen.masked_fill(ended, PAD_ID)
        totals = totals + log_probs.masked_fill(ended, 0.0)
        tokens = torch.cat([tokens, chosen[..., None]], dim=-1)
        ended = ended | (chosen == EOS_ID) | totals.isnan()
        if observer is not None:
            parents = torch.arange(width, device=device).expand_as(chosen)
            scores = (totals / length_penalty(tokens.size(-1) - 1, alpha)).masked_fill(chosen != EOS_ID, -torch.inf)
            state = BeamState(sentences, tokens, totals.masked_fill(ended, -torch.inf), tokens, scores)
            observer(tokens[..., :-1], (totals, parents, chosen), state)
        is_going = (~ended).any(1)
        if decoder.is_done(is_going, tokens.size(-1) - 1):
            columns = (column[~is_going].tolist() for column in (sentences, tokens, totals))
            for sentence, rows, sums in zip(*columns, strict=True):
                results[sentence] = [
                    Hypothesis(row[1 : (length := row.index(EOS_ID))], total / length_penalty(length, alpha))
                    for row, total in zip(rows, sums, strict=True)
                    if EOS_ID in row and total > -torch.inf
                ]
            going = in_place(is_going)
            if not len(going):
                return results
            sentences, tokens, totals, ended = (kept[going] for kept in (sentences, tokens, totals, ended))
            sampler = sampler and sampler.select(going)
            decoder.keep_sentences(going)

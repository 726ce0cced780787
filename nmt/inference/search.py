"""Greedy and beam search over a cached decoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nmt.model.transformer import DecoderCache, Transformer


@dataclass(frozen=True)
class SpecialIds:
    """The ids that search treats apart."""

    pad: int
    bos: int
    eos: int


@dataclass(frozen=True)
class Hypothesis:
    """One finished translation."""

    ids: list[int]
    """Pieces, without EOS."""
    score: float
    """Log-probability, EOS included, divided by the length penalty."""


def length_penalty(length: Tensor | int, alpha: float) -> Tensor:
    """Return lp of hypotheses of `length` pieces, EOS included (Wu et al. 2016, eq. 14)."""
    return ((5 + torch.as_tensor(length, dtype=torch.float32)) / 6) ** alpha


@torch.inference_mode()
def search(
    model: Transformer,
    src: Tensor,
    special: SpecialIds,
    *,
    beam_size: int,
    alpha: float,
    max_extra_length: int,
    n_best: int = 1,
) -> list[list[Hypothesis]]:
    """Translate `src` (B, S), EOS last; return the `n_best` hypotheses of each sentence, best first.

    A hypothesis has at most as many pieces as its source and `max_extra_length` more; there it must end. A
    beam of one is greedy search: it takes the likeliest piece each time and ends at its first EOS.
    """
    lengths = (src != special.pad).sum(1) - 1  # without EOS
    limits = (lengths + max_extra_length + 1).clamp(max=model.position_limit)  # with EOS
    if beam_size == 1:
        return greedy_search(model, src, special, limits, alpha)
    return beam_search(model, src, special, limits, alpha, beam_size, n_best)


def next_log_probs(
    model: Transformer, tokens: Tensor, cache: DecoderCache, special: SpecialIds, must_end: Tensor
) -> Tensor:
    """Return log-probabilities (B, K, V) of the piece after `tokens` (B, K); padding and BOS never come.

    Where `must_end` (B), nothing but EOS may come.
    """
    logits = model.decode_next(tokens, cache).float()
    log_probs = logits.sub_(logits.logsumexp(-1, keepdim=True))
    log_probs[..., [special.pad, special.bos]] = -torch.inf
    if must_end.any():
        end = log_probs[..., special.eos].clone()
        log_probs[must_end] = -torch.inf
        log_probs[..., special.eos] = end
    return log_probs


def greedy_search(
    model: Transformer, src: Tensor, special: SpecialIds, limits: Tensor, alpha: float
) -> list[list[Hypothesis]]:
    """Take the likeliest piece at each step until EOS; `limits` (B) are lengths, EOS included."""
    cache = model.start_cache(src, 1)
    device = src.device
    rows = torch.arange(len(src), device=device)  # sentences still under way
    totals = torch.zeros(len(src), device=device)
    tokens = torch.full((len(src), 1), special.bos, device=device)
    found: list[list[Hypothesis]] = [[] for _ in range(len(src))]
    while len(rows):
        step = cache.length + 1
        best, token = next_log_probs(model, tokens[:, -1:], cache, special, limits == step)[:, 0].max(-1)
        totals = totals + best
        ended = token == special.eos
        for row, ids, total in zip(
            rows[ended].tolist(), tokens[ended, 1:].tolist(), totals[ended].tolist(), strict=True
        ):
            if total > -torch.inf:  # else it is not a number, and nothing is found, as in beam search
                found[row] = [Hypothesis(ids, total / float(length_penalty(step, alpha)))]
        going = (~ended).nonzero()[:, 0]
        if len(going) < len(rows):
            cache.keep_sentences(going)
            cache.reorder(going)
        rows, totals, limits = rows[going], totals[going], limits[going]
        tokens = torch.cat([tokens[going], token[going, None]], dim=1)
    return found


@dataclass
class BeamState:
    """The hypotheses of the sentences still under way; `T` pieces so far, BOS first."""

    sentences: Tensor
    """(B) rows of the source batch."""
    limits: Tensor
    """(B) longest target, EOS included."""
    tokens: Tensor
    """(B, K, T) hypotheses that go on, best first."""
    totals: Tensor
    """(B, K) their log-probabilities; -inf where there is none."""
    finished: Tensor
    """(B, K, T) the best finished hypotheses, right padded."""
    finished_scores: Tensor
    """(B, K) their scores, best first; -inf where there is none."""

    def select(self, rows: Tensor) -> BeamState:
        """Keep the sentences `rows`."""
        return BeamState(
            self.sentences[rows],
            self.limits[rows],
            self.tokens[rows],
            self.totals[rows],
            self.finished[rows],
            self.finished_scores[rows],
        )


def beam_search(
    model: Transformer,
    src: Tensor,
    special: SpecialIds,
    limits: Tensor,
    alpha: float,
    beam_size: int,
    n_best: int,
) -> list[list[Hypothesis]]:
    """Keep the `beam_size` best hypotheses at each step; return the `n_best` finished ones of each sentence.

    A sentence ends only when no hypothesis under way can still enter its n best: totals never rise, so
    a total divided by the penalty of the longest target bounds every score that it can lead to.
    """
    size, device = len(src), src.device
    cache = model.start_cache(src, beam_size)
    first = torch.full((size, beam_size), -torch.inf, device=device)
    first[:, 0] = 0.0  # one hypothesis at the start: BOS
    blank = torch.full((size, beam_size, 1), special.bos, device=device)
    state = BeamState(
        torch.arange(size, device=device), limits, blank, first, blank, torch.full_like(first, -torch.inf)
    )
    found: list[list[Hypothesis]] = [[] for _ in range(size)]
    while len(state.sentences):
        log_probs = next_log_probs(model, state.tokens[..., -1], cache, special, state.limits == cache.length + 1)
        state, parents = advance(state, log_probs, special, alpha)
        # `parents` (B, K) are hypotheses of the step before; a row of the cache is sentence * K + hypothesis.
        bound = state.totals[:, 0] / length_penalty(state.limits, alpha).to(device)
        done = ~(state.finished_scores[:, n_best - 1] < bound)  # so written, a NaN ends the search too
        rows = parents + torch.arange(len(parents), device=device)[:, None] * beam_size
        if done.any():
            collect(state.select(done.nonzero()[:, 0]), found, n_best, special)
            going = (~done).nonzero()[:, 0]
            state, rows = state.select(going), rows[going]
            cache.keep_sentences(going)
        cache.reorder(rows.flatten())
    return found


def extend(totals: Tensor, log_probs: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Extend each hypothesis by every piece; keep the `count` best of each sentence.

    `totals` (B, K) are sums of log-probabilities, `log_probs` (B, K, V) the next piece's. Returns totals,
    parents and tokens, each (B, count), best first.
    """
    # The best of each row first, then of the rows: the same as over all K * V, on far fewer.
    row_best, row_tokens = log_probs.topk(min(count, log_probs.size(-1)))
    candidates = (totals[..., None] + row_best).flatten(1)
    best, flat = candidates.topk(min(count, candidates.size(1)))
    return best, flat // row_best.size(-1), row_tokens.flatten(1).gather(1, flat)


def advance(state: BeamState, log_probs: Tensor, special: SpecialIds, alpha: float) -> tuple[BeamState, Tensor]:
    """Take one step of the search; return the new state and the parents (B, K) of what goes on.

    Twice as many candidates as the beam is wide are looked at, so that K go on whatever number ends. Those
    that end count only if they are among the K best, as if they still needed their place in the beam.
    """
    beam_size = state.totals.size(1)
    totals, parents, tokens = extend(state.totals, log_probs, 2 * beam_size)
    histories = torch.cat([gather(state.tokens, parents), tokens[..., None]], dim=-1)  # (B, 2K, T+1)

    ends = tokens == special.eos
    length = histories.size(-1) - 1  # EOS counts, BOS does not
    in_beam = torch.arange(totals.size(1), device=totals.device) < beam_size
    ended_scores = (totals / float(length_penalty(length, alpha))).masked_fill(~(ends & in_beam), -torch.inf)
    padded = torch.nn.functional.pad(state.finished, (0, 1), value=special.pad)
    finished_scores, best = torch.cat([state.finished_scores, ended_scores], dim=1).topk(beam_size)
    finished = gather(torch.cat([padded, histories], dim=1), best)

    totals, going = totals.masked_fill(ends, -torch.inf).topk(min(beam_size, totals.size(1)))
    missing = beam_size - going.size(1)  # only where the vocabulary is smaller than the beam
    totals = torch.nn.functional.pad(totals, (0, missing), value=-torch.inf)
    going = torch.nn.functional.pad(going, (0, missing))
    state = BeamState(state.sentences, state.limits, gather(histories, going), totals, finished, finished_scores)
    return state, parents.gather(1, going)


def gather(histories: Tensor, chosen: Tensor) -> Tensor:
    """Choose of `histories` (B, N, T) the rows `chosen` (B, M) of each sentence."""
    return histories.gather(1, chosen[..., None].expand(-1, -1, histories.size(-1)))


def collect(state: BeamState, found: list[list[Hypothesis]], n_best: int, special: SpecialIds) -> None:
    """Write the finished hypotheses of `state` into `found`, at their sentences' places."""
    for sentence, rows, scores in zip(
        state.sentences.tolist(), state.finished.tolist(), state.finished_scores.tolist(), strict=True
    ):
        found[sentence] = [
            Hypothesis(row[1 : row.index(special.eos)], score)
            for row, score in zip(rows[:n_best], scores[:n_best], strict=True)
            if score > -torch.inf
        ]

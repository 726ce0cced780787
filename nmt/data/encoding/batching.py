"""Batches within a budget of tokens, in an order that depends on the lengths, the seed and the epoch alone."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nmt.errors import RecipeError

MOST_ROUNDS = 8  # batches of a worker up to which they are made equal: of more, the last is no great part of all
Ints = NDArray[np.int64 | np.int32 | np.uint8 | np.uint16 | np.uint32 | np.uint64]
"""Lengths or indices, in the smallest type that holds them."""

BLOCK = 2**20  # sentences numbered at once


def steps_of_epoch(src_lengths: Ints, tgt_lengths: Ints, tokens_per_step: int, *, seed: int, epoch: int) -> list[Ints]:
    """Plan one epoch: the sentences of each step, in training order.

    A step takes sentences of similar length as long as neither side has more than `tokens_per_step` tokens, padding not
    counted. The order of equally long sentences, and of the steps, is drawn anew each epoch. Steps are cut from the
    sorted lengths, so every epoch of the same sentences has the same number of steps.
    """
    longest = max(src_lengths.max(initial=0), tgt_lengths.max(initial=0))
    if longest > tokens_per_step:
        problem = f"is smaller than the longest training sentence ({longest} pieces)"
        hint = "raise it, or lower cleaning.max_pieces"
        raise RecipeError(f"batching.tokens_per_step = {tokens_per_step} {problem}", hint=hint)
    rng = np.random.Generator(np.random.PCG64([seed, epoch]))
    count = len(src_lengths)
    shuffled = np.arange(count, dtype=np.min_scalar_type(count))
    rng.shuffle(shuffled)
    order = _by_length(shuffled, src_lengths, tgt_lengths, int(longest))
    steps = _cut(src_lengths, tgt_lengths, order, tokens_per_step)
    return [order[slice(*steps[number])] for number in rng.permutation(len(steps))]


def _by_length(shuffled: Ints, src_lengths: Ints, tgt_lengths: Ints, longest: int) -> Ints:
    """Sort `shuffled` sentences by target length, then by source length, then by their position in `shuffled`.

    Lengths and position are packed into 64 bits, which sort much faster, and in less memory, than by an index.
    """
    bits, position_bits = longest.bit_length(), len(shuffled).bit_length()
    if 2 * bits + position_bits > 64:
        raise RecipeError(f"{len(shuffled)} sentences of up to {longest} pieces are too many to sort")
    keys = tgt_lengths[shuffled].astype(np.uint64)
    keys <<= np.uint64(bits)
    np.bitwise_or(keys, src_lengths[shuffled], out=keys, dtype=np.uint64, casting="unsafe")  # signed ones too
    keys <<= np.uint64(position_bits)
    for start in range(0, len(keys), BLOCK):
        end = min(start + BLOCK, len(keys))
        keys[start:end] |= np.arange(start, end, dtype=np.uint64)
    keys.sort()
    keys &= np.uint64(2**position_bits - 1)
    return shuffled[keys]


def _cut(src_lengths: Ints, tgt_lengths: Ints, order: Ints, budget: int) -> list[tuple[int, int]]:
    """Cut `order` into the longest spans of sentences within `budget` tokens a side."""
    spans: list[tuple[int, int]] = []
    start = 0
    while start < len(order):
        # The search covers twice the sentences of the last span, and is widened until they exceed the budget.
        rows = 2 * (spans[-1][1] - spans[-1][0]) if spans else 64
        while True:
            chosen = order[start : start + rows]
            totals = (np.cumsum(lengths[chosen], dtype=np.int64) for lengths in (src_lengths, tgt_lengths))
            end = start + min(int(total.searchsorted(budget, side="right")) for total in totals)
            if end < start + rows or start + rows >= len(order):
                break
            rows *= 2
        spans.append((start, end))
        start = end
    return spans


def rows_of_epoch(
    corpora: Mapping[str, tuple[int, int]], weights: Mapping[str, float], seed: int, epoch: int
) -> Ints | None:
    """Return the pairs of an epoch, each corpus by its weight; None if that is every pair once.

    `corpora` holds the first pair of each corpus and its end. Each pair is taken as often as the integer part of the
    weight says; the fraction is the share of the pairs that is drawn in addition, anew each epoch.
    """
    if all(weights.get(name, 1.0) == 1 for name in corpora):
        return None
    chosen: list[Ints] = []
    for number, (name, (start, end)) in enumerate(corpora.items()):
        rows = np.arange(start, end, dtype=np.min_scalar_type(end))
        whole, share = divmod(weights.get(name, 1.0), 1)
        rng = np.random.Generator(np.random.PCG64([seed, epoch, number]))
        wanted = share * len(rows)
        # Less than one pair an epoch is the probability of one.
        drawn = rng.choice(rows, round(wanted) if wanted >= 1 else int(rng.random() < wanted), replace=False)
        chosen += [rows] * int(whole) + [drawn]
    result = np.concatenate(chosen)
    if len(result):
        return result
    expected = np.array([weights.get(name, 1.0) * (end - start) for name, (start, end) in corpora.items()])
    if not expected.sum():
        hint = "loosen [cleaning], or name other corpora in the stage of the training"
        raise RecipeError("an epoch has no pair: its corpora are empty", hint=hint)
    rng = np.random.Generator(np.random.PCG64([seed, epoch, len(corpora)]))
    start, end = list(corpora.values())[rng.choice(len(expected), p=expected / expected.sum())]
    return np.array([rng.integers(start, end)], dtype=np.min_scalar_type(end))


def micro_batches(indices: Ints, src_lengths: Ints, tgt_lengths: Ints, micro_batch_tokens: int | None) -> list[Ints]:
    """Cut a step into micro-batches of at most `micro_batch_tokens` padded tokens (rows x longest side); None: one.

    A longer sentence is a micro-batch of its own; without sentences there is none.
    """
    if micro_batch_tokens is None or not len(indices):
        return [indices] if len(indices) else []
    longer = np.maximum(src_lengths[indices], tgt_lengths[indices]).astype(np.int64)
    cut: list[Ints] = []
    while len(indices):
        padded = np.maximum.accumulate(longer) * np.arange(1, len(longer) + 1)  # tokens of the first rows
        end = max(1, int(padded.searchsorted(micro_batch_tokens, side="right")))
        cut.append(indices[:end])
        indices, longer = indices[end:], longer[end:]
    return cut


def by_tokens(lengths: Sequence[int], budget: int, workers: int = 1) -> list[list[int]]:
    """Cut indices, longest sentence first, into batches of at most `budget` padded tokens.

    The longest come first, so that a lack of memory shows at once. Equal lengths keep their order; a sentence over the
    budget is a batch of its own. Few batches for several `workers` are made of about the same number of tokens, a
    multiple of the number of workers, so that all of them end together.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    batches = cut(order, lengths, budget)
    rounds = -(-len(batches) // workers)
    if workers == 1 or rounds > MOST_ROUNDS:
        return batches
    least = bisect_left(range(budget), True, key=lambda size: len(cut(order, lengths, size)) <= rounds * workers)
    return cut(order, lengths, least)


def cut(order: Sequence[int], lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Cut `order`, indices of `lengths` in falling order, into batches of at most `budget` padded tokens."""
    batches, start = [], 0
    while start < len(order):
        rows = max(1, budget // max(1, lengths[order[start]]))
        batches.append(list(order[start : start + rows]))
        start += rows
    return batches

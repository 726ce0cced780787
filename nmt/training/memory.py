"""How many tokens a pass may have: fitted to the memory before the first step, lowered where it does not suffice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from nmt import runtime
from nmt.data.encoding.batching import Ints, StepStream
from nmt.data.encoding.dataset import PreparedPairs
from nmt.errors import UsageError
from nmt.training.updater import Engine

HEADROOM = 0.8
"""Share of the free memory that a pass may take."""
SMALLEST = 1024
"""Padded tokens of the first trial."""


def fit(need: Callable[[int], int], whole: int, room: int) -> int:
    """Return the most padded tokens a pass may have, `whole` or a smaller power of two times SMALLEST.

    `need` makes a pass of so many tokens and returns the bytes it took; it may raise what `is_out_of_memory` knows.
    Each size is tried before it is taken, and only where twice the need of its half has `room`. Raises
    UsageError where not even the smallest fits.
    """
    fitting, size = 0, min(SMALLEST, whole)
    while True:
        try:
            needed = need(size)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            break
        if needed > room * HEADROOM:
            break
        fitting = size
        if size == whole or 2 * needed > room * HEADROOM:
            break
        size = min(2 * size, whole)
    if not fitting:
        raise UsageError(
            f"not even {size:,} padded tokens of the longest sentences fit into {room / 2**30:.1f} GiB of free memory",
            hint="take a smaller model, shorter sentences (cleaning.max_pieces), or a device with more memory",
        )
    return fitting


def trial(engine: Engine, pairs: PreparedPairs) -> Callable[[int], int]:
    """Return what makes a pass over the longest of `pairs` and tells the bytes that it took; weights stay."""
    longest = np.argsort(longer_sides(pairs), kind="stable")[::-1]

    def need(tokens: int) -> int:
        rows = max(1, tokens // int(longer_sides(pairs)[longest[0]]))
        batch = pairs.collate(longest[:rows]).to(engine.device)
        with runtime.watching_memory(engine.device) as taken:
            engine.accumulate([batch], seed=0, smoothing=0.1, tokens=batch.target_tokens)
        return taken()

    return need


def longest_step(pairs: PreparedPairs, stream: StepStream) -> int:
    """Return the padded tokens a side of the widest step: sentences times the longest of them."""
    longer = longer_sides(pairs)
    return max(len(indices) * int(longer[indices].max()) for indices in stream.plan(0))


def longer_sides(pairs: PreparedPairs) -> Ints:
    """Return the length of each pair's longer side."""
    return np.maximum(pairs.src_lengths, pairs.tgt_lengths)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell a full memory, of a GPU or of the machine, from other failures."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)

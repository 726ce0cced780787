"""The size of micro-batches: fitted to the memory before the first step."""

from collections.abc import Callable

import numpy as np

from nmt import devices
from nmt.config.training import TrainingConfig
from nmt.data.encoding.batching import Ints
from nmt.data.encoding.dataset import PreparedPairs
from nmt.data.encoding.steps import StepStream
from nmt.errors import UsageError, is_out_of_memory
from nmt.model.protocol import Model
from nmt.training.objectives import loss_weights
from nmt.training.updater import Updater

HEADROOM = 0.8  # share of the free memory that a micro-batch may take
SMALLEST = 1024  # padded tokens of the first trial


def fit(cost: Callable[[int], int], whole: int, room: int) -> int:
    """Return the most padded tokens that a micro-batch may have: `whole`, or a smaller power of two times SMALLEST.

    `cost` computes a micro-batch of a number of tokens and returns the bytes it took; it may raise an error that
    `is_out_of_memory`. Each size is tried before it is taken, and only where `room` holds twice the cost of its half.
    Raises UsageError where not even the smallest fits.
    """
    fitting, size = 0, min(SMALLEST, whole)
    while True:
        try:
            taken = cost(size)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            break
        if taken > room * HEADROOM:
            break
        fitting = size
        if size == whole or 2 * taken > room * HEADROOM:
            break
        size = min(2 * size, whole)
    if not fitting:
        raise UsageError(
            f"not even {size:,} padded tokens of the longest sentences fit into {room / 2**30:.1f} GiB of free memory",
            hint="take a smaller model, shorter sentences (cleaning.max_pieces), or a device with more memory",
        )
    return fitting


def micro_batch_cost(updater: Updater[Model], stream: StepStream, config: TrainingConfig) -> Callable[[int], int]:
    """Return the function that `fit` wants: it computes the longest pairs of `stream`, all losses; weights stay."""
    pairs = stream.pairs
    longest = np.argsort(longer_sides(pairs), kind="stable")[::-1]

    def cost(tokens: int) -> int:
        rows = max(1, tokens // int(longer_sides(pairs)[longest[0]]))
        batch = stream.whole_batch(longest[:rows]).to(updater.device)
        with devices.measuring_memory(updater.device) as taken:
            updater.accumulate([batch], seed=0, tokens=batch.target_tokens, **loss_weights(config))
        return taken()

    return cost


def room_for_micro_batches(updater: Updater[Model]) -> int:
    """Return the free bytes that Adam's two moments will leave, which come with the first update."""
    return devices.free_memory(updater.device) - 8 * updater.flat_gradient.numel()


def longest_step(pairs: PreparedPairs, stream: StepStream) -> int:
    """Return the padded tokens a side of the largest step: its sentences times the longest of them."""
    longer = longer_sides(pairs)
    return max(len(indices) * int(longer[indices].max()) for indices in stream.plan(0))


def longer_sides(pairs: PreparedPairs) -> Ints:
    return np.maximum(pairs.src_lengths, pairs.tgt_lengths)

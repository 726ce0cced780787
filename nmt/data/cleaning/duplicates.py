"""Find repeated rows by 64-bit keys, in memory that does not grow with their number but for a byte a row."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
Mask = NDArray[np.bool]
ROWS_AT_ONCE = 2**23  # rows whose keys are sorted at once, which takes some 300 MB


def repeated(keys: Sequence[Keys], alive: Mask, rows_at_once: int = ROWS_AT_ONCE) -> Mask:
    """Mark the rows of `alive` whose key occurred in an earlier row of `alive`.

    `keys` are the keys of all rows, one array a shard. They are sorted in parts of about `rows_at_once` rows, by their
    first bits.
    """
    marked = np.zeros(len(alive), np.bool)
    bits = max(0, (len(alive) - 1) // rows_at_once).bit_length()
    for part in range(2**bits):
        part_keys, part_rows = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
        start = 0
        for shard in keys:
            chosen = alive[start : start + len(shard)]
            if bits:
                chosen = chosen & (shard >> np.uint64(64 - bits) == part)
            part_keys.append(shard[chosen])
            part_rows.append(start + np.flatnonzero(chosen))
            start += len(shard)
        values, rows = np.concatenate(part_keys), np.concatenate(part_rows)
        order = np.argsort(values, kind="stable")
        values = values[order]
        marked[rows[order[1:][values[1:] == values[:-1]]]] = True
    return marked

"""Which rows stood before, found from 64-bit keys in memory that does not grow with their number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Keys = np.ndarray[Any, np.dtype[np.uint64]]
Mask = np.ndarray[Any, np.dtype[np.bool]]

ROWS_AT_ONCE = 2**23
"""Rows whose keys are sorted at once, some 300 MB."""


def repeated(keys: Sequence[Keys], alive: Mask, rows_at_once: int = ROWS_AT_ONCE) -> Mask:
    """Tell of each row whether an earlier one of those `alive` has its key; a row that is not alive is neither.

    `keys` are those of all rows, in pieces, as they lie on the disk. They are looked at in parts, by their first bits,
    few enough rows in each.
    """
    found = np.zeros(len(alive), np.bool)
    bits = max(0, (len(alive) - 1) // rows_at_once).bit_length()
    for part in range(2**bits):
        chosen_keys, chosen_rows = [], []
        start = 0
        for piece in keys:
            chosen = alive[start : start + len(piece)]
            if bits:
                chosen = chosen & (piece >> np.uint64(64 - bits) == part)
            chosen_keys.append(piece[chosen])
            chosen_rows.append(start + np.flatnonzero(chosen))
            start += len(piece)
        values = np.concatenate([np.zeros(0, np.uint64), *chosen_keys])
        rows = np.concatenate([np.zeros(0, np.int64), *chosen_rows])
        order = np.argsort(values, kind="stable")
        values = values[order]
        found[rows[order[1:][values[1:] == values[:-1]]]] = True
    return found

"""Read what `prepare` wrote: sentences of ids, mapped to memory, and batches of them.

`B` sentences, `S` source length, `T` target length of a batch, EOS included.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nmt.data.prepare import read_batches
from nmt.data.tokenizer import BOS_ID, EOS_ID, PAD_ID

Ids = np.ndarray[Any, np.dtype[np.unsignedinteger[Any]]]
Ints = np.ndarray[Any, np.dtype[np.integer[Any]]]


@dataclass(frozen=True)
class Batch:
    """Sentence pairs as int64 tensors, padded on the right."""

    src: Tensor
    """(B, S), EOS last."""
    tgt_in: Tensor
    """(B, T), BOS first."""
    labels: Tensor
    """(B, T), EOS last: at each place what follows `tgt_in`."""
    places: Tensor
    """(N) where `labels`, flattened, are real; found before the batch goes to a device, which nobody then waits for."""

    @property
    def target_tokens(self) -> int:
        """Count the real labels, EOS included."""
        return len(self.places)

    @property
    def real_labels(self) -> Tensor:
        """(N) the labels without padding."""
        return self.labels.flatten().index_select(0, self.places)

    def to(self, device: torch.device) -> Batch:
        """Copy the tensors to `device`: to a GPU from pinned memory, so that the copy runs beside the computation."""
        if device.type == "cpu":
            return self
        tensors = (self.src, self.tgt_in, self.labels, self.places)
        return Batch(*(tensor.pin_memory().to(device, non_blocking=True) for tensor in tensors))


class PreparedPairs:
    """The sentence pairs of one split, in a folder that `prepare.write_ids` wrote."""

    src_lengths: Ints
    """Source length of each pair, EOS included."""
    tgt_lengths: Ints
    """Target length of each pair, EOS included."""

    def __init__(self, folder: Path) -> None:
        batches = list(read_batches(folder))
        self.starts = [0]
        for batch in batches:
            self.starts.append(self.starts[-1] + batch.num_rows)
        self.src_columns = [_views(batch.column("src")) for batch in batches]
        self.tgt_columns = [_views(batch.column("tgt")) for batch in batches]
        self.src_lengths = _lengths([batch.column("src_length") for batch in batches])
        self.tgt_lengths = _lengths([batch.column("tgt_length") for batch in batches])

    def __len__(self) -> int:
        return self.starts[-1]

    def src(self, index: int) -> Ids:
        """Return the source ids of a pair, without EOS: a view of the file."""
        return self._row(self.src_columns, index)

    def tgt(self, index: int) -> Ids:
        """Return the target ids of a pair, without BOS and EOS: a view of the file."""
        return self._row(self.tgt_columns, index)

    def _row(self, columns: list[tuple[Ints, Ids]], index: int) -> Ids:
        if not 0 <= index < len(self):
            raise IndexError(f"pair {index} of {len(self)}")
        number = bisect_right(self.starts, index) - 1
        offsets, values = columns[number]
        row = index - self.starts[number]
        return values[offsets[row] : offsets[row + 1]]

    def collate(self, indices: Ints | Sequence[int]) -> Batch:
        """Gather pairs, in the order of `indices`, into a batch."""
        rows = np.asarray(indices, dtype=np.int64)
        src = _padded(self.src, rows, int(self.src_lengths[rows].max()))
        labels = _padded(self.tgt, rows, int(self.tgt_lengths[rows].max()))
        tgt_in = np.empty_like(labels)
        tgt_in[:, 0] = BOS_ID
        tgt_in[:, 1:] = np.where(labels[:, :-1] == EOS_ID, PAD_ID, labels[:, :-1])
        return Batch(*(torch.from_numpy(ids) for ids in (src, tgt_in, labels, np.flatnonzero(labels != PAD_ID))))


def _views(column: Any) -> tuple[Ints, Ids]:
    """Return offsets and values of an Arrow array of lists, both without a copy."""
    return column.offsets.to_numpy(zero_copy_only=True), column.values.to_numpy(zero_copy_only=True)


def _lengths(columns: list[Any]) -> Ints:
    arrays = [column.to_numpy(zero_copy_only=True) for column in columns]
    return np.concatenate([np.zeros(0, np.int32), *arrays]) + np.int32(1)


def _padded(row: Callable[[int], Ids], indices: Ints, longest: int) -> Ints:
    """Stack rows of ids, each with EOS behind it, to (B, longest)."""
    out = np.full((len(indices), longest), PAD_ID, np.int64)
    for place, index in enumerate(indices.tolist()):
        ids = row(index)
        out[place, : len(ids)] = ids
        out[place, len(ids)] = EOS_ID
    return out

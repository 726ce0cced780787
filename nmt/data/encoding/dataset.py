"""Encoded sentence pairs, mapped to memory, and batches of them.

`B` sentences, `S` source length, `T` target length of a batch, EOS included.
"""

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from nmt.data.encoding.batching import Ints
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, PAD_ID, Tokenizer
from nmt.data.shards import corpus_of, read_shard, shard_paths

Ids = NDArray[np.uint8 | np.uint16 | np.uint32]
TEXT = ("source", "target")  # the columns of the text


@dataclass(frozen=True)
class Batch:
    """Sentence pairs as int64 tensors, padded on the right."""

    src: Tensor  # (B, S), EOS last
    tgt_in: Tensor  # (B, T), BOS first
    labels: Tensor  # (B, T), EOS last: `tgt_in` shifted left
    label_indices: Tensor
    """(N) indices of the real labels in `labels`, flattened; computed before a GPU has the batch, to save a wait."""
    src_padded: bool = field(default=True, kw_only=True)
    """Whether `src` may hold padding; known before a GPU has the batch."""

    @property
    def target_tokens(self) -> int:
        """The number of real labels, EOS included."""
        return len(self.label_indices)

    @property
    def real_labels(self) -> Tensor:
        """The labels without padding (N)."""
        return self.labels.flatten().index_select(0, self.label_indices)

    def to(self, device: torch.device) -> "Batch":
        """Copy the tensors to `device`: to a GPU from pinned memory, so that the copy runs beside the computation."""
        if device.type == "cpu":
            return self
        tensors = (self.src, self.tgt_in, self.labels, self.label_indices)
        on_device = (tensor.pin_memory().to(device, non_blocking=True) for tensor in tensors)
        return Batch(*on_device, src_padded=self.src_padded)


class Pairs(ABC):
    """Sentence pairs by index."""

    src_lengths: Ints  # source length of each pair, EOS included
    tgt_lengths: Ints  # target length of each pair, EOS included

    @abstractmethod
    def src(self, index: int) -> Ids:
        """Return the source ids of a pair, without EOS."""

    @abstractmethod
    def tgt(self, index: int) -> Ids:
        """Return the target ids of a pair, without BOS and EOS."""

    def collate(self, indices: Ints | Sequence[int]) -> Batch:
        """Collate pairs, in the order of `indices`, into a batch."""
        rows = np.asarray(indices, dtype=np.int64)
        src = _padded(self.src, rows, int(self.src_lengths[rows].max()))
        labels = _padded(self.tgt, rows, int(self.tgt_lengths[rows].max()))
        tgt_in = np.empty_like(labels)
        tgt_in[:, 0] = BOS_ID
        tgt_in[:, 1:] = np.where(labels[:, :-1] == EOS_ID, PAD_ID, labels[:, :-1])
        tensors = (torch.from_numpy(ids) for ids in (src, tgt_in, labels, np.flatnonzero(labels != PAD_ID)))
        return Batch(*tensors, src_padded=bool((src[:, -1] == PAD_ID).any()))


class PreparedPairs(Pairs):
    """The sentence pairs of one split, in a folder that `write_ids` filled."""

    corpora: dict[str, tuple[int, int]]  # the first pair of each corpus, and its end

    def __init__(self, folder: Path) -> None:
        batches: list[pa.RecordBatch] = []
        self.starts = [0]
        self.corpora = {}
        for path in shard_paths(folder):
            begin = self.starts[-1]
            for batch in read_shard(path):
                batches.append(batch)
                self.starts.append(self.starts[-1] + batch.num_rows)
            corpus = corpus_of(path)
            self.corpora[corpus] = self.corpora.get(corpus, (begin, begin))[0], self.starts[-1]
        self.src_columns = [_views(batch.column("src")) for batch in batches]
        self.tgt_columns = [_views(batch.column("tgt")) for batch in batches]
        self.src_lengths = _lengths([batch.column("src_length") for batch in batches])
        self.tgt_lengths = _lengths([batch.column("tgt_length") for batch in batches])
        self.texts = [[batch.column(side) for side in TEXT] for batch in batches if TEXT[0] in batch.schema.names]
        """Both sides of the text of each record batch, if it was kept."""

    def __len__(self) -> int:
        return self.starts[-1]

    def src(self, index: int) -> Ids:
        return self._row(self.src_columns, index)

    def tgt(self, index: int) -> Ids:
        return self._row(self.tgt_columns, index)

    def _row(self, columns: list[tuple[Ints, Ids]], index: int) -> Ids:
        if not 0 <= index < len(self):
            raise IndexError(f"pair {index} of {len(self)}")
        number, row = self._position(index)
        offsets, values = columns[number]
        return values[offsets[row] : offsets[row + 1]]

    def _position(self, index: int) -> tuple[int, int]:
        """Return the record batch of a pair, and its row."""
        number = bisect_right(self.starts, index) - 1
        return number, index - self.starts[number]

    def tokens_by_corpus(self, indices: Ints) -> dict[str, int]:
        """Count the target tokens of `indices` by corpus, in the segmentation of the files."""
        bounds = [start for start, _ in self.corpora.values()]
        number = np.searchsorted(bounds, indices, side="right") - 1
        counts = np.bincount(number, weights=self.tgt_lengths[indices], minlength=len(bounds))
        return {name: int(count) for name, count in zip(self.corpora, counts, strict=True)}

    def text(self, index: int) -> tuple[str, str]:
        """Return the text of a pair; only with `IdsPlan.keep_text`."""
        number, row = self._position(index)
        source, target = (side[row].as_py() for side in self.texts[number])
        return source, target


@dataclass(frozen=True)
class SubwordRegularization:
    """Segmentations of the training text that are drawn anew each epoch: BPE-dropout or unigram sampling."""

    tokenizer: Tokenizer
    alpha: float  # as in `tokenizer.sampling`
    seed: int
    longest: int  # pieces of a side, EOS not counted; a side whose new segmentation is longer keeps that of the files

    def segment(self, pairs: PreparedPairs, index: int, epoch: int) -> tuple[Ids, Ids]:
        """Segment a pair anew, as a function of seed, epoch, pair and side alone."""
        sides: list[Ids] = []
        stored = pairs.src(index), pairs.tgt(index)
        models = self.tokenizer.source, self.tokenizer.target
        for side, (text, ids, model) in enumerate(zip(pairs.text(index), stored, models, strict=True)):
            key = f"{self.seed} {epoch} {index} {side}".encode()
            drawn = model.sample(text, self.alpha, int.from_bytes(blake2b(key, digest_size=8).digest(), "big"))
            sides.append(np.asarray(drawn, ids.dtype) if 0 < len(drawn) <= self.longest else ids)
        return sides[0], sides[1]


class ResampledPairs(Pairs):
    """Some pairs, with indices from 0, their text segmented anew."""

    def __init__(self, pairs: PreparedPairs, indices: Ints, regularization: SubwordRegularization, epoch: int) -> None:
        self.rows = [regularization.segment(pairs, index, epoch) for index in indices.tolist()]
        self.src_lengths = np.array([len(src) + 1 for src, _ in self.rows], np.int64)
        self.tgt_lengths = np.array([len(tgt) + 1 for _, tgt in self.rows], np.int64)

    def src(self, index: int) -> Ids:
        return self.rows[index][0]

    def tgt(self, index: int) -> Ids:
        return self.rows[index][1]


def _views(column: pa.ListArray) -> tuple[Ints, Ids]:
    """Return offsets and values of an Arrow array of lists, both without a copy."""
    return column.offsets.to_numpy(zero_copy_only=True), column.values.to_numpy(zero_copy_only=True)


def _lengths(columns: list[pa.Array]) -> Ints:
    """Return lengths with EOS, in the smallest type that holds them."""
    arrays = [column.to_numpy(zero_copy_only=True) for column in columns]
    longest = max((int(array.max(initial=0)) for array in arrays), default=0)
    lengths = np.empty(sum(map(len, arrays)), np.min_scalar_type(longest + 1))
    start = 0
    for array in arrays:
        np.add(array, 1, out=lengths[start : start + len(array)], dtype=lengths.dtype, casting="unsafe")
        start += len(array)
    return lengths


def _padded(row: Callable[[int], Ids], indices: Ints, longest: int) -> Ints:
    """Stack rows of ids, each followed by EOS and padding, to (B, longest)."""
    out = np.full((len(indices), longest), PAD_ID, np.int64)
    for number, index in enumerate(indices.tolist()):
        ids = row(index)
        out[number, : len(ids)] = ids
        out[number, len(ids)] = EOS_ID
    return out

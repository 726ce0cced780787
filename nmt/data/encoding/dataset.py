"""Encoded sentence pairs, mapped to memory, and batches of them.

`B` sentences, `S` source length, `T` target length of a batch, EOS included.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
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
from nmt.files import JsonObject

Ids = NDArray[np.uint8 | np.uint16 | np.uint32 | np.int64]
TEXT = ("source", "target")  # the columns of the text
LINKS = "links"  # the column of aligned pieces: source and target of each link in turn


@dataclass(frozen=True)
class Batch:
    """Sentence pairs as int64 tensors, padded on the right."""

    src: Tensor  # (B, S), EOS last
    tgt_in: Tensor  # (B, T), BOS first
    labels: Tensor  # (B, T), EOS last: `tgt_in` shifted left; of masked sequences the pieces at the places of `tgt_in`
    label_indices: Tensor
    """(N) indices of the real labels in `labels`, flattened; computed before a GPU has the batch, to save a wait."""
    src_padded: bool = field(default=True, kw_only=True)
    """Whether `src` may hold padding; known before a GPU has the batch."""
    links: Tensor | None = field(default=None, kw_only=True)
    """(3, L) aligned pieces: sentence, target piece, source piece; None where the pairs have no alignment."""
    link_shares: Tensor | None = field(default=None, kw_only=True)
    """(L) one divided by the number of the links of the link's target piece."""

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
        links = {
            name: tensor.pin_memory().to(device, non_blocking=True)
            for name, tensor in (("links", self.links), ("link_shares", self.link_shares))
            if tensor is not None
        }
        return Batch(*on_device, src_padded=self.src_padded, **links)


class Pairs(ABC):
    """Sentence pairs by index."""

    src_lengths: Ints  # source length of each pair, EOS included
    tgt_lengths: Ints  # target length of each pair, EOS included

    @abstractmethod
    def sides(self, indices: Ints) -> tuple[list[Ids], list[Ids]]:
        """Return the source ids and the target ids of pairs, without BOS and EOS."""

    def as_text(self, indices: Ints, tokenizer: Tokenizer) -> list[JsonObject]:
        """Return pairs for people to read: the number of each, from 1, and both sides as text."""
        models = tokenizer.source, tokenizer.target
        sides = zip(models, self.sides(indices), strict=True)
        texts = [model.decode([ids.tolist() for ids in side]) for model, side in sides]
        return [
            {"pair": index + 1, "source": source, "target": target}
            for index, source, target in zip(indices.tolist(), *texts, strict=True)
        ]

    def labels(self, indices: Ints) -> int:
        """Count the real labels of pairs, EOS included."""
        return int(self.tgt_lengths[indices].sum())

    def collate(self, indices: Ints | Sequence[int]) -> Batch:
        """Collate pairs, in the order of `indices`, into a batch."""
        rows = np.asarray(indices, dtype=np.int64)
        src, labels = map(_padded, self.sides(rows))
        tgt_in = np.empty_like(labels)
        tgt_in[:, 0] = BOS_ID
        tgt_in[:, 1:] = np.where(labels[:, :-1] == EOS_ID, PAD_ID, labels[:, :-1])
        tensors = (torch.from_numpy(ids) for ids in (src, tgt_in, labels, np.flatnonzero(labels != PAD_ID)))
        return Batch(*tensors, src_padded=bool((src[:, -1] == PAD_ID).any()), **_linked(self.links(rows)))

    def links(self, indices: Ints) -> list[Ids] | None:  # noqa: ARG002
        """Return the aligned pieces of pairs, source and target in turn; None where there is no alignment."""
        return None


class PreparedPairs(Pairs):
    """The sentence pairs of one split, in a folder that `write_ids` filled."""

    corpora: dict[str, tuple[int, int]]  # the first pair of each corpus, and its end

    def __init__(self, folder: Path) -> None:
        batches: list[pa.RecordBatch] = []
        starts = [0]
        self.corpora = {}
        for path in shard_paths(folder):
            begin = starts[-1]
            for batch in read_shard(path):
                batches.append(batch)
                starts.append(starts[-1] + batch.num_rows)
            corpus = corpus_of(path)
            self.corpora[corpus] = self.corpora.get(corpus, (begin, begin))[0], starts[-1]
        self.starts = np.array(starts)
        """The first pair of each record batch, and the number of all."""
        self.src_columns = [_views(batch.column("src")) for batch in batches]
        self.tgt_columns = [_views(batch.column("tgt")) for batch in batches]
        self.src_lengths = _lengths([batch.column("src_length") for batch in batches])
        self.tgt_lengths = _lengths([batch.column("tgt_length") for batch in batches])
        self.texts = [[batch.column(side) for side in TEXT] for batch in batches if TEXT[0] in batch.schema.names]
        """Both sides of the text of each record batch, if it was kept."""
        self.link_columns = [_views(batch.column(LINKS)) for batch in batches if LINKS in batch.schema.names]
        """The aligned pieces of each record batch, if there is an alignment."""

    def __len__(self) -> int:
        return int(self.starts[-1])

    def sides(self, indices: Ints) -> tuple[list[Ids], list[Ids]]:
        positions = self._positions(indices)
        return _rows(self.src_columns, positions), _rows(self.tgt_columns, positions)

    def links(self, indices: Ints) -> list[Ids] | None:
        return _rows(self.link_columns, self._positions(indices)) if self.link_columns else None

    def _positions(self, indices: Ints) -> list[tuple[int, int]]:
        """Return the record batch of each pair, and its row there. Raises IndexError."""
        if len(outside := indices[(indices < 0) | (indices >= len(self))]):
            raise IndexError(f"pair {outside[0]} of {len(self)}")
        numbers = np.searchsorted(self.starts, indices, side="right") - 1
        return list(zip(numbers.tolist(), (indices - self.starts[numbers]).tolist(), strict=True))

    def tokens_by_corpus(self, indices: Ints) -> dict[str, int]:
        """Count the target tokens of `indices` by corpus, in the segmentation of the files."""
        bounds = [start for start, _ in self.corpora.values()]
        number = np.searchsorted(bounds, indices, side="right") - 1
        counts = np.bincount(number, weights=self.tgt_lengths[indices], minlength=len(bounds))
        return {name: int(count) for name, count in zip(self.corpora, counts, strict=True)}

    def text(self, index: int) -> tuple[str, str]:
        """Return the text of a pair; only with `IdsPlan.keep_text`."""
        [(number, row)] = self._positions(np.array([index]))
        source, target = (side[row].as_py() for side in self.texts[number])
        return source, target


@dataclass(frozen=True)
class SubwordRegularization:
    """Segmentations of the training text that are drawn anew each epoch: BPE-dropout or unigram sampling."""

    tokenizer: Tokenizer
    alpha: float  # as in `tokenizer.sampling`
    seed: int
    longest: int  # pieces of a side, EOS not counted; a side whose new segmentation is longer keeps that of the files

    def segment(self, text: str, ids: Ids, index: int, side: int, epoch: int) -> Ids:
        """Segment a side of pair `index` anew, as a function of seed, epoch, pair and side alone; `ids` are stored."""
        model = (self.tokenizer.source, self.tokenizer.target)[side]
        key = f"{self.seed} {epoch} {index} {side}".encode()
        drawn = model.sample(text, self.alpha, int.from_bytes(blake2b(key, digest_size=8).digest(), "big"))
        return np.asarray(drawn, ids.dtype) if 0 < len(drawn) <= self.longest else ids


class DrawnPairs(Pairs):
    """Some pairs, with indices from 0, whose ids are drawn anew each epoch."""

    def __init__(self, src: list[Ids], tgt: list[Ids]) -> None:
        self.columns = src, tgt
        self.src_lengths, self.tgt_lengths = (np.array([len(ids) + 1 for ids in side]) for side in self.columns)

    def sides(self, indices: Ints) -> tuple[list[Ids], list[Ids]]:
        source, target = ([side[index] for index in indices.tolist()] for side in self.columns)
        return source, target


class ResampledPairs(DrawnPairs):
    """Some pairs, with indices from 0, their text segmented anew."""

    def __init__(self, pairs: PreparedPairs, indices: Ints, regularization: SubwordRegularization, epoch: int) -> None:
        texts = zip(*map(pairs.text, indices.tolist()), strict=True)
        columns = (
            [regularization.segment(*row, side, epoch) for row in zip(lines, ids, indices.tolist(), strict=True)]
            for side, (lines, ids) in enumerate(zip(texts, pairs.sides(indices), strict=True))
        )
        super().__init__(*columns)


class MaskedPairs(Pairs):
    """Sequences without a source, with indices from 0, of which some pieces are predicted at their places."""

    def __init__(self, rows: list[tuple[list[int], list[int]]]) -> None:
        """Hold rows of ids, each with its labels, which are padding where nothing is predicted."""
        self.rows = rows
        self.tgt_lengths = np.array([len(ids) for ids, _ in rows])
        self.src_lengths = np.zeros_like(self.tgt_lengths)

    def sides(self, indices: Ints) -> tuple[list[Ids], list[Ids]]:
        ids: list[Ids] = [np.array(self.rows[index][0], np.int64) for index in indices.tolist()]
        return [row[:0] for row in ids], ids

    def labels(self, indices: Ints) -> int:
        return sum(len(labels) - labels.count(PAD_ID) for labels in (self.rows[index][1] for index in indices.tolist()))

    def collate(self, indices: Ints | Sequence[int]) -> Batch:
        """Collate sequences, in the order of `indices`, into a batch without sources."""
        rows = [self.rows[index] for index in np.asarray(indices, dtype=np.int64).tolist()]
        longest = max(len(ids) for ids, _ in rows)
        tgt_in, labels = (
            torch.tensor([row[part] + [PAD_ID] * (longest - len(row[part])) for row in rows]) for part in range(2)
        )
        src = torch.empty(len(rows), 0, dtype=torch.int64)
        return Batch(src, tgt_in, labels, (labels.flatten() != PAD_ID).nonzero().flatten(), src_padded=False)


def _views(column: pa.ListArray) -> tuple[memoryview, Ids]:
    """Return offsets and values of an Arrow array of lists, both without a copy."""
    # Single items of a memoryview are Python's integers, and read faster than those of an array.
    return column.offsets.to_numpy(zero_copy_only=True).data, column.values.to_numpy(zero_copy_only=True)


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


def _rows(columns: list[tuple[memoryview, Ids]], positions: list[tuple[int, int]]) -> list[Ids]:
    """Return the rows of a column of lists, given as offsets and values by record batch."""
    rows = []
    for number, row in positions:
        offsets, values = columns[number]
        rows.append(values[offsets[row] : offsets[row + 1]])
    return rows


def _linked(links: list[Ids] | None) -> dict[str, Tensor]:
    """Return `Batch.links` and their shares, of the links of each pair."""
    if links is None:
        return {}
    pairs = np.concatenate(links).reshape(-1, 2).astype(np.int64)
    rows = np.repeat(np.arange(len(links)), [len(row) // 2 for row in links])
    targets = np.stack([rows, pairs[:, 1]])
    _, inverse, counts = np.unique(targets, axis=1, return_inverse=True, return_counts=True)
    shares = (1 / counts[inverse.ravel()]).astype(np.float32)
    return {"links": torch.from_numpy(np.vstack([targets, pairs[:, 0]])), "link_shares": torch.from_numpy(shares)}


def _padded(rows: list[Ids]) -> Ints:
    """Stack rows of ids, each followed by EOS and padding, to (B, longest + 1)."""
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    out = np.full((len(rows), int(lengths.max()) + 1), PAD_ID, np.int64)
    positions = np.arange(out.shape[1])
    out[positions < lengths[:, None]] = np.concatenate(rows)
    out[positions == lengths[:, None]] = EOS_ID
    return out

"""The decoder's cache."""

import torch
from torch import Tensor

from nmt.model.layers import prepare_mask

KeysValues = tuple[Tensor, Tensor]  # keys and values, each (B, H, positions, E)


def columns(keys: Tensor) -> Tensor:
    """Return `keys` (B, H, S, E) in the order in which they are read fastest: on a CPU, positions in sequence."""
    return keys.contiguous() if keys.is_cuda else keys.transpose(-2, -1).contiguous().transpose(-2, -1)


def empty_columns(x: Tensor, batch: int, heads: int, size: int) -> KeysValues:
    """Return keys and values (B, H, 0, E) of the type and device of `x`, the keys in the order of `columns`."""
    return columns(x.new_empty(batch, heads, 0, size)), x.new_empty(batch, heads, 0, size)


class DecoderCache:
    """Keys and values of the hypotheses under way, so that each step computes one position.

    They stay where they were written, one position (of C) a hypothesis a step. A mask says which positions belong to
    which hypothesis, so that reordering the beam copies nothing but the mask. With a window, positions are dropped that
    no later one sees.
    """

    def __init__(
        self,
        memory_mask: Tensor,
        cross_kv: list[KeysValues],
        self_kv: list[KeysValues],
        is_source: Tensor | None = None,
        *,
        window: int | None = None,
    ) -> None:
        """Begin a cache; `is_source` (B, S) marks the pieces of a source that is to be written before the target.

        With a `window` each position sees as many before it as this, and there is no such source.
        """
        self.memory_mask = memory_mask  # (B, 1, 1, S), by `prepare_mask`
        self.cross_kv = cross_kv
        """Of the memory, for each layer (B, H, S, E): once a sentence, whatever the beam size."""
        self.self_kv = self_kv
        """Of the target so far, for each layer (B, H, C, E); `positions` of C, from `start`, are in use."""
        if is_source is None:
            is_source = memory_mask.new_zeros(len(memory_mask), 0, dtype=torch.bool)
        self.starts = is_source.sum(1, keepdim=True)  # (B, 1) pieces of the source
        self.start, self.positions = 0, is_source.size(1)
        self.window, self.widths = window, list[int]()  # the positions of each step that are in use
        self.length = 0  # pieces of each hypothesis, BOS included
        self.ancestry = is_source[:, None]
        """(B, K, positions): True where a position belongs to a hypothesis."""
        self.self_mask: Tensor | None = None
        """(B, 1, K, positions), `ancestry` by `prepare_mask`; None where each sentence has one hypothesis."""
        self._make_room()

    def extend(self, width: int) -> None:
        """Make room for the next position of `width` hypotheses a sentence, each continuing itself."""
        if self.window is not None and len(self.widths) > self.window:
            self._drop(self.widths.pop(0))
        new = torch.eye(width, dtype=torch.bool, device=self.ancestry.device).expand(len(self.ancestry), -1, -1)
        self.ancestry = torch.cat([self.ancestry.expand(-1, width, -1), new], dim=2)
        self.positions, self.length = self.positions + width, self.length + 1
        self.widths.append(width)
        is_one = self.positions == len(self.widths)
        self.self_mask = None if is_one else prepare_mask(self.ancestry, self.memory_mask.dtype)[:, None]
        self._make_room()

    @property
    def end(self) -> int:
        return self.start + self.positions

    def _drop(self, width: int) -> None:
        self.start, self.positions = self.start + width, self.positions - width
        self.ancestry = self.ancestry[:, :, width:]

    def _make_room(self) -> None:
        if self.end > self.self_kv[0][0].size(2):
            self.self_kv = [(self._with_room(keys), self._with_room(values)) for keys, values in self.self_kv]
            self.start = 0

    def _with_room(self, kept: Tensor) -> Tensor:
        """Return what is in use of `kept` (B, H, C, E), with room for as many steps as the memory has positions.

        There is room for half as much again at least; the steps are no more than those of a window.
        """
        batch, heads, capacity, size = kept.shape
        used, length = capacity - self.start, self.memory_mask.size(-1)
        steps = max(8, length if self.window is None else min(length, self.window))
        room = self.positions + max(steps * self.ancestry.size(1), used // 2)
        if kept.stride(-1) == 1:
            larger = kept.new_empty(batch, heads, room, size)
        else:  # in the order of `columns`
            larger = kept.new_empty(batch, heads, size, room).transpose(-2, -1)
        larger[:, :, :used] = kept[:, :, self.start :]
        return larger

    def write(self, layer: int, keys: Tensor, values: Tensor) -> KeysValues:
        """Write the newest `keys` and `values` (B, H, K, E) of a layer; return all, (B, H, positions, E)."""
        for kept, new in zip(self.self_kv[layer], (keys, values), strict=True):
            kept[:, :, self.end - new.size(2) : self.end] = new
        all_keys, all_values = (kept[:, :, self.start : self.end] for kept in self.self_kv[layer])
        return all_keys, all_values

    def reorder(self, parents: Tensor) -> None:
        """Continue the hypotheses `parents` (B, K) of each sentence."""
        self.ancestry = self.ancestry.gather(1, parents[..., None].expand(-1, -1, self.positions))

    def keep_sentences(self, sentences: Tensor) -> None:
        """Keep the sentences at `sentences`, in that order; those that keep their index are not copied."""
        self.ancestry, self.starts = self.ancestry[sentences], self.starts[sentences]
        count = len(sentences)
        (moved,) = (sentences != torch.arange(count, device=sentences.device)).nonzero(as_tuple=True)
        origins = sentences[moved]
        for kept in (self.memory_mask, *(tensor for pair in self.cross_kv for tensor in pair)):
            kept[moved] = kept[origins]
        for kept in (tensor for pair in self.self_kv for tensor in pair):
            kept[moved, :, self.start : self.end] = kept[origins, :, self.start : self.end]
        self.memory_mask = self.memory_mask[:count]  # the rows stay aligned
        self.cross_kv = [(keys[:count], values[:count]) for keys, values in self.cross_kv]
        self.self_kv = [(keys[:count], values[:count]) for keys, values in self.self_kv]

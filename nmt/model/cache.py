"""The decoder's cache."""

from __future__ import annotations

import torch
from torch import Tensor

from nmt.model.layers import for_attention


class DecoderCache:
    """What the decoder remembers of the hypotheses under way, so that each step computes one position.

    Keys and values stay where they were written: one place (of C) a hypothesis a step. Which places a hypothesis has
    gone through is said by a mask, so that choosing hypotheses copies nothing else.
    """

    def __init__(
        self, memory_mask: Tensor, across: list[tuple[Tensor, Tensor]], past: list[tuple[Tensor, Tensor]]
    ) -> None:
        self.memory_mask = memory_mask
        """(B, 1, 1, S), by `for_attention`."""
        self.across = across
        """Keys and values of the memory, for each layer (B, H, S, D/H): once a sentence, whatever the beam."""
        self.past = past
        """Keys and values of the target so far, for each layer (B, H, C, D/H), of which `places` are written."""
        self.places = 0
        self.length = 0
        """Target positions seen."""
        self.visited = memory_mask.new_zeros(len(memory_mask), 1, 0, dtype=torch.bool)
        """(B, K, places): whether a place belongs to the past of a hypothesis."""
        self.past_mask: Tensor | None = None
        """The same by `for_attention`, (B, 1, K, places); None where each sentence has one hypothesis."""

    def extend(self, width: int) -> None:
        """Make room for the next position of `width` hypotheses of each sentence, each following itself."""
        new = torch.eye(width, dtype=torch.bool, device=self.visited.device).expand(len(self.visited), -1, -1)
        self.visited = torch.cat([self.visited.expand(-1, width, -1), new], dim=2)
        self.places, self.length = self.places + width, self.length + 1
        is_one = self.places == self.length
        self.past_mask = None if is_one else for_attention(self.visited)[:, None]
        if self.places > self.past[0][0].size(2):
            self.past = [(self._with_room(keys), self._with_room(values)) for keys, values in self.past]

    def _with_room(self, past: Tensor) -> Tensor:
        """Return `past` (B, H, C, D/H) with half as many places again, and some."""
        batch, heads, capacity, size = past.shape
        larger = past.new_empty(batch, heads, self.places + max(8 * self.visited.size(1), capacity // 2), size)
        larger[:, :, :capacity] = past
        return larger

    def write(self, index: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write the newest `keys` and `values` (B, H, K, D/H) of layer `index`; return all (B, H, places, D/H)."""
        for past, new in zip(self.past[index], (keys, values), strict=True):
            past[:, :, self.places - new.size(2) : self.places] = new
        all_keys, all_values = (past[:, :, : self.places] for past in self.past[index])
        return all_keys, all_values

    def follow(self, parents: Tensor) -> None:
        """Go on with the hypotheses `parents` (B, K) of each sentence."""
        self.visited = self.visited.gather(1, parents[..., None].expand(-1, -1, self.places))

    def keep_sentences(self, sentences: Tensor) -> None:
        """Keep the sentences at `sentences`, in that order; those that keep their place are not copied."""
        self.memory_mask, self.visited = self.memory_mask[sentences], self.visited[sentences]
        count = len(sentences)
        (moved,) = (sentences != torch.arange(count, device=sentences.device)).nonzero(as_tuple=True)
        origins = sentences[moved]
        for keys, values in self.across:
            keys[moved], values[moved] = keys[origins], values[origins]
        for keys, values in self.past:
            for past in (keys, values):
                past[moved, :, : self.places] = past[origins, :, : self.places]
        self.across = [(keys[:count], values[:count]) for keys, values in self.across]
        self.past = [(keys[:count], values[:count]) for keys, values in self.past]

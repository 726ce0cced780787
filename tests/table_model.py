"""A model whose distributions are written down, for tests of the search."""

import math
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID

A, B, C = 4, 5, 6


class Table:
    """A model whose next piece depends on the last one alone: rows of probabilities by piece."""

    position_limit = 30
    device = torch.device("cpu")

    def __init__(self, table: dict[int, dict[int, float]], size: int = 7) -> None:
        self.logits = torch.full((size, size), -50.0)
        for last, row in table.items():
            for piece, share in row.items():
                self.logits[last, piece] = math.log(share)
        self.widths: list[tuple[int, int]] = []

    def start_cache(self, src: Tensor) -> Any:
        self.src = src
        return SimpleNamespace(reorder=lambda _: None, keep_sentences=lambda _: None)

    def next_hidden(self, tokens: Tensor, _: Any) -> Tensor:
        self.widths.append((tokens.size(0), tokens.size(1)))
        return tokens

    def generator(self, hidden: Tensor) -> Tensor:
        return self.logits[hidden].clone()


TEMPTING: dict[int, dict[int, float]] = {
    BOS_ID: {A: 0.6, B: 0.4},
    A: {A: 0.3, B: 0.3, EOS_ID: 0.4},
    B: {EOS_ID: 0.9, A: 0.1},
}
"""Greedy search takes A, which leads to 0.24 at the best; B leads to 0.36."""

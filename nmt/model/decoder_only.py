"""A decoder alone, which reads the source as it reads its own words (Radford et al. 2018)."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nmt.model.layers import causal_mask
from nmt.model.one_sequence import OneSequence

if TYPE_CHECKING:
    from nmt.data.encoding.dataset import Batch  # reads Parquet, which a translation does without


class DecoderOnly(OneSequence):
    """A language model of source and target in one sequence: each position sees itself and the earlier ones."""

    is_causal = True

    def mask(self, ids: Tensor, starts: Tensor, tgt_in: Tensor) -> Tensor | None:  # noqa: ARG002
        return causal_mask(ids)

    def loss_inputs(self, batch: "Batch", *, with_source: bool = False) -> tuple[Tensor, Tensor]:
        if not with_source:
            return super().loss_inputs(batch)
        states, starts = self.states(batch.src, batch.tgt_in, src_padded=batch.src_padded)
        target = self.target_rows(states, starts, batch.tgt_in.size(1)).flatten(0, 1)  # (B * T, D)
        labels = batch.src[:, 1:]
        real = (labels != self.pad_id).flatten().nonzero()[:, 0]
        source = states[:, : labels.size(1)].flatten(0, 1)
        hidden = target.index_select(0, batch.label_indices), source.index_select(0, real)
        return torch.cat(hidden), torch.cat([batch.real_labels, labels.flatten().index_select(0, real)])

"""A prefix language model (Dong et al. 2019, section 2.3, sequence to sequence; Raffel et al. 2020, section 3.2)."""

import torch
from torch import Tensor

from nmt.model.layers import prepare_mask
from nmt.model.one_sequence import OneSequence


class PrefixLM(OneSequence):
    """A decoder alone, in which the source, the prefix, sees all of itself, and the target what came before."""

    def mask(self, ids: Tensor, starts: Tensor, tgt_in: Tensor) -> Tensor:  # noqa: ARG002
        places = torch.arange(ids.size(1), device=ids.device)
        starts = starts.expand(len(ids), 1)  # of one shape, whether padded or not: layers are compiled once
        is_seen = (places <= places[:, None]) | (places < starts[..., None])  # (B, L, L)
        return prepare_mask(is_seen[:, None], self.target_embedding.weight.dtype)

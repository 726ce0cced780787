"""An encoder alone, which fills gaps in a text (Devlin et al. 2019) or in a pair (Conneau & Lample 2019)."""

import torch
from torch import Tensor

from nmt.config.model import AttentionKind
from nmt.errors import UsageError
from nmt.model.cache import DecoderCache
from nmt.model.layers import prepare_mask
from nmt.model.one_sequence import OneSequence


class EncoderOnly(OneSequence):
    """All positions see each other; the hidden state of a piece of the target predicts that piece itself."""

    stack_name: AttentionKind = "encoder"

    def mask(self, ids: Tensor, starts: Tensor, tgt_in: Tensor) -> Tensor:
        ends = starts + (tgt_in != self.pad_id).sum(1, keepdim=True)
        is_real = torch.arange(ids.size(1), device=ids.device) < ends  # (B, L)
        return prepare_mask(is_real[:, None, None], self.target_embedding.weight.dtype)

    def start_cache(self, src: Tensor) -> DecoderCache:  # noqa: ARG002
        raise UsageError("an encoder-only model does not translate: it fills gaps", hint="take another architecture")

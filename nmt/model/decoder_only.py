"""A decoder alone, which reads the source as it reads its own words (Radford et al. 2018)."""

from torch import Tensor

from nmt.model.layers import causal_mask
from nmt.model.one_sequence import OneSequence


class DecoderOnly(OneSequence):
    """A language model of source and target in one sequence: each position sees itself and the earlier ones."""

    is_causal = True

    def mask(self, ids: Tensor, starts: Tensor, tgt_in: Tensor) -> Tensor | None:  # noqa: ARG002
        return causal_mask(ids)

"""Guided attention: one head of the decoder learns to attend where an alignment of words says.

The head is the first of the last decoder layer but one, as in Garg et al. 2019, section 4.2, and its loss the
cross-entropy of their eq. 6, with the uniform distribution over the aligned pieces of the source (Chen et al. 2016).
"""

from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from nmt.data.encoding.dataset import Batch


def guided_loss(log_weights: Tensor, batch: "Batch") -> Tensor:
    """Return the cross-entropy of the attention with log-weights (B, T, S), summed over the aligned pieces of targets.

    It is zero of a batch without links.
    """
    if batch.links is None or batch.link_shares is None:
        return log_weights.new_zeros(())
    rows, targets, sources = batch.links
    return -(log_weights[rows, targets, sources] * batch.link_shares).sum()

"""The training objective: from a batch to its loss."""

from torch import Tensor

from nmt.data.encoding.dataset import Batch
from nmt.model.protocol import Model
from nmt.training.loss import smoothed_loss


def translation_loss(model: Model, batch: Batch, *, smoothing: float) -> tuple[Tensor, Tensor]:
    """Return the label-smoothed loss and the negative log-likelihood of `batch`, each summed over its real labels."""
    hidden, labels = model.loss_inputs(batch)
    return smoothed_loss(hidden, model.generator.weight, labels, smoothing=smoothing, compiled=model.compiled)

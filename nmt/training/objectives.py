"""The training objective: from a batch to its loss."""

from torch import Tensor

from nmt.data.encoding.dataset import Batch
from nmt.model.protocol import Model
from nmt.training.loss import smoothed_loss


def translation_loss(
    model: Model, batch: Batch, *, smoothing: float, source_loss: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Return the label-smoothed loss and the negative log-likelihood of `batch`, each summed over its real labels.

    With `source_loss` the loss of the source's pieces is added, times this weight.
    """
    hidden, labels = model.loss_inputs(batch, with_source=source_loss > 0)
    parts = [batch.target_tokens, len(labels) - batch.target_tokens] if source_loss else [len(labels)]
    (loss, nll), *of_source = (
        smoothed_loss(rows, model.generator.weight, wanted, smoothing=smoothing, compiled=model.compiled)
        for rows, wanted in zip(hidden.split(parts), labels.split(parts), strict=True)
    )
    for more, _ in of_source:
        loss = loss + source_loss * more
    return loss, nll

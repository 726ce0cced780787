"""The training objective: what is made of pairs, and the loss of a batch of them."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from nmt.config.recipe import Recipe
from nmt.config.training import TrainingConfig
from nmt.data.encoding.dataset import Batch
from nmt.data.encoding.noise import MARKS, Corruption, Denoising, LanguageModel, Masking, Noise, Span
from nmt.data.encoding.tokenizer import EOS_ID, Tokenizer
from nmt.model.protocol import Model
from nmt.training.guided_attention import guided_loss
from nmt.training.loss import smoothed_loss


def corruption_of(recipe: Recipe, tokenizer: Tokenizer, corpora: Mapping[str, Span], seed: int) -> Corruption | None:
    """Return what the objective of `recipe` makes of pairs; None of translation, which takes them as they are.

    `corpora` are the first pair and the end of each corpus; those that are none of `data.train` have lines.
    """
    objective, config = recipe.training.objective, recipe.noise
    if objective == "translation":
        return None
    if objective == "language-model":
        return LanguageModel(seed, is_cut=recipe.has_prefixes)
    pieces, is_masked = tokenizer.source.pieces(range(tokenizer.source_size)), objective == "masked"
    rebuilds = config.target == "line" and not is_masked
    noise = Noise(
        config.mask_share or (0.3 if rebuilds else 0.15),
        config.span_length or (1.0 if is_masked else 3.0),
        config.sentence_share,
        frozenset(number for number, piece in enumerate(pieces) if piece.endswith(MARKS)),
        frozenset(number for number, piece in enumerate(pieces) if piece in tokenizer.tags),
    )
    if is_masked:
        special = {*range(EOS_ID + 1), *tokenizer.masks}
        ordinary = [number for number in range(tokenizer.source_size) if number not in special]
        lines = [span for name, span in corpora.items() if name not in recipe.data.train]
        return Masking(noise, tokenizer.masks[0], ordinary, seed, lines)
    longest = recipe.model.max_length - 1
    return Denoising(noise, tokenizer.masks, seed, longest, predicts_spans=config.target == "spans")


def loss_weights(config: TrainingConfig) -> dict[str, float]:
    """Return the weights of the parts of the loss, as `Updater.accumulate` takes them."""
    return {
        "smoothing": config.label_smoothing,
        "source_loss": config.source_loss,
        "guided_alignment": config.guided_alignment,
    }


def translation_loss(
    model: Model, batch: Batch, *, smoothing: float, source_loss: float = 0.0, guided_alignment: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Return the label-smoothed loss and the negative log-likelihood of `batch`, each summed over its real labels.

    With `source_loss` the loss of the source's pieces is added, times this weight, and with `guided_alignment` the loss
    of guided attention.
    """
    if guided_alignment and batch.links is not None:
        hidden, labels, log_weights = model.guided_loss_inputs(batch)
    else:
        hidden, labels = model.loss_inputs(batch, with_source=source_loss > 0)
    parts = [batch.target_tokens, len(labels) - batch.target_tokens] if source_loss else [len(labels)]
    output, compiled = model.generator, model.compiled
    (loss, nll), *of_source = (
        smoothed_loss(rows, output.weight, wanted, smoothing=smoothing, bias=output.bias, compiled=compiled)
        for rows, wanted in zip(hidden.split(parts), labels.split(parts), strict=True)
    )
    for more, _ in of_source:
        loss = loss + source_loss * more
    if guided_alignment and batch.links is not None:
        loss = loss + guided_alignment * guided_loss(log_weights, batch)
    return loss, nll


def correction_loss(
    model: Model, batch: Batch, *, teacher: Model, corrected: Tensor, smoothing: float, weight: float
) -> tuple[Tensor, Tensor]:
    """Return the loss of keeping to the predictions of `teacher` but where the pairs `corrected` (B) have other labels.

    It is the cross-entropy with these predictions, times `weight`, and with the smoothed labels that the teacher does
    not predict; summed over the real labels of `batch`, as a loss and to record. Its gradient is 0 where the model
    predicts as the teacher and that is right (Li and Hoiem 2017, "Learning without forgetting").
    """
    hidden, labels = model.loss_inputs(batch)
    with torch.no_grad():
        wanted = teacher.generator(teacher.loss_inputs(batch)[0]).softmax(-1)  # (N, V)
        rows = batch.label_indices // batch.labels.size(1)
        is_learned = corrected[rows] & (wanted.argmax(-1) != labels)  # (N)
        wanted[is_learned] = smoothing / wanted.size(-1)
        wanted[is_learned, labels[is_learned]] += 1 - smoothing
        weights = torch.where(is_learned, 1.0, weight)
    loss = weights @ F.cross_entropy(model.generator(hidden), wanted, reduction="none")
    return loss, loss.detach()

"""The objective: from a batch to its loss."""

import pytest
import torch
from torch.nn import functional as F

from nmt.config.model import ModelConfig
from nmt.data.encoding.dataset import Batch
from nmt.model.families import build
from nmt.training.objectives import translation_loss


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_smoothed_cross_entropy_summed_over_the_real_labels(smoothing: float) -> None:
    torch.manual_seed(1)
    shape = {"d_model": 16, "heads": 4, "ffn": 24, "encoder_layers": 1, "decoder_layers": 1}
    model = build(ModelConfig.model_validate(shape), 12, 12).eval()
    src, labels = torch.tensor([[5, 6, 3], [7, 3, 0]]), torch.tensor([[8, 9, 3], [11, 3, 0]])
    tgt_in = torch.tensor([[2, 8, 9], [2, 11, 0]])
    loss, nll = translation_loss(model, Batch(src, tgt_in, labels, torch.arange(5)), smoothing=smoothing)
    logits, real = model(src, tgt_in)[labels != 0], labels[labels != 0]
    expected = F.cross_entropy(logits, real, label_smoothing=smoothing, reduction="sum")
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(nll, F.cross_entropy(logits, real, reduction="sum"))
    (gradient,) = torch.autograd.grad(loss, [model.generator.weight], retain_graph=True)
    (wanted,) = torch.autograd.grad(expected, [model.generator.weight])
    torch.testing.assert_close(gradient, wanted)

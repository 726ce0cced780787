"""The objective: from a batch to its loss."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from nmt.config.model import ModelConfig
from nmt.data.encoding.dataset import Batch
from nmt.model.families import build
from nmt.model.protocol import Model
from nmt.training import loss as module
from nmt.training.objectives import translation_loss

BATCH = Batch(
    src=torch.tensor([[5, 6, 3], [7, 3, 0]]),
    tgt_in=torch.tensor([[2, 8, 9], [2, 11, 0]]),
    labels=torch.tensor([[8, 9, 3], [11, 3, 0]]),
    label_indices=torch.arange(5),
)


def make_model() -> Model:
    torch.manual_seed(1)
    shape = {"d_model": 16, "heads": 4, "ffn": 24, "encoder_layers": 1, "decoder_layers": 1}
    return build(ModelConfig.model_validate(shape), 12, 12).eval()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_smoothed_cross_entropy_summed_over_the_real_labels(smoothing: float) -> None:
    model = make_model()
    loss, nll = translation_loss(model, BATCH, smoothing=smoothing)
    labels = BATCH.labels
    logits, real = model(BATCH.src, BATCH.tgt_in)[labels != 0], labels[labels != 0]
    expected = F.cross_entropy(logits, real, label_smoothing=smoothing, reduction="sum")
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(nll, F.cross_entropy(logits, real, reduction="sum"))
    (gradient,) = torch.autograd.grad(loss, [model.generator.weight], retain_graph=True)
    (wanted,) = torch.autograd.grad(expected, [model.generator.weight])
    torch.testing.assert_close(gradient, wanted)


def test_the_loss_is_compiled_with_the_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls = make_model(), list[bool]()
    plain = module.loss_of_logits

    def spy(*arguments: Any) -> Any:
        calls.append(True)
        return plain(*arguments)

    monkeypatch.setattr(module, "compiled_loss", lambda: spy)
    monkeypatch.setattr(nn.Module, "compile", lambda *_, **__: None)
    translation_loss(model, BATCH, smoothing=0.1)
    assert not calls
    model.compile_layers()
    translation_loss(model, BATCH, smoothing=0.1)
    assert calls

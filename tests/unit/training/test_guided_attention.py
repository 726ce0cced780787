"""Guided attention: the cross-entropy of one head with the aligned pieces."""

from dataclasses import replace

import pytest
import torch

from nmt.config.model import ModelConfig
from nmt.data.encoding.dataset import Batch
from nmt.model.encoder_decoder import Transformer
from nmt.model.families import build
from nmt.training.guided_attention import guided_loss
from nmt.training.objectives import translation_loss

BATCH = Batch(
    src=torch.tensor([[5, 6, 3], [7, 3, 0]]),
    tgt_in=torch.tensor([[2, 8, 9], [2, 11, 0]]),
    labels=torch.tensor([[8, 9, 3], [11, 3, 0]]),
    label_indices=torch.tensor([0, 1, 2, 3, 4]),
    links=torch.tensor([[0, 0, 0, 1], [0, 0, 1, 0], [0, 1, 1, 0]]),
    link_shares=torch.tensor([0.5, 0.5, 1.0, 1.0]),
)


def make_model(**values: object) -> Transformer:
    torch.manual_seed(1)
    shape = {"d_model": 16, "heads": 4, "ffn": 24, "encoder_layers": 1, "decoder_layers": 3, "norm": "pre", **values}
    model = build(ModelConfig.model_validate(shape), 12, 12).eval()
    assert isinstance(model, Transformer)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def test_the_loss_is_the_cross_entropy_with_the_links_of_each_target_piece() -> None:
    weights = torch.tensor([[[0.2, 0.5, 0.3], [0.1, 0.6, 0.3], [0.4, 0.3, 0.3]], [[0.7, 0.3, 0.0]] * 3])
    expected = -(
        0.5 * (weights[0, 0, 0].log() + weights[0, 0, 1].log()) + weights[0, 1, 1].log() + weights[1, 0, 0].log()
    )
    torch.testing.assert_close(guided_loss(weights.log(), BATCH), expected)
    assert guided_loss(weights.log(), replace(BATCH, links=None)) == 0


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("layers", [1, 3])
def test_the_head_that_learns_is_the_one_that_aligns(norm: str, layers: int) -> None:
    model = make_model(norm=norm, decoder_layers=layers)
    hidden, labels, log_weights = model.guided_loss_inputs(BATCH)
    plain, same = model.loss_inputs(BATCH)
    assert torch.equal(hidden, plain)
    assert torch.equal(labels, same)
    model.aligns = True
    with torch.no_grad():
        torch.testing.assert_close(log_weights.exp(), model.attention(BATCH.src, BATCH.tgt_in))
        layer = max(layers - 1, 1)
        mean = model.attention(BATCH.src, BATCH.tgt_in, layer)
        assert not torch.allclose(mean, log_weights.exp())
        model.aligns = False
        assert torch.equal(model.attention(BATCH.src, BATCH.tgt_in), mean)
    assert log_weights[1, :, 2].max() == -torch.inf  # padding


def test_the_weighted_loss_is_added_and_the_perplexity_stays() -> None:
    model = make_model()
    loss, nll = translation_loss(model, BATCH, smoothing=0.1)
    guided, same = translation_loss(model, BATCH, smoothing=0.1, guided_alignment=0.25)
    torch.testing.assert_close(guided - loss, 0.25 * guided_loss(model.guided_loss_inputs(BATCH)[2], BATCH))
    assert torch.equal(nll, same)
    without = replace(BATCH, links=None, link_shares=None)
    assert torch.equal(translation_loss(model, without, smoothing=0.1, guided_alignment=0.25)[0], loss)


@pytest.mark.parametrize("architecture", ["decoder-only", "prefix-lm"])
def test_a_family_without_attention_over_the_source_alone_has_none(architecture: str) -> None:
    shape = {"architecture": architecture, "d_model": 16, "heads": 4, "ffn": 24, "decoder_layers": 1}
    stacks = {"encoder_layers": 0} if architecture == "decoder-only" else {}
    model = build(ModelConfig.model_validate({**shape, **stacks}), 12, 12)
    with pytest.raises(ValueError, match=r"^the model has no attention over the source alone$"):
        model.guided_loss_inputs(BATCH)


def test_a_loss_of_guided_attention_falls() -> None:
    model = make_model().train()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        loss = guided_loss(model.guided_loss_inputs(BATCH)[2], BATCH)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2

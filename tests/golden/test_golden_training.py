"""The first losses of a tiny training on one CPU thread, as they were; `make golden` rewrites them.

A change of these numbers is a change of what is trained: of the weights' start, of dropout, of the loss, of Adam.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from nmt.config.model import STACKS, ModelConfig
from nmt.config.training import OptimizerConfig, Precision
from nmt.data.encoding.dataset import Batch
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, PAD_ID
from nmt.model.families import build
from nmt.training.optimizer import learning_rate
from nmt.training.updater import Updater, step_seed

V = 40
TOLERANCE = 1e-4
"""Relative: other processors and other builds of torch sum in another order, and five updates add that up."""


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def make_batch(generator: torch.Generator, rows: int) -> Batch:
    """Draw sentences of 1 to 9 pieces whose targets are their sources, each piece one further."""
    lengths = torch.randint(1, 10, (rows,), generator=generator)
    place = torch.arange(10)
    ids = torch.randint(4, V - 1, (rows, 10), generator=generator)
    is_end, is_over = place == lengths[:, None], place > lengths[:, None]
    src = ids.masked_fill(is_end, EOS_ID).masked_fill(is_over, PAD_ID)
    labels = (ids + 1).masked_fill(is_end, EOS_ID).masked_fill(is_over, PAD_ID)
    tgt_in = torch.cat([torch.full((rows, 1), BOS_ID), (ids + 1).masked_fill(is_end | is_over, PAD_ID)[:, :-1]], dim=1)
    return Batch(src, tgt_in, labels, (labels.flatten() != PAD_ID).nonzero().flatten())


def train(
    norm: str, precision: Precision, updates: int = 5, *, family: str = "encoder-decoder", source_loss: float = 0.0
) -> list[float]:
    """Return the loss of a target piece in each of the first updates, of two micro-batches each."""
    shape = {"d_model": 32, "heads": 4, "ffn": 64, **dict.fromkeys(STACKS[family], 2), "norm": norm}
    dropouts = {"dropout": 0.1, "attention_dropout": 0.1, "activation_dropout": 0.1}
    torch.manual_seed(1)
    model = build(ModelConfig.model_validate({"architecture": family, **shape, **dropouts}), V, V)
    optimizer = OptimizerConfig(warmup_steps=4, learning_rate=3e-3, clip_norm=1.0)
    updater = Updater(model, optimizer, precision)
    generator = torch.Generator().manual_seed(2)
    losses = []
    for step in range(updates):
        batches = [make_batch(generator, 8), make_batch(generator, 5)]
        tokens = sum(batch.target_tokens for batch in batches)
        seed = step_seed(1, step)
        updater.accumulate(batches, seed=seed, smoothing=0.1, tokens=tokens, source_loss=source_loss)
        rate = learning_rate(step + 1, optimizer, d_model=32, max_steps=100)
        result = updater.apply(step + 1, rate=rate, tokens=tokens)
        losses.append(float(result.loss) / result.tokens)
    return losses


@pytest.mark.parametrize(
    ("name", "norm", "values"),
    [
        ("post", "post", {}),
        ("pre", "pre", {}),
        ("decoder_only", "pre", {"family": "decoder-only"}),
        ("decoder_only_source", "pre", {"family": "decoder-only", "source_loss": 0.5}),
        ("prefix_lm", "post", {"family": "prefix-lm"}),
        ("encoder_only", "post", {"family": "encoder-only"}),
    ],
)
def test_the_first_golden_losses_are_as_they_were(name: str, norm: str, values: dict[str, Any]) -> None:
    losses = train(norm, "float32", **values)
    path = Path(__file__).with_name(f"training_{name}.json")
    if os.environ.get("NMT_GOLDEN") == "rewrite":
        path.write_text(json.dumps(losses, indent=2) + "\n", encoding="utf-8")
    assert losses == pytest.approx(json.loads(path.read_text(encoding="utf-8")), rel=TOLERANCE)


def test_golden_losses_are_the_same_bits_in_the_same_place() -> None:
    assert train("post", "float32") == train("post", "float32")


def test_golden_losses_would_show_a_change_far_smaller_than_a_mistake() -> None:
    post, pre = train("post", "float32"), train("pre", "float32")
    assert all(abs(a - b) > 10 * TOLERANCE * a for a, b in zip(post, pre, strict=True))
    assert post[-1] < post[0]


def test_golden_losses_in_bfloat16_are_near() -> None:
    assert train("pre", "bfloat16") == pytest.approx(train("pre", "float32"), rel=0.01)

"""Random tiny models, and searches by them, for the tests of properties."""

import torch
from hypothesis import settings
from hypothesis import strategies as st
from torch import Tensor

from nmt.config.decoding import DecodingConfig, SamplingConfig
from nmt.config.model import ModelConfig
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, PAD_ID
from nmt.inference import search as searching
from nmt.inference.protocol import Hypothesis, Request, Row
from nmt.model.encoder_decoder import Transformer

ALPHAS = st.one_of(st.sampled_from([0.0, 0.6, 1.0, 2.0]), st.floats(0, 2))
SEEDS = st.integers(0, 2**32)
V = 12
SENTENCES = st.lists(st.lists(st.integers(4, V - 1), max_size=6), min_size=1, max_size=4)
few = settings(deadline=None, max_examples=40)


def make_model(
    seed: int, size: int = V, *, sharpness: float = 2.0, end_bias: float = 0.0, window: int | None = None
) -> Transformer:
    """Make a random model in float64: none of its choices is then so close that rounding decides it."""
    torch.manual_seed(seed)
    shape = {"d_model": 8, "heads": 2, "ffn": 12, "encoder_layers": 1, "decoder_layers": 1, "max_length": 16}
    config = ModelConfig.model_validate({**shape, "norm": "pre", "tied_embeddings": "none", "attention_window": window})
    model = Transformer(config, size, size, pad_id=PAD_ID).double().eval()
    with torch.no_grad():
        model.generator.weight.mul_(sharpness)
        # The decoder's norm is the identity but for its bias, which lifts the logit of EOS by `end_bias`.
        row = model.generator.weight[EOS_ID]
        model.get_parameter("decoder_norm.bias").add_(end_bias * row / row.square().sum())
    return model


def sources(sentences: list[list[int]]) -> Tensor:
    longest = max(map(len, sentences))
    return torch.tensor([[*s, EOS_ID, *[PAD_ID] * (longest - len(s))] for s in sentences])


def search(
    model: Transformer,
    sentences: list[list[int]],
    *,
    n_best: int = 1,
    sampling: SamplingConfig | None = None,
    prefixes: list[list[int]] | None = None,
    **decoding: float,
) -> list[list[Hypothesis]]:
    alpha = decoding.pop("alpha", 0.0)
    config = DecodingConfig.model_validate({**decoding, "length_penalty": alpha})
    rows = [Row(ids, start) for ids, start in zip(sentences, prefixes or [[]] * len(sentences), strict=True)]
    return searching.search([model], rows, Request(config, n_best, sampling))


@torch.no_grad()
def forced_scores(model: Transformer, source: list[int], targets: list[list[int]], alpha: float) -> list[float]:
    """Score whole `targets` by one full forward pass each, without a cache."""
    scores = []
    for ids in targets:
        logits = model(sources([source]), torch.tensor([[BOS_ID, *ids]]))[0]
        labels = torch.tensor([*ids, EOS_ID])
        total = float(logits.log_softmax(-1)[torch.arange(len(labels)), labels].sum())
        scores.append(total / ((5 + len(labels)) / 6) ** alpha)
    return scores


def ended(ids: list[int]) -> list[int]:
    return [*ids, EOS_ID]

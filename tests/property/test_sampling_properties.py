"""Samples are those of their seed, and as frequent as they are likely."""

import math
from collections import Counter
from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_models import SEEDS, SENTENCES, ended, few, forced_scores, make_model, search, sources
from torch import Tensor

from nmt.config.decoding import SamplingConfig
from nmt.data.encoding.tokenizer import BOS_ID, PAD_ID
from nmt.model.encoder_decoder import Transformer


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


@few
@given(SENTENCES, SEEDS, st.integers(0, 9), st.integers(1, 3))
def test_samples_depend_on_seed_and_source_alone(
    sentences: list[list[int]], seed: int, draw: int, samples: int
) -> None:
    model, config = make_model(seed), SamplingConfig(seed=draw)
    found = search(model, sentences, n_best=samples, sampling=config, max_extra_length=5)
    for source, hypotheses in zip(sentences, found, strict=True):
        assert len(hypotheses) == samples
        forced = forced_scores(model, source, [h.ids for h in hypotheses], 0.0)
        assert [h.score for h in hypotheses] == pytest.approx(forced, abs=1e-4)
        (alone,) = search(model, [source], n_best=samples, sampling=config, max_extra_length=5)
        assert [h.ids for h in alone] == [h.ids for h in hypotheses]
        (fewer,) = search(model, [source], n_best=1, sampling=config, max_extra_length=5)
        assert fewer[0].ids == hypotheses[0].ids


def test_samples_come_as_often_as_they_are_likely() -> None:
    model, source, draws = make_model(3, size=6, sharpness=1.0), [4, 5], 4000
    counts: Counter[tuple[int, ...]] = Counter()
    for seed in range(8):
        config = SamplingConfig(seed=seed)
        (hypotheses,) = search(model, [source], n_best=draws // 8, sampling=config, max_extra_length=0)
        counts.update(tuple(h.ids) for h in hypotheses)
    every = [ids for length in range(3) for ids in product((1, 4, 5), repeat=length)]
    assert set(counts) <= set(every)
    for ids in every:
        # After two pieces EOS is sure to come.
        drawn = ended(list(ids))[:2]
        likely = sum(float(log_probs_after(model, source, drawn[:i])[piece]) for i, piece in enumerate(drawn))
        assert counts[ids] / draws == pytest.approx(math.exp(likely), abs=0.02)


def log_probs_after(model: Transformer, source: list[int], ids: list[int]) -> Tensor:
    """Return the log-probabilities of what may follow: neither padding nor BOS."""
    with torch.no_grad():
        logits = model(sources([source]), torch.tensor([[BOS_ID, *ids]]))[0, -1]
    logits[[PAD_ID, BOS_ID]] = -torch.inf
    return logits.log_softmax(-1)


@few
@given(SEEDS, st.sampled_from([(1, 1.0), (2, 1.0), (0, 0.3), (0, 0.8), (3, 0.5)]))
def test_samples_stay_among_the_likeliest(seed: int, bounds: tuple[int, float]) -> None:
    top_k, top_p = bounds
    model, source = make_model(seed), [4, 5, 6]
    config = SamplingConfig(top_k=top_k, top_p=top_p, seed=seed % 100)
    (found,) = search(model, [source], n_best=8, sampling=config, max_extra_length=3)
    for ids in [h.ids for h in found]:
        for place, piece in enumerate(ended(ids)):
            if place == len(source) + 3:
                continue  # it has to end here
            order = log_probs_after(model, source, ids[:place]).exp().sort(descending=True)
            if top_k:
                order = torch.return_types.sort(
                    (order.values[:top_k] / order.values[:top_k].sum(), order.indices[:top_k])
                )
            enough = int((order.values.cumsum(0) < top_p - 1e-9).sum()) + 1
            assert piece in order.indices[:enough].tolist()


def test_a_low_temperature_is_greedy_search() -> None:
    for seed in range(20):
        model, sentences = make_model(seed), [[4, 5, 6], [7]]
        greedy = search(model, sentences, beam_size=1, max_extra_length=5)
        for temperature in (1e-3, 1e-310):
            cold = search(model, sentences, sampling=SamplingConfig(temperature=temperature), max_extra_length=5)
            assert [h[0].ids for h in cold] == [h[0].ids for h in greedy]

"""Attention within a window: the same in blocks as by a mask, whatever the lengths, and the same in search."""

import random
from collections.abc import Iterator
from typing import Literal

import pytest
import torch
from blocks import small_blocks
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import SEEDS, SENTENCES, V, few, forced_scores, make_model, search, sources
from torch import Tensor
from torch.testing import assert_close

from nmt.config.model import ModelConfig
from nmt.data.encoding.tokenizer import BOS_ID, PAD_ID
from nmt.model import windows
from nmt.model.encoder_decoder import Transformer
from nmt.model.layers import SelfAttention

WINDOWS = st.integers(1, 4)
fewer = settings(few, max_examples=12)


@pytest.fixture(autouse=True, scope="module")
def setting() -> Iterator[None]:
    """Take one thread, and so small blocks that short sentences have several."""
    torch.set_num_threads(1)
    with small_blocks():
        yield


@few
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=3),
    st.integers(1, 12),
    st.integers(1, 9),
    st.integers(1, 8),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["softmax", "linear"]),
    SEEDS,
)
def test_blocks_and_their_gradients_are_attention_with_a_mask(
    lengths: list[int],
    window: int,
    size: int,
    aligned: int,
    is_causal: bool,
    is_rotary: bool,
    kernel: Literal["softmax", "linear"],
    seed: int,
) -> None:
    torch.manual_seed(seed)
    longest = max(lengths)
    config = ModelConfig(d_model=8, heads=2, attention_window=window, attention_kernel=kernel)
    attention = SelfAttention(config).double()
    x = torch.randn(len(lengths), longest, 8, dtype=torch.float64, requires_grad=True)
    rotation = torch.randn(longest, 4, dtype=torch.float64) if is_rotary else None
    is_real = torch.arange(longest) < torch.tensor(lengths)[:, None]  # (B, T)
    distances = torch.arange(longest) - torch.arange(longest)[:, None]
    is_seen = (distances <= 0 if is_causal else distances <= window) & (distances >= -window)
    # A causal mask hides padding, which is at the right, from all that is real; padding itself may see anything.
    is_seen = is_seen & (is_real[:, None] | (distances == 0)) if not is_causal else is_seen.expand(len(lengths), -1, -1)
    upstream = torch.randn_like(x) * is_real[..., None]

    def gradients(output: Tensor) -> list[Tensor]:
        return list(torch.autograd.grad((output * upstream).sum(), [x, *attention.parameters()]))

    queries, keys, values = attention.project(x, rotation)
    expected = attention.attend(queries, keys, values, is_seen[:, None])
    padding = None if is_causal or all(length == longest for length in lengths) else is_real[:, None, None]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "SIZE", size)
        patch.setattr(windows, "ALIGNED", aligned)
        if is_causal and longest <= window + 1:  # where the window hides nothing, the mask is the caller's
            padding = is_seen[:, None]
        output = attention(x, rotation, padding, is_causal=is_causal)
    assert_close(output[is_real], expected[is_real], rtol=0, atol=1e-12)
    for found, wanted in zip(gradients(output), gradients(expected), strict=True):
        assert_close(found, wanted, rtol=0, atol=1e-10)


def changed(ids: Tensor, place: int) -> Tensor:
    other = ids.clone()
    other[0, place] = 4 + (ids[0, place] - 3) % (V - 4)
    return other


@few
@given(st.integers(4, 14), WINDOWS, st.data(), SEEDS)
@torch.no_grad()
def test_a_piece_changes_the_states_within_the_window_of_each_layer_and_no_others(
    length: int, window: int, data: st.DataObject, seed: int
) -> None:
    model = make_model(seed, window=window)  # of one layer a side
    ids = torch.randint(4, V, (1, length), generator=torch.Generator().manual_seed(seed))
    place = data.draw(st.integers(0, length - 1))
    distance = torch.arange(length) - place
    moved = (model.encode(ids, None) != model.encode(changed(ids, place), None)).any(-1)[0]
    assert torch.equal(moved, distance.abs() <= window)
    memory = torch.randn(1, 3, 8, dtype=torch.float64)
    moved = (model.decode(ids, memory, None) != model.decode(changed(ids, place), memory, None)).any(-1)[0]
    assert torch.equal(moved, (distance >= 0) & (distance <= window))


@fewer
@given(SENTENCES, WINDOWS, st.integers(1, 4), SEEDS)
@torch.no_grad()
def test_cached_decoding_is_full_decoding_whatever_is_reordered_and_dropped(
    sentences: list[list[int]], window: int, beam_size: int, seed: int
) -> None:
    model, rng = make_model(seed, window=window), random.Random(seed)
    src = sources(sentences)
    cache = model.start_cache(src)
    histories = torch.full((len(src), 1, 1), BOS_ID)
    for length in range(1, 25):
        width = histories.size(1)
        logits = model.generator(model.next_hidden(histories[..., -1], cache))
        whole = model(src.repeat_interleave(width, dim=0), histories.flatten(0, 1))[:, -1].view_as(logits)
        assert_close(logits, whole, rtol=0, atol=1e-12)
        assert cache.length == length
        assert cache.positions <= (window + 1) * beam_size
        assert cache.self_kv[0][0].size(2) <= 1.5 * (window + 1) * beam_size + 8 * beam_size

        # As a search does: some sentences end, the hypotheses of the others are chosen and extended anew.
        going = torch.tensor(rng.sample(range(len(src)), rng.randint(max(1, len(src) - 1), len(src))))
        parents = torch.tensor([[rng.randrange(width) for _ in range(beam_size)] for _ in going])
        pieces = torch.tensor([[rng.randrange(4, V) for _ in range(beam_size)] for _ in going])
        cache.keep_sentences(going)
        cache.reorder(parents)
        src = src[going]
        histories = torch.cat([histories[going[:, None], parents], pieces[..., None]], dim=-1)


@fewer
@given(SENTENCES, WINDOWS, st.integers(1, 4), SEEDS)
def test_scores_of_the_search_are_forced_scores_and_those_of_a_sentence_alone(
    sentences: list[list[int]], window: int, beam_size: int, seed: int
) -> None:
    model = make_model(seed, window=window, end_bias=-2.0)

    def found(batch: list[list[int]]) -> list[tuple[list[int], float]]:
        hypotheses = search(model, batch, beam_size=beam_size, alpha=0.6, max_extra_length=12)
        return [(best.ids, best.score) for (best,) in hypotheses]

    for (ids, score), sentence in zip(found(sentences), sentences, strict=True):
        ((alone, score_alone),) = found([sentence])
        assert ids == alone
        assert score == pytest.approx(score_alone, abs=1e-10)
        assert score == pytest.approx(forced_scores(model, sentence, [ids], 0.6)[0], abs=1e-10)


@few
@given(st.lists(st.lists(st.integers(4, V - 1), max_size=20), min_size=1, max_size=4), WINDOWS, SEEDS)
@torch.no_grad()
def test_padding_and_company_change_nothing(sentences: list[list[int]], window: int, seed: int) -> None:
    model = make_model(seed, window=window)
    src, rows = sources(sentences), [[BOS_ID, *sentence[::-1]] for sentence in sentences]
    longest = max(map(len, rows))
    logits = model(src, torch.tensor([[*row, *[PAD_ID] * (longest - len(row))] for row in rows]))
    for number, row in enumerate(rows):
        alone = model(sources([sentences[number]]), torch.tensor([row]))[0]
        assert_close(logits[number, : len(row)], alone, rtol=0, atol=1e-12)


def test_a_window_as_long_as_the_sentence_is_full_attention() -> None:
    src, tgt = torch.randint(4, V, (2, 16)), torch.randint(4, V, (2, 16))
    whole, window = make_model(1), make_model(1, window=15)
    assert isinstance(window, Transformer)
    assert torch.equal(whole(src, tgt), window(src, tgt))
    narrower = make_model(1, window=14)
    assert not torch.equal(whole(src, tgt), narrower(src, tgt))

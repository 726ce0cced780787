"""What holds of the model for every batch of sentences."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from nmt.config.model import STACKS, ModelConfig
from nmt.config.training import OptimizerConfig
from nmt.data.encoding.dataset import Batch
from nmt.model.families import build
from nmt.model.one_sequence import OneSequence
from nmt.model.protocol import Model
from nmt.training.updater import Updater

V, PAD, BOS, EOS = 15, 0, 2, 3
PIECES = st.lists(st.integers(4, V - 1), max_size=7)
SENTENCES = st.lists(PIECES, min_size=1, max_size=4)
SEEDS = st.integers(0, 2**32)
NORMS = st.sampled_from(["post", "pre"])
POSITIONS = st.sampled_from(["sinusoidal", "learned", "rotary"])
FAMILIES = st.sampled_from(["encoder-decoder", "decoder-only", "prefix-lm", "encoder-only"])
TRANSLATING = st.sampled_from(["encoder-decoder", "decoder-only", "prefix-lm"])
ACTIVATIONS = st.sampled_from(["relu", "gelu", "silu", "swiglu"])
KERNELS = st.sampled_from(["softmax", "linear"])
few = settings(deadline=None, max_examples=25)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def make_model(
    seed: int,
    norm: str,
    *,
    family: str = "encoder-decoder",
    positions: str = "sinusoidal",
    activation: str = "relu",
    kernel: str = "softmax",
    dropout: float = 0.1,
) -> Model:
    """Make a small model, whose dropout is off."""
    torch.manual_seed(seed)
    shape = {"d_model": 16, "heads": 4, "ffn": 24, "max_length": 16, **dict.fromkeys(STACKS[family], 2)}
    kinds = {"architecture": family, "norm": norm, "positions": positions, "activation": activation}
    kinds["attention_kernel"] = kernel
    return build(ModelConfig.model_validate({**shape, **kinds, "dropout": dropout}), V, V).eval()


def padded(rows: list[list[int]], extra: int = 0) -> Tensor:
    longest = max(map(len, rows)) + extra
    return torch.tensor([[*row, *[PAD] * (longest - len(row))] for row in rows])


def sources(sentences: list[list[int]], extra: int = 0) -> Tensor:
    return padded([[*sentence, EOS] for sentence in sentences], extra)


def targets(sentences: list[list[int]], extra: int = 0) -> Tensor:
    return padded([[BOS, *sentence] for sentence in sentences], extra)


def make_batch(pairs: list[tuple[list[int], list[int]]]) -> Batch:
    src, tgt = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    labels = sources(tgt)
    return Batch(sources(src), targets(tgt), labels, (labels.flatten() != PAD).nonzero().flatten())


@few
@given(
    st.lists(st.tuples(PIECES, PIECES), min_size=1, max_size=4),
    st.integers(0, 3),
    SEEDS,
    st.tuples(FAMILIES, NORMS, POSITIONS, ACTIVATIONS, KERNELS),
)
def test_padding_and_company_change_nothing(
    pairs: list[tuple[list[int], list[int]]], extra: int, seed: int, kinds: tuple[str, str, str, str, str]
) -> None:
    family, norm, positions, activation, kernel = kinds
    model = make_model(seed, norm, family=family, positions=positions, activation=activation, kernel=kernel).double()
    src, tgt_in = sources([s for s, _ in pairs], extra), targets([t for _, t in pairs], 3 - extra)
    logits = model(src, tgt_in)
    for row, (source, target) in enumerate(pairs):
        alone = model(sources([source]), targets([target]))
        assert_close(logits[row, : len(target) + 1], alone[0], rtol=0, atol=1e-12)


@few
@given(st.tuples(PIECES, PIECES), SEEDS, NORMS, FAMILIES)
def test_what_the_padding_piece_is_embedded_as_changes_nothing(
    pair: tuple[list[int], list[int]], seed: int, norm: str, family: str
) -> None:
    model = make_model(seed, norm, family=family).double()
    src, tgt_in = sources([pair[0]], 2), targets([pair[1]], 2)
    where = tgt_in != PAD
    before = model(src, tgt_in)[where]
    with torch.no_grad():
        model.get_parameter("target_embedding.weight")[PAD] += 1e4  # which the source shares
    after = model(src, tgt_in)[where]
    # The logit of the padding piece itself moves: its row is the generator's too.
    assert_close(after[:, 1:], before[:, 1:], rtol=0, atol=0)


@few
@given(PIECES, st.lists(st.integers(4, V - 1), min_size=1, max_size=7), st.data(), SEEDS, NORMS, TRANSLATING, KERNELS)
def test_a_later_target_piece_changes_no_earlier_logit(
    source: list[int], target: list[int], data: st.DataObject, seed: int, norm: str, family: str, kernel: str
) -> None:
    model = make_model(seed, norm, family=family, kernel=kernel).double()
    place = data.draw(st.integers(0, len(target) - 1))
    piece = data.draw(st.integers(4, V - 1).filter(lambda piece: piece != target[place]))
    changed = [*target[:place], piece, *target[place + 1 :]]
    before, after = (model(sources([source]), targets([ids]))[0] for ids in (target, changed))
    assert_close(after[: place + 1], before[: place + 1], rtol=0, atol=0)
    assert not torch.allclose(after[place + 1], before[place + 1])


@few
@given(st.lists(st.integers(4, V - 1), min_size=2, max_size=7), st.data(), SEEDS, NORMS)
def test_a_later_source_piece_changes_earlier_states_of_a_prefix_lm_and_not_of_a_decoder_alone(
    source: list[int], data: st.DataObject, seed: int, norm: str
) -> None:
    place = data.draw(st.integers(1, len(source) - 1))
    piece = data.draw(st.integers(4, V - 1).filter(lambda piece: piece != source[place]))
    changed = [*source[:place], piece, *source[place + 1 :]]
    for family, is_seen in (("decoder-only", False), ("prefix-lm", True), ("encoder-only", True)):
        model = make_model(seed, norm, family=family).double()
        assert isinstance(model, OneSequence)
        before, after = (model.states(sources([ids]), targets([[7, 8]]))[0][0, :place] for ids in (source, changed))
        assert torch.equal(before, after) != is_seen


@few
@given(SENTENCES, st.integers(1, 4), SEEDS, st.tuples(TRANSLATING, NORMS, POSITIONS, ACTIVATIONS, KERNELS))
@torch.no_grad()
def test_cached_decoding_is_full_decoding_whatever_is_reordered_and_dropped(
    sentences: list[list[int]], beam_size: int, seed: int, kinds: tuple[str, str, str, str, str]
) -> None:
    family, norm, positions, activation, kernel = kinds
    model = make_model(seed, norm, family=family, positions=positions, activation=activation, kernel=kernel).double()
    rng = random.Random(seed)
    src = sources(sentences)
    cache = model.start_cache(src)
    histories = torch.full((len(src), beam_size, 1), BOS)
    for length in range(1, 8):
        logits = model.generator(model.next_hidden(histories[..., -1], cache))
        assert cache.length == length
        every = src.repeat_interleave(beam_size, dim=0)
        whole = model(every, histories.flatten(0, 1))[:, -1].view_as(logits)
        assert_close(logits, whole, rtol=0, atol=1e-12)

        # As a search does: some sentences end, the hypotheses of the others are chosen and extended anew.
        going = torch.tensor(rng.sample(range(len(src)), rng.randint(max(1, len(src) - 1), len(src))))
        parents = torch.tensor([[rng.randrange(beam_size) for _ in range(beam_size)] for _ in going])
        pieces = torch.tensor([[rng.randrange(4, V) for _ in range(beam_size)] for _ in going])
        cache.keep_sentences(going)
        cache.reorder(parents)
        src = src[going]
        histories = torch.cat([histories[going[:, None], parents], pieces[..., None]], dim=-1)


@few
@given(SENTENCES, SEEDS, NORMS, FAMILIES)
def test_the_generator_of_chosen_places_gives_the_logits_of_all_places_chosen(
    sentences: list[list[int]], seed: int, norm: str, family: str
) -> None:
    model = make_model(seed, norm, family=family).double()
    batch = make_batch([(sentence, other) for sentence, other in zip(sentences, sentences[::-1], strict=True)])
    hidden = model.hidden(batch.src, batch.tgt_in)
    assert hidden.shape == (*batch.tgt_in.shape, 16)
    chosen = hidden.flatten(0, 1).index_select(0, batch.label_indices)
    logits = model(batch.src, batch.tgt_in)
    assert_close(chosen @ model.generator.weight.T, logits[batch.labels != PAD], rtol=0, atol=1e-12)


@settings(deadline=None, max_examples=15)
@given(st.lists(st.tuples(PIECES, PIECES), min_size=2, max_size=6), st.data(), SEEDS, TRANSLATING)
def test_the_cut_into_micro_batches_changes_no_update(
    pairs: list[tuple[list[int], list[int]]], data: st.DataObject, seed: int, family: str
) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(pairs) - 1), min_size=1)))
    parts = [pairs[a:b] for a, b in zip([0, *cuts], [*cuts, len(pairs)], strict=True)]
    # Where a gradient is nothing but rounding, Adam's usual epsilon would blow it up to a whole step.
    config = OptimizerConfig(epsilon=1e-2, clip_norm=1.0)
    updaters, results = [], []
    for batches in ([make_batch(pairs)], [make_batch(part) for part in parts]):
        updater = Updater(make_model(seed, "post", family=family, dropout=0.0), config, "float32")
        tokens = sum(batch.target_tokens for batch in batches)
        source_loss = 0.5 if family == "decoder-only" else 0.0
        updater.accumulate(batches, seed=1, smoothing=0.1, tokens=tokens, source_loss=source_loss)
        results.append(updater.apply(1, rate=0.1, tokens=tokens))
        updaters.append(updater)
    for whole, cut in zip(*(updater.model.weights().values() for updater in updaters), strict=True):
        assert_close(cut, whole, rtol=0, atol=2e-5)
    assert results[0].tokens == results[1].tokens == sum(len(target) + 1 for _, target in pairs)
    assert_close(results[1].loss, results[0].loss, rtol=1e-5, atol=0)
    assert_close(results[1].nll, results[0].nll, rtol=1e-5, atol=0)
    assert_close(results[1].gradient_norm, results[0].gradient_norm, rtol=1e-4, atol=0)

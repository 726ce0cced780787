"""What holds of greedy and beam search for every model and every batch."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from nmt.config import ModelConfig
from nmt.inference.search import (
    BeamState,
    Hypothesis,
    SpecialIds,
    advance,
    beam_search,
    extend,
    greedy_search,
    length_penalty,
    search,
)
from nmt.model.transformer import Transformer

SPECIAL = SpecialIds(pad=0, bos=2, eos=3)
ALPHAS = st.one_of(st.sampled_from([0.0, 0.6, 1.0, 2.0]), st.floats(0, 2))
SEEDS = st.integers(0, 2**32)
V = 12
SENTENCES = st.lists(st.lists(st.integers(4, V - 1), max_size=6), min_size=1, max_size=4)
few = settings(deadline=None, max_examples=40)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def make_model(seed: int, size: int = V, *, sharpness: float = 2.0, end_bias: float = 0.0) -> Transformer:
    """Make a random model in float64: none of its choices is then so close that rounding decides it."""
    torch.manual_seed(seed)
    shape = {"d_model": 8, "heads": 2, "ffn": 12, "encoder_layers": 1, "decoder_layers": 1, "max_length": 16}
    config = ModelConfig.model_validate({**shape, "norm": "pre", "tied_embeddings": "none"})
    model = Transformer(config, size, size, pad_id=SPECIAL.pad).double().eval()
    with torch.no_grad():
        model.generator.weight.mul_(sharpness)
        # The decoder's norm is the identity but for its bias, which lifts the logit of EOS by `end_bias`.
        row = model.generator.weight[SPECIAL.eos]
        model.get_parameter("decoder_norm.bias").add_(end_bias * row / row.square().sum())
    return model


def sources(sentences: list[list[int]]) -> Tensor:
    longest = max(map(len, sentences))
    return torch.tensor([[*s, SPECIAL.eos, *[SPECIAL.pad] * (longest - len(s))] for s in sentences])


@torch.no_grad()
def forced_scores(model: Transformer, source: list[int], targets: list[list[int]], alpha: float) -> list[float]:
    """Score whole `targets` by one full forward pass each, without a cache."""
    scores = []
    for ids in targets:
        logits = model(sources([source]), torch.tensor([[SPECIAL.bos, *ids]]))[0]
        labels = torch.tensor([*ids, SPECIAL.eos])
        total = float(logits.log_softmax(-1)[torch.arange(len(labels)), labels].sum())
        scores.append(total / ((5 + len(labels)) / 6) ** alpha)
    return scores


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.integers(4, 5), max_size=2),
    SEEDS,
    ALPHAS,
    st.sampled_from([1.0, 3.0, 8.0]),
    st.floats(-3, 3),
    st.sampled_from([1, 2, 10, 40]),
)
def test_a_beam_as_wide_as_the_space_is_exhaustive_search(
    source: list[int], seed: int, alpha: float, sharpness: float, end_bias: float, n_best: int
) -> None:
    size, extra = 6, 3 - len(source)
    model = make_model(seed, size, sharpness=sharpness, end_bias=end_bias)
    # Three pieces and EOS may come, four with EOS at the most: 1 + 3 + 9 + 27 targets.
    every = [list(ids) for length in range(4) for ids in product((1, 4, 5), repeat=length)]
    scores = forced_scores(model, source, every, alpha)
    ranked = sorted(zip(scores, every, strict=True), reverse=True)
    (found,) = search(
        model, sources([source]), SPECIAL, beam_size=40, alpha=alpha, max_extra_length=extra, n_best=n_best
    )
    assert [h.score for h in found] == pytest.approx([score for score, _ in ranked[:n_best]], rel=1e-6, abs=1e-5)
    if ranked[0][0] - ranked[1][0] > 1e-5:
        assert found[0].ids == ranked[0][1]


def test_a_search_goes_on_while_a_longer_hypothesis_can_still_win_by_its_penalty() -> None:
    # After EOS at once, the finished score is ahead of every total by today's penalty, but not by the last one's.
    passed = 0
    for seed in range(40):
        model = make_model(seed, size=6, sharpness=8.0)
        (short,), (best,) = (
            search(model, sources([[4]]), SPECIAL, beam_size=40, alpha=2.0, max_extra_length=extra)[0]
            for extra in (0, 3)
        )
        forced = forced_scores(model, [4], [short.ids, best.ids], 2.0)
        assert best.score == pytest.approx(forced[1], abs=1e-4)
        assert best.score > forced[0] - 1e-5
        passed += best.ids != short.ids
    assert passed > 5


@few
@given(SENTENCES, SEEDS, st.integers(0, 6))
def test_a_beam_of_one_without_penalty_is_greedy_search(sentences: list[list[int]], seed: int, extra: int) -> None:
    model, src = make_model(seed), sources(sentences)
    limits = torch.tensor([len(sentence) + extra + 1 for sentence in sentences])
    with torch.inference_mode():
        beam = beam_search(model, src, SPECIAL, limits, alpha=0.0, beam_size=1, n_best=1)
        greedy = greedy_search(model, src, SPECIAL, limits, alpha=0.0)
    assert [h[0].ids for h in beam] == [h[0].ids for h in greedy]
    assert [h[0].score for h in beam] == pytest.approx([h[0].score for h in greedy], abs=1e-5)


@few
@given(SENTENCES, SEEDS, ALPHAS)
def test_greedy_search_takes_the_likeliest_piece_by_the_full_model(
    sentences: list[list[int]], seed: int, alpha: float
) -> None:
    model = make_model(seed)
    found = search(model, sources(sentences), SPECIAL, beam_size=1, alpha=alpha, max_extra_length=4)
    for source, (hypothesis,) in zip(sentences, found, strict=True):
        limit = len(source) + 4
        ids: list[int] = []
        while len(ids) < limit:
            with torch.no_grad():
                logits = model(sources([source]), torch.tensor([[SPECIAL.bos, *ids]]))[0, -1]
            logits[[SPECIAL.pad, SPECIAL.bos]] = -torch.inf
            piece = int(logits.argmax())
            if piece == SPECIAL.eos:
                break
            ids.append(piece)
        assert hypothesis.ids == ids


@few
@given(SENTENCES, SEEDS, ALPHAS, st.integers(1, 5), st.floats(-4, 4))
def test_the_score_of_a_hypothesis_is_its_forced_score(
    sentences: list[list[int]], seed: int, alpha: float, beam_size: int, end_bias: float
) -> None:
    model = make_model(seed, end_bias=end_bias)
    found = search(
        model, sources(sentences), SPECIAL, beam_size=beam_size, alpha=alpha, max_extra_length=5, n_best=beam_size
    )
    for source, hypotheses in zip(sentences, found, strict=True):
        forced = forced_scores(model, source, [h.ids for h in hypotheses], alpha)
        assert [h.score for h in hypotheses] == pytest.approx(forced, abs=1e-4)


@few
@given(SENTENCES, SEEDS, ALPHAS, st.integers(1, 5), st.integers(0, 6), st.floats(-8, 2))
def test_every_sentence_ends_within_its_limit_without_padding_or_bos(
    sentences: list[list[int]], seed: int, alpha: float, beam_size: int, extra: int, end_bias: float
) -> None:
    model = make_model(seed, end_bias=end_bias)
    with torch.no_grad():  # nothing would be likelier than these two
        model.generator.weight[SPECIAL.pad] = model.generator.weight[SPECIAL.bos] = 3 * model.generator.weight[5]
    found = search(
        model, sources(sentences), SPECIAL, beam_size=beam_size, alpha=alpha, max_extra_length=extra, n_best=beam_size
    )
    assert len(found) == len(sentences)
    for source, hypotheses in zip(sentences, found, strict=True):
        assert 1 <= len(hypotheses) <= beam_size
        for hypothesis in hypotheses:
            assert len(hypothesis.ids) <= len(source) + extra
            assert not {SPECIAL.pad, SPECIAL.bos, SPECIAL.eos} & set(hypothesis.ids)
            assert -torch.inf < hypothesis.score < 0


@few
@given(SENTENCES, SEEDS, ALPHAS, st.integers(2, 6))
def test_the_n_best_are_distinct_and_ordered_and_begin_with_the_one_best(
    sentences: list[list[int]], seed: int, alpha: float, beam_size: int
) -> None:
    model, src = make_model(seed), sources(sentences)
    found = search(model, src, SPECIAL, beam_size=beam_size, alpha=alpha, max_extra_length=5, n_best=beam_size)
    best = search(model, src, SPECIAL, beam_size=beam_size, alpha=alpha, max_extra_length=5)
    for hypotheses, (one,) in zip(found, best, strict=True):
        assert len(hypotheses) == beam_size
        assert len({tuple(h.ids) for h in hypotheses}) == beam_size
        scores = [h.score for h in hypotheses]
        assert scores == sorted(scores, reverse=True)
        assert hypotheses[0] == one


@few
@given(SENTENCES, SEEDS, ALPHAS, st.integers(1, 5))
def test_a_sentence_alone_is_translated_as_among_others(
    sentences: list[list[int]], seed: int, alpha: float, beam_size: int
) -> None:
    model = make_model(seed)

    def translate(batch: list[list[int]]) -> list[list[Hypothesis]]:
        return search(
            model, sources(batch), SPECIAL, beam_size=beam_size, alpha=alpha, max_extra_length=5, n_best=beam_size
        )

    for together, sentence in zip(translate(sentences), sentences, strict=True):
        (alone,) = translate([sentence])
        assert [h.ids for h in together] == [h.ids for h in alone]
        assert [h.score for h in together] == pytest.approx([h.score for h in alone], abs=1e-5)


@pytest.mark.parametrize("beam_size", [1, 4])
@pytest.mark.parametrize("seed", range(3))
def test_in_float32_too_a_sentence_alone_is_translated_as_among_others(seed: int, beam_size: int) -> None:
    model = make_model(seed).float()
    sentences = [[4, 5, 6, 7, 8, 9], [10], [], [11, 4, 4]]
    together = search(model, sources(sentences), SPECIAL, beam_size=beam_size, alpha=0.6, max_extra_length=8)
    for sentence, (hypothesis,) in zip(sentences, together, strict=True):
        ((alone,),) = search(model, sources([sentence]), SPECIAL, beam_size=beam_size, alpha=0.6, max_extra_length=8)
        assert hypothesis.ids == alone.ids
        assert hypothesis.score == pytest.approx(alone.score, abs=1e-5)
        assert hypothesis.score == pytest.approx(forced_scores(model, sentence, [alone.ids], 0.6)[0], abs=1e-4)


def test_a_wider_beam_finds_what_greedy_search_passes_by() -> None:
    pairs = []
    for seed in range(30):
        model, src = make_model(seed), sources([[4, 5, 6]])
        narrow, wide = (
            search(model, src, SPECIAL, beam_size=size, alpha=0.0, max_extra_length=3)[0][0].score for size in (1, 8)
        )
        pairs.append((narrow, wide))
    assert sum(wide > narrow + 1e-3 for narrow, wide in pairs) > 5
    assert sum(wide for _, wide in pairs) > sum(narrow for narrow, _ in pairs)


def test_no_hypothesis_is_longer_than_the_positions_that_the_model_knows() -> None:
    model = make_model(1, end_bias=-50.0)
    for beam_size in (1, 3):
        found = search(model, sources([[4, 5]]), SPECIAL, beam_size=beam_size, alpha=0.6, max_extra_length=500)
        assert len(found[0][0].ids) == model.position_limit - 1 == 31


def test_a_beam_wider_than_the_vocabulary_finds_all_there_is() -> None:
    model = make_model(1, size=5)
    (found,) = search(model, sources([[4]]), SPECIAL, beam_size=20, alpha=0.0, max_extra_length=0, n_best=20)
    assert sorted(h.ids for h in found) == [[], [1], [4]]


@pytest.mark.parametrize("beam_size", [1, 4])
def test_a_model_whose_output_is_not_a_number_finds_nothing(beam_size: int) -> None:
    model = make_model(1)
    with torch.no_grad():
        model.generator.weight.fill_(torch.nan)
    found = search(model, sources([[4, 5], [6]]), SPECIAL, beam_size=beam_size, alpha=0.6, max_extra_length=3)
    assert found == [[], []]


def test_the_length_penalty_is_equation_14_of_wu_et_al() -> None:
    assert float(length_penalty(1, 0.6)) == 1.0
    assert float(length_penalty(7, 0.0)) == 1.0
    assert float(length_penalty(7, 1.0)) == 2.0
    assert_close(length_penalty(torch.tensor([7, 19]), 0.5), torch.tensor([2**0.5, 2.0]))


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(2, 7), st.integers(1, 9), SEEDS, st.floats(0, 1))
def test_extend_is_the_best_of_all_extensions(
    sentences: int, hypotheses: int, size: int, count: int, seed: int, share_dead: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    totals = -torch.rand(sentences, hypotheses, generator=generator, dtype=torch.float64)
    log_probs = -torch.rand(sentences, hypotheses, size, generator=generator, dtype=torch.float64)
    log_probs[torch.rand(log_probs.shape, generator=generator) < share_dead] = -torch.inf
    count = min(count, hypotheses * size)
    best, parents, tokens = extend(totals, log_probs, count)
    every = (totals[..., None] + log_probs).flatten(1)
    expected = every.sort(dim=1, descending=True).values[:, : best.size(1)]
    assert best.size(1) == min(count, hypotheses * min(count, size))
    assert_close(best, expected, rtol=0, atol=0)
    flat = parents * size + tokens
    assert_close(every.gather(1, flat), best, rtol=0, atol=0)
    assert all(len(set(row)) == len(row) for row in flat.tolist())


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(5, 8), SEEDS, st.floats(0, 20), ALPHAS)
def test_a_step_keeps_the_best_that_go_on_however_many_end_and_the_best_that_ended_in_the_beam(
    sentences: int, beam_size: int, size: int, seed: int, end_bias: float, alpha: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    totals = -torch.rand(sentences, beam_size, generator=generator, dtype=torch.float64).sort(dim=1).values
    logits = 2 * torch.randn(sentences, beam_size, size, generator=generator, dtype=torch.float64)
    logits[..., SPECIAL.eos] += end_bias
    log_probs = logits.log_softmax(-1)
    tokens = torch.randint(4, size, (sentences, beam_size, 3), generator=generator)
    nothing = torch.full_like(totals, -torch.inf)
    state = BeamState(
        torch.arange(sentences), torch.full((sentences,), 9), tokens, totals, torch.zeros_like(tokens), nothing
    )
    after, parents = advance(state, log_probs, SPECIAL, alpha)

    for row in range(sentences):
        every = [
            (float(totals[row, k] + log_probs[row, k, piece]), k, piece)
            for k, piece in product(range(beam_size), range(size))
        ]
        every.sort(reverse=True)
        going = [found for found in every if found[2] != SPECIAL.eos][:beam_size]
        assert after.totals[row].tolist() == [total for total, _, _ in going]
        assert parents[row].tolist() == [k for _, k, _ in going]
        assert after.tokens[row].tolist() == [[*tokens[row, k].tolist(), piece] for _, k, piece in going]
        penalty = (8 / 6) ** alpha  # three pieces with EOS: BOS is no piece
        ended = [found for found in every[:beam_size] if found[2] == SPECIAL.eos]
        expected = [total / penalty for total, _, _ in ended] + [-torch.inf] * (beam_size - len(ended))
        assert after.finished_scores[row].tolist() == pytest.approx(expected, rel=1e-5)
        finished = [[*tokens[row, k].tolist(), SPECIAL.eos] for _, k, _ in ended]
        assert after.finished[row, : len(ended)].tolist() == finished

"""What holds of greedy and beam search for every model and every batch."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_models import ALPHAS, SEEDS, SENTENCES, ended, few, forced_scores, make_model, search, sources
from torch.testing import assert_close

from nmt.config.decoding import DecodingConfig
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, PAD_ID
from nmt.inference import search as searching
from nmt.inference.constraints import Constraints
from nmt.inference.protocol import Hypothesis, Request, Row
from nmt.inference.search import BeamState, Decoder, advance, beam_search, extend
from nmt.model.encoder_decoder import Transformer


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


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
    (found,) = search(model, [source], beam_size=40, alpha=alpha, max_extra_length=extra, n_best=n_best)
    assert [h.score for h in found] == pytest.approx([score for score, _ in ranked[:n_best]], rel=1e-6, abs=1e-5)
    if ranked[0][0] - ranked[1][0] > 1e-5:
        assert found[0].ids == ranked[0][1]


@torch.no_grad()
def patient_beam_search(
    model: Transformer, source: list[int], beam_size: int, alpha: float, limit: int, n_best: int
) -> list[tuple[float, list[int]]]:
    """Search as the definition says, hypothesis by hypothesis, without a cache, and never stop before the limit."""
    beam, finished = [(0.0, [BOS_ID])], []
    for length in range(1, limit + 1):
        candidates = []
        for total, ids in beam:
            log_probs = model(sources([source]), torch.tensor([ids]))[0, -1].log_softmax(-1)
            pieces = [EOS_ID] if length == limit else [i for i in range(len(log_probs)) if i not in (PAD_ID, BOS_ID)]
            candidates += [(total + float(log_probs[piece]), [*ids, piece]) for piece in pieces]
        candidates.sort(key=lambda found: -found[0])
        finished += [
            (t / ((5 + length) / 6) ** alpha, ids[1:-1]) for t, ids in candidates[:beam_size] if ids[-1] == EOS_ID
        ]
        beam = [found for found in candidates if found[1][-1] != EOS_ID][:beam_size]
    return sorted(finished, key=lambda found: -found[0])[:n_best]


@few
@given(st.lists(st.integers(4, 6), max_size=3), SEEDS, ALPHAS, st.sampled_from([2.0, 5.0]), st.floats(-3, 3), st.data())
def test_no_hypothesis_that_could_still_win_is_cut_off(
    source: list[int], seed: int, alpha: float, sharpness: float, end_bias: float, data: st.DataObject
) -> None:
    beam_size = data.draw(st.integers(2, 4))
    n_best = data.draw(st.integers(1, beam_size))
    model = make_model(seed, 7, sharpness=sharpness, end_bias=end_bias)
    expected = patient_beam_search(model, source, beam_size, alpha, len(source) + 5, n_best)
    (found,) = search(model, [source], beam_size=beam_size, alpha=alpha, max_extra_length=4, n_best=n_best)
    assert [h.score for h in found] == pytest.approx([score for score, _ in expected], abs=1e-5)
    assert [h.ids for h in found] == [ids for _, ids in expected]


def test_a_search_goes_on_while_a_longer_hypothesis_can_still_win_by_its_penalty() -> None:
    # After EOS at once, the finished score is ahead of every total by today's penalty, but not by the last one's.
    passed = 0
    for seed in range(40):
        model = make_model(seed, size=6, sharpness=8.0)
        (short,), (best,) = (
            search(model, [[4]], beam_size=40, alpha=2.0, max_extra_length=extra)[0] for extra in (0, 3)
        )
        forced = forced_scores(model, [4], [short.ids, best.ids], 2.0)
        assert best.score == pytest.approx(forced[1], abs=1e-4)
        assert best.score > forced[0] - 1e-5
        passed += best.ids != short.ids
    assert passed > 5


@few
@given(SENTENCES, SEEDS, st.integers(0, 6))
def test_a_beam_of_one_without_penalty_is_greedy_search(sentences: list[list[int]], seed: int, extra: int) -> None:
    model = make_model(seed)
    rows = [Row(sentence) for sentence in sentences]
    config = DecodingConfig(beam_size=1, length_penalty=0.0, max_extra_length=extra)
    with torch.inference_mode():
        constraints = Constraints(config, rows, model.position_limit, torch.device("cpu"))
        beam = beam_search(Decoder([model], sources(sentences), constraints), n_best=1)
    greedy = search(model, sentences, beam_size=1, max_extra_length=extra)
    assert [h[0].ids for h in beam] == [h[0].ids for h in greedy]
    assert [h[0].score for h in beam] == pytest.approx([h[0].score for h in greedy], abs=1e-5)


@few
@given(SENTENCES, SEEDS, ALPHAS)
def test_greedy_search_takes_the_likeliest_piece_by_the_full_model(
    sentences: list[list[int]], seed: int, alpha: float
) -> None:
    model = make_model(seed)
    found = search(model, sentences, beam_size=1, alpha=alpha, max_extra_length=4)
    for source, (hypothesis,) in zip(sentences, found, strict=True):
        limit = len(source) + 4
        ids: list[int] = []
        while len(ids) < limit:
            with torch.no_grad():
                logits = model(sources([source]), torch.tensor([[BOS_ID, *ids]]))[0, -1]
            logits[[PAD_ID, BOS_ID]] = -torch.inf
            piece = int(logits.argmax())
            if piece == EOS_ID:
                break
            ids.append(piece)
        assert hypothesis.ids == ids


@few
@given(SENTENCES, SEEDS, ALPHAS, st.integers(1, 5), st.floats(-4, 4))
def test_the_score_of_a_hypothesis_is_its_forced_score(
    sentences: list[list[int]], seed: int, alpha: float, beam_size: int, end_bias: float
) -> None:
    model = make_model(seed, end_bias=end_bias)
    found = search(model, sentences, beam_size=beam_size, alpha=alpha, max_extra_length=5, n_best=beam_size)
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
        model.generator.weight[PAD_ID] = model.generator.weight[BOS_ID] = 3 * model.generator.weight[5]
    found = search(model, sentences, beam_size=beam_size, alpha=alpha, max_extra_length=extra, n_best=beam_size)
    assert len(found) == len(sentences)
    for source, hypotheses in zip(sentences, found, strict=True):
        assert 1 <= len(hypotheses) <= beam_size
        for hypothesis in hypotheses:
            assert len(hypothesis.ids) <= len(source) + extra
            assert not {PAD_ID, BOS_ID, EOS_ID} & set(hypothesis.ids)
            assert -torch.inf < hypothesis.score < 0


@few
@given(SENTENCES, SEEDS, ALPHAS, st.integers(2, 6))
def test_the_n_best_are_distinct_and_ordered_and_begin_with_the_one_best(
    sentences: list[list[int]], seed: int, alpha: float, beam_size: int
) -> None:
    model = make_model(seed)
    found = search(model, sentences, beam_size=beam_size, alpha=alpha, max_extra_length=5, n_best=beam_size)
    best = search(model, sentences, beam_size=beam_size, alpha=alpha, max_extra_length=5)
    for hypotheses, (one,) in zip(found, best, strict=True):
        assert len(hypotheses) == beam_size
        assert len({tuple(h.ids) for h in hypotheses}) == beam_size
        scores = [h.score for h in hypotheses]
        assert scores == sorted(scores, reverse=True)
        assert hypotheses[0].ids == one.ids
        assert hypotheses[0].score == pytest.approx(one.score, abs=1e-9)


@few
@given(SENTENCES, SEEDS, ALPHAS, st.integers(1, 5))
def test_a_sentence_alone_is_translated_as_among_others(
    sentences: list[list[int]], seed: int, alpha: float, beam_size: int
) -> None:
    model = make_model(seed)

    def translate(batch: list[list[int]]) -> list[list[Hypothesis]]:
        return search(model, batch, beam_size=beam_size, alpha=alpha, max_extra_length=5, n_best=beam_size)

    for together, sentence in zip(translate(sentences), sentences, strict=True):
        (alone,) = translate([sentence])
        assert [h.ids for h in together] == [h.ids for h in alone]
        assert [h.score for h in together] == pytest.approx([h.score for h in alone], abs=1e-5)


@pytest.mark.parametrize("beam_size", [1, 4])
@pytest.mark.parametrize("seed", range(3))
def test_in_float32_too_a_sentence_alone_is_translated_as_among_others(seed: int, beam_size: int) -> None:
    model = make_model(seed).float()
    sentences = [[4, 5, 6, 7, 8, 9], [10], [], [11, 4, 4]]
    together = search(model, sentences, beam_size=beam_size, alpha=0.6, max_extra_length=8)
    for sentence, (hypothesis,) in zip(sentences, together, strict=True):
        ((alone,),) = search(model, [sentence], beam_size=beam_size, alpha=0.6, max_extra_length=8)
        assert hypothesis.ids == alone.ids
        assert hypothesis.score == pytest.approx(alone.score, abs=1e-5)
        assert hypothesis.score == pytest.approx(forced_scores(model, sentence, [alone.ids], 0.6)[0], abs=1e-4)


def test_a_wider_beam_finds_what_greedy_search_passes_by() -> None:
    pairs = []
    for seed in range(30):
        model = make_model(seed)
        narrow, wide = (
            search(model, [[4, 5, 6]], beam_size=size, alpha=0.0, max_extra_length=3)[0][0].score for size in (1, 8)
        )
        pairs.append((narrow, wide))
    assert sum(wide > narrow + 1e-3 for narrow, wide in pairs) > 5
    assert sum(wide for _, wide in pairs) > sum(narrow for narrow, _ in pairs)


def test_no_hypothesis_is_longer_than_the_positions_that_the_model_knows() -> None:
    model = make_model(1, end_bias=-50.0)
    for beam_size in (1, 3):
        found = search(model, [[4, 5]], beam_size=beam_size, alpha=0.6, max_extra_length=500)
        assert len(found[0][0].ids) == model.position_limit - 1 == 31


def test_a_beam_wider_than_the_vocabulary_finds_all_there_is() -> None:
    model = make_model(1, size=5)
    (found,) = search(model, [[4]], beam_size=20, alpha=0.0, max_extra_length=0, n_best=20)
    assert sorted(h.ids for h in found) == [[], [1], [4]]


@pytest.mark.parametrize("beam_size", [1, 4])
def test_a_model_whose_output_is_not_a_number_finds_nothing(beam_size: int) -> None:
    model = make_model(1)
    with torch.no_grad():
        model.generator.weight.fill_(torch.nan)
    found = search(model, [[4, 5], [6]], beam_size=beam_size, alpha=0.6, max_extra_length=3)
    assert found == [[], []]


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
    # Blocks of two, so that these small vocabularies have several, and a short one at the end.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searching, "BLOCK", 2)
        best, parents, tokens = extend(totals, log_probs, torch.zeros_like(totals), count)
    every = (totals[..., None] + log_probs).flatten(1)
    expected = every.sort(dim=1, descending=True).values[:, : best.size(1)]
    assert best.size(1) == count
    assert_close(best, expected, rtol=0, atol=0)
    flat = parents * size + tokens
    alive = best > -torch.inf  # which of the dead ones come after them is all the same
    assert_close(every.gather(1, flat)[alive], best[alive], rtol=0, atol=0)
    assert all(len(set(row[kept].tolist())) == int(kept.sum()) for row, kept in zip(flat, alive, strict=True))


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(5, 8), SEEDS, st.floats(0, 20), ALPHAS)
def test_a_step_keeps_the_best_that_go_on_however_many_end_and_the_best_that_ended_in_the_beam(
    sentences: int, beam_size: int, size: int, seed: int, end_bias: float, alpha: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    totals = -torch.rand(sentences, beam_size, generator=generator, dtype=torch.float64).sort(dim=1).values
    logits = 2 * torch.randn(sentences, beam_size, size, generator=generator, dtype=torch.float64)
    logits[..., EOS_ID] += end_bias
    log_probs = logits.log_softmax(-1)
    tokens = torch.randint(4, size, (sentences, beam_size, 3), generator=generator)
    nothing = torch.full_like(totals, -torch.inf)
    state = BeamState(torch.arange(sentences), tokens, totals, torch.zeros_like(tokens), nothing)
    norms = logits.logsumexp(-1)
    after, parents = advance(state, *extend(state.totals, logits, norms, 2 * beam_size), alpha)

    for row in range(sentences):
        every = [
            (float(totals[row, k] + log_probs[row, k, piece]), k, piece)
            for k, piece in product(range(beam_size), range(size))
        ]
        every.sort(reverse=True)
        going = [found for found in every if found[2] != EOS_ID][:beam_size]
        assert after.totals[row].tolist() == pytest.approx([total for total, _, _ in going], abs=1e-12)
        assert parents[row].tolist() == [k for _, k, _ in going]
        assert after.tokens[row].tolist() == [[*tokens[row, k].tolist(), piece] for _, k, piece in going]
        penalty = (8 / 6) ** alpha  # three pieces with EOS: BOS is no piece
        ended = [found for found in every[:beam_size] if found[2] == EOS_ID]
        expected = [total / penalty for total, _, _ in ended] + [-torch.inf] * (beam_size - len(ended))
        assert after.finished_scores[row].tolist() == pytest.approx(expected, rel=1e-5)
        finished = [[*tokens[row, k].tolist(), EOS_ID] for _, k, _ in ended]
        assert after.finished[row, : len(ended)].tolist() == finished


@few
@given(SENTENCES, SEEDS, st.integers(1, 4))
def test_an_ensemble_scores_by_the_mean_probability(sentences: list[list[int]], seed: int, beam_size: int) -> None:
    models = [make_model(seed), make_model(seed + 1)]
    request = Request(DecodingConfig(beam_size=beam_size, length_penalty=0.0, max_extra_length=4), n_best=beam_size)
    found = searching.search(models, [Row(ids) for ids in sentences], request)
    for source, hypotheses in zip(sentences, found, strict=True):
        for h in hypotheses:
            with torch.no_grad():
                tgt_in, labels = torch.tensor([[BOS_ID, *h.ids]]), torch.tensor([ended(h.ids)])
                shares = torch.stack([model(sources([source]), tgt_in).softmax(-1) for model in models]).mean(0)
            assert h.score == pytest.approx(float(shares.log().gather(2, labels[..., None]).sum()), abs=1e-4)


def test_an_ensemble_of_a_model_with_itself_is_the_model() -> None:
    model, sentences = make_model(5), [[4, 5, 6], [7], [8, 9, 10, 11]]
    request = Request(DecodingConfig(beam_size=3, max_extra_length=4), n_best=3)
    rows = [Row(ids) for ids in sentences]
    one, two = searching.search([model], rows, request), searching.search([model, model], rows, request)
    assert [[h.ids for h in hypotheses] for hypotheses in two] == [[h.ids for h in hypotheses] for hypotheses in one]


@few
@given(SENTENCES, SEEDS, st.integers(1, 5), ALPHAS)
def test_bfloat16_scores_a_hypothesis_nearly_as_float32_does(
    sentences: list[list[int]], seed: int, beam_size: int, alpha: float
) -> None:
    model = make_model(seed)
    half = make_model(seed).bfloat16()
    found = search(half, sentences, beam_size=beam_size, alpha=alpha, max_extra_length=4)
    for source, (hypothesis,) in zip(sentences, found, strict=True):
        (forced,) = forced_scores(model, source, [hypothesis.ids], alpha)
        assert hypothesis.score == pytest.approx(forced, rel=0.1, abs=0.3)

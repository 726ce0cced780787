"""The steps of the search, one by one, on logits that are written down."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from table_model import TEMPTING, A, B, C, Table
from torch import Tensor

from nmt.config.decoding import DecodingConfig, SamplingConfig
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, PAD_ID
from nmt.inference import search as searching
from nmt.inference.constraints import Constraints
from nmt.inference.protocol import Hypothesis, Request, Row
from nmt.inference.search import (
    CHUNK,
    BeamState,
    Decoder,
    Sampler,
    advance,
    by_block,
    collect,
    extend,
    in_place,
    log_norms,
    sample_key,
)

NEVER = -torch.inf


def found(
    model: Table | Sequence[Table], rows: list[Row], request: Request | None = None, **decoding: float
) -> list[list[Hypothesis]]:
    settings = DecodingConfig.model_validate({"length_penalty": 0.0, "max_extra_length": 3, **decoding})
    models: Any = [model] if isinstance(model, Table) else model
    return searching.search(models, rows, request or Request(settings, n_best=int(settings.beam_size)))


def probabilities(hypotheses: list[Hypothesis]) -> list[tuple[list[int], float]]:
    return [(one.ids, round(math.exp(one.score), 5)) for one in hypotheses]


def test_greedy_search_takes_the_likeliest_piece_and_a_beam_the_likeliest_translation() -> None:
    (greedy,) = found(Table(TEMPTING), [Row([A])], beam_size=1)
    assert probabilities(greedy) == [([A], 0.24)]
    (beam,) = found(Table(TEMPTING), [Row([A])], beam_size=2)
    assert probabilities(beam) == [([B], 0.36), ([A], 0.24)]


@pytest.mark.parametrize("beam_size", [4, 8, 9, 20])
def test_a_beam_may_be_wider_than_the_vocabulary(beam_size: int) -> None:
    (beam,) = found(Table(TEMPTING), [Row([A])], beam_size=beam_size)
    assert probabilities(beam)[:3] == [([B], 0.36), ([A], 0.24), ([A, B], 0.162)]


def test_scores_are_divided_by_the_length_penalty() -> None:
    for beam_size in (1, 2):
        (hypotheses,) = found(Table(TEMPTING), [Row([A])], beam_size=beam_size, length_penalty=1.0)
        total = math.log(0.24 if beam_size == 1 else 0.36)
        assert hypotheses[0].score == pytest.approx(total / (7 / 6), abs=1e-5)


def test_sources_end_in_eos_and_the_first_step_has_one_hypothesis() -> None:
    model = Table(TEMPTING)
    found(model, [Row([A]), Row([A, B])], beam_size=3)
    assert model.src.tolist() == [[A, EOS_ID, PAD_ID], [A, B, EOS_ID]]
    assert model.widths[0] == (2, 1)
    assert set(model.widths[1:]) <= {(2, 3), (1, 3)}


def test_a_finished_sentence_leaves_the_batch_and_the_others_keep_their_results() -> None:
    for beam_size in (1, 2):
        model = Table({**TEMPTING, C: {C: 0.9, EOS_ID: 0.1}})
        rows = [Row([A], [C]), Row([A]), Row([A, A], [C])]
        together = found(model, rows, beam_size=beam_size)
        assert model.widths[-1][0] < 3
        assert together == [found(model, [row], beam_size=beam_size)[0] for row in rows]


def test_an_ensemble_takes_the_mean_of_probabilities() -> None:
    other = Table({**TEMPTING, BOS_ID: {A: 0.2, B: 0.8}})
    (hypotheses,) = found([Table(TEMPTING), other], [Row([A])], beam_size=1)
    assert probabilities(hypotheses) == [([B], round(0.6 * 0.9, 5))]


def test_a_model_that_is_no_number_finds_nothing() -> None:
    model = Table(TEMPTING)
    model.logits.fill_(torch.nan)
    assert found(model, [Row([A])], beam_size=1) == found(model, [Row([A])], beam_size=2) == [[]]


def test_samples_are_counted_scored_and_those_of_their_seed() -> None:
    def drawn(seed: int, row: Row, count: int = 50) -> list[Hypothesis]:
        sampling = SamplingConfig(seed=seed)
        request = Request(DecodingConfig(length_penalty=0.0, max_extra_length=3), count, sampling)
        return found(Table(TEMPTING), [row], request)[0]

    first = drawn(1, Row([A]))
    assert len(first) == 50
    assert {tuple(one.ids) for one in first} > {(A,), (B,)}
    assert first == drawn(1, Row([A]))
    assert first[:3] == drawn(1, Row([A]), 3)
    assert first != drawn(2, Row([A]))
    assert first != drawn(1, Row([B]))
    assert all(round(math.exp(one.score), 5) == 0.24 for one in first if one.ids == [A])


def test_the_norm_is_the_logarithm_of_the_sum() -> None:
    torch.manual_seed(1)
    logits = torch.randn(3, 40, 9)
    torch.testing.assert_close(log_norms(logits), logits.logsumexp(-1))
    assert log_norms(logits.bfloat16()).dtype == torch.float32
    assert log_norms(logits.double()).dtype == torch.float64


def test_norms_beyond_the_exponentials_of_float32_are_right_too() -> None:
    logits = torch.tensor([[120.0, 119.0, -5.0], [-150.0, -152.0, -400.0], [1.0, 2.0, 3.0], [NEVER, 200.0, NEVER]])
    torch.testing.assert_close(log_norms(logits), logits.logsumexp(-1))
    logits[1, 2] = torch.nan
    assert log_norms(logits).isnan().tolist() == [False, True, False, False]


@pytest.mark.parametrize("size", [63, 64, 65, 128, 200])
def test_the_maximum_of_each_block_and_of_the_rest(size: int) -> None:
    logits = torch.randn(2, size, generator=torch.Generator().manual_seed(1))
    expected = [[max(row[at : at + 64]) for at in range(0, size, 64)] for row in logits.tolist()]
    assert by_block(logits, torch.amax).tolist() == expected


def test_the_best_extensions_are_found_wherever_they_lie() -> None:
    logits = torch.zeros(1, 2, 200)
    logits[0, 0, 3], logits[0, 1, 199], logits[0, 1, 64] = 5.0, 7.0, 4.5
    totals, parents, tokens = extend(torch.tensor([[-1.0, -2.0]]), logits, torch.tensor([[0.5, 0.25]]), 3)
    assert totals.tolist() == [[4.75, 3.5, 2.25]]
    assert parents.tolist() == [[1, 0, 1]]
    assert tokens.tolist() == [[199, 3, 64]]


def state(totals: list[float], tokens: list[list[int]], finished: list[float]) -> BeamState:
    histories = torch.tensor([tokens])
    return BeamState(
        torch.arange(1), histories, torch.tensor([totals]), torch.zeros_like(histories), torch.tensor([finished])
    )


def test_a_step_keeps_what_goes_on_and_what_ended() -> None:
    before = state([-1.0, -1.5], [[BOS_ID, A], [BOS_ID, B]], [NEVER, -9.0])
    logits = torch.full((1, 2, 7), -20.0)
    logits[0, 0, EOS_ID], logits[0, 0, C], logits[0, 1, A], logits[0, 1, EOS_ID] = -0.1, -2.0, -0.4, -3.0
    after, parents = advance(before, *extend(before.totals, logits, torch.zeros(1, 2), 4), alpha=1.0)
    assert after.tokens.tolist() == [[[BOS_ID, B, A], [BOS_ID, A, C]]]
    assert parents.tolist() == [[1, 0]]
    assert after.totals[0].tolist() == pytest.approx([-1.9, -3.0])
    # The second EOS is the fourth candidate, not among the two best; the older hypothesis keeps its score.
    assert after.finished_scores[0].tolist() == pytest.approx([-1.1 / (7 / 6), -9.0])
    assert after.finished[0, 0].tolist() == [BOS_ID, A, EOS_ID]


def test_finished_hypotheses_are_collected_by_sentence_without_bos_and_eos() -> None:
    done = BeamState(
        torch.tensor([2]),
        torch.zeros(1, 2, 4, dtype=torch.long),
        torch.zeros(1, 2),
        torch.tensor([[[BOS_ID, A, EOS_ID, PAD_ID], [BOS_ID, B, C, EOS_ID], [BOS_ID, EOS_ID, PAD_ID, PAD_ID]]]),
        torch.tensor([[-1.0, -2.0, NEVER]]),
    )
    for n_best in (1, 2, 3):
        results: list[list[Hypothesis]] = [[], [], []]
        collect(done, results, n_best)
        assert results == [[], [], [Hypothesis([A], -1.0), Hypothesis([B, C], -2.0)][:n_best]]


@pytest.mark.parametrize("kept", [[0, 1, 2], [], [2], [0, 2], [1, 2]])
def test_sentences_that_stay_keep_their_indices_if_they_can(kept: list[int]) -> None:
    order = in_place(torch.tensor([index in kept for index in range(3)])).tolist()
    assert sorted(order) == kept
    assert all(order[index] == index for index in kept if index < len(kept))


def sampler(*keys: int, **settings: float) -> Sampler:
    return Sampler(SamplingConfig.model_validate(settings), torch.tensor(keys))


def test_uniform_numbers_are_those_of_splitmix64_whatever_the_batch() -> None:
    numbers = sampler(0, 7).uniform(1, 2)

    # The states are 2^20 s + 1 for sample s; the reference is the published generator, on Python's integers.
    def reference(key: int, sample: int, step: int) -> float:
        mask = 2**64 - 1
        x = (key + (sample * 2**20 + step + 1) * 0x9E3779B97F4A7C15) & mask
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
        return ((x ^ (x >> 31)) >> 11) / 2**53

    assert numbers.tolist() == [[reference(key, sample, 1) for sample in range(2)] for key in (0, 7)]
    assert sampler(-5).uniform(3, 1).tolist() == [[reference(-5, 0, 3)]]
    assert sampler(0, 7, 9).select(torch.tensor([1])).uniform(1, 2).tolist() == numbers[1:].tolist()


def test_a_key_is_of_the_seed_the_source_and_the_prefix() -> None:
    keys = [
        sample_key(Row([4, 5]), 1),
        sample_key(Row([4, 5]), 2),
        sample_key(Row([4], [5]), 1),
        sample_key(Row([4]), 1),
    ]
    assert len(set(keys)) == 4
    assert keys[0] == sample_key(Row([4, 5]), 1) == -3957724438478750006


@pytest.mark.parametrize(
    ("settings", "uniform", "piece"),
    [
        ({}, 0.0, 0),
        ({}, 0.49, 0),
        ({}, 0.51, 1),
        ({}, 0.79, 1),
        ({}, 0.81, 2),
        ({}, 0.9999, 2),
        ({"top_k": 1}, 0.9999, 0),
        ({"top_k": 2}, 0.62, 0),
        ({"top_k": 2}, 0.63, 1),
        ({"top_p": 0.49}, 0.9999, 0),
        ({"top_p": 0.51}, 0.62, 0),
        ({"top_p": 0.51}, 0.63, 1),
        ({"top_p": 0.79}, 0.9999, 1),
        ({"top_p": 0.81}, 0.9999, 2),
        ({"top_k": 2, "top_p": 0.5}, 0.9999, 0),
        ({"temperature": 0.5}, 0.65, 0),  # 25 of 38
        ({"temperature": 0.5}, 0.66, 1),
    ],
)
def test_a_piece_is_drawn_by_its_share_among_the_likeliest(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, float], uniform: float, piece: int
) -> None:
    monkeypatch.setattr(Sampler, "uniform", lambda *_: torch.tensor([[uniform]]).double())
    logits = torch.tensor([[[0.5, 0.3, 0.2]]]).double().log() + 3
    assert sampler(0, **settings).draw(logits, 1).tolist() == [[piece]]
    if settings.keys() & {"top_k", "top_p"}:  # the likeliest first, wherever they are
        assert sampler(0, **settings).draw(logits.flip(-1), 1).tolist() == [[2 - piece]]


def test_the_decoder_gives_logits_and_their_norms() -> None:
    models: Any = [Table(TEMPTING)]
    src, constraints = torch.tensor([[A, EOS_ID]]), Constraints(DecodingConfig(), [Row([A])], 30, torch.device("cpu"))
    ((part, logits, norms),) = Decoder(models, src, constraints).next(torch.tensor([[[BOS_ID]]]))
    assert part == slice(0, CHUNK)
    assert (logits - norms[..., None]).exp()[0, 0, [A, B]].tolist() == pytest.approx([0.6, 0.4])
    assert logits[0, 0, PAD_ID] == NEVER
    ((_, logits, norms),) = Decoder(models * 2, src, constraints).next(torch.tensor([[[BOS_ID], [A]]]))
    assert norms.tolist() == [[pytest.approx(math.log(2))] * 2]
    assert (logits - norms[..., None]).exp()[0, 0, [A, B]].tolist() == pytest.approx([0.6, 0.4])


class Limited(Table):
    """A model that refuses more positions than it has."""

    def next_hidden(self, tokens: Tensor, cache: Any) -> Tensor:
        assert len(self.widths) < self.position_limit
        return super().next_hidden(tokens, cache)


ENDLESS: dict[int, dict[int, float]] = {**TEMPTING, C: {C: 0.999, EOS_ID: 0.001}}


@pytest.mark.parametrize("beam_size", [1, 2])
@pytest.mark.parametrize("limit", [5, 6, 7, 8, 9])
def test_looking_only_now_and_then_at_which_sentences_are_finished_changes_no_result(
    limit: int, beam_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [Row([A], [C]), Row([A]), Row([A, A], [C]), Row([A], [B])]
    expected, model = [Limited(ENDLESS) for _ in range(2)]
    expected.position_limit = model.position_limit = limit
    wanted = found(expected, rows, beam_size=beam_size, max_extra_length=9)
    looks = list[int]()
    monkeypatch.setattr(searching, "LOOK_EVERY", {"cpu": 4})
    monkeypatch.setattr(searching, "SHRINK", {"cpu": 1 / 2})
    is_done = Decoder.is_done

    def spy(decoder: Decoder, is_going: Tensor, length: int) -> bool:
        looks.append(length)
        return is_done(decoder, is_going, length)

    monkeypatch.setattr(Decoder, "is_done", spy)
    assert found(model, rows, beam_size=beam_size, max_extra_length=9) == wanted
    assert looks == list(range(1, limit + 1))
    widths = [width for width, _ in model.widths]
    assert widths == [4] * 4 + [2] * (limit - 4)  # looked at after 4 pieces, two of four are finished

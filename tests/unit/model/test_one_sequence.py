"""Families of one stack: their sequences, what each position sees, and search by them in every precision."""

from typing import Any

import pytest
import torch
from precisions import precisions
from torch.testing import assert_close

from nmt.config.decoding import DecodingConfig, InferencePrecision
from nmt.config.model import STACKS, ModelConfig
from nmt.errors import UsageError
from nmt.inference.engines.native import NativeEngine
from nmt.inference.protocol import Request, Row
from nmt.inference.search import search
from nmt.model.families import build
from nmt.model.one_sequence import OneSequence
from nmt.model.preparation import prepare

V, PAD = 30, 0
SRC = torch.tensor([[5, 6, 7, 3], [8, 3, PAD, PAD]])
TGT_IN = torch.tensor([[2, 9, 10], [2, 11, PAD]])
LENGTHS = torch.tensor([[4], [2]])


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def make_model(family: str, source: int = V, target: int = V, **values: Any) -> OneSequence:
    torch.manual_seed(1)
    shape = {"d_model": 16, "heads": 4, "ffn": 24, "max_length": 16, **dict.fromkeys(STACKS[family], 2)}
    model = build(ModelConfig.model_validate({"architecture": family, **shape, **values}), source, target).eval()
    assert isinstance(model, OneSequence)
    for parameter in model.parameters():
        if parameter.dim() == 2:
            parameter.data.mul_(2)  # so that predictions are not all alike
    return model


families = pytest.mark.parametrize("family", ["decoder-only", "prefix-lm", "encoder-only"])
translating = pytest.mark.parametrize("family", ["decoder-only", "prefix-lm"])


@families
def test_the_target_follows_its_source_without_a_gap(family: str) -> None:
    model = make_model(family)
    states, starts = model.states(SRC, TGT_IN)
    assert (states.shape, starts.tolist()) == ((2, 7, 16), LENGTHS.tolist())
    alone, _ = model.states(SRC[1:, :2], TGT_IN[1:, :2], src_padded=False)
    assert_close(states[1, :4], alone[0], rtol=0, atol=1e-5)
    hidden = model.hidden(SRC, TGT_IN)
    assert torch.equal(hidden[0], states[0, 4:])
    assert torch.equal(hidden[1, :2], states[1, 2:4])


@families
def test_a_source_may_have_no_place_at_all(family: str) -> None:
    model = make_model(family)
    hidden = model.hidden(SRC[:, :0], TGT_IN)
    assert_close(hidden[1, :2], model.hidden(SRC[1:, :0], TGT_IN[1:, :2])[0], rtol=0, atol=1e-5)


@families
def test_each_side_may_have_embeddings_of_its_own(family: str) -> None:
    model = make_model(family, 40, V, tied_embeddings="target")
    for src, tgt_in in ((SRC + 30 * (SRC > 3), TGT_IN), (SRC, TGT_IN)):  # ids that the target's vocabulary lacks
        ids = torch.cat([src[0], tgt_in[0]])
        table = torch.cat([model.source_embedding(ids[:4]), model.target_embedding(ids[4:])])
        assert torch.equal(model.look_up(ids[None], (torch.arange(7) < 4)[None])[0], table)
        assert torch.isfinite(model(src, tgt_in)).all()


@pytest.mark.parametrize(
    ("family", "seen"),
    [
        ("decoder-only", ["1000", "1100", "1110", "1111"]),
        ("prefix-lm", ["1100", "1100", "1110", "1111"]),
        ("encoder-only", ["1111", "1111", "1111", "1111"]),
    ],
)
def test_each_family_has_its_own_mask(family: str, seen: list[str]) -> None:
    model = make_model(family)
    (weights, _) = model.attention_weights(SRC, TGT_IN, model.attentions()[model.stack_name])
    row = weights[1, 0, :4]  # two pieces of the source, two of the target
    assert ["".join(str(int(weight > 0)) for weight in line[:4]) for line in row] == seen
    assert_close(row.sum(-1), torch.ones(4))
    assert not row[:, 4:].any()  # padding


@families
def test_the_maps_of_a_sequence_are_cut_into_those_of_its_sides(family: str) -> None:
    model = make_model(family)
    maps = model.attention_maps(SRC[:1], TGT_IN[:1])
    assert {kind: [[tuple(each.shape) for each in layer] for layer in layers] for kind, layers in maps.items()} == {
        "encoder": [[(1, 4, 4, 4), (1, 4, 4, 4), (1, 4, 4)]] * 2,
        "decoder": [[(1, 4, 3, 3), (1, 4, 3, 3), (1, 3, 3)]] * 2,
        "cross": [[(1, 4, 3, 4), (1, 4, 3, 4), (1, 3, 4)]] * 2,
    }
    for pair in zip(maps["decoder"], maps["cross"], strict=True):
        for target, cross in zip(*pair, strict=True):
            sums = target.sum(-1) + cross.sum(-1)
            assert_close(sums, torch.ones_like(sums))
            assert 0.01 < cross.sum(-1).mean() < 0.99
    for layers, sees_later in (
        (maps["encoder"], family != "decoder-only"),
        (maps["decoder"], family == "encoder-only"),
    ):
        assert {bool(each.triu(1).any()) for layer in layers for each in layer} == {sees_later}
    of_batch = model.attention(SRC, TGT_IN, 2)
    assert_close(of_batch[0], maps["cross"][1].weights.mean(1)[0])
    assert_close(of_batch[1, :2, :2], model.attention(SRC[1:, :2], TGT_IN[1:, :2], 2)[0])


@translating
@precisions
@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("positions", ["sinusoidal", "rotary"])
def test_a_search_finds_the_same_alone_and_scores_as_forced_decoding_does(
    family: str, precision: InferencePrecision, norm: str, positions: str
) -> None:
    model = prepare(make_model(family, norm=norm, positions=positions), precision)
    rows = [Row([5, 6, 7, 8, 9]), Row([10, 11]), Row([4, 5, 6, 7, 8, 9, 10, 11, 12], [6])]
    request = Request(DecodingConfig(beam_size=3, length_penalty=0.0), 3)
    together = search([model], rows, request)
    for row, found in zip(rows, together, strict=True):
        (alone,) = search([model], [row], request)
        assert [one.ids for one in alone] == [one.ids for one in found]
        (scores,) = NativeEngine([model]).score([[(row.ids, one.ids) for one in found]])
        assert [sum(of_pieces) for of_pieces in scores] == pytest.approx([one.score for one in found], abs=1e-4)
        assert [one.score for one in alone] == pytest.approx([one.score for one in found], abs=1e-4)


@translating
def test_an_ensemble_may_be_of_several_families(family: str) -> None:
    models = [make_model(family), build(ModelConfig(d_model=16, heads=4, ffn=24, max_length=16), V, V).eval()]
    (found,) = search(models, [Row([5, 6, 7])], Request(DecodingConfig(beam_size=2, length_penalty=0.0), 2))
    (scores,) = NativeEngine(models).score([[([5, 6, 7], one.ids) for one in found]])
    assert [sum(of_pieces) for of_pieces in scores] == pytest.approx([one.score for one in found], abs=1e-4)


def test_an_encoder_alone_does_not_translate() -> None:
    with pytest.raises(UsageError, match="an encoder-only model does not translate"):
        search([make_model("encoder-only")], [Row([5])], Request(DecodingConfig()))

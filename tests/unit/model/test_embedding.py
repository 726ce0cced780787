"""Positions: the tables of the paper, their types and their places."""

import math

import pytest
import torch
from torch import Tensor

from nmt.config.model import STACKS, Architecture, ModelConfig
from nmt.model.embedding import EmbeddingModel, LearnedPositions, SinusoidalPositions
from nmt.model.families import build

SRC = torch.tensor([[5, 6, 7, 3], [8, 3, 0, 0], [9, 4, 3, 0]])
TGT_IN = torch.tensor([[2, 9, 10], [2, 11, 0], [2, 5, 6]])
REAL = TGT_IN != 0
OFFSET = 9


@pytest.mark.parametrize("kind", [SinusoidalPositions, LearnedPositions])
def test_positions_are_rows_of_a_table_from_any_start(kind: type[SinusoidalPositions] | type[LearnedPositions]) -> None:
    positions = kind(9, 6)
    torch.nn.init.normal_(positions.table)
    assert torch.equal(positions(3, 4), positions.table[3:7])


def test_sinusoids_are_those_of_the_paper_and_no_weight() -> None:
    positions = SinusoidalPositions(50, 6)
    for position in (0, 1, 17, 49):
        for pair in range(3):
            angle = position / 10_000 ** (2 * pair / 6)
            row = positions(position, 1)[0, 2 * pair : 2 * pair + 2]
            assert row.tolist() == pytest.approx([math.sin(angle), math.cos(angle)], abs=1e-6)
    assert not list(positions.parameters())
    assert not positions.state_dict()


def test_sinusoids_stay_float32_whatever_the_type_of_the_model_and_follow_its_device() -> None:
    positions = SinusoidalPositions(9, 6)
    exact = positions.table.clone()
    for dtype in (torch.bfloat16, torch.float64):
        assert positions.to(dtype).table.dtype == torch.float32
        assert torch.equal(positions.table, exact)
    assert (positions.to("meta", torch.bfloat16).table.device.type, positions.table.dtype) == ("meta", torch.float32)
    assert LearnedPositions(9, 6).bfloat16().table.dtype == torch.bfloat16


@pytest.mark.parametrize("kind", [SinusoidalPositions, LearnedPositions])
def test_places_are_looked_up_in_any_order(kind: type[SinusoidalPositions] | type[LearnedPositions]) -> None:
    positions = kind(9, 6)
    torch.nn.init.normal_(positions.table)
    places = torch.tensor([[8], [0]])
    assert torch.equal(positions.at(places), torch.stack([positions.table[8:], positions.table[:1]]))


def make_model(family: Architecture, **values: object) -> EmbeddingModel:
    """Make a model without dropout, so that training differs from inference by the offsets of positions alone."""
    torch.manual_seed(1)
    shape = {"d_model": 16, "heads": 4, "ffn": 24, "dropout": 0.0, **dict.fromkeys(STACKS[family], 2)}
    config = ModelConfig.model_validate({"architecture": family, "max_length": OFFSET, **shape, **values})
    model = build(config, 20, 20)
    assert isinstance(model, EmbeddingModel)
    return model


def hidden(model: EmbeddingModel, *, seed: int = 1) -> Tensor:
    torch.manual_seed(seed)
    return model.hidden(SRC, TGT_IN)


shifted = pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
families = pytest.mark.parametrize("family", ["encoder-decoder", "decoder-only", "prefix-lm", "encoder-only"])


@families
@shifted
def test_in_training_each_pair_starts_at_a_position_of_its_own(family: Architecture, positions: str) -> None:
    model = make_model(family, positions=positions, position_offset=OFFSET).train()
    found = hidden(model)
    torch.manual_seed(1)
    offsets = torch.randint(OFFSET + 1, (3, 1)).flatten().tolist()
    assert len(set(offsets)) == 3
    plain = make_model(family, positions=positions).train()
    whole = plain.positions.table.detach().clone()
    for row, offset in enumerate(offsets):
        plain.positions.table.data = whole.roll(-offset, 0)
        expected = hidden(plain)
        torch.testing.assert_close(found[row][REAL[row]], expected[row][REAL[row]], rtol=0, atol=1e-5)
    assert torch.equal(hidden(model), found)
    assert not torch.equal(hidden(model, seed=2), found)


@families
def test_in_inference_and_without_an_offset_nothing_is_drawn(family: Architecture) -> None:
    expected = hidden(make_model(family).train())
    assert torch.equal(hidden(make_model(family, position_offset=OFFSET).eval()), expected)
    model = make_model(family).train()
    state = torch.get_rng_state()
    assert model.draw_offsets(3, SRC.device) is None
    assert torch.equal(torch.get_rng_state(), state)


def test_offsets_are_all_numbers_up_to_the_largest() -> None:
    model = make_model("decoder-only", position_offset=OFFSET).train()
    drawn = model.draw_offsets(500, SRC.device)
    assert drawn is not None
    assert drawn.shape == (500, 1)
    assert set(drawn.flatten().tolist()) == {*range(OFFSET + 1)}


def test_without_positions_a_decoder_sees_what_it_would_see_with_zeros_as_positions() -> None:
    model, zeros = make_model("decoder-only", positions="none"), make_model("decoder-only")
    zeros.positions.table.zero_()
    assert model.positions.table.shape == (3 * OFFSET, 0)
    assert torch.equal(hidden(model), hidden(zeros))
    assert model.weights().keys() == zeros.weights().keys()

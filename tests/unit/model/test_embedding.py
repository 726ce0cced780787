"""Positions: the tables of the paper, their types and their places."""

import math

import pytest
import torch

from nmt.model.embedding import LearnedPositions, SinusoidalPositions


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

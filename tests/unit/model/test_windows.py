"""Blocks of a sequence: how many, which keys each reads, what it sees of them."""

import pytest
import torch

from nmt.model import windows
from nmt.model.windows import Blocks, divide, whole


def positions(length: int) -> torch.Tensor:
    return torch.arange(2 * length, dtype=torch.float32).view(2, 1, length, 1)


@pytest.mark.parametrize(
    ("window", "is_causal", "size", "beside"),
    [
        (1, False, 64, 8),
        (8, False, 64, 8),
        (9, False, 64, 16),
        (64, False, 64, 64),
        (65, False, 72, 72),
        (1, True, 64, 8),
        (100, True, 104, 104),
    ],
)
def test_a_block_has_at_least_64_queries_and_the_keys_of_a_window_beside_it(
    window: int, is_causal: bool, size: int, beside: int
) -> None:
    after, sees = (0, 0) if is_causal else (beside, window)
    longest = size + beside + after  # with which blocks would compute as much as without them
    assert divide(longest, window, is_causal=is_causal) == Blocks(longest, window, sees, longest, 0, 0)
    blocks = divide(longest + 1, window, is_causal=is_causal)
    assert blocks == Blocks(longest + 1, window, sees, size, beside, after)
    assert blocks.count == -(-(longest + 1) // size)


def test_a_sequence_as_one_block_is_itself() -> None:
    blocks, x = whole(5, 2, is_causal=True), positions(5)
    assert (blocks.count, blocks.before, blocks.after) == (1, 2, 0)
    assert torch.equal(blocks.queries(x), x)
    assert torch.equal(blocks.keys(x), x)
    assert torch.equal(blocks.joined(x[:, 0]), x[:, 0])


def test_each_block_reads_its_keys_and_those_beside_it_of_its_own_sentence() -> None:
    blocks, x = Blocks(7, 2, 1, size=3, keys_before=2, keys_after=1), positions(7)
    assert blocks.queries(x).flatten(1).tolist() == [
        [0, 1, 2],
        [3, 4, 5],
        [6, 0, 0],
        [7, 8, 9],
        [10, 11, 12],
        [13, 0, 0],
    ]
    assert blocks.keys(x, -1.0).flatten(1).tolist() == [
        [-1, -1, 0, 1, 2, 3],
        [1, 2, 3, 4, 5, 6],
        [4, 5, 6, -1, -1, -1],
        [-1, -1, 7, 8, 9, 10],
        [8, 9, 10, 11, 12, 13],
        [11, 12, 13, -1, -1, -1],
    ]
    assert blocks.keys(x[:1])[2].flatten().tolist() == [4, 5, 6, 0, 0, 0]
    assert blocks.joined(blocks.queries(x).squeeze(1)).flatten(1).tolist() == x.flatten(1).tolist()


def test_a_block_sees_as_far_as_the_window_before_and_after_each_query() -> None:
    blocks = Blocks(7, 2, 1, size=3, keys_before=2, keys_after=1)
    assert blocks.allowed(torch.device("cpu")).int().tolist() == [
        [1, 1, 1, 1, 0, 0],
        [0, 1, 1, 1, 1, 0],
        [0, 0, 1, 1, 1, 1],
    ]
    seen = whole(4, 1, is_causal=False).allowed(torch.device("cpu"))
    assert seen.int().tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 1]]


def test_levels_stay_levels() -> None:
    blocks = Blocks(5, 1, 1, size=2, keys_before=1, keys_after=1)
    x = positions(5).to(torch.uint8)
    assert blocks.keys(x).dtype == blocks.queries(x).dtype == torch.uint8
    assert windows.HIDDEN < -1e6

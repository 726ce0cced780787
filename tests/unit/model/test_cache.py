"""The decoder's cache: its positions and masks, its growth, reordering and the departure of sentences."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from nmt.model.cache import DecoderCache

H, S, D = 2, 3, 4


def make_cache(batch: int = 3) -> DecoderCache:
    keys = torch.arange(batch * H * S * D, dtype=torch.float32).view(batch, H, S, D)
    cross = [(keys + layer, -keys) for layer in range(2)]
    empty = torch.empty(batch, H, 0, D)
    memory_mask = torch.arange(batch, dtype=torch.float32).view(batch, 1, 1, 1).repeat(1, 1, 1, S)
    return DecoderCache(memory_mask, cross, [(empty, empty) for _ in range(2)])


def step(cache: DecoderCache, width: int, value: float) -> tuple[Tensor, Tensor]:
    """Extend by one position for `width` hypotheses, whose keys hold value, value + 0.1, ... in both layers."""
    cache.extend(width)
    batch = len(cache.memory_mask)
    keys = (value + torch.arange(width) / 10)[None, None, :, None].expand(batch, H, width, D)
    for layer in range(2):
        written = cache.write(layer, keys + layer, -keys)
    return written


def test_each_step_writes_one_position_a_hypothesis() -> None:
    cache = make_cache()
    step(cache, 1, 1.0)
    assert (cache.positions, cache.length, cache.self_mask) == (1, 1, None)
    keys, values = step(cache, 2, 2.0)
    assert (cache.positions, cache.length) == (3, 2)
    assert keys[0, 0, :, 0].tolist() == pytest.approx([2.0, 3.0, 3.1])  # of the second layer
    assert values[0, 0, :, 0].tolist() == pytest.approx([-1.0, -2.0, -2.1])
    assert cache.self_kv[0][0][0, 0, :3, 0].tolist() == pytest.approx([1.0, 2.0, 2.1])


def test_a_hypothesis_sees_its_own_positions_alone() -> None:
    cache = make_cache()
    step(cache, 1, 1.0)
    cache.reorder(torch.tensor([[0, 0], [0, 0], [0, 0]]))
    step(cache, 2, 2.0)
    assert cache.ancestry[0].tolist() == [[True, True, False], [True, False, True]]
    cache.reorder(torch.tensor([[1, 0], [0, 0], [1, 1]]))
    step(cache, 2, 3.0)
    first, second, third = cache.ancestry.tolist()
    assert first == [[True, False, True, True, False], [True, True, False, False, True]]
    assert second == [[True, True, False, True, False], [True, True, False, False, True]]
    assert third == [[True, False, True, True, False], [True, False, True, False, True]]
    mask = cache.self_mask
    assert mask is not None
    assert mask.shape == (3, 1, 2, 5)
    assert torch.equal(mask[:, 0] == 0, cache.ancestry)
    assert torch.equal(mask[:, 0] == -torch.inf, ~cache.ancestry)


def test_room_grows_by_half_and_by_eight_steps_at_least() -> None:
    cache = make_cache(1)
    sizes = []
    for number in range(60):
        step(cache, 1, float(number))
        sizes.append(cache.self_kv[0][0].size(2))
    assert sorted(set(sizes)) == [9, 18, 28, 43, 65]
    assert cache.self_kv[0][0][0, 0, :60, 0].tolist() == list(range(60))
    wide = make_cache(1)
    step(wide, 3, 1.0)
    assert wide.self_kv[0][0].size(2) == 3 + 8 * 3


def test_with_a_window_positions_that_no_later_one_sees_are_dropped_and_room_stays_bounded() -> None:
    cache = make_cache(2)
    cache.window = 2
    for number in range(40):
        width = 1 if number < 2 else 3
        keys, values = step(cache, width, float(number))
        following = 1 if number < 1 else 3
        cache.reorder(torch.tensor([[0, 0, 2], [1, 2, 0]])[:, :following].clamp(max=width - 1))
        assert cache.length == number + 1
        seen = sorted({int(each) for each in keys[0, 0, :, 0] - 1})  # of the second layer
        assert seen == list(range(max(number - 2, 0), number + 1))
        assert torch.equal(keys, -values + 1)
        assert cache.ancestry.size(2) == cache.positions == keys.size(2)
        assert (cache.self_mask is None) == (number < 2)
        assert cache.self_kv[0][0].size(2) <= 9 + 24 + 4
    cache.keep_sentences(torch.tensor([1]))
    assert torch.equal(
        step(cache, 3, 40.0)[0][0, 0, :, 0], torch.tensor([39, 39.1, 39.2, 40, 40.1, 40.2, 41, 41.1, 41.2])
    )


def test_sentences_leave_and_the_last_ones_take_their_index() -> None:
    cache = make_cache(4)
    step(cache, 1, 1.0)
    for keys, values in cache.self_kv:
        for sentence in range(4):
            keys[sentence], values[sentence] = 10 + sentence, 20 + sentence
    cache.ancestry[2] = False
    cross = [keys.clone() for keys, _ in cache.cross_kv]
    mask = cache.memory_mask = F.pad(cache.memory_mask, (0, 5))[..., :S]
    cache.keep_sentences(torch.tensor([0, 3, 2]))
    assert cache.memory_mask[:, 0, 0, 0].tolist() == [0, 3, 2]
    assert cache.memory_mask.stride() == mask.stride()  # its rows are aligned for a GPU
    assert cache.ancestry[:, 0, 0].tolist() == [True, True, False]
    for layer in range(2):
        assert torch.equal(cache.cross_kv[layer][0], cross[layer][[0, 3, 2]])
        assert [kept[:, 0, 0, 0].tolist() for kept in cache.self_kv[layer]] == [[10, 13, 12], [20, 23, 22]]
    step(cache, 1, 2.0)
    assert cache.self_kv[0][0][:, 0, :2, 0].tolist() == [[10, 2], [13, 2], [12, 2]]

"""The guard: which updates it skips, what it counts, what it saves."""

import math

import pytest
import torch
from torch import Tensor

from nmt.training.guard import Guard


def make_guard() -> Guard:
    return Guard(torch.device("cpu"))


def feed(guard: Guard, *losses: float, start: int = 1, norm: float = 1.0) -> list[bool]:
    """Check updates with these losses of a token; return which of them are skipped."""
    return [bool(guard.check(step, torch.tensor(loss), torch.tensor(norm))) for step, loss in enumerate(losses, start)]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_an_update_is_skipped_where_loss_or_gradient_is_not_finite(bad: float) -> None:
    guard = make_guard()
    assert feed(guard, 1.0, bad, 1.0) == [False, True, False]
    assert feed(guard, 1.0, norm=bad) == [True]
    assert guard.counts() == (2, 1)


def test_the_result_is_the_number_that_the_fused_optimizer_reads() -> None:
    guard = make_guard()
    taken, skipped = (guard.check(1, torch.tensor(loss), torch.tensor(1.0)) for loss in (1.0, math.nan))
    assert (taken.dtype, float(taken), float(skipped)) == (torch.float32, 0.0, 1.0)


def test_a_loss_of_more_than_two_and_a_half_medians_is_skipped_once_twenty_are_known() -> None:
    guard = make_guard()
    assert not any(feed(guard, *[1.0, 3.0, 2.0] * 6, 2.0, 1000.0))  # the first 20 are never skipped
    assert feed(guard, 5.0, 5.01, start=21) == [False, True]
    assert feed(make_guard(), *[1.0] * 19, 1000.0)[-1] is False
    assert feed(make_guard(), *[1.0] * 20, 1000.0)[-1] is True
    assert feed(make_guard(), *[1.0] * 20, 2.5, 2.51) == [False] * 21 + [True]


def test_a_low_loss_is_never_abnormal() -> None:
    """A model of an algorithmic task may have a hundred times the loss on a step of longer examples."""
    guard = make_guard()
    assert feed(guard, *[0.01] * 20, 1.0, 1.001) == [False] * 21 + [True]
    assert feed(make_guard(), *[0.44] * 20, 1.09, 1.11) == [False] * 21 + [True]


def test_the_median_of_an_even_number_of_losses_is_the_lower_one() -> None:
    guard = make_guard()
    assert not any(feed(guard, *[1.0] * 11, *[2.0] * 11))
    assert feed(guard, 2.6, start=23) == [True]
    guard = make_guard()
    feed(guard, *[1.0] * 10, *[2.0] * 12)
    assert feed(guard, 4.9, start=23) == [False]


def test_a_skipped_loss_is_not_kept_or_it_would_soon_be_the_median() -> None:
    guard = make_guard()
    assert feed(guard, *[1.0] * 20, *[100.0] * 200) == [False] * 20 + [True] * 200
    assert guard.counts() == (200, 200)


def test_only_the_last_hundred_losses_are_kept() -> None:
    guard = make_guard()
    # Losses may rise slowly, each near enough to the window before it.
    assert not any(feed(guard, *[1.0] * 100, *[2.0] * 100, *[4.0] * 100))
    assert feed(guard, 10.0, 10.1, start=301) == [False, True]
    assert len(guard.recent) == 100
    # Of the last hundred a half is 2 and a half is 4: one more of either decides.
    guard = make_guard()
    feed(guard, *[1.0] * 50, *[2.0] * 50, *[4.0] * 50)
    assert feed(guard, 5.1, start=151) == [True]


def test_skipped_updates_are_counted_in_all_and_in_a_row() -> None:
    guard, counts = make_guard(), []
    for step, loss in enumerate([1.0, math.nan, math.nan, 1.0, math.nan], 1):
        feed(guard, loss, start=step)
        counts.append(guard.counts())
    assert counts == [(0, 0), (1, 1), (2, 2), (2, 0), (3, 1)]


def test_a_restored_guard_goes_on_as_the_saved_one() -> None:
    guard, other = make_guard(), make_guard()
    feed(guard, *[1.0] * 20, 100.0, 100.0)
    saved: dict[str, Tensor] = {name: tensor.clone() for name, tensor in guard.state().items()}
    assert saved.keys() == {"guard.recent", "guard.skipped", "guard.in_a_row"}
    others = {"exp_avg.x": torch.zeros(1)}
    tensors = {**others, **saved}
    other.restore(tensors)
    assert tensors == others  # the rest is the optimizer's
    assert other.counts() == (2, 2)
    assert feed(other, 2.6, 2.5, start=23) == [True, False]
    assert other.counts() == (3, 0)


def test_a_checkpoint_without_a_guard_is_refused() -> None:
    with pytest.raises(KeyError):
        make_guard().restore({})

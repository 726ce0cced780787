"""The loss and its gradient are those of torch's cross_entropy."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from nmt.training import loss as loss_module
from nmt.training.loss import smoothed_loss

V, PAD = 23, 0
smoothings = pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.3, 0.9])
ROWS = loss_module.ROWS["cpu"]
sizes = pytest.mark.parametrize("rows", [1, 7, ROWS, 4 * ROWS + 5])


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def draw(rows: int) -> tuple[Tensor, Tensor]:
    """Return logits and labels of which about a third, never the first, are padding."""
    generator = torch.Generator().manual_seed(rows)
    logits = 4 * torch.randn(rows, V, generator=generator)
    labels = torch.randint(1, V, (rows,), generator=generator)
    is_padding = torch.rand(rows, generator=generator) < 0.3
    is_padding[0] = False
    return logits, labels.masked_fill(is_padding, PAD)


@sizes
@smoothings
def test_the_loss_and_its_gradient_are_those_of_torch_with_padding_ignored(rows: int, smoothing: float) -> None:
    logits, labels = draw(rows)
    mine, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    real = labels != PAD
    loss, _ = smoothed_loss(mine[real], labels[real], smoothing=smoothing)
    expected = F.cross_entropy(theirs, labels, ignore_index=PAD, label_smoothing=smoothing, reduction="sum")
    assert_close(loss, expected, rtol=2e-6, atol=0)
    # Other than by 1, so that the gradient which comes from above is seen to count.
    (loss / 3).backward()
    (expected / 3).backward()
    assert_close(mine.grad, theirs.grad, rtol=1e-5, atol=1e-6)


@sizes
@smoothings
def test_the_nll_is_torch_without_smoothing_whatever_the_smoothing(rows: int, smoothing: float) -> None:
    logits, labels = draw(rows)
    real = labels != PAD
    _, nll = smoothed_loss(logits[real], labels[real], smoothing=smoothing)
    assert_close(nll, F.cross_entropy(logits, labels, ignore_index=PAD, reduction="sum"), rtol=2e-6, atol=0)
    assert not nll.requires_grad


@smoothings
def test_bfloat16_logits_give_the_float32_loss_of_their_values_and_a_rounded_gradient(smoothing: float) -> None:
    logits, labels = draw(2 * ROWS + 5)
    real = labels != PAD
    rounded = logits[real].bfloat16()
    mine, theirs = rounded.clone().requires_grad_(), rounded.float().requires_grad_()
    loss, nll = smoothed_loss(mine, labels[real], smoothing=smoothing)
    expected = F.cross_entropy(theirs, labels[real], label_smoothing=smoothing, reduction="sum")
    assert loss.dtype == nll.dtype == torch.float32
    assert_close(loss, expected, rtol=2e-6, atol=0)
    loss.backward()
    expected.backward()
    assert mine.grad is not None
    assert mine.grad.dtype == torch.bfloat16
    # bfloat16 has eight bits: half a unit in the last place is 2^-9.
    assert_close(mine.grad.float(), theirs.grad, rtol=2**-8, atol=1e-6)


def test_bfloat16_logits_give_nearly_the_loss_of_float32_ones() -> None:
    logits, labels = draw(2 * ROWS + 5)
    real = labels != PAD
    exact, _ = smoothed_loss(logits[real], labels[real], smoothing=0.1)
    near, _ = smoothed_loss(logits[real].bfloat16(), labels[real], smoothing=0.1)
    assert float(near) != float(exact)
    assert_close(near, exact, rtol=2e-3, atol=0)


def test_every_class_gets_an_equal_share_of_the_smoothing_the_right_one_too() -> None:
    logits = torch.zeros(1, 4, requires_grad=True)
    loss, nll = smoothed_loss(logits, torch.tensor([2]), smoothing=0.2)
    loss.backward()
    assert float(nll) == pytest.approx(float(torch.tensor(4.0).log()))
    # softmax - target: 1/4 - 0.05 for the wrong ones, 1/4 - 0.85 for the right one.
    assert_close(logits.grad, torch.tensor([[0.2, 0.2, -0.6, 0.2]]))


def test_the_loss_is_a_sum_so_cutting_the_rows_changes_nothing() -> None:
    logits, labels = draw(ROWS + 50)
    whole, _ = smoothed_loss(logits, labels, smoothing=0.1)
    parts = [smoothed_loss(logits[part], labels[part], smoothing=0.1)[0] for part in (slice(0, 99), slice(99, None))]
    assert_close(parts[0] + parts[1], whole, rtol=2e-6, atol=0)

"""The loss of a product with the vocabulary and both its gradients are those of torch's linear and cross_entropy."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.testing import assert_close

from nmt.training import loss as loss_module
from nmt.training.loss import smoothed_loss

V, D, PAD = 23, 11, 0
ROWS, FEW = 8, 3
"""Rows of a product and of a softmax, where they are cut: the one is no multiple of the other."""
smoothings = pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.3, 0.9])
sizes = pytest.mark.parametrize("rows", [1, FEW, 7, ROWS, ROWS + 1, 4 * ROWS + 5])


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def cut(monkeypatch: pytest.MonkeyPatch, rows: int = ROWS, few: int = FEW, vocabulary: int = V) -> None:
    """Let products be of so many rows, and a softmax of so few."""
    monkeypatch.setitem(loss_module.PRODUCT, "cpu", rows * vocabulary)
    monkeypatch.setitem(loss_module.SOFTMAX, "cpu", few * vocabulary)


@pytest.fixture(params=[True, False], ids=["in chunks", "at once"], autouse=True)
def chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do each test in many chunks and in one."""
    if request.param:
        cut(monkeypatch)


class Case(NamedTuple):
    """A product and its labels."""

    hidden: Tensor
    """(N, D)"""
    weight: Tensor
    """(V, D)"""
    labels: Tensor
    """(N), about a third, never the first, padding."""

    def grown(self) -> tuple[Tensor, Tensor]:
        """Return copies of both operands that want gradients."""
        return self.hidden.clone().requires_grad_(), self.weight.clone().requires_grad_()

    def real(self) -> "Case":
        """Return the rows without padding."""
        where = self.labels != PAD
        return Case(self.hidden[where], self.weight, self.labels[where])

    def to(self, dtype: torch.dtype) -> "Case":
        """Round both operands."""
        return Case(self.hidden.to(dtype), self.weight.to(dtype), self.labels)


def draw(rows: int) -> Case:
    """Return a case whose logits have a deviation of about 4."""
    generator = torch.Generator().manual_seed(rows)
    hidden = torch.randn(rows, D, generator=generator)
    weight = 4 / D**0.5 * torch.randn(V, D, generator=generator)
    labels = torch.randint(1, V, (rows,), generator=generator)
    is_padding = torch.rand(rows, generator=generator) < 0.3
    is_padding[0] = False
    return Case(hidden, weight, labels.masked_fill(is_padding, PAD))


@sizes
@smoothings
def test_the_loss_and_both_gradients_are_those_of_torch_with_padding_ignored(rows: int, smoothing: float) -> None:
    case = draw(rows)
    hidden, weight = case.grown()
    their_hidden, their_weight = case.grown()
    real = case.labels != PAD
    loss, _ = smoothed_loss(hidden[real], weight, case.labels[real], smoothing=smoothing)
    logits = F.linear(their_hidden, their_weight)
    expected = F.cross_entropy(logits, case.labels, ignore_index=PAD, label_smoothing=smoothing, reduction="sum")
    assert_close(loss, expected, rtol=2e-6, atol=0)
    # Other than by 1, so that the gradient which comes from above is seen to count.
    (loss / 3).backward()
    (expected / 3).backward()
    assert_close(hidden.grad, their_hidden.grad, rtol=1e-5, atol=2e-6)
    assert_close(weight.grad, their_weight.grad, rtol=1e-5, atol=5e-6)


@sizes
@smoothings
def test_the_nll_is_torch_without_smoothing_whatever_the_smoothing(rows: int, smoothing: float) -> None:
    case = draw(rows)
    hidden, weight = case.grown()
    real = case.labels != PAD
    _, nll = smoothed_loss(hidden[real], weight, case.labels[real], smoothing=smoothing)
    logits = case.hidden @ case.weight.T
    assert_close(nll, F.cross_entropy(logits, case.labels, ignore_index=PAD, reduction="sum"), rtol=2e-6, atol=0)
    assert not nll.requires_grad


@smoothings
def test_a_weight_that_is_the_identity_leaves_the_gradient_of_the_logits(smoothing: float) -> None:
    generator = torch.Generator().manual_seed(1)
    logits, labels = 4 * torch.randn(45, V, generator=generator), torch.randint(V, (45,), generator=generator)
    mine, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss, _ = smoothed_loss(mine, torch.eye(V), labels, smoothing=smoothing)
    expected = F.cross_entropy(theirs, labels, label_smoothing=smoothing, reduction="sum")
    assert_close(loss, expected, rtol=2e-6, atol=0)
    loss.backward()
    expected.backward()
    assert_close(mine.grad, theirs.grad, rtol=1e-5, atol=1e-6)


@smoothings
def test_bfloat16_logits_give_the_float32_loss_of_their_values_and_a_rounded_gradient(smoothing: float) -> None:
    # With the identity as the weight the product rounds nothing: the logits are the rounded values themselves.
    generator = torch.Generator().manual_seed(2)
    logits, labels = (4 * torch.randn(45, V, generator=generator)).bfloat16(), torch.randint(V, (45,))
    mine, theirs = logits.clone().requires_grad_(), logits.float().requires_grad_()
    loss, nll = smoothed_loss(mine, torch.eye(V).bfloat16(), labels, smoothing=smoothing)
    expected = F.cross_entropy(theirs, labels, label_smoothing=smoothing, reduction="sum")
    assert loss.dtype == nll.dtype == torch.float32
    assert_close(loss, expected, rtol=2e-6, atol=0)
    loss.backward()
    expected.backward()
    assert mine.grad is not None
    assert mine.grad.dtype == torch.bfloat16
    # bfloat16 has eight bits: half a unit in the last place is 2^-9.
    assert_close(mine.grad.float(), theirs.grad, rtol=2**-8, atol=1e-6)


@smoothings
def test_bfloat16_operands_give_nearly_the_loss_and_the_gradients_of_float32_ones(smoothing: float) -> None:
    case = draw(2 * ROWS + 5).real()
    exact_hidden, exact_weight = case.grown()
    hidden, weight = case.to(torch.bfloat16).grown()
    exact, _ = smoothed_loss(exact_hidden, exact_weight, case.labels, smoothing=smoothing)
    near, _ = smoothed_loss(hidden, weight, case.labels, smoothing=smoothing)
    assert not torch.equal(near, exact)
    assert_close(near, exact, rtol=3e-3, atol=0)
    exact.backward()
    near.backward()
    for mine, theirs in ((hidden, exact_hidden), (weight, exact_weight)):
        assert mine.grad is not None
        assert theirs.grad is not None
        assert mine.grad.dtype == torch.bfloat16
        assert float((mine.grad.float() - theirs.grad).norm()) < 0.02 * float(theirs.grad.norm())


def test_in_bfloat16_the_gradient_of_the_weight_adds_up_in_float32_over_the_chunks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cut(monkeypatch, rows=1, few=1)
    generator = torch.Generator().manual_seed(3)
    hidden = torch.randn(1, D, generator=generator).bfloat16().expand(3000, D).contiguous()
    weight = torch.randn(V, D, generator=generator).bfloat16()
    mine, theirs = weight.clone().requires_grad_(), weight.float().requires_grad_()
    labels = torch.full((3000,), 4)
    smoothed_loss(hidden, mine, labels, smoothing=0.1)[0].backward()
    F.cross_entropy(hidden.float() @ theirs.T, labels, label_smoothing=0.1, reduction="sum").backward()
    assert mine.grad is not None
    assert theirs.grad is not None
    # A sum of 3000 in bfloat16 would stand still at 256 times a term.
    assert float((mine.grad.float() - theirs.grad).norm()) < 0.02 * float(theirs.grad.norm())


def test_every_class_gets_an_equal_share_of_the_smoothing_the_right_one_too() -> None:
    logits = torch.zeros(1, 4, requires_grad=True)
    loss, nll = smoothed_loss(logits, torch.eye(4), torch.tensor([2]), smoothing=0.2)
    loss.backward()
    assert float(nll) == pytest.approx(float(torch.tensor(4.0).log()))
    # softmax - target: 1/4 - 0.05 for the wrong ones, 1/4 - 0.85 for the right one.
    assert_close(logits.grad, torch.tensor([[0.2, 0.2, -0.6, 0.2]]))


def test_the_loss_is_a_sum_so_cutting_the_rows_changes_nothing() -> None:
    hidden, weight, labels = draw(150)
    whole, _ = smoothed_loss(hidden, weight, labels, smoothing=0.1)
    parts = [
        smoothed_loss(hidden[part], weight, labels[part], smoothing=0.1)[0] for part in (slice(0, 99), slice(99, None))
    ]
    assert_close(parts[0] + parts[1], whole, rtol=2e-6, atol=0)


@pytest.mark.parametrize("wanted", ["hidden", "weight"])
def test_one_operand_may_want_a_gradient_without_the_other(wanted: str) -> None:
    case = draw(40).real()
    hidden, weight = case.grown()
    smoothed_loss(hidden, weight, case.labels, smoothing=0.1)[0].backward()
    alone = {"hidden": case.hidden.clone(), "weight": case.weight.clone()}
    alone[wanted].requires_grad_()
    smoothed_loss(alone["hidden"], alone["weight"], case.labels, smoothing=0.1)[0].backward()
    assert_close(alone[wanted].grad, hidden.grad if wanted == "hidden" else weight.grad, rtol=0, atol=0)


def test_no_operand_is_written_to_and_without_gradients_there_is_the_loss_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = draw(40).real()
    before = case.hidden.clone(), case.weight.clone(), case.labels.clone()
    plain = smoothed_loss(*case, smoothing=0.1)
    assert not plain[0].requires_grad
    hidden, weight = case.grown()
    smoothed_loss(hidden, weight, case.labels, smoothing=0.1)[0].backward()
    monkeypatch.setattr(torch, "mm", None)  # by which the gradient of `hidden` is made
    for mode in (torch.inference_mode, torch.no_grad):
        with mode():
            assert all(map(torch.equal, plain, smoothed_loss(hidden, weight, case.labels, smoothing=0.1)))
    assert all(map(torch.equal, case, before))
    assert torch.equal(hidden, before[0])
    assert torch.equal(weight, before[1])


def test_logits_far_apart_overflow_nothing() -> None:
    hidden = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    loss, nll = smoothed_loss(hidden, torch.eye(2), torch.tensor([0, 0]), smoothing=0.0)
    loss.backward()
    assert (float(loss.detach()), float(nll)) == (400.0, 400.0)
    assert_close(hidden.grad, torch.tensor([[0.0, 0.0], [-1.0, 1.0]]))


def test_there_are_never_more_logits_than_a_product_has(monkeypatch: pytest.MonkeyPatch) -> None:
    cut(monkeypatch, rows=4, few=2)
    seen: list[tuple[int, ...]] = []
    products: list[int] = []
    softmax, product = Tensor.softmax, torch.mm

    def softmax_spy(logits: Tensor, dim: int) -> Tensor:
        seen.append(tuple(logits.shape))
        return softmax(logits, dim)

    def product_spy(logits: Tensor, weight: Tensor, *, out: Tensor) -> Tensor:
        products.append(len(logits))
        return product(logits, weight, out=out)

    monkeypatch.setattr(Tensor, "softmax", softmax_spy)
    monkeypatch.setattr(torch, "mm", product_spy)
    hidden, weight, labels = draw(11)
    smoothed_loss(hidden.requires_grad_(), weight, labels, smoothing=0.1)[0].backward()
    assert seen == [(2, V), (2, V), (2, V), (2, V), (2, V), (1, V)]
    assert products == [4, 4, 3]

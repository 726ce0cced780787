"""The smoothed loss: values worked out by hand, and the rows cut into chunks."""

import math

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend
from torch.testing import assert_close

from nmt.training import loss as module
from nmt.training.loss import loss_of_logits, smoothed_loss

ROWS, WIDTH, SIZE = 23, 8, 11


def draw() -> tuple[Tensor, Tensor, Tensor]:
    """Return hidden states, a weight and labels."""
    generator = torch.Generator().manual_seed(1)
    hidden, weight = (torch.randn(rows, WIDTH, generator=generator) for rows in (ROWS, SIZE))
    return hidden, weight, torch.randint(SIZE, (ROWS,), generator=generator)


def gradients(
    hidden: Tensor, weight: Tensor, labels: Tensor, factor: float = 1.0, *, compiled: bool = False
) -> tuple[Tensor, ...]:
    """Return the loss times `factor` and its gradients."""
    hidden, weight = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
    loss, _ = smoothed_loss(hidden, weight, labels, smoothing=0.1, compiled=compiled)
    return (loss.detach() * factor, *torch.autograd.grad(loss * factor, (hidden, weight)))


@pytest.mark.parametrize(
    ("smoothing", "expected"), [(0.0, math.log(4 / 3)), (0.2, math.log(4 / 3) + 0.1 * math.log(3))]
)
def test_smoothing_takes_its_share_of_the_loss_from_the_mean_of_all_classes(smoothing: float, expected: float) -> None:
    # Probabilities 3/4 and 1/4: the label's loss is -log(3/4), the mean of both classes 1/2 log(3) above it.
    logits = torch.tensor([[math.log(3), 0.0]])
    loss, nll = smoothed_loss(logits, torch.eye(2), torch.tensor([0]), smoothing=smoothing)
    assert float(loss) == pytest.approx(expected)
    assert float(nll) == pytest.approx(math.log(4 / 3))


def test_the_gradient_is_the_softmax_less_the_smoothed_target() -> None:
    logits = torch.tensor([[math.log(3), 0.0]], requires_grad=True)
    loss, nll = smoothed_loss(logits, torch.eye(2), torch.tensor([0]), smoothing=0.2)
    assert not nll.requires_grad
    (gradient,) = torch.autograd.grad(loss, logits)
    assert_close(gradient, torch.tensor([[0.75 - 0.9, 0.25 - 0.1]]))


def test_loss_and_gradients_are_sums_that_a_factor_scales() -> None:
    hidden, weight, labels = draw()
    whole = gradients(hidden, weight, labels)
    first, second = gradients(hidden[:9], weight, labels[:9]), gradients(hidden[9:], weight, labels[9:])
    assert_close(first[0] + second[0], whole[0])
    assert_close(torch.cat([first[1], second[1]]), whole[1])
    assert_close(first[2] + second[2], whole[2])
    for scaled, plain in zip(gradients(hidden, weight, labels, 3.0), whole, strict=True):
        assert_close(scaled, 3 * plain)


@pytest.mark.parametrize(("product", "few"), [(5 * SIZE, 2 * SIZE), (SIZE, SIZE), (1, 1), (4 * SIZE + 3, 4 * SIZE)])
def test_chunks_change_nothing_and_are_no_larger_than_they_may_be(
    monkeypatch: pytest.MonkeyPatch, product: int, few: int
) -> None:
    case = draw()
    whole = gradients(*case)
    sizes: list[int] = []
    original = Tensor.softmax

    def softmax(some: Tensor, dim: int) -> Tensor:
        sizes.append(len(some))
        return original(some, dim)

    monkeypatch.setattr(Tensor, "softmax", softmax)
    monkeypatch.setattr(module, "PRODUCT", {"cpu": product})
    monkeypatch.setattr(module, "SOFTMAX", {"cpu": few})
    for cut, plain in zip(gradients(*case), whole, strict=True):
        assert_close(cut, plain)
    assert sum(sizes) == ROWS
    assert max(sizes) == max(1, min(product, few) // SIZE)


def test_without_gradients_the_loss_is_the_same_and_costs_no_backward(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, weight, labels = draw()
    loss, _, _ = gradients(hidden, weight, labels)
    monkeypatch.setattr(torch, "mm", None)  # by which the gradient of `hidden` is computed
    plain, _ = smoothed_loss(hidden, weight, labels, smoothing=0.1)
    assert torch.equal(plain, loss)
    with torch.no_grad():
        plain, _ = smoothed_loss(hidden, weight.requires_grad_(), labels, smoothing=0.1)
    assert torch.equal(plain, loss)
    assert not plain.requires_grad


@pytest.mark.parametrize("name", ["hidden", "weight"])
def test_either_operand_may_want_its_gradient_alone(name: str) -> None:
    hidden, weight, labels = draw()
    _, *both = gradients(hidden, weight, labels)
    wanted = hidden if name == "hidden" else weight
    smoothed_loss(hidden=hidden, weight=weight, labels=labels, smoothing=0.1)  # with neither
    wanted.requires_grad_()
    loss, _ = smoothed_loss(hidden, weight, labels, smoothing=0.1)
    loss.backward()
    assert wanted.grad is not None
    assert_close(wanted.grad, both[name == "weight"])


def test_large_logits_do_not_overflow() -> None:
    loss, nll = smoothed_loss(torch.tensor([[200.0, -200.0]]), torch.eye(2), torch.tensor([1]), smoothing=0.0)
    assert (float(loss), float(nll)) == (400.0, 400.0)


def test_the_sizes_of_chunks_fit_a_cache_on_a_cpu_and_never_the_whole_memory() -> None:
    assert 2**20 <= module.SOFTMAX["cpu"] * 4 <= 2**22  # bytes in float32
    assert 16 * module.SOFTMAX["cpu"] <= module.PRODUCT["cpu"] < module.PRODUCT["cuda"]
    assert 2**26 <= module.SOFTMAX["cuda"] == module.PRODUCT["cuda"] <= 2**27


def test_bfloat16_operands_give_a_float32_loss_and_gradients_of_their_own_type() -> None:
    hidden, weight, labels = draw()
    exact = gradients(hidden, weight, labels)
    loss, d_hidden, d_weight = gradients(hidden.bfloat16(), weight.bfloat16(), labels)
    assert (loss.dtype, d_hidden.dtype, d_weight.dtype) == (torch.float32, torch.bfloat16, torch.bfloat16)
    assert_close(loss, exact[0], rtol=0.02, atol=0)
    assert_close(d_weight.float(), exact[2], rtol=0.05, atol=0.2)


def test_on_a_gpu_products_of_bfloat16_are_not_rounded_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, weight, labels = draw()
    hidden, weight = hidden.bfloat16(), weight.bfloat16()
    exact = gradients(hidden.float(), weight.float(), labels)
    rounded = gradients(hidden, weight, labels)
    mm, types = torch.mm, list[torch.dtype | None]()

    def product(a: Tensor, b: Tensor, *, out: Tensor | None = None, out_dtype: torch.dtype | None = None) -> Tensor:
        types.append(out_dtype)
        if out_dtype is not None:  # which this product has on a GPU alone
            return mm(a.to(out_dtype), b.to(out_dtype))
        return mm(a, b, out=out)

    monkeypatch.setattr(Tensor, "is_cuda", True, raising=False)
    monkeypatch.setattr(torch, "mm", product)
    loss, d_hidden, d_weight = gradients(hidden, weight, labels)
    assert types == [torch.float32, None, torch.float32]
    assert (loss.dtype, d_hidden.dtype, d_weight.dtype) == (torch.float32, torch.bfloat16, torch.bfloat16)
    assert_close(loss, exact[0])
    assert abs(rounded[0] - exact[0]) > 10 * abs(loss - exact[0])
    assert_close(d_hidden.float(), exact[1], rtol=0.02, atol=0.01)
    assert_close(d_weight.float(), exact[2], rtol=0.02, atol=0.02)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_compiled_loss_is_the_same_in_one_graph_for_all_numbers_of_rows(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    hidden, weight, labels = draw()
    hidden, weight = hidden.to(dtype), weight.to(dtype)
    plain = gradients(hidden, weight, labels)
    counter = CompileCounterWithBackend("aot_eager")  # the same graph, without the time that its code takes
    monkeypatch.setattr(module, "compiled_loss", lambda: torch.compile(loss_of_logits, dynamic=True, backend=counter))
    monkeypatch.setattr(module, "PRODUCT", {"cpu": 7 * SIZE})
    monkeypatch.setattr(module, "SOFTMAX", {"cpu": 7 * SIZE})
    for one, other in zip(gradients(hidden, weight, labels, compiled=True), plain, strict=True):
        assert_close(one, other)
    for rows in (2, 5, 12):
        gradients(hidden[:rows], weight, labels[:rows], compiled=True)
    assert counter.frame_count == 1


@pytest.mark.parametrize("chunk", [2**24, 3 * SIZE])
def test_a_bias_is_added_to_the_logits_and_has_a_gradient(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.PRODUCT, "cpu", chunk)
    hidden, weight, labels = draw()
    bias = torch.linspace(-1, 1, SIZE)
    leaves = [tensor.clone().requires_grad_() for tensor in (hidden, weight, bias)]
    loss, nll = smoothed_loss(leaves[0], leaves[1], labels, smoothing=0.1, bias=leaves[2])
    again = [tensor.clone().requires_grad_() for tensor in (hidden, weight, bias)]
    logits = torch.nn.functional.linear(*again)
    expected = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.1, reduction="sum")
    assert_close(loss, expected)
    assert_close(nll, torch.nn.functional.cross_entropy(logits, labels, reduction="sum"))
    gradients = (torch.autograd.grad(total * 2, inputs) for total, inputs in ((loss, leaves), (expected, again)))
    for one, other in zip(*gradients, strict=True):
        assert_close(one, other)

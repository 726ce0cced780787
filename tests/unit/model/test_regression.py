"""The network of vectors: its tokens, what they see, and that linear layers can make steps of gradient descent."""

import numpy as np
import pytest
import torch
from torch import Tensor

from nmt.config.model import ModelConfig
from nmt.model.regression import AttentionLayer, VectorNetwork, example_mask, regression_tokens
from nmt.tasks import estimators
from nmt.tasks.regression import LinearFunctions, Sequences

D, N, Q, RATE = 4, 6, 3, 0.3  # inputs, examples, queries


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def config(layers: int = 1, **values: object) -> ModelConfig:
    shape = {"d_model": 8, "heads": 2, "ffn": 12, "decoder_layers": layers, "dropout": 0.0, "norm": "pre"}
    return ModelConfig.model_validate({"architecture": "decoder-only", **shape, **values})


def tokens_of(sequences: Sequences) -> Tensor:
    return regression_tokens(*map(torch.from_numpy, (sequences.x, sequences.y, sequences.queries)))


def mask_of(counts: list[int], *, is_causal: bool, examples: int = N) -> Tensor:
    return example_mask(torch.tensor(counts), examples, Q, is_causal=is_causal)


def test_an_example_is_a_token_with_its_value_and_a_query_one_without() -> None:
    x, y, queries = torch.tensor([[[1.0, 2.0]]]), torch.tensor([[3.0]]), torch.tensor([[[4.0, 5.0]]])
    assert regression_tokens(x, y, queries).tolist() == [[[1, 2, 3], [4, 5, 0]]]


def test_queries_see_the_examples_that_count_and_examples_all_or_the_earlier_ones() -> None:
    prefix = example_mask(torch.tensor([2, 3]), 3, 1, is_causal=False)
    assert prefix.int().tolist() == [[[[1, 1, 0, 0]] * 4], [[[1, 1, 1, 0]] * 4]]
    causal = example_mask(torch.tensor([2, 3]), 3, 1, is_causal=True)
    assert causal.int().tolist() == [
        [[[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]]],
        [[[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 0]]],
    ]


@pytest.mark.parametrize("kernel", ["softmax", "linear"])
@pytest.mark.parametrize("is_causal", [True, False])
@pytest.mark.parametrize("feed_forward", [True, False])
@torch.no_grad()
def test_examples_that_do_not_count_and_other_queries_change_nothing(
    kernel: str, is_causal: bool, feed_forward: bool
) -> None:
    torch.manual_seed(1)
    network = VectorNetwork(config(2, attention_kernel=kernel), D + 1, 1, feed_forward=feed_forward).double()
    drawn = LinearFunctions(D).draw(2, N, Q, (1,))
    tokens = tokens_of(drawn)
    whole = network(tokens, mask_of([4, N], is_causal=is_causal))
    assert whole.shape == (2, N + Q, 1)
    fewer = network(tokens_of(drawn.first(4))[:1], mask_of([4], is_causal=is_causal, examples=4))
    torch.testing.assert_close(whole[0, N:], fewer[0, 4:], rtol=0, atol=1e-12)
    other = tokens.clone()
    other[:, -1] += 1
    changed = network(other, mask_of([4, N], is_causal=is_causal))
    assert torch.equal(changed[:, :-1], whole[:, :-1])
    assert not torch.isclose(changed[:, -1], whole[:, -1]).any()


@pytest.mark.parametrize("is_causal", [True, False])
@torch.no_grad()
def test_order_changes_the_causal_predictions_of_two_layers_alone(is_causal: bool) -> None:
    torch.manual_seed(1)
    drawn = LinearFunctions(D).draw(2, N, Q, (1,))
    tokens = tokens_of(drawn)
    swapped = tokens[:, [1, 0, *range(2, N + Q)]]
    for layers in (1, 2):
        network = VectorNetwork(config(layers), D + 1, 1).double()
        one, other = (network(each, mask_of([N, N], is_causal=is_causal))[:, N:] for each in (tokens, swapped))
        assert torch.allclose(one, other, rtol=0, atol=1e-12) != (is_causal and layers == 2)


def gradient_network(layers: int) -> VectorNetwork:
    """Return linear self-attention of the weights of von Oswald et al. 2023, section 2, for the residuals of examples.

    A token holds (x, y - prediction), and for a query (x, -prediction).
    """
    inputs = D + 2  # an even width, of which the last number stays 0
    linear = config(layers, d_model=inputs, heads=1, attention_kernel="linear")
    network = VectorNetwork(linear, D + 1, 1, has_norm=False).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.input.weight[: D + 1, : D + 1] = torch.eye(D + 1)
        network.output.weight[0, D] = -1
        for layer in network.layers:
            assert isinstance(layer, AttentionLayer)
            attention = layer.self_attention
            attention.query.weight[:D, :D] = torch.eye(D).double() * inputs**0.5  # against the scale of the scores
            attention.key_value.weight[:D, :D] = torch.eye(D)
            attention.key_value.weight[inputs + D, D] = 1  # the value is the residual
            attention.output.weight[D, D] = -RATE
    return network


@pytest.mark.parametrize("layers", [1, 2, 5])
@torch.no_grad()
def test_k_layers_of_linear_attention_can_be_k_steps_of_gradient_descent(layers: int) -> None:
    drawn = LinearFunctions(D, 0.1).draw(3, N, Q, (1,))
    network, mask = gradient_network(layers), mask_of([N] * 3, is_causal=False)
    (*_, weights) = estimators.gradient_descent(drawn.x, drawn.y, np.array([RATE]), layers)
    found = network(tokens_of(drawn), mask)[:, N:, 0]
    np.testing.assert_allclose(found.numpy(), drawn.predict(weights[0]))
    causal = network(tokens_of(drawn), mask_of([N] * 3, is_causal=True))[:, N:, 0]
    assert torch.allclose(causal, found) == (layers == 1)


def test_without_norms_a_network_has_none_and_matrices_are_drawn_alike() -> None:
    networks = []
    for _ in range(2):
        torch.manual_seed(1)
        networks.append(VectorNetwork(config(attention_kernel="linear"), 3, 2, has_norm=False))
    names = [name for name, _ in networks[0].named_parameters()]
    assert not [name for name in names if "norm" in name]
    assert [name for name, _ in VectorNetwork(config(), 3, 2).named_parameters() if "norm" in name] == [
        "layers.0.self_attention_norm.weight",
        "layers.0.self_attention_norm.bias",
        "norm.weight",
        "norm.bias",
    ]
    for (name, one), other in zip(networks[0].named_parameters(), networks[1].parameters(), strict=True):
        assert torch.equal(one, other)
        bound = (6 / ((one.size(0) // (2 if "key_value" in name else 1)) + one.size(-1))) ** 0.5
        assert 0.6 * bound < float(one.detach().abs().max()) <= bound if one.dim() > 1 else not one.any()

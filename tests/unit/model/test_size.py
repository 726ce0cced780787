"""Parameters by part, operations of a real search, and the memory of all that a model holds."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from precisions import in_int8
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from nmt.config.decoding import DecodingConfig
from nmt.config.model import ModelConfig
from nmt.data.encoding.dataset import Batch
from nmt.inference.protocol import Request, Row
from nmt.inference.search import search
from nmt.model.encoder_decoder import Transformer
from nmt.model.families import build, build_without_weights
from nmt.model.preparation import prepare
from nmt.model.size import (
    Operations,
    memory_of_weights,
    operations,
    operations_of_training,
    parameters_by_part,
    part_of,
)

D, F, SOURCE, TARGET = 16, 24, 70, 90
ATTENTION, FEED_FORWARD = 4 * (D * D + D), 2 * D * F + D + F


def make_config(**values: Any) -> ModelConfig:
    layers = {"encoder_layers": 2, "decoder_layers": 3} if "architecture" not in values else {"decoder_layers": 3}
    return ModelConfig.model_validate({"d_model": D, "heads": 4, "ffn": F, "max_length": 16, **layers, **values})


def make_model(source: int = SOURCE, target: int = TARGET, **values: Any) -> Transformer:
    torch.manual_seed(1)
    return Transformer(make_config(**values), source, target, pad_id=0).eval()


def test_parameters_are_counted_by_part_and_shared_ones_once() -> None:
    layers = {
        "encoder, self attention": 2 * ATTENTION,
        "encoder, feed forward": 2 * FEED_FORWARD,
        "encoder, norms": 2 * 2 * 2 * D,
        "decoder, self attention": 3 * ATTENTION,
        "decoder, cross attention": 3 * ATTENTION,
        "decoder, feed forward": 3 * FEED_FORWARD,
        "decoder, norms": 3 * 3 * 2 * D,
    }
    none = parameters_by_part(make_model(tied_embeddings="none"))
    source, target = {"source embedding": SOURCE * D}, {"target embedding": TARGET * D, "output layer": TARGET * D}
    assert none == {**layers, **source, **target}
    target_only = parameters_by_part(make_model(tied_embeddings="target"))
    assert target_only == {**layers, **source, "target embedding and output layer": TARGET * D}
    model = make_model(TARGET, TARGET, norm="pre", positions="learned")
    parts = parameters_by_part(model)
    assert parts == {
        **layers,
        "encoder, norms": layers["encoder, norms"] + 2 * D,
        "decoder, norms": layers["decoder, norms"] + 2 * D,
        "target embedding and source embedding and output layer": TARGET * D,
        "positions": 2 * 16 * D,
    }
    assert sum(parts.values()) == sum(parameter.numel() for parameter in model.parameters())
    assert parts == parameters_by_part(build_without_weights(model_config(model), TARGET, TARGET))


def model_config(model: Transformer) -> ModelConfig:
    return make_config(norm="pre" if model.decoder_layers[0].pre_norm else "post", positions="learned")


def test_a_parameter_of_another_family_is_named_by_its_module() -> None:
    assert part_of("adapter.weight") == "adapter"
    assert part_of("decoder.11.feed_forward.inner.bias") == "decoder, feed forward"
    assert part_of("decoder_norm.bias") == "decoder, norms"


class Counter(TorchFunctionMode):
    """Sums the operations of all products; PyTorch's FlopCounterMode has the same sum, and takes a second to start."""

    total = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is functional.linear:
            self.total += 2 * args[0].numel() * len(args[1])
        elif func in (torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__):
            self.total += 2 * args[0].numel() * args[1].size(-1)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("beam_size", "values"),
    [(1, {}), (3, {"head_width": 7}), (2, {"architecture": "decoder-only"}), (1, {"architecture": "prefix-lm"})],
)
def test_the_operations_of_a_search_are_those_of_its_products(beam_size: int, values: dict[str, Any]) -> None:
    torch.manual_seed(1)
    model = build(make_config(tied_embeddings="none", **values), SOURCE, TARGET).eval()
    for source in (1, 6):
        limit = source + 4  # every hypothesis is as long as it may be
        decoding = DecodingConfig(beam_size=beam_size, max_extra_length=3, min_length=limit - 1)
        with Counter() as counter:
            ((best,),) = search([model], [Row(list(range(5, 5 + source)))], Request(decoding))
        assert len(best.ids) == limit - 1
        assert counter.total == operations(model).of_search(source + 1, limit, beam_size)


def test_with_a_window_the_pairs_within_it_count() -> None:
    model = make_model(attention_window=3)
    ours = operations(model)
    assert ours == replace(operations(make_model()), window=3)
    for source, target in ((2, 3), (4, 4), (9, 7)):
        pairs = sum(abs(a - b) <= 3 for a in range(source) for b in range(source))
        steps = [1, *[2] * (target - 1)]
        cached = sum(width * sum(steps[max(step - 3, 0) : step + 1]) for step, width in enumerate(steps))
        others = replace(ours, source_pair=0, target_pair=0).of_search(source, target, 2)
        assert ours.of_search(source, target, 2) == others + pairs * ours.source_pair + cached * ours.target_pair
    short, long = (np.array([length], dtype=float) for length in (3, 9))
    whole, window = (operations_of_training(each, short, long) for each in (make_model(), model))
    assert whole - window == 3 * ours.target_pair * sum(abs(a - b) > 3 for a in range(9) for b in range(9))
    whole, window = (operations_of_training(each, long, short) for each in (make_model(), model))
    assert whole - window == 3 * ours.source_pair * sum(abs(a - b) > 3 for a in range(9) for b in range(9))


@pytest.mark.parametrize(
    "values",
    [{}, {"head_width": 7}, {"architecture": "decoder-only"}, {"architecture": "prefix-lm"}, {"source_loss": True}],
)
def test_the_operations_of_training_are_three_times_those_of_the_forward_pass(values: dict[str, Any]) -> None:
    with_source = "source_loss" in values
    shape = {"architecture": "decoder-only"} if with_source else values
    model = build(make_config(tied_embeddings="none", **shape), SOURCE, SOURCE)
    lengths = [(1, 3), (6, 2), (5, 5)]
    with Counter() as counter:
        for source, target in lengths:
            src, tgt = torch.full((1, source), 5), torch.full((1, target), 5)
            hidden, labels = model.loss_inputs(Batch(src, tgt, tgt, torch.arange(target)), with_source=with_source)
            assert len(labels) == target + with_source * (source - 1)
            model.generator(hidden)
    sides = (np.array(side, dtype=float) for side in zip(*lengths, strict=True))
    assert operations_of_training(model, *sides, with_source=with_source) == 3 * counter.total


def test_the_operations_follow_from_the_shapes_alone() -> None:
    ours = operations(build_without_weights(make_config(), SOURCE, SOURCE))
    encoder, decoder = 2 * (4 * D * D + 2 * D * F), 3 * (4 * D * D + 2 * D * D + 2 * D * F)
    assert ours == Operations(
        2 * (encoder + 3 * 2 * D * D), 4 * 2 * D, 2 * (decoder + SOURCE * D), 4 * 3 * D, 4 * 3 * D
    )
    assert ours == operations(make_model(SOURCE, SOURCE))


def test_memory_is_that_of_every_tensor_that_is_held() -> None:
    tied = make_model(TARGET, TARGET)
    parameters, positions = sum(parameter.numel() for parameter in tied.parameters()), 2 * 16 * D
    assert memory_of_weights(tied) == 4 * (parameters + positions)
    # The embeddings and the output layer, which are laid out in their own ways, are no longer shared.
    assert memory_of_weights(prepare(tied, "float32")) == 4 * (parameters + positions + TARGET * D)
    tied = make_model(TARGET, TARGET)
    assert memory_of_weights(prepare(tied, "bfloat16")) == 2 * (parameters + TARGET * D) + 4 * positions


@in_int8
def test_in_int8_the_products_have_a_byte_a_weight_and_the_embeddings_are_float32() -> None:
    model = make_model(TARGET, TARGET, d_model=64, ffn=256)
    whole = memory_of_weights(model)
    linear = sum(part.numel() for name, part in model.named_parameters() if part.dim() == 2 and "embedding" not in name)
    found = memory_of_weights(prepare(model, "int8"))
    assert linear + 4 * TARGET * 64 < found < linear + 4 * TARGET * 64 + whole / 4

"""The specification that CTranslate2 gets: each weight in its slot, and the vocabularies."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("ctranslate2")

from nmt.config.model import ModelConfig
from nmt.exporting.converter import TABLE, DecoderConverter, StackConverter, TransformerConverter
from nmt.exporting.converter import converter as converter_for
from nmt.model.families import build


def side(name: str, size: int) -> Any:
    return SimpleNamespace(size=size, pieces=lambda ids: [f"{name}{index}" for index in ids])


def converter(norm: str, width: int | None = None, activation: str = "relu", **values: Any) -> StackConverter:
    torch.manual_seed(1)
    shape = {"d_model": 8, "heads": 2, "ffn": 12, "encoder_layers": 1, "decoder_layers": 2, "max_length": 8}
    blocks = {"norm": norm, "head_width": width, "activation": activation, "tied_embeddings": "target"}
    config = ModelConfig.model_validate({**shape, **blocks, **values})
    model = build(config, 10, 11)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    tokenizer: Any = SimpleNamespace(source=side("s", 10), target=side("t", 11))
    return converter_for(model, config, tokenizer)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_every_weight_of_the_model_is_in_its_slot(norm: str) -> None:
    own = converter(norm)
    assert isinstance(own, TransformerConverter)
    spec = own._load()
    spec.validate()
    slots = {
        "source_embedding": spec.encoder.embeddings[0],
        "target_embedding": spec.decoder.embeddings,
        "generator": spec.decoder.projection,
        "encoder.0.self_attention.output": spec.encoder.layer[0].self_attention.linear[1],
        "encoder.0.feed_forward.inner": spec.encoder.layer[0].ffn.linear_0,
        "encoder.0.feed_forward.outer": spec.encoder.layer[0].ffn.linear_1,
        "decoder.1.self_attention.output": spec.decoder.layer[1].self_attention.linear[1],
        "decoder.1.cross_attention.query": spec.decoder.layer[1].attention.linear[0],
        "decoder.1.cross_attention.key_value": spec.decoder.layer[1].attention.linear[1],
        "decoder.1.cross_attention.output": spec.decoder.layer[1].attention.linear[2],
    }
    for name, slot in slots.items():
        np.testing.assert_array_equal(slot.weight.numpy(), own.tensors[f"{name}.weight"])
        if f"{name}.bias" in own.tensors:
            np.testing.assert_array_equal(slot.bias.numpy(), own.tensors[f"{name}.bias"])
    norms = {
        "encoder.0.self_attention_norm": spec.encoder.layer[0].self_attention.layer_norm,
        "encoder.0.feed_forward_norm": spec.encoder.layer[0].ffn.layer_norm,
        "decoder.1.cross_attention_norm": spec.decoder.layer[1].attention.layer_norm,
    }
    if norm == "pre":
        norms |= {"encoder_norm": spec.encoder.layer_norm, "decoder_norm": spec.decoder.layer_norm}
    for name, slot in norms.items():
        np.testing.assert_array_equal(slot.gamma.numpy(), own.tensors[f"{name}.weight"])
        np.testing.assert_array_equal(slot.beta.numpy(), own.tensors[f"{name}.bias"])


def test_the_width_of_heads_is_written_where_it_is_given() -> None:
    for width in (None, 6):
        spec = converter("pre", width)._load()
        spec.validate()
        decoder = spec.decoder.layer[1]
        for attention in (spec.encoder.layer[0].self_attention, decoder.self_attention, decoder.attention):
            assert hasattr(attention, "head_dim") == (width is not None)
            assert width is None or attention.head_dim.numpy() == width


def test_the_gate_is_the_map_with_the_activation() -> None:
    own = converter("pre", activation="swiglu")
    spec = own._load()
    spec.validate()
    layer = spec.decoder.layer[1].ffn
    for slot, name in ((layer.linear_0, "gate"), (layer.linear_0_noact, "inner"), (layer.linear_1, "outer")):
        np.testing.assert_array_equal(slot.weight.numpy(), own.tensors[f"decoder.1.feed_forward.{name}.weight"])


def test_query_keys_and_values_are_one_matrix_that_is_a_copy() -> None:
    own = converter("pre")
    linear = own._load().decoder.layer[0].self_attention.linear[0]
    parts = [own.tensors[f"decoder.0.self_attention.{part}.weight"] for part in ("query", "key_value")]
    np.testing.assert_array_equal(linear.weight, torch.cat(parts))
    single = own._array("generator.weight")
    single[:] = 0
    assert own.tensors["generator.weight"].any()


def test_the_vocabularies_and_special_pieces_are_those_of_the_tokenizer() -> None:
    spec = converter("pre")._load()
    assert spec._vocabularies["source"] == [[f"s{index}" for index in range(10)]]
    assert spec._vocabularies["target"] == [[f"t{index}" for index in range(11)]]
    config = spec.config
    assert (config.unk_token, config.bos_token, config.eos_token) == ("t1", "t2", "t3")
    assert (config.decoder_start_token, config.add_source_bos, config.add_source_eos) == ("t2", False, True)
    assert config.layer_norm_epsilon == 1e-5


ALONE: dict[str, Any] = {"architecture": "decoder-only", "encoder_layers": 0, "tied_embeddings": "all"}


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_a_decoder_alone_has_its_weights_and_one_vocabulary(norm: str) -> None:
    own = converter(norm, **ALONE)
    assert isinstance(own, DecoderConverter)
    spec = own._load()
    spec.validate()
    layer = spec.decoder.layer[1]
    assert not hasattr(layer, "attention")
    slots = {
        "target_embedding": spec.decoder.embeddings,
        "generator": spec.decoder.projection,
        "decoder.1.self_attention.output": layer.self_attention.linear[1],
        "decoder.1.feed_forward.inner": layer.ffn.linear_0,
        "decoder.1.feed_forward.outer": layer.ffn.linear_1,
    }
    for name, slot in slots.items():
        np.testing.assert_array_equal(slot.weight.numpy(), own.tensors[f"{name}.weight"])
    np.testing.assert_array_equal(spec.decoder.position_encodings.encodings.numpy(), own.tensors["positions.table"])
    if norm == "pre":
        np.testing.assert_array_equal(spec.decoder.layer_norm.gamma.numpy(), own.tensors["decoder_norm.weight"])
    assert spec._vocabulary == [f"t{index}" for index in range(11)]
    config = spec.config
    assert (config.unk_token, config.bos_token, config.eos_token) == ("t1", "t2", "t3")
    assert (config.layer_norm_epsilon, config.multi_query_attention) == (1e-5, False)


@pytest.mark.parametrize(("positions", "rows"), [("sinusoidal", 40), ("learned", 16)])
def test_sines_go_on_for_as_many_positions_as_are_wanted(positions: str, rows: int) -> None:
    short = converter("pre", positions=positions)
    model = build(short.config, 10, 11)
    long = converter_for(model, short.config, short.tokenizer, 40)
    fewer = converter_for(model, short.config, short.tokenizer, 3)
    assert (len(short.tensors[TABLE]), len(long.tensors[TABLE]), len(fewer.tensors[TABLE])) == (16, rows, 16)
    assert torch.equal(long.tensors[TABLE][:16], model.all_tensors()[TABLE])
    assert long._load().encoder.position_encodings.encodings.shape == (rows, 8)

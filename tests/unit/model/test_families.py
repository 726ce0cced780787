"""Families: what is built for a recipe, and its outline without weights."""

import subprocess
import sys
import time

import pytest
import torch

from nmt.config.model import ModelConfig
from nmt.data.encoding.tokenizer import PAD_ID
from nmt.model.encoder_decoder import Transformer
from nmt.model.families import build, build_undrawn, build_without_weights, check_shapes

CONFIG = ModelConfig(d_model=16, heads=4, ffn=24, encoder_layers=1, decoder_layers=3, tied_embeddings="target")


def test_a_recipe_builds_the_encoder_decoder_with_vocabularies_of_its_sizes() -> None:
    model = build(CONFIG, 11, 17)
    assert isinstance(model, Transformer)
    assert (model.source_embedding.num_embeddings, model.target_embedding.num_embeddings) == (11, 17)
    assert (len(model.encoder), len(model.decoder), model.decoder_depth) == (1, 3, 3)
    assert model.pad_id == PAD_ID
    assert model.device == torch.device("cpu")


def test_the_weights_follow_the_seed() -> None:
    models = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        models.append(build(CONFIG, 11, 17).weights()["target_embedding.weight"])
    assert torch.equal(models[0], models[1])
    assert not torch.equal(models[0], models[2])


def test_shapes_are_compared_in_no_time_whatever_a_config_claims() -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in build(CONFIG, 11, 17).weights().items()}
    check_shapes(shapes, CONFIG, 11, 17)
    began = time.process_time()
    for claim, message in (
        ({"d_model": 2**16, "heads": 2}, r"is \(.*\), not \(.*65536.*\)"),
        ({"ffn": 2**18}, "not .*262144"),
        ({"encoder_layers": 1000}, f"{len(shapes)} weights are too few for 100[0-9] layers"),
        ({"decoder_layers": CONFIG.decoder_layers + 1}, "is not in both the file and the model"),
    ):
        with pytest.raises(ValueError, match=message):
            check_shapes(shapes, CONFIG.model_copy(update=claim), 11, 17)
    with pytest.raises(ValueError, match="target_embedding"):
        check_shapes(shapes, CONFIG, 11, 2**40)
    small = {
        name: tuple(tensor.shape) for name, tensor in build_undrawn(CONFIG, 11, 17, in_int8=True).weights().items()
    }
    check_shapes(small, CONFIG, 11, 17, in_int8=True)
    with pytest.raises(ValueError, match=r"scale is not in both the file and the model"):
        check_shapes(small, CONFIG, 11, 17)
    assert time.process_time() - began < 2


def test_an_outline_has_the_names_and_shapes_and_no_memory_and_draws_nothing() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    outline = build_without_weights(CONFIG, 11, 17)
    assert torch.equal(torch.get_rng_state(), before)
    assert outline.device == torch.device("meta")
    expected = {name: tensor.shape for name, tensor in build(CONFIG, 11, 17).weights().items()}
    assert {name: tensor.shape for name, tensor in outline.weights().items()} == expected


def test_an_undrawn_model_computes_as_a_drawn_one_of_the_same_weights() -> None:
    drawn = build(CONFIG, 11, 17).eval()
    undrawn = build_undrawn(CONFIG, 11, 17).eval()
    undrawn.load_weights(drawn.weights())
    src, tgt = torch.tensor([[4, 5, 3]]), torch.tensor([[2, 6]])
    assert torch.equal(undrawn.hidden(src, tgt), drawn.hidden(src, tgt))
    assert drawn.weights()["source_embedding.weight"].std() > 0.01


def test_shapes_are_checked_without_the_slow_import_of_symbolic_arithmetic() -> None:
    code = (
        "import sys; from nmt.config.model import ModelConfig; from nmt.model.families import build_without_weights; "
        "build_without_weights(ModelConfig(), 100, 100); print('sympy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"

"""The models of transformers that bundles become, and the engine that compares them."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

pytest.importorskip("transformers")

from nmt.config.decoding import DecodingConfig
from nmt.config.model import ModelConfig
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, PAD_ID
from nmt.exporting.transformers_model import Limits, TransformersEngine, converted, generation
from nmt.inference.engines.native import NativeEngine
from nmt.inference.protocol import Request, Row
from nmt.model.encoder_decoder import Transformer
from nmt.model.families import build

V, SHAPE = 29, {"d_model": 16, "heads": 4, "ffn": 24, "max_length": 16, "encoder_layers": 1, "decoder_layers": 2}
PAIRS = [([5, 6, 7, 8, 9, 10], [11, 12]), ([13], [14, 15, 16, 17, 18]), ([19, 20, 21], []), ([22] * 15, [8] * 31)]
GREEDY = DecodingConfig(beam_size=1, length_penalty=0.0, max_extra_length=5)


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make(source: int = V, **values: object) -> tuple[Transformer, ModelConfig]:
    """Build a model and draw all its weights, biases and norms too, so that none is 0 or 1 by accident."""
    config = ModelConfig.model_validate({**SHAPE, "dropout": 0.0, **values})
    torch.manual_seed(3)
    model = build(config, source, V)
    for name, parameter in model.named_parameters():
        nn.init.normal_(parameter, mean=float(name.endswith("norm.weight")), std=0.4)
    assert isinstance(model, Transformer)
    return model.eval(), config


def engines(offset: int = 0, source: int = V, **values: object) -> tuple[NativeEngine, TransformersEngine]:
    model, config = make(source, **values)
    theirs = converted(model, config, offset + source if offset else V, offset)
    theirs.generation_config = generation(config, GREEDY, 0.0)
    return NativeEngine([model]), TransformersEngine(theirs, offset, model.position_limit, GREEDY)


@pytest.mark.parametrize(
    "values",
    [
        *({"norm": norm, "tied_embeddings": tied} for norm in ("pre", "post") for tied in ("all", "target", "none")),
        {"norm": "pre", "positions": "learned", "activation": "silu"},
        {"norm": "post", "activation": "gelu", "head_width": 4, "output_bias": True},
    ],
    ids=lambda values: "-".join(map(str, values.values())),
)
def test_the_log_probabilities_are_those_of_the_native_engine(values: dict[str, Any]) -> None:
    native, theirs = engines(**values)
    for ours, found in zip(*(next(iter(engine.score([PAIRS]))) for engine in (native, theirs)), strict=True):
        assert_close(torch.tensor(found), torch.tensor(ours), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("tied", ["target", "none"])
def test_sources_with_a_vocabulary_of_their_own_have_tokens_of_their_own(tied: str) -> None:
    native, theirs = engines(V, 41, norm="pre", tied_embeddings=tied)
    pairs = [([40, 30], [5]), *PAIRS]
    for ours, found in zip(*(next(iter(engine.score([pairs]))) for engine in (native, theirs)), strict=True):
        assert_close(torch.tensor(found), torch.tensor(ours), rtol=1e-4, atol=1e-4)
    assert theirs.model.final_logits_bias[0, V - 1 : V + 1].tolist() == [0, -torch.inf]


@pytest.mark.parametrize("beam_size", [1, 3])
def test_the_search_finds_what_the_native_one_finds_within_the_limit_of_each_row(beam_size: int) -> None:
    native, theirs = engines(norm="pre", max_length=32)
    rows = [Row([piece] * (1 + piece % 4)) for piece in range(4, V)]
    request = Request(GREEDY.model_copy(update={"beam_size": beam_size, "max_extra_length": 20}))
    ours, found = ([row[0] for row in next(iter(engine.search([rows], request)))] for engine in (native, theirs))
    limits = [row.limit(request.decoding, 64) for row in rows]
    assert len({len(one.ids) for one in ours}) > 2
    assert any(len(one.ids) + 1 == limit for one, limit in zip(ours, limits, strict=True))
    for one, other in zip(ours, found, strict=True):
        assert other.ids == one.ids
        assert other.score == pytest.approx(one.score, abs=1e-3)


def test_with_the_settings_of_the_bundle_the_model_generates_as_it_is_shipped() -> None:
    _, theirs = engines(norm="pre")
    theirs.model.generation_config.max_new_tokens = 1
    (shipped,) = theirs.search([[Row([5])]], Request(GREEDY))
    (other,) = theirs.search([[Row([5])]], Request(GREEDY.model_copy(update={"beam_size": 2})))
    assert len(shipped[0][0].ids) <= 1 < len(other[0][0].ids)


def test_settings_of_generate_are_those_of_the_search() -> None:
    config = ModelConfig.model_validate(SHAPE)
    decoding = DecodingConfig(beam_size=5, min_length=3, no_repeat_ngram=2, max_extra_length=10)
    found = generation(config, decoding, 0.4)
    assert (found.num_beams, found.length_penalty, found.max_new_tokens) == (5, 0.4, 26)
    assert (found.min_new_tokens, found.no_repeat_ngram_size) == (3, 2)
    assert (found.pad_token_id, found.eos_token_id, found.decoder_start_token_id) == (PAD_ID, EOS_ID, BOS_ID)
    assert found.suppress_tokens == [PAD_ID, BOS_ID]
    assert generation(config, DecodingConfig(), 0.4).max_new_tokens == 32  # as many as there are positions


def test_at_its_limit_a_row_has_no_other_piece_than_the_end() -> None:
    def left(length: int) -> list[int]:
        scores: Tensor = Limits(torch.tensor([2, 3]))(torch.zeros(4, length, dtype=torch.long), torch.zeros(4, 6))
        assert scores[:, EOS_ID].tolist() == [0.0] * 4
        return scores.isfinite().sum(1).tolist()

    assert [left(length) for length in (1, 2, 3)] == [[6] * 4, [1, 1, 6, 6], [1] * 4]

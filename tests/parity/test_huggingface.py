"""Models of every family are those of Hugging Face's transformers with the same weights."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

pytest.importorskip("transformers")

from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    M2M100Config,
    M2M100ForConditionalGeneration,
    MarianConfig,
    MarianMTModel,
    OpenAIGPTConfig,
    OpenAIGPTLMHeadModel,
    PreTrainedModel,
    RoFormerConfig,
    RoFormerForCausalLM,
    RoFormerModel,
)

from nmt.config.decoding import DecodingConfig
from nmt.config.model import ModelConfig
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, PAD_ID
from nmt.inference.protocol import Request, Row
from nmt.inference.search import search
from nmt.model.families import build
from nmt.model.layers import NORM_EPSILON

D, H, FFN, LAYERS, V, LONGEST = 16, 4, 64, 2, 29, 16
PAIRS = [([5, 6, 7, 8, 9, 10], [11, 12]), ([13], [14, 15, 16, 17, 18]), ([19, 20, 21], [22]), ([23, 24, 25, 26], [])]
"""Sources and targets of different lengths, without special pieces: padding is everywhere."""
Weights = dict[str, Tensor]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make(architecture: str, **values: Any) -> Any:
    """Build a model and draw all its weights, biases and norms too, so that none is 0 or 1 by accident."""
    shape = {"d_model": D, "heads": H, "ffn": FFN, "max_length": LONGEST, "dropout": 0.0}
    stacks = {"encoder-decoder": ("encoder", "decoder"), "encoder-only": ("encoder",)}.get(architecture, ("decoder",))
    depths = {f"{stack}_layers": LAYERS for stack in stacks}
    config = ModelConfig.model_validate({**shape, **depths, "architecture": architecture, **values})
    torch.manual_seed(3)
    model = build(config, V, V)
    for name, parameter in model.named_parameters():
        nn.init.normal_(parameter, mean=float(name.endswith("norm.weight")), std=0.4)
    return model.eval()


def assert_same(ours: Tensor, theirs: Tensor) -> None:
    """Check that nothing but rounding in float32 parts the numbers of a model and of theirs."""
    assert_close(ours, theirs, rtol=1e-4, atol=2e-5)


@torch.no_grad()
def carry_over(weights: Weights, theirs: PreTrainedModel) -> Any:
    """Give `theirs` all of its weights."""
    own = dict(theirs.named_parameters())
    assert own.keys() == weights.keys()
    for name, parameter in own.items():
        assert parameter.shape == weights[name].shape, name
        parameter.copy_(weights[name])
    return theirs.eval()


def affine(name: str, *parts: nn.Module, transposed: bool = False) -> Weights:
    """Return the weights of linear maps of the same input, one below the other, or of a norm, under their name."""
    weight, bias = (torch.cat([getattr(part, kind) for part in parts]) for kind in ("weight", "bias"))
    return {f"{name}.weight": weight.t() if transposed else weight, f"{name}.bias": bias}


def attention(names: tuple[str, ...], ours: Any) -> Weights:
    """Return the weights of an attention under the names of the maps to queries, keys and values, and the output."""
    maps = [affine("", ours.query), *halves(ours.key_value), affine("", ours.output)]
    return {f"{name}{kind}": tensor for name, each in zip(names, maps, strict=True) for kind, tensor in each.items()}


def halves(pair: nn.Module) -> list[Weights]:
    weights = affine("", pair)
    return [{name: tensor.chunk(2)[at] for name, tensor in weights.items()} for at in (0, 1)]


def padded(rows: list[list[int]]) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[PAD_ID] * (longest - len(row))] for row in rows])


SRC, TGT_IN = padded([[*src, EOS_ID] for src, _ in PAIRS]), padded([[BOS_ID, *tgt] for _, tgt in PAIRS])
IN_ONE = padded([[*src, EOS_ID, BOS_ID, *tgt] for src, tgt in PAIRS])  # of one sequence
IS_TARGET = TGT_IN != PAD_ID


def of_targets(states: Tensor) -> Tensor:
    """Return the rows (N, D) of the real pieces of the targets in the `states` (B, L, D) of `IN_ONE`."""
    rows = [of_pair[len(src) + 1 :][: len(tgt) + 1] for of_pair, (src, tgt) in zip(states, PAIRS, strict=True)]
    return torch.cat(rows)


def as_halves(table: Tensor) -> Tensor:
    """Return sines and cosines that are in turn in `table` as theirs: all sines, then all cosines."""
    return torch.cat([table[..., ::2], table[..., 1::2]], -1)


def bart_stack(name: str, stack: Any, *, crossing: bool) -> Weights:
    """Return the weights of our layers `stack` under the names that BART, Marian and M2M-100 have for them."""
    weights: Weights = {}
    for index, layer in enumerate(stack):
        at = f"{name}.layers.{index}"
        attentions = {"self_attn": layer.self_attention}
        norms = {"self_attn_layer_norm": layer.self_attention_norm, "final_layer_norm": layer.feed_forward_norm}
        if crossing:
            attentions["encoder_attn"] = layer.cross_attention
            norms["encoder_attn_layer_norm"] = layer.cross_attention_norm
        for their_name, ours in attentions.items():
            maps = tuple(f"{at}.{their_name}.{part}_proj" for part in ("q", "k", "v", "out"))
            weights |= attention(maps, ours)
        for their_name, norm in norms.items():
            weights |= affine(f"{at}.{their_name}", norm)
        weights |= affine(f"{at}.fc1", layer.feed_forward.inner) | affine(f"{at}.fc2", layer.feed_forward.outer)
    return weights


BART_SHAPE: dict[str, Any] = {
    "vocab_size": V,
    "d_model": D,
    "encoder_layers": LAYERS,
    "decoder_layers": LAYERS,
    "encoder_attention_heads": H,
    "decoder_attention_heads": H,
    "encoder_ffn_dim": FFN,
    "decoder_ffn_dim": FFN,
    "scale_embedding": True,
    "pad_token_id": PAD_ID,
    "bos_token_id": BOS_ID,
    "eos_token_id": EOS_ID,
    "decoder_start_token_id": BOS_ID,
    "dropout": 0.0,
}


def marian(ours: Any, activation: str) -> Any:
    """Return Marian's model: post-norm, and the positions of ours in place of its own."""
    config = MarianConfig(
        **BART_SHAPE,
        activation_function=activation,
        max_position_embeddings=2 * LONGEST,
        share_encoder_decoder_embeddings=True,
        forced_eos_token_id=None,
    )
    weights = {"model.shared.weight": ours.target_embedding.weight}
    for side in ("encoder", "decoder"):
        weights[f"model.{side}.embed_positions.weight"] = ours.positions.table
        weights |= bart_stack(f"model.{side}", getattr(ours, side), crossing=side == "decoder")
    return carry_over(weights, MarianMTModel(config))


def m2m100(ours: Any, activation: str) -> Any:
    """Return the model of M2M-100: pre-norm, and the positions of ours, which begin at 1 there, for its own."""
    config = M2M100Config(**BART_SHAPE, activation_function=activation, max_position_embeddings=2 * LONGEST)
    theirs = M2M100ForConditionalGeneration(config)
    weights = {"model.shared.weight": ours.target_embedding.weight}
    for side in ("encoder", "decoder"):
        weights |= bart_stack(f"model.{side}", getattr(ours, side), crossing=side == "decoder")
        weights |= affine(f"model.{side}.layer_norm", getattr(ours, f"{side}_norm"))
        stack = theirs.get_submodule(f"model.{side}")
        stack.embed_positions.weights = nn.functional.pad(ours.positions.table.detach(), (0, 0, PAD_ID + 1, 0))
    return carry_over(weights, theirs)


@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
@pytest.mark.parametrize("activation", ["relu", "gelu", "silu"])
@pytest.mark.parametrize(("norm", "convert"), [("post", marian), ("pre", m2m100)], ids=["marian", "m2m100"])
@torch.no_grad()
def test_an_encoder_decoder_is_that_of_marian_and_m2m100(
    norm: str, convert: Any, activation: str, positions: str
) -> None:
    ours = make("encoder-decoder", norm=norm, activation=activation, positions=positions)
    theirs = convert(ours, activation)
    logits = theirs(input_ids=SRC, attention_mask=SRC != PAD_ID, decoder_input_ids=TGT_IN).logits
    assert_same(ours(SRC, TGT_IN)[IS_TARGET], logits[IS_TARGET])


def gpt(ours: Any, *, pre_norm: bool, activation: str) -> Any:
    """Return GPT-2's model, or with post-norm the one of the first GPT; both have one weight for three maps."""
    shape: dict[str, Any] = {"vocab_size": V, "n_embd": D, "n_head": H, "n_layer": LAYERS, "n_positions": 3 * LONGEST}
    shape |= {"bos_token_id": BOS_ID, "eos_token_id": EOS_ID, "pad_token_id": PAD_ID, "tie_word_embeddings": False}
    theirs: PreTrainedModel
    if pre_norm:
        names = ("wte", "wpe")
        theirs = GPT2LMHeadModel(GPT2Config(**shape, activation_function=activation, n_inner=FFN))
    else:
        names = ("tokens_embed", "positions_embed")
        theirs = OpenAIGPTLMHeadModel(OpenAIGPTConfig(**shape, afn=activation))
    weights = {
        f"transformer.{names[0]}.weight": ours.target_embedding.weight * math.sqrt(D),
        f"transformer.{names[1]}.weight": ours.positions.table,
        "lm_head.weight": ours.generator.weight,
    }
    if pre_norm:
        weights |= affine("transformer.ln_f", ours.decoder_norm)
    for index, layer in enumerate(ours.decoder):
        at, own, maps = f"transformer.h.{index}", layer.self_attention, layer.feed_forward
        weights |= affine(f"{at}.ln_1", layer.self_attention_norm) | affine(f"{at}.ln_2", layer.feed_forward_norm)
        weights |= affine(f"{at}.attn.c_attn", own.query, own.key_value, transposed=True)
        weights |= affine(f"{at}.attn.c_proj", own.output, transposed=True)
        weights |= affine(f"{at}.mlp.c_fc", maps.inner, transposed=True)
        weights |= affine(f"{at}.mlp.c_proj", maps.outer, transposed=True)
    return carry_over(weights, theirs)


@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
@pytest.mark.parametrize(
    ("norm", "activation"), [("pre", "relu"), ("pre", "gelu"), ("pre", "silu"), ("post", "relu"), ("post", "silu")]
)
@torch.no_grad()
def test_a_decoder_alone_is_that_of_gpt(norm: str, activation: str, positions: str) -> None:
    ours = make("decoder-only", norm=norm, activation=activation, positions=positions)
    theirs = gpt(ours, pre_norm=norm == "pre", activation=activation)
    logits = theirs(input_ids=IN_ONE, attention_mask=IN_ONE != PAD_ID).logits
    assert_same(ours(SRC, TGT_IN)[IS_TARGET], of_targets(logits))


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@torch.no_grad()
def test_a_prefix_model_is_that_of_gpt_2_with_its_mask(activation: str) -> None:
    ours = make("prefix-lm", norm="pre", activation=activation, positions="learned")
    theirs = gpt(ours, pre_norm=True, activation=activation)
    places = torch.arange(IN_ONE.size(1))
    in_source = places < torch.tensor([len(src) + 1 for src, _ in PAIRS])[:, None]  # (B, L)
    mask = (places <= places[:, None]) | (in_source[:, None] & in_source[..., None])  # (B, L, L)
    logits = theirs(input_ids=IN_ONE, attention_mask=mask[:, None]).logits
    assert_same(ours(SRC, TGT_IN)[IS_TARGET], of_targets(logits))
    causal = theirs(input_ids=IN_ONE, attention_mask=IN_ONE != PAD_ID).logits
    assert not torch.allclose(of_targets(causal), of_targets(logits), atol=0.1)


def bert(ours: Any, activation: str, positions: str) -> Any:
    """Return BERT's model, or with rotary positions RoFormer's; either has a norm on embeddings, see `normed`."""
    rotary = positions == "rotary"
    shape: dict[str, Any] = {
        "vocab_size": V,
        "hidden_size": D,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": H,
        "intermediate_size": FFN,
        "hidden_act": activation,
        "layer_norm_eps": NORM_EPSILON,
        "max_position_embeddings": 3 * LONGEST,
        "pad_token_id": PAD_ID,
    }
    stack = ours.get_submodule(ours.stack_name)
    theirs: PreTrainedModel
    if ours.stack_name == "decoder":
        theirs = RoFormerForCausalLM(RoFormerConfig(**shape, is_decoder=True, tie_word_embeddings=False)).roformer
    elif rotary:
        theirs = RoFormerModel(RoFormerConfig(**shape))
    else:
        theirs = BertModel(BertConfig(**shape), add_pooling_layer=False)
    weights = {
        "embeddings.word_embeddings.weight": ours.target_embedding.weight * math.sqrt(D),
        "embeddings.token_type_embeddings.weight": torch.zeros(2, D),
        "embeddings.LayerNorm.weight": torch.full((D,), math.sqrt(1 + NORM_EPSILON)),
        "embeddings.LayerNorm.bias": torch.zeros(D),
    }
    if rotary:
        weights["encoder.embed_positions.weight"] = as_halves(ours.positions.table)
    else:
        weights["embeddings.position_embeddings.weight"] = ours.positions.table
    for index, layer in enumerate(stack):
        at, maps = f"encoder.layer.{index}", layer.feed_forward
        own = (*(f"{at}.attention.self.{part}" for part in ("query", "key", "value")), f"{at}.attention.output.dense")
        weights |= attention(own, layer.self_attention)
        weights |= affine(f"{at}.attention.output.LayerNorm", layer.self_attention_norm)
        weights |= affine(f"{at}.intermediate.dense", maps.inner) | affine(f"{at}.output.dense", maps.outer)
        weights |= affine(f"{at}.output.LayerNorm", layer.feed_forward_norm)
    return carry_over(weights, theirs)


@torch.no_grad()
def normed(ours: Any) -> Any:
    """Choose embeddings and positions whose sum has mean 0 and variance 1, so that a norm on it changes nothing.

    One has its numbers in the first half of the width, the other in the second.
    """

    def unit(table: Tensor) -> Tensor:
        centred = table - table.mean(-1, keepdim=True)
        return centred / centred.square().mean(-1, keepdim=True).sqrt()

    embedding = ours.target_embedding.weight
    if ours.is_rotary:
        embedding.copy_(unit(embedding) / math.sqrt(D))
        return ours
    embedding.copy_(torch.cat([unit(embedding[:, : D // 2]) / math.sqrt(D), torch.zeros(V, D // 2)], 1))
    table = ours.positions.table
    table.copy_(torch.cat([torch.zeros(len(table), D // 2), unit(table[:, D // 2 :])], 1))
    return ours


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu"])
@pytest.mark.parametrize("positions", ["learned", "rotary"], ids=["bert", "roformer"])
@torch.no_grad()
def test_an_encoder_alone_is_that_of_bert_and_roformer(positions: str, activation: str) -> None:
    ours = normed(make("encoder-only", activation=activation, positions=positions))
    theirs = bert(ours, activation, positions)
    states = theirs(input_ids=IN_ONE, attention_mask=IN_ONE != PAD_ID).last_hidden_state
    assert_same(ours.hidden(SRC, TGT_IN)[IS_TARGET], of_targets(states))


@torch.no_grad()
def test_a_decoder_alone_with_rotary_positions_is_that_of_roformer() -> None:
    ours = normed(make("decoder-only", positions="rotary"))
    theirs = bert(ours, "relu", "rotary")
    states = theirs(input_ids=IN_ONE, attention_mask=IN_ONE != PAD_ID).last_hidden_state
    assert_same(ours.hidden(SRC, TGT_IN)[IS_TARGET], of_targets(states))


@pytest.mark.parametrize("architecture", ["encoder-decoder", "decoder-only"])
@torch.no_grad()
def test_greedy_search_finds_what_generate_finds(architecture: str) -> None:
    ours = make(architecture, norm="pre", positions="learned", tied_embeddings="all")
    theirs = m2m100(ours, "relu") if architecture == "encoder-decoder" else gpt(ours, pre_norm=True, activation="relu")
    rows = [Row(ids) for ids, _ in PAIRS] + [Row([piece, piece + 1]) for piece in range(4, V - 1, 4)]
    decoding = DecodingConfig(beam_size=1, max_extra_length=10)
    found = [of_row[0].ids for of_row in search([ours], rows, Request(decoding))]
    for row, ids in zip(rows, found, strict=True):
        own = torch.tensor([[*row.ids, EOS_ID, *([BOS_ID] if architecture == "decoder-only" else [])]])
        limit = row.limit(decoding, ours.position_limit)
        generated = theirs.generate(
            own,
            attention_mask=torch.ones_like(own),
            do_sample=False,
            num_beams=1,
            max_new_tokens=limit,
            suppress_tokens=[PAD_ID, BOS_ID],  # no hypothesis of ours holds them
            pad_token_id=PAD_ID,
        )
        wanted = generated[0].tolist()[1 if architecture == "encoder-decoder" else own.size(1) :]
        assert ids == [piece for piece in wanted if piece != EOS_ID][: limit - 1]
    assert len(set(map(len, found))) > 2

"""The models of transformers that a bundle becomes, and an engine over them; importing it needs that package.

`Pegasus` has norms before sub-layers, `Marian` after them; both have biases, sinusoids in halves (first all sines, then
all cosines), embeddings times sqrt(D) where asked, and add a constant to the logits. Dimensions of the model are
reordered, so that our sinusoids, sines and cosines by turns, become theirs.
"""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    MarianConfig,
    MarianMTModel,
    PegasusConfig,
    PegasusForConditionalGeneration,
    PreTrainedModel,
)

from nmt.config.decoding import DecodingConfig
from nmt.config.model import ModelConfig
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, PAD_ID
from nmt.inference.constraints import pad
from nmt.inference.protocol import BATCH_TOKENS, Hypothesis, Pair, Request, Row, length_penalty
from nmt.model.encoder_decoder import Transformer

Weights = dict[str, Tensor]
CPU = torch.device("cpu")


def empty_model(config: ModelConfig, size: int) -> PreTrainedModel:
    """Return the model of transformers for `config`, with a vocabulary of `size` tokens and weights of its own."""
    values = {
        "vocab_size": size,
        "d_model": config.d_model,
        "encoder_layers": config.encoder_layers,
        "decoder_layers": config.decoder_layers,
        "encoder_attention_heads": config.heads,
        "decoder_attention_heads": config.heads,
        "encoder_ffn_dim": config.ffn,
        "decoder_ffn_dim": config.ffn,
        "activation_function": config.activation,
        "dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        "activation_dropout": config.activation_dropout,
        "max_position_embeddings": 2 * config.max_length,
        "scale_embedding": True,
        "tie_word_embeddings": config.tied_embeddings == "all",
        "pad_token_id": PAD_ID,
        "bos_token_id": BOS_ID,
        "eos_token_id": EOS_ID,
        "decoder_start_token_id": BOS_ID,
        "forced_eos_token_id": None,
    }
    if config.norm == "pre":
        return PegasusForConditionalGeneration(PegasusConfig(**values))
    return MarianMTModel(MarianConfig(**values))


@torch.no_grad()
def converted(model: Transformer, config: ModelConfig, size: int, offset: int) -> PreTrainedModel:
    """Return the model of transformers with the weights of `model`.

    It has `size` tokens: those of the target, and the source's from id `offset` on.
    """
    theirs = empty_model(config, size).eval()
    own = Converter(model, config).weights()
    embeddings = {
        "model.shared": model.target_embedding.weight,
        "model.encoder.embed_tokens": model.source_embedding.weight,
        "model.decoder.embed_tokens": model.target_embedding.weight,
        "lm_head": model.generator.weight,
    }
    order = halves_of(config)
    for name, weight in embeddings.items():
        rows = torch.zeros(size, config.d_model)
        start = offset if "encoder" in name else 0
        rows[start : start + len(weight)] = weight[:, order]
        own[f"{name}.weight"] = rows
    bias = torch.full((1, size), -torch.inf)  # of tokens of the source alone
    bias[:, : model.generator.out_features] = 0.0 if model.generator.bias is None else model.generator.bias
    own["final_logits_bias"] = bias
    theirs.load_state_dict(own)
    return theirs


def halves_of(config: ModelConfig) -> Tensor:
    """Return the order (D) of the dimensions in which sinusoids are in halves; of learned positions none is other."""
    order = torch.arange(config.d_model)
    return torch.cat([order[::2], order[1::2]]) if config.positions == "sinusoidal" else order


class Converter:
    """Names and lays out the weights of layers and positions as transformers does."""

    def __init__(self, model: Transformer, config: ModelConfig) -> None:
        self.tensors, self.config, self.order = model.all_tensors(), config, halves_of(config)

    def weights(self) -> Weights:
        """Return all weights but those of the vocabulary."""
        found: Weights = {}
        for stack, layers in (("encoder", self.config.encoder_layers), ("decoder", self.config.decoder_layers)):
            found[f"model.{stack}.embed_positions.weight"] = self.tensors["positions.table"][:, self.order]
            if self.config.norm == "pre":
                found |= self.norm(f"model.{stack}.layer_norm", f"{stack}_norm")
            for index in range(layers):
                found |= self.layer(f"model.{stack}.layers.{index}", f"{stack}.{index}", is_decoder=stack == "decoder")
        return found

    def layer(self, name: str, own: str, *, is_decoder: bool) -> Weights:
        """Return the weights of one layer."""
        found = self.attention(f"{name}.self_attn", f"{own}.self_attention")
        found |= self.norm(f"{name}.self_attn_layer_norm", f"{own}.self_attention_norm")
        if is_decoder:
            found |= self.attention(f"{name}.encoder_attn", f"{own}.cross_attention")
            found |= self.norm(f"{name}.encoder_attn_layer_norm", f"{own}.cross_attention_norm")
        found |= self.reading(f"{name}.fc1", f"{own}.feed_forward.inner")
        found |= self.writing(f"{name}.fc2", f"{own}.feed_forward.outer")
        return found | self.norm(f"{name}.final_layer_norm", f"{own}.feed_forward_norm")

    def attention(self, name: str, own: str) -> Weights:
        """Return the weights of an attention: our map to keys and values is two of theirs."""
        both = self.reading("", f"{own}.key_value")
        found = self.reading(f"{name}.q_proj", f"{own}.query") | self.writing(f"{name}.out_proj", f"{own}.output")
        for at, part in enumerate(("k_proj", "v_proj")):
            found |= {f"{name}.{part}{kind}": tensor.chunk(2)[at] for kind, tensor in both.items()}
        return found

    def norm(self, name: str, own: str) -> Weights:
        return {f"{name}.{kind}": self.tensors[f"{own}.{kind}"][self.order] for kind in ("weight", "bias")}

    def reading(self, name: str, own: str) -> Weights:
        """Return the weights of a map whose input is of the model's width."""
        weight, bias = self.tensors[f"{own}.weight"], self.tensors[f"{own}.bias"]
        return {f"{name}.weight": weight[:, self.order], f"{name}.bias": bias}

    def writing(self, name: str, own: str) -> Weights:
        """Return the weights of a map whose output is of the model's width."""
        weight, bias = self.tensors[f"{own}.weight"], self.tensors[f"{own}.bias"]
        return {f"{name}.weight": weight[self.order], f"{name}.bias": bias[self.order]}


def generation(config: ModelConfig, decoding: DecodingConfig, exponent: float) -> GenerationConfig:
    """Return the settings of `generate` that come nearest to `decoding`; `exponent` is that of its length penalty."""
    longest = min(config.max_length + decoding.max_extra_length, 2 * config.max_length)
    return GenerationConfig(
        pad_token_id=PAD_ID,
        bos_token_id=BOS_ID,
        eos_token_id=EOS_ID,
        decoder_start_token_id=BOS_ID,
        num_beams=decoding.beam_size,
        length_penalty=exponent,
        max_new_tokens=longest,  # of the longest source; `generate` knows no limit by the source's length
        min_new_tokens=decoding.min_length or None,
        no_repeat_ngram_size=decoding.no_repeat_ngram or None,
        suppress_tokens=[PAD_ID, BOS_ID],  # no hypothesis holds them; their probability goes to no other piece
    )


class Limits(LogitsProcessor):  # type: ignore[misc]  # the package is not read for types
    """Ends each hypothesis at the limit of its row, `limits` (B), as nmt does; `generate` has one for all rows."""

    def __init__(self, limits: Tensor) -> None:
        self.limits = limits

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Leave EOS alone to the rows of `scores` (B * K, V) whose `input_ids` (B * K, T), BOS first, are so long."""
        at_limit = input_ids.size(1) >= self.limits.repeat_interleave(len(input_ids) // len(self.limits))
        others = torch.arange(scores.size(1)) != EOS_ID
        return scores.masked_fill(at_limit[:, None] & others, -torch.inf)


class TransformersEngine:
    """A loaded model of transformers; `offset` is the id of the source's first token.

    With the bundle's `own` settings it generates as it is shipped, with others within the limits of each row.
    """

    def __init__(self, model: PreTrainedModel, offset: int, target_limit: int, own: DecodingConfig) -> None:
        self.model, self.offset, self.target_limit, self.own = model, offset, target_limit, own
        self.batch_tokens = BATCH_TOKENS["cpu"]

    def search(self, batches: Iterable[list[Row]], request: Request) -> Iterator[list[list[Hypothesis]]]:
        """Return the best hypothesis of each row."""
        decoding = request.decoding
        for rows in batches:
            sources, limits = [row.ids for row in rows], [row.limit(decoding, self.target_limit) for row in rows]
            settings: dict[str, object] = {}
            if decoding != self.own:
                settings = {"num_beams": decoding.beam_size, "length_penalty": 0.0, "max_new_tokens": max(limits)}
                settings["logits_processor"] = [Limits(torch.tensor(limits))]
            src, mask = self._inputs(sources)
            with torch.inference_mode():
                generated = self.model.generate(src, attention_mask=mask, **settings).tolist()
            texts = [ids[1 : ids.index(EOS_ID) if EOS_ID in ids else len(ids)] for ids in generated]
            totals = map(sum, self._score(list(zip(sources, texts, strict=True))))
            yield [
                [Hypothesis(text, total / length_penalty(len(text) + 1, decoding.length_penalty))]
                for text, total in zip(texts, totals, strict=True)
            ]

    def score(self, batches: Iterable[list[Pair]]) -> Iterator[list[list[float]]]:
        return map(self._score, batches)

    def _score(self, pairs: Sequence[Pair]) -> list[list[float]]:
        src, mask = self._inputs([src for src, _ in pairs])
        tgt_in = pad([[BOS_ID, *tgt] for _, tgt in pairs], CPU)
        labels = pad([[*tgt, EOS_ID] for _, tgt in pairs], CPU)
        with torch.inference_mode():
            logits = self.model(input_ids=src, attention_mask=mask, decoder_input_ids=tgt_in).logits
            log_probs = logits.log_softmax(-1).gather(2, labels[..., None])[..., 0]
        return [row[: len(tgt) + 1].tolist() for row, (_, tgt) in zip(log_probs, pairs, strict=True)]

    def _inputs(self, sources: list[list[int]]) -> tuple[Tensor, Tensor]:
        """Return the ids (B, S) of sources with EOS, padded, and the mask of the real ones."""
        lengths = [len(ids) + 1 for ids in sources]
        src = pad([[i + self.offset for i in [*ids, EOS_ID]] for ids in sources], CPU)
        return src, torch.arange(src.size(1)) < torch.tensor(lengths)[:, None]

"""The converters from models to CTranslate2's format; importing them needs the package CTranslate2."""

import numpy as np
from ctranslate2.converters.converter import Converter
from ctranslate2.specs import (
    TransformerDecoderModelSpec,
    TransformerDecoderSpec,
    TransformerEncoderSpec,
    TransformerSpec,
)
from ctranslate2.specs.common_spec import Activation, LayerNormSpec, LinearSpec
from ctranslate2.specs.model_spec import ModelConfig as SpecConfig
from torch import nn

from nmt.config.model import ModelConfig
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, UNK_ID, SentencePieceModel, Tokenizer
from nmt.model.decoder_only import DecoderOnly
from nmt.model.embedding import SinusoidalPositions
from nmt.model.encoder_decoder import Transformer
from nmt.model.protocol import Model

TABLE = "positions.table"
ACTIVATIONS = {
    "relu": Activation.RELU,
    "gelu": Activation.GELU,
    "silu": Activation.SWISH,
    "swiglu": Activation.SWISH,  # with a gate
}


class StackConverter(Converter):  # type: ignore[misc]  # the package has no types
    """Describe stacks of layers as CTranslate2 does, with their weights and vocabularies."""

    def __init__(self, model: Model, config: ModelConfig, tokenizer: Tokenizer, least_positions: int = 0) -> None:
        """Sines and cosines are written for `least_positions`, be they more than the model's."""
        self.config, self.tokenizer = config, tokenizer
        self.pre_norm, self.aligns = config.norm == "pre", model.aligns
        self.tensors = model.all_tensors()
        if config.positions == "sinusoidal" and len(self.tensors[TABLE]) < least_positions:
            self.tensors[TABLE] = SinusoidalPositions.encodings(least_positions, config.d_model)
        (self.epsilon,) = {layer.eps for layer in model.modules() if isinstance(layer, nn.LayerNorm)}
        # Everything else is by default as in the paper: embeddings times sqrt(D), and no gate.
        self.shared = {
            "head_dim": config.head_width,
            "rotary_dim": 0 if config.positions == "rotary" else None,  # 0 stands for the whole width of a head
            "activation": ACTIVATIONS[config.activation],
            "ffn_glu": config.activation == "swiglu",
        }

    @property
    def alignment_layer(self) -> int | None:
        """The decoder layer, from 1, whose attention the export gives; None for none."""
        return None

    def _set_stack(self, spec: TransformerEncoderSpec | TransformerDecoderSpec, name: str) -> None:
        """Set what encoders and decoders have: positions, self-attention, feed-forward and norms."""
        if self.config.positions != "rotary":
            spec.position_encodings.encodings = self._array(TABLE)
        if self.pre_norm:
            self._set_norm(spec.layer_norm, f"{name}_norm")
        for index, layer in enumerate(spec.layer):
            prefix = f"{name}.{index}."
            self._set_linear(layer.self_attention.linear[0], f"{prefix}self_attention.", "query", "key_value")
            self._set_linear(layer.self_attention.linear[1], f"{prefix}self_attention.", "output")
            self._set_norm(layer.self_attention.layer_norm, f"{prefix}self_attention_norm")
            if self.config.activation == "swiglu":
                self._set_linear(layer.ffn.linear_0, f"{prefix}feed_forward.", "gate")
                self._set_linear(layer.ffn.linear_0_noact, f"{prefix}feed_forward.", "inner")
            else:
                self._set_linear(layer.ffn.linear_0, f"{prefix}feed_forward.", "inner")
            self._set_linear(layer.ffn.linear_1, f"{prefix}feed_forward.", "outer")
            self._set_norm(layer.ffn.layer_norm, f"{prefix}feed_forward_norm")

    def _set_decoder(self, spec: TransformerDecoderSpec) -> None:
        self._set_stack(spec, "decoder")
        spec.embeddings.weight = self._array("target_embedding.weight")
        self._set_linear(spec.projection, "", "generator")

    def _set_config(self, config: SpecConfig, target: SentencePieceModel) -> None:
        config.bos_token, config.eos_token, config.unk_token = target.pieces([BOS_ID, EOS_ID, UNK_ID])
        config.layer_norm_epsilon = self.epsilon

    def _set_linear(self, spec: LinearSpec, prefix: str, *parts: str) -> None:
        """Set the weights of linear maps of the same input, one below the other."""
        spec.weight = self._array(*(f"{prefix}{part}.weight" for part in parts))
        if f"{prefix}{parts[0]}.bias" in self.tensors:
            spec.bias = self._array(*(f"{prefix}{part}.bias" for part in parts))

    def _set_norm(self, spec: LayerNormSpec, name: str) -> None:
        spec.gamma, spec.beta = self._array(f"{name}.weight"), self._array(f"{name}.bias")

    def _array(self, *names: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        """Return the tensors `names`, one below the other, in a new array: quantization writes into it."""
        return np.concatenate([self.tensors[name].float().cpu().numpy() for name in names])


class TransformerConverter(StackConverter):
    """Describe an encoder and a decoder."""

    @property
    def alignment_layer(self) -> int:
        """The default of the native engine."""
        return max(self.config.decoder_layers - 1, 1)

    def _load(self) -> TransformerSpec:
        config, source, target = self.config, self.tokenizer.source, self.tokenizer.target
        spec = TransformerSpec(
            TransformerEncoderSpec(config.encoder_layers, config.heads, self.pre_norm, **self.shared),
            TransformerDecoderSpec(
                config.decoder_layers,
                config.heads,
                self.pre_norm,
                alignment_layer=self.alignment_layer - 1,  # counted from 0
                alignment_heads=1 if self.aligns else config.heads,  # the first ones, of which it is the mean
                **self.shared,
            ),
        )
        self._set_stack(spec.encoder, "encoder")
        spec.encoder.embeddings[0].weight = self._array("source_embedding.weight")
        self._set_decoder(spec.decoder)
        for index, layer in enumerate(spec.decoder.layer):
            prefix = f"decoder.{index}.cross_attention"
            for linear, part in zip(layer.attention.linear, ("query", "key_value", "output"), strict=True):
                self._set_linear(linear, f"{prefix}.", part)
            self._set_norm(layer.attention.layer_norm, f"{prefix}_norm")
        spec.register_source_vocabulary(source.pieces(range(source.size)))
        spec.register_target_vocabulary(target.pieces(range(target.size)))
        self._set_config(spec.config, target)
        spec.config.decoder_start_token = spec.config.bos_token
        spec.config.add_source_bos, spec.config.add_source_eos = False, True
        return spec


class DecoderConverter(StackConverter):
    """Describe a decoder alone, which has one vocabulary."""

    def _load(self) -> TransformerDecoderModelSpec:
        config, target = self.config, self.tokenizer.target
        decoder = TransformerDecoderSpec(
            config.decoder_layers, config.heads, self.pre_norm, with_encoder_attention=False, **self.shared
        )
        spec = TransformerDecoderModelSpec(decoder)
        self._set_decoder(decoder)
        spec.register_vocabulary(target.pieces(range(target.size)))
        self._set_config(spec.config, target)
        spec.config.multi_query_attention = False  # CTranslate2 4.8 says True where it is not asked
        return spec


CONVERTERS: dict[type[Model], type[StackConverter]] = {Transformer: TransformerConverter, DecoderOnly: DecoderConverter}


def converter(model: Model, config: ModelConfig, tokenizer: Tokenizer, least_positions: int = 0) -> StackConverter:
    """Return the converter for the class of `model`, a model that CTranslate2 has."""
    return CONVERTERS[type(model)](model, config, tokenizer, least_positions)

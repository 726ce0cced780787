"""The converter from the Transformer to CTranslate2's format; importing it needs the package CTranslate2."""

import numpy as np
from ctranslate2.converters.converter import Converter
from ctranslate2.specs import TransformerDecoderSpec, TransformerEncoderSpec, TransformerSpec
from ctranslate2.specs.common_spec import Activation, LayerNormSpec, LinearSpec
from torch import nn

from nmt.config.model import ModelConfig
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, UNK_ID, Tokenizer
from nmt.model.protocol import Model

ACTIVATIONS = {
    "relu": Activation.RELU,
    "gelu": Activation.GELU,
    "silu": Activation.SWISH,
    "swiglu": Activation.SWISH,  # with a gate
}


class TransformerConverter(Converter):  # type: ignore[misc]  # the package has no types
    """Describe a Transformer as CTranslate2 does, with its weights and vocabularies."""

    def __init__(self, model: Model, config: ModelConfig, tokenizer: Tokenizer) -> None:
        self.config, self.tokenizer = config, tokenizer
        self.tensors = model.all_tensors()
        (self.epsilon,) = {layer.eps for layer in model.modules() if isinstance(layer, nn.LayerNorm)}

    def _load(self) -> TransformerSpec:
        config, pre_norm = self.config, self.config.norm == "pre"
        # Everything else is by default as in the paper: embeddings times sqrt(D), and no gate.
        shared = {
            "head_dim": config.head_width,
            "rotary_dim": 0 if config.positions == "rotary" else None,  # 0 stands for the whole width of a head
            "activation": ACTIVATIONS[config.activation],
            "ffn_glu": config.activation == "swiglu",
        }
        spec = TransformerSpec(
            TransformerEncoderSpec(config.encoder_layers, config.heads, pre_norm, **shared),
            TransformerDecoderSpec(config.decoder_layers, config.heads, pre_norm, **shared),
        )
        for name, stack, side, embeddings in (
            ("encoder", spec.encoder, "source", spec.encoder.embeddings[0]),
            ("decoder", spec.decoder, "target", spec.decoder.embeddings),
        ):
            embeddings.weight = self._array(f"{side}_embedding.weight")
            if config.positions != "rotary":
                stack.position_encodings.encodings = self._array("positions.table")
            if pre_norm:
                self._set_norm(stack.layer_norm, f"{name}_norm")
            for index, layer in enumerate(stack.layer):
                prefix = f"{name}.{index}."
                self._set_linear(layer.self_attention.linear[0], f"{prefix}self_attention.", "query", "key_value")
                self._set_linear(layer.self_attention.linear[1], f"{prefix}self_attention.", "output")
                self._set_norm(layer.self_attention.layer_norm, f"{prefix}self_attention_norm")
                if config.activation == "swiglu":
                    self._set_linear(layer.ffn.linear_0, f"{prefix}feed_forward.", "gate")
                    self._set_linear(layer.ffn.linear_0_noact, f"{prefix}feed_forward.", "inner")
                else:
                    self._set_linear(layer.ffn.linear_0, f"{prefix}feed_forward.", "inner")
                self._set_linear(layer.ffn.linear_1, f"{prefix}feed_forward.", "outer")
                self._set_norm(layer.ffn.layer_norm, f"{prefix}feed_forward_norm")
        for index, layer in enumerate(spec.decoder.layer):
            prefix = f"decoder.{index}.cross_attention"
            for linear, part in zip(layer.attention.linear, ("query", "key_value", "output"), strict=True):
                self._set_linear(linear, f"{prefix}.", part)
            self._set_norm(layer.attention.layer_norm, f"{prefix}_norm")
        self._set_linear(spec.decoder.projection, "", "generator")
        self._set_vocabularies(spec)
        return spec

    def _set_vocabularies(self, spec: TransformerSpec) -> None:
        source, target = self.tokenizer.source, self.tokenizer.target
        spec.register_source_vocabulary(source.pieces(range(source.size)))
        spec.register_target_vocabulary(target.pieces(range(target.size)))
        config = spec.config
        config.bos_token, config.eos_token, config.unk_token = target.pieces([BOS_ID, EOS_ID, UNK_ID])
        config.decoder_start_token = config.bos_token
        config.add_source_bos, config.add_source_eos = False, True
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

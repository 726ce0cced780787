"""The section [model]."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from nmt.config.section import Affects, Effect, Section

Layers = Annotated[PositiveInt, Field(le=1000)]
Dropout = Annotated[float, Field(ge=0, lt=1), Affects("updates")]
AttentionKind = Literal["encoder", "decoder", "cross"]
"""Of the encoder's layers over the source, of the decoder's over the target so far, and of the decoder's over the
memory."""


PRESETS: dict[str, dict[str, float]] = {
    "base": {},
    "big": {"d_model": 1024, "ffn": 4096, "heads": 16, "dropout": 0.3},
    "small": {"d_model": 256, "ffn": 1024, "heads": 4, "encoder_layers": 3, "decoder_layers": 3},
    "tiny": {"d_model": 128, "ffn": 512, "heads": 4, "encoder_layers": 2, "decoder_layers": 2},
}
"""The fields that each preset changes; the defaults are the paper's base model [V17, table 3]."""


class ModelConfig(Section):
    """Shape of the encoder-decoder Transformer; defaults are the paper's base model [V17, table 3]."""

    affects: ClassVar[frozenset[Effect]] = frozenset({"weights", "updates"})
    preset: Annotated[Literal["base", "big", "small", "tiny"], Affects()] = "base"
    """Start from these values: the paper's `base` or `big`, or `small` or `tiny` for CPU."""
    d_model: Annotated[PositiveInt, Field(le=2**16)] = 512
    """Width of the residual stream."""
    heads: Annotated[PositiveInt, Field(le=2**12)] = 8
    """Attention heads; must divide `d_model` unless `head_width` is given."""
    head_width: Annotated[PositiveInt, Field(le=2**16)] | None = None
    """Width of the queries, keys and values of a head, the paper's d_k and d_v in one [V17, table 3, rows A and B]; by
    default `d_model` / `heads`."""
    ffn: Annotated[PositiveInt, Field(le=2**18)] = 2048
    """Width of the feed-forward layers."""
    activation: Literal["relu", "gelu", "silu", "swiglu"] = "relu"
    """Between the maps of the feed-forward layers: ReLU [V17, section 3.3], GELU (Hendrycks & Gimpel 2016), SiLU, also
    called swish (Elfwing et al. 2017, Ramachandran et al. 2017), or SwiGLU (Shazeer 2020), the SiLU of one map times
    another map: each is `ffn` wide, so that at 2/3 of the width a layer has as many weights as with the others."""
    encoder_layers: Layers = 6
    """Layers of the encoder."""
    decoder_layers: Layers = 6
    """Layers of the decoder."""
    dropout: Dropout = 0.1
    """On embeddings and on the output of each sub-layer [V17, section 5.4]."""
    attention_dropout: Dropout = 0.0
    """On the attention weights."""
    activation_dropout: Dropout = 0.0
    """After the feed-forward's activation."""
    norm: Literal["post", "pre"] = "post"
    """LayerNorm after each sub-layer's residual sum, as in the paper, or before the sub-layer [X20]."""
    positions: Literal["sinusoidal", "learned", "rotary"] = "sinusoidal"
    """Position encodings: sines and cosines or learned vectors, added to the embeddings [V17, section 3.5], or
    rotations of the queries and keys of self-attention, whose scores then depend on distances (Su et al. 2021)."""
    tied_embeddings: Literal["all", "target", "none"] = "all"
    """Share the output weights with both embeddings [V17, section 3.4], with the target's, or with none."""
    max_length: Annotated[int, Field(ge=8, le=2**16), Affects("ids", "weights", "updates")] = 256
    """Longest sentence in pieces, EOS included; a longer line is translated in segments."""

    @model_validator(mode="before")
    @classmethod
    def start_from_preset(cls, values: object) -> object:
        if isinstance(values, dict) and isinstance(values.get("preset"), str) and values["preset"] in PRESETS:
            return {**PRESETS[values["preset"]], **values}
        return values

    @property
    def width_of_heads(self) -> int:
        """The width of a head, given or by default."""
        return self.head_width or self.d_model // self.heads

    @model_validator(mode="after")
    def heads_divide_width(self) -> Self:
        if self.head_width is None and self.d_model % self.heads:
            raise ValueError(f"heads = {self.heads} must divide d_model = {self.d_model}, or set head_width")
        if self.d_model % 2:
            raise ValueError(f"d_model = {self.d_model} must be even: positions are pairs of sine and cosine")
        if self.positions == "rotary" and self.width_of_heads % 2:
            raise ValueError(
                f"heads have width {self.width_of_heads}, which rotary positions need even: set head_width"
            )
        return self

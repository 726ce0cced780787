"""The section [model]."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from nmt.config.section import Affects, Effect, Natural, Section

Architecture = Literal["encoder-decoder", "decoder-only", "prefix-lm", "encoder-only"]
Layers = Annotated[PositiveInt, Field(le=1000)]
Stack = Annotated[NonNegativeInt, Field(le=1000)]
Dropout = Annotated[float, Field(ge=0, lt=1), Affects("updates")]
AttentionKind = Literal["encoder", "decoder", "cross"]
"""Of the source over the source, of the target over the target so far, and of the target over the source; in an
encoder-decoder model each has layers of its own."""

STACKS: dict[str, tuple[str, ...]] = {
    "encoder-decoder": ("encoder_layers", "decoder_layers"),
    "decoder-only": ("decoder_layers",),
    "prefix-lm": ("decoder_layers",),
    "encoder-only": ("encoder_layers",),
}
"""The stacks of layers that a family has."""
EXPORTED: tuple[Architecture, ...] = ("encoder-decoder", "decoder-only")
"""The families that CTranslate2 has too."""
DEPTH = 6  # layers of a stack by default

PRESETS: dict[str, dict[str, float]] = {
    "base": {},
    "big": {"d_model": 1024, "ffn": 4096, "heads": 16, "dropout": 0.3},
    "small": {"d_model": 256, "ffn": 1024, "heads": 4, "encoder_layers": 3, "decoder_layers": 3},
    "tiny": {"d_model": 128, "ffn": 512, "heads": 4, "encoder_layers": 2, "decoder_layers": 2},
}
"""The fields that each preset changes; the defaults are the paper's base model [V17, table 3]."""


class ModelConfig(Section):
    """Family and shape of the Transformer; defaults are the paper's base model [V17, table 3]."""

    affects: ClassVar[frozenset[Effect]] = frozenset({"weights", "updates"})
    preset: Annotated[Literal["base", "big", "small", "tiny"], Affects()] = "base"
    """Start from these values: the paper's `base` or `big`, or `small` or `tiny` for CPU."""
    architecture: Architecture = "encoder-decoder"
    """The paper's encoder and decoder; one stack over source and target in a sequence, where each piece sees the
    earlier ones, `decoder-only` (Radford et al. 2018), or the source sees all of itself, `prefix-lm` (Dong et al. 2019;
    Raffel et al. 2020, section 3.2); or `encoder-only` (Devlin et al. 2019), where all see all, and which does not
    translate."""
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
    encoder_layers: Stack = DEPTH
    """Layers of the encoder, or of the stack of an `encoder-only` model; the others have none."""
    decoder_layers: Stack = DEPTH
    """Layers of the decoder, or of the stack of a `decoder-only` or `prefix-lm` model; `encoder-only` has none."""
    dropout: Dropout = 0.1
    """On embeddings and on the output of each sub-layer [V17, section 5.4]."""
    attention_dropout: Dropout = 0.0
    """On the attention weights."""
    activation_dropout: Dropout = 0.0
    """After the feed-forward's activation."""
    norm: Literal["post", "pre"] = "post"
    """LayerNorm after each sub-layer's residual sum, as in the paper, or before the sub-layer [X20]."""
    attention_kernel: Annotated[Literal["softmax", "linear"], Affects("updates")] = "softmax"
    """Weights of attention: the softmax of the products of queries and keys [V17, section 3.2.1], or these products
    themselves, divided by the number of attended positions, `linear` (von Oswald et al. 2023, "Transformers learn
    in-context by gradient descent", section 2; Ding et al. 2023). The native engine alone computes it, not in int8."""
    positions: Literal["sinusoidal", "learned", "rotary", "none"] = "sinusoidal"
    """Position encodings: sines and cosines or learned vectors, added to the embeddings [V17, section 3.5]; rotations
    of the queries and keys of self-attention, whose scores then depend on distances (Su et al. 2021); or none, in a
    `decoder-only` model, which knows the order by what each position sees (Kazemnejad et al. 2023)."""
    position_offset: Annotated[Natural, Field(le=2**16), Affects("updates")] = 0
    """Largest shift of the positions of a pair in training, drawn anew for each pair and step, the same for both sides
    (Kiyono et al. 2021; Zhou et al. 2023, section 3), so that vectors of positions beyond the longest pair are trained;
    for sinusoidal and learned positions, at most `max_length`. 0 shifts none."""
    attention_window: Annotated[Annotated[PositiveInt, Field(le=2**16)] | None, Affects("updates")] = None
    """Pieces that a position sees at either side of it in self-attention, in the decoder before it alone (half the
    window of Beltagy et al. 2020, section 3.1); the decoder sees the whole source. Time and memory then grow linearly
    with the length. By default every position sees all."""
    tied_embeddings: Literal["all", "target", "none"] = "all"
    """Share the output weights with both embeddings [V17, section 3.4], with the target's, or with none."""
    output_bias: bool = False
    """Add a learned bias to the logits, one for each target piece, as models of Marian have."""
    max_length: Annotated[int, Field(ge=8, le=2**16), Affects("ids", "weights", "updates")] = 256
    """Longest sentence in pieces, EOS included; a longer line is translated in segments."""

    @model_validator(mode="before")
    @classmethod
    def start_from_preset(cls, values: object) -> object:
        if not isinstance(values, dict):
            return values
        preset, architecture = (str(values.get(key, "")) for key in ("preset", "architecture"))
        whole = {**PRESETS.get(preset, {}), **values}
        missing = {"encoder_layers", "decoder_layers"} - {*STACKS.get(architecture, STACKS["encoder-decoder"])}
        return {**whole, **{stack: values.get(stack, 0) for stack in missing}}

    @model_validator(mode="after")
    def family_has_its_stacks(self) -> Self:
        for stack in ("encoder_layers", "decoder_layers"):
            layers, is_there = getattr(self, stack), stack in STACKS[self.architecture]
            if is_there != bool(layers):
                wanted = "1 or more" if is_there else "0, or left out"
                raise ValueError(f'{stack} = {layers}: architecture = "{self.architecture}" needs {wanted}')
        return self

    @property
    def stacks(self) -> dict[str, int]:
        """The layers of each stack that the family has, by key."""
        return {stack: getattr(self, stack) for stack in STACKS[self.architecture]}

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

    @model_validator(mode="after")
    def positions_fit(self) -> Self:
        if self.positions == "none" and self.architecture != "decoder-only":
            raise ValueError(
                f'positions = "none": architecture = "{self.architecture}" would not know the order of the source; '
                'a "decoder-only" model does'
            )
        if self.position_offset and self.positions in ("rotary", "none"):
            raise ValueError(
                f'position_offset = {self.position_offset}: positions = "{self.positions}" is the same wherever a '
                "sequence starts: leave it out"
            )
        if self.position_offset > self.max_length:
            raise ValueError(f"position_offset = {self.position_offset} must be at most max_length = {self.max_length}")
        return self

    @model_validator(mode="after")
    def window_fits(self) -> Self:
        if self.attention_window is None:
            return self
        if self.architecture in ("decoder-only", "prefix-lm"):
            raise ValueError(
                f'architecture = "{self.architecture}" has no attention_window: its target would not see the source'
            )
        if self.attention_window > self.max_length:
            raise ValueError(
                f"attention_window = {self.attention_window} must be at most max_length = {self.max_length}; without "
                "it every position sees all"
            )
        return self

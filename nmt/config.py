"""The recipe as a tree: one class a section, one field a knob, each with its default, bounds and source.

Names in brackets are papers: [V17] Vaswani et al. 2017, "Attention Is All You Need"; [W16] Wu et al. 2016,
"Google's Neural Machine Translation System"; [S16] Szegedy et al. 2016, "Rethinking the Inception
Architecture"; [X20] Xiong et al. 2020, "On Layer Normalization in the Transformer Architecture".
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from nmt.config_data import CORPUS as CORPUS
from nmt.config_data import CleaningConfig as CleaningConfig
from nmt.config_data import CorpusConfig as CorpusConfig
from nmt.config_data import DataConfig as DataConfig
from nmt.config_data import DownloadConfig as DownloadConfig
from nmt.config_data import LanguagesConfig as LanguagesConfig
from nmt.config_data import Name
from nmt.config_data import Section as Section
from nmt.config_data import TokenizerConfig as TokenizerConfig
from nmt.config_data import TrainingCorpusConfig as TrainingCorpusConfig

Dropout = Annotated[float, Field(ge=0, lt=1)]
Precision = Literal["float32", "bfloat16"]

PRESETS: dict[str, dict[str, Any]] = {
    "base": {},
    "big": {"d_model": 1024, "ffn": 4096, "heads": 16, "dropout": 0.3},
    "small": {"d_model": 256, "ffn": 1024, "heads": 4, "encoder_layers": 3, "decoder_layers": 3},
    "tiny": {"d_model": 128, "ffn": 512, "heads": 4, "encoder_layers": 2, "decoder_layers": 2},
}
"""What each preset of the model changes of the defaults, which are the paper's base model [V17, table 3]."""


class ModelConfig(Section):
    """Shape of the encoder-decoder Transformer; defaults are the paper's base model [V17, table 3]."""

    preset: Literal["base", "big", "small", "tiny"] = "base"
    """Start from these values: the paper's `base` or `big`, or `small` or `tiny` for CPU."""
    d_model: PositiveInt = 512
    """Width of the residual stream."""
    heads: PositiveInt = 8
    """Attention heads; must divide `d_model`."""
    ffn: PositiveInt = 2048
    """Width of the feed-forward layers."""
    encoder_layers: PositiveInt = 6
    """Layers of the encoder."""
    decoder_layers: PositiveInt = 6
    """Layers of the decoder."""
    dropout: Dropout = 0.1
    """On embeddings and on the output of each sub-layer [V17, section 5.4]."""
    attention_dropout: Dropout = 0.0
    """On the attention weights."""
    activation_dropout: Dropout = 0.0
    """After the feed-forward's ReLU."""
    norm: Literal["post", "pre"] = "post"
    """LayerNorm after each sub-layer's residual sum, as in the paper, or before the sub-layer [X20]."""
    positions: Literal["sinusoidal", "learned"] = "sinusoidal"
    """Position encodings [V17, section 3.5]."""
    tied_embeddings: Literal["all", "target", "none"] = "all"
    """Share the output weights with both embeddings [V17, section 3.4], with the target's, or with none."""
    max_length: Annotated[int, Field(ge=8)] = 256
    """Longest sentence in pieces, EOS included; a longer line is translated in segments."""

    @model_validator(mode="before")
    @classmethod
    def start_from_preset(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("preset") in PRESETS:
            return {**PRESETS[values["preset"]], **values}
        return values

    @model_validator(mode="after")
    def heads_divide_width(self) -> Self:
        if self.d_model % self.heads:
            raise ValueError(f"heads = {self.heads} must divide d_model = {self.d_model}")
        if self.d_model % 2:
            raise ValueError(f"d_model = {self.d_model} must be even: positions are pairs of sine and cosine")
        return self


class BatchingConfig(Section):
    """What one optimizer step sees."""

    tokens_per_step: PositiveInt = 25_000
    """A step takes sentences of like length until the real tokens, EOS included, of either side reach this;
    padding never counts [V17, section 5.1]."""
    micro_batch_tokens: PositiveInt | Literal["auto"] | None = "auto"
    """Cut a step into passes of at most so many padded tokens a side; `auto` finds, before the first step, the largest
    that fit into the memory, `none` makes a step one pass. The update is the same."""


class OptimizerConfig(Section):
    """Adam and its schedule [V17, section 5.3]."""

    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Adam's decay of the first moment."""
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.98
    """Adam's decay of the second moment."""
    epsilon: PositiveFloat = 1e-9
    """Adam's epsilon."""
    warmup_steps: PositiveInt = 4000
    """Steps of linear warm-up."""
    learning_rate: PositiveFloat | None = None
    """Peak of the schedule; by default the paper's d_model^-0.5 * warmup_steps^-0.5."""
    schedule: Literal["inverse-sqrt", "linear"] = "inverse-sqrt"
    """After the warm-up: fall with 1/sqrt(step), as in the paper, or linearly to 0 at `training.max_steps`."""
    clip_norm: PositiveFloat | None = None
    """Scale the gradient down to this norm where it is longer."""


class TrainingConfig(Section):
    """Length, precision and bookkeeping of the training."""

    seed: NonNegativeInt = 1
    """Seed of weights, order, dropout and tokenizer sample."""
    max_steps: PositiveInt = 100_000
    """Optimizer steps."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the target probability spread evenly over the vocabulary [S16; V17, section 5.4]."""
    precision: Precision = "float32"
    """Of forward and backward passes; weights and Adam's moments are float32 always."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to train; `auto` takes a GPU if there is one."""
    compile: bool = False
    """Compile the layers by torch.compile, for a GPU; without a working compiler they run as they are."""
    checkpoint_every: PositiveInt = 1000
    """Steps between checkpoints."""
    keep_checkpoints: PositiveInt = 5
    """Newest checkpoints kept; the best are kept besides."""
    average_checkpoints: PositiveInt = 5
    """The bundle holds the mean of the weights of so many checkpoints [V17, section 6.1]."""
    average: Literal["last", "best"] = "last"
    """Which checkpoints are averaged: the newest, or those with the best `best_metric`."""
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of an exponential moving average of the weights, which is then validated and shipped in their place; by
    default none."""
    validate_every: PositiveInt = 1000
    """Steps between validations on dev."""
    best_metric: Literal["bleu", "loss"] = "bleu"
    """What of dev names the best checkpoint and drives early stopping."""
    patience: PositiveInt | None = None
    """Stop after so many validations without a better one; by default never."""
    log_every: PositiveInt = 100
    """Steps between lines in the log."""
    init_from: str | None = None
    """Begin with the weights of this model folder, of this checkpoint, or of the newest whole one in this folder of
    checkpoints, and take its tokenizer over: [tokenizer] is then not used. A relative path lies as the data files do;
    by default weights are drawn."""
    tensorboard: bool = False
    """Write the curves for TensorBoard as well, to `tensorboard/` in the run folder; needs `nmt[tensorboard]`."""

    @model_validator(mode="after")
    def keep_what_is_averaged(self) -> Self:
        if self.average == "last" and self.average_checkpoints > self.keep_checkpoints:
            raise ValueError(
                f"average_checkpoints = {self.average_checkpoints} needs keep_checkpoints of at least that, "
                f"not {self.keep_checkpoints}"
            )
        return self


class DecodingConfig(Section):
    """Beam search, in validation, `translate` and `evaluate` alike; defaults are the paper's [V17, section 6.1]."""

    beam_size: PositiveInt = 4
    """Hypotheses kept for each sentence; 1 is greedy search."""
    length_penalty: Annotated[float, Field(ge=0, le=2)] = 0.6
    """Alpha of the length penalty [W16, eq. 14]."""
    max_extra_length: NonNegativeInt = 50
    """A hypothesis has at most so many pieces more than its source."""
    max_length_ratio: PositiveFloat | None = None
    """A hypothesis has at most so many times the pieces of its source; by default `max_extra_length` alone says."""
    min_length: NonNegativeInt = 0
    """A hypothesis has at least so many pieces, where `max_extra_length` and `max_length_ratio` allow it."""
    no_repeat_ngram: NonNegativeInt = 0
    """No hypothesis holds the same run of so many pieces twice; 0 allows it."""
    batch_tokens: PositiveInt = 4096
    """Padded source tokens decoded at once, beams not counted."""


class EvaluationConfig(Section):
    """How sacreBLEU scores."""

    tokenize: str = "auto"
    """BLEU's tokenizer; `auto` follows the target language: zh, ja-mecab, ko-mecab, else 13a."""
    lowercase: bool = False
    """Score without case."""
    chrf_word_order: NonNegativeInt = 0
    """Word n-grams in chrF: 0 is chrF2, 2 is chrF2++."""


class Recipe(Section):
    """An experiment, whole."""

    name: Name
    """Names the run folder, `runs/NAME`."""
    description: str = ""
    """One line for `nmt recipe list`."""
    languages: LanguagesConfig
    data: DataConfig
    cleaning: CleaningConfig = CleaningConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    model: ModelConfig = ModelConfig()
    batching: BatchingConfig = BatchingConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    training: TrainingConfig = TrainingConfig()
    decoding: DecodingConfig = DecodingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @model_validator(mode="before")
    @classmethod
    def complete_cleaning(cls, values: Any) -> Any:
        """Give the corpora that have a `cleaning` of their own what they do not say from the recipe's."""
        match values:
            case {"data": {"train": dict(train)} as data, "cleaning": dict(common)}:
                named = all(isinstance(corpus, dict) for corpus in train.values())
                corpora = train if named else {CORPUS: train}
                completed = {
                    name: {**corpus, "cleaning": {**common, **corpus["cleaning"]}}
                    if isinstance(corpus, dict) and isinstance(corpus.get("cleaning"), dict)
                    else corpus
                    for name, corpus in corpora.items()
                }
                return {**values, "data": {**data, "train": completed if named else completed[CORPUS]}}
        return values

    @model_validator(mode="after")
    def sections_agree(self) -> Self:
        is_used = self.training.init_from is None
        if self.model.tied_embeddings == "all" and is_used and not self.tokenizer.joint:
            raise ValueError(
                'model.tied_embeddings = "all" needs tokenizer.joint = true; separate vocabularies allow "target"'
            )
        if self.cleaning.max_pieces is not None and self.cleaning.max_pieces >= self.model.max_length:
            raise ValueError(
                f"cleaning.max_pieces = {self.cleaning.max_pieces} must be under "
                f"model.max_length = {self.model.max_length}: EOS takes one place"
            )
        if self.optimizer.schedule == "linear" and self.optimizer.warmup_steps >= self.training.max_steps:
            raise ValueError(
                f"optimizer.warmup_steps = {self.optimizer.warmup_steps} must be under "
                f"training.max_steps = {self.training.max_steps} for a linear schedule"
            )
        if self.data.protect is not None and not self.tokenizer.placeholders and is_used:
            raise ValueError("data.protect needs tokenizer.placeholders of at least 1")
        if self.tokenizer.byte_fallback and self.tokenizer.vocab_size < 300:
            raise ValueError(
                f"tokenizer.vocab_size = {self.tokenizer.vocab_size} must be at least 300 with byte_fallback: "
                "256 pieces are bytes"
            )
        return self

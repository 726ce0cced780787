"""The recipe as a tree: one class a section, one field a knob, each with its default, bounds and source.

Names in brackets are papers: [V17] Vaswani et al. 2017, "Attention Is All You Need"; [W16] Wu et al. 2016,
"Google's Neural Machine Translation System"; [S16] Szegedy et al. 2016, "Rethinking the Inception
Architecture"; [X20] Xiong et al. 2020, "On Layer Normalization in the Transformer Architecture"; [J24] Jordan et al.
2024, "Muon: An optimizer for hidden layers in neural networks".
"""

from typing import Annotated, Self

from pydantic import Field, model_validator

from nmt.config.data import CORPUS, CleaningConfig, DataConfig, LanguagesConfig, TokenizerConfig
from nmt.config.decoding import DecodingConfig, EvaluationConfig, ExpectedConfig
from nmt.config.model import ModelConfig
from nmt.config.section import Affects, Name, Section
from nmt.config.training import BatchingConfig, OptimizerConfig, TrainingConfig
from nmt.files import Json, JsonObject


class Recipe(Section):
    """An experiment."""

    name: Annotated[Name, Affects()]
    """Names the run folder, `runs/NAME`."""
    description: Annotated[str, Affects()] = ""
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
    expected: dict[Name, ExpectedConfig] = Field(default_factory=dict)
    """Expected scores by test set, for `nmt reproduce`."""
    sweep: Annotated[dict[Name, JsonObject], Affects()] = Field(default_factory=dict)
    """The variants of `nmt sweep` by name, each a table of the keys that it changes, such as `model.heads = 1`; the
    recipe without them is their base."""

    @model_validator(mode="before")
    @classmethod
    def complete_cleaning(cls, values: Json) -> Json:
        """Complete the `cleaning` of training corpora with the keys of [cleaning]."""
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
        if self.training.source_loss and not (self.model.architecture == "decoder-only" and self.tokenizer.joint):
            raise ValueError(
                f"training.source_loss = {self.training.source_loss} needs model.architecture = "
                '"decoder-only", which predicts the source too, and tokenizer.joint = true'
            )
        if self.cleaning.max_pieces is not None and self.cleaning.max_pieces >= self.model.max_length:
            raise ValueError(
                f"cleaning.max_pieces = {self.cleaning.max_pieces} must be under "
                f"model.max_length = {self.model.max_length}: EOS takes one position"
            )
        if self.optimizer.schedule == "linear" and self.optimizer.warmup_steps >= self.training.max_steps:
            raise ValueError(
                f"optimizer.warmup_steps = {self.optimizer.warmup_steps} must be under "
                f"training.max_steps = {self.training.max_steps} for a linear schedule"
            )
        if self.data.placeholders_for and not self.tokenizer.placeholders and is_used:
            raise ValueError(f"{self.data.placeholders_for} needs tokenizer.placeholders of at least 1")
        tests = list(self.data.test) or ["held-out"]
        if unknown := [test for test in self.expected if test not in tests]:
            raise ValueError(f"expected.{unknown[0]}: no such test set, which are {', '.join(tests)}")
        if self.tokenizer.byte_fallback and self.tokenizer.vocab_size < 300:
            raise ValueError(
                f"tokenizer.vocab_size = {self.tokenizer.vocab_size} must be at least 300 with byte_fallback: "
                "256 pieces are bytes"
            )
        return self

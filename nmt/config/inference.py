"""The settings of inference that are no hyper-parameters: engine, device, results, what is known of the source."""

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from nmt.config.decoding import SamplingConfig
from nmt.config.model import AttentionKind, Layers
from nmt.config.section import Flag, Section
from nmt.errors import UsageError

EngineName = Literal["native", "ctranslate2"]
DeviceName = Literal["auto", "cpu", "cuda"]


class TrainingLines(Section):
    """Lengths of the source lines that a model was trained on, pieces without EOS."""

    sentences: PositiveInt
    """Sentences that 95% of the lines do not exceed."""
    pieces: PositiveInt
    """Pieces that 99% of the lines do not exceed."""
    longest: PositiveInt
    """Pieces of the longest line."""
    ratio: PositiveFloat = 1.0
    """Pieces of the targets for each piece of the sources."""


@dataclass(frozen=True)
class Options:
    """The results wanted of each line."""

    n_best: int = 1  # number of hypotheses: at most the beam size, or any number of samples
    sampling: SamplingConfig | None = None  # draw at random, instead of searching for the best
    token_scores: bool = False  # add the log-probability of every piece
    alignment: bool = False  # add the alignment of the words of source and translation
    alignment_layer: int | None = None  # decoder layer, from 1, whose attention aligns; by default the last but one
    confidence: bool = False  # add the chrF to expect of each hypothesis, by the calibration of the model
    min_confidence: float = 0.0  # confidence under which the translation of a line is marked as unsure
    features: bool = False  # add what the confidence is computed from
    repair: bool = False  # search again for hypotheses that pass the checks, which are to be wanted
    check: bool = False  # add the checks of numbers, addresses, tags and placeholders that each hypothesis fails


class InferenceConfig(Section):
    """How models are loaded to translate or to score; no part of a recipe."""

    to: Annotated[str | None, Flag(metavar="CODE")] = None
    """Language to translate into, of a model of several directions."""
    from_: Annotated[str | None, Flag("--from", "CODE")] = None
    """Language of the source, of a model of several directions; by default the only one that leads to the target, or
    any."""
    tags: Annotated[list[str], Flag("--tag", "TAG")] = Field(default_factory=list)
    """Tag of the model to put before every source line; may be given several times."""
    protect: Annotated[str | None, Flag(metavar="REGEX")] = None
    """Regular expression of text to keep as it is, or none to keep nothing; by default as in MODEL's recipe."""
    engine: EngineName = "native"
    """Inference engine: native (PyTorch), or ctranslate2 (after `nmt export`)."""
    export: Annotated[str | None, Flag(metavar="NAME")] = None
    """Name of MODEL's export for an engine other than native; by default its only one."""
    device: DeviceName = "auto"
    """Device to compute on; auto takes a GPU if there is one."""
    devices: Annotated[PositiveInt, Field(le=256)] = 1
    """Processes that share the batches, each with its own GPU or a part of the processor's cores."""
    threads: Annotated[PositiveInt, Field(le=1024)] | None = None
    """CPU threads of each process; by default one a core."""

    @model_validator(mode="after")
    def check(self) -> Self:
        if self.export is not None and self.engine == "native":
            raise UsageError("--export is for another engine than the native one", hint="add --engine ctranslate2")
        return self


class TermsConfig(Section):
    """Files of terms that translations keep to; no part of a recipe."""

    glossary: Annotated[str | None, Flag(metavar="FILE")] = None
    """Terms, one a line: SOURCE, TAB, TARGET. Where a line holds SOURCE, its translation holds TARGET, as words;
    several targets stand between |, and any of them will do."""
    glossary_mode: Literal["soft", "hard"] | None = None
    """Soft: the terms stand in the source, and a model for terms (augmentation.terms) takes them from it, in the form
    that fits. Hard: the search holds to them as they are written. By default soft for a model for terms."""
    glossary_forms: Literal["written", "lemmas"] = "written"
    """How soft terms are found in a line: as they are written, or in any form of their words (the extra `lemmas`)."""
    avoid: Annotated[str | None, Flag(metavar="FILE")] = None
    """Phrases that no translation holds, one a line, in whatever case; after a TAB, a phrase of the source where alone
    this one is avoided."""


class AttentionConfig(Section):
    """The part of a model's attention that is shown, and by which measure; no part of a recipe."""

    kind: Literal[AttentionKind, "alignment"] | None = None
    """Self-attention of the encoder or of the decoder; attention of the decoder over the source, the default; or the
    alignment of words."""
    measure: Literal["weights", "norms"] = "weights"
    """Attention weights, or norms of the weighted vectors, which are what each piece adds (Kobayashi et al. 2020)."""
    layer: Layers | None = None
    """Layer, from 1; by default all."""
    head: Annotated[PositiveInt, Field(le=4096)] | None = None
    """Head, from 1; by default all."""

    @model_validator(mode="after")
    def check(self) -> Self:
        if self.kind == "alignment":
            if self.head is not None:
                raise UsageError("--head: an alignment is the mean of all heads", hint="leave it out")
            if self.measure != "weights":
                raise UsageError("--measure: an alignment is by the weights", hint="leave it out")
        return self

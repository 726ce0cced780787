"""The sections [batching], [optimizer], [noise] and [training]."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from nmt.config.model import Architecture
from nmt.config.section import Affects, Count, Section, Seed

Precision = Literal["float32", "bfloat16"]
Algorithm = Literal["adam", "muon"]
Objective = Literal["translation", "denoising", "language-model", "masked"]
Metric = Literal["bleu", "chrf", "strict-f1", "loss"]

SEQUENCES: tuple[Objective, ...] = ("translation", "denoising", "language-model")
OBJECTIVES: dict[Architecture, tuple[Objective, ...]] = {
    "encoder-decoder": SEQUENCES,
    "decoder-only": SEQUENCES,
    "prefix-lm": SEQUENCES,
    "encoder-only": ("masked",),
}
"""The objectives that a family can be trained for."""
PREFIXED: tuple[Architecture, ...] = ("encoder-decoder", "prefix-lm")
"""The families whose source sees all of itself: as language models they go on from a prefix."""


class BatchingConfig(Section):
    """The sentences of an optimizer step."""

    tokens_per_step: Count = 25_000
    """A step takes sentences of similar length until either side reaches this many real tokens, EOS included;
    padding never counts [V17, section 5.1]."""
    micro_batch_tokens: Annotated[Count | Literal["auto"] | None, Affects()] = "auto"
    """Split a step into micro-batches of at most this many padded tokens a side; `auto` finds the largest that fit into
    the memory before the first step, `none` splits no step. The update is the same."""


class OptimizerConfig(Section):
    """The optimizer and its schedule [V17, section 5.3]."""

    algorithm: Algorithm = "adam"
    """Adam for all weights, as in the paper, or Muon for the matrices of the layers and Adam for the rest [J24]."""
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Adam's decay of the first moment."""
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.98
    """Adam's decay of the second moment."""
    epsilon: PositiveFloat = 1e-9
    """Adam's epsilon."""
    warmup_steps: Count = 4000
    """Steps of linear warm-up."""
    learning_rate: PositiveFloat | None = None
    """Peak of the schedule; by default the paper's d_model^-0.5 * warmup_steps^-0.5."""
    schedule: Literal["inverse-sqrt", "linear"] = "inverse-sqrt"
    """After the warm-up: fall with 1/sqrt(step), as in the paper, or linearly to 0 at `training.max_steps`."""
    clip_norm: PositiveFloat | None = None
    """Scale a gradient of a larger norm down to this one."""


class NoiseConfig(Section):
    """The corruption of lines for `training.objective = "denoising"` and `"masked"`, drawn anew each epoch."""

    mask_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of the pieces of a line that are masked, at least one of them; by default 0.3 where whole lines are rebuilt
    (Lewis et al. 2020), else 0.15 (Raffel et al. 2020, section 3.1.4; Devlin et al. 2019, section 3.1)."""
    span_length: Annotated[float, Field(ge=1, le=100)] | None = None
    """Mean length of a masked span in pieces: 1, and a Poisson distribution of the rest; by default 3 of denoising
    (Lewis et al. 2020; Raffel et al. 2020, section 3.3.4), and 1, single pieces, of masked (Devlin et al. 2019)."""
    target: Literal["line", "spans"] = "line"
    """What denoising predicts: the whole line, each span being one `<mask>` of the source (Lewis et al. 2020), or the
    spans alone, each after the mask of its own that it left in the source (Raffel et al. 2020, section 3.1.4), of which
    `tokenizer.masks` is the number; the spans beyond it stay as they are."""
    sentence_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the sentences of a line that are masked whole, besides the spans, as the gap sentences of Zhang et al.
    2020; one of each line stays. A sentence ends at a piece that ends in a mark such as a full stop."""


class TrainingConfig(Section):
    """Objective, length, precision and bookkeeping of the training."""

    objective: Annotated[Objective, Affects("updates", "training", "bundle")] = "translation"
    """What is learned: `translation` of `data.train`; or, for a model to fine-tune by `init_from`, from the lines of
    `data.monolingual`, `denoising`, their repair as [noise] says (Lewis et al. 2020; Raffel et al. 2020), and
    `language-model`, for `decoder-only` the whole line, else its rest after a prefix (Raffel et al. 2020, section 3.2);
    `masked`, for `encoder-only`, the masked pieces of a line (Devlin et al. 2019) or of both sides of a pair in one
    sequence (Conneau & Lample 2019)."""
    seed: Annotated[Seed, Affects("tokenizer", "updates")] = 1
    """Seed of weights, order, dropout and tokenizer sample."""
    max_steps: Annotated[PositiveInt, Field(lt=10**8), Affects("training")] = 100_000
    """Optimizer steps."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the target probability spread evenly over the vocabulary [S16; V17, section 5.4]."""
    source_loss: Annotated[float, Field(ge=0, le=1000)] = 0.0
    """Weight of the loss of the source's pieces beside the target's, for a `decoder-only` model, which can predict
    both; the perplexity stays the target's."""
    guided_alignment: Annotated[float, Field(ge=0, le=1000), Affects("updates", "bundle")] = 0.0
    """Weight of the loss by which the first cross-attention head of the last decoder layer but one learns to attend
    where an alignment of the training text's words says, for an `encoder-decoder` (Chen et al. 2016; Garg et al. 2019:
    0.05); that head then places tags and aligns words. The stage `alignment` finds the words."""
    precision: Precision = "float32"
    """Precision of forward and backward passes; weights and Adam's moments are float32 always."""
    device: Annotated[Literal["auto", "cpu", "cuda"], Affects()] = "auto"
    """Device; `auto` is a GPU if there is one."""
    threads: Annotated[Annotated[PositiveInt, Field(le=1024)] | None, Affects()] = None
    """Threads of each process on a CPU; by default one a core when the training begins, and as many whenever it is
    resumed, for the last bits of an update depend on their number."""
    compile: Annotated[bool, Affects()] = False
    """Compile the layers and the loss by torch.compile, for a GPU; without a working compiler they run as they are."""
    deterministic: Annotated[bool, Affects()] = False
    """Use torch's deterministic algorithms, so that a GPU computes the same bits each time, and fail where there are
    none. Slower; a CPU computes the same bits with the same number of threads anyway."""
    checkpoint_every: Annotated[Count, Affects("training")] = 1000
    """Steps between checkpoints."""
    keep_checkpoints: Annotated[Count, Affects("training")] = 5
    """Newest checkpoints kept, besides the best."""
    average_checkpoints: Annotated[Count, Affects("training", "bundle")] = 5
    """Checkpoints whose mean weights the bundle holds [V17, section 6.1]."""
    average: Annotated[Literal["last", "best"], Affects("training", "bundle")] = "last"
    """Which checkpoints are averaged: the newest, or those with the best `best_metric`."""
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of an exponential moving average of the weights, which is then validated and bundled in their place; by
    default none."""
    validate_every: Annotated[Count, Affects("training")] = 1000
    """Steps between validations on dev."""
    best_metric: Annotated[Metric, Affects("training")] = "bleu"
    """The metric of dev that ranks checkpoints and drives early stopping; of equal scores, to two decimals, the one of
    lower loss is better. BLEU is 0 where lines have fewer than four words, chrF is not; `strict-f1` is the F1 of
    brackets over all lines of a dev of `trees`. Other objectives than translation have the loss alone."""
    patience: Annotated[Count | None, Affects("training")] = None
    """Early stopping: the validations without a better one after which training ends; by default none."""
    log_every: Annotated[Count, Affects()] = 100
    """Steps between lines in the log."""
    init_from: Annotated[str | None, Affects()] = None
    """Fine-tuning: start from the weights and the tokenizer of this bundle, of this checkpoint, or of the newest
    whole one in this folder of checkpoints; [tokenizer] is then not used. A relative path starts where those of data
    files do; by default weights are random."""
    tensorboard: Annotated[bool, Affects()] = False
    """Write the curves for TensorBoard as well, to `tensorboard/` in the run folder; needs the extra `tensorboard`."""

    @model_validator(mode="before")
    @classmethod
    def objective_has_its_metric(cls, values: object) -> object:
        if isinstance(values, dict) and values.get("objective", "translation") != "translation":
            return {"best_metric": "loss", **values}
        return values

    @model_validator(mode="after")
    def metric_is_of_the_objective(self) -> Self:
        if self.objective != "translation" and self.best_metric != "loss":
            raise ValueError(
                f'best_metric = "{self.best_metric}": objective = "{self.objective}" makes no translations to score; '
                'take "loss"'
            )
        return self

    @model_validator(mode="after")
    def averaged_checkpoints_are_kept(self) -> Self:
        if self.average == "last" and self.average_checkpoints > self.keep_checkpoints:
            raise ValueError(
                f"average_checkpoints = {self.average_checkpoints} needs keep_checkpoints of at least that, "
                f"not {self.keep_checkpoints}"
            )
        return self

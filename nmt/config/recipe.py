"""The recipe as a tree: one class a section, one field a knob, each with its default, bounds and source.

Names in brackets are papers: [V17] Vaswani et al. 2017, "Attention Is All You Need"; [W16] Wu et al. 2016,
"Google's Neural Machine Translation System"; [S16] Szegedy et al. 2016, "Rethinking the Inception
Architecture"; [X20] Xiong et al. 2020, "On Layer Normalization in the Transformer Architecture"; [J24] Jordan et al.
2024, "Muon: An optimizer for hidden layers in neural networks".
"""

from typing import Annotated, Self

from pydantic import Field, model_validator

from nmt.config.augmentation import AugmentationConfig
from nmt.config.data import CleaningConfig, DataConfig, train_key
from nmt.config.decoding import ConfidenceConfig, DecodingConfig, EvaluationConfig, ExpectedConfig
from nmt.config.languages import LanguagesConfig, with_tags
from nmt.config.model import ModelConfig
from nmt.config.section import Affects, Name, Section
from nmt.config.synthetic import TEACHER, DistillationConfig, SyntheticConfig, Translated, names_of
from nmt.config.tokenizer import TokenizerConfig
from nmt.config.training import (
    OBJECTIVES,
    PREFIXED,
    BatchingConfig,
    NoiseConfig,
    OptimizerConfig,
    TrainingConfig,
)
from nmt.files import Json, JsonObject

CORPORA = ("train", "dev", "devs", "guard", "test")
"""The keys of [data] that hold corpora of pairs."""


class Recipe(Section):
    """An experiment."""

    name: Annotated[Name, Affects()]
    """Names the run folder, `runs/NAME`."""
    description: Annotated[str, Affects()] = ""
    """One line for `nmt recipe list`."""
    languages: LanguagesConfig
    data: DataConfig
    distillation: DistillationConfig | None = None
    cleaning: CleaningConfig = CleaningConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    tokenizer: TokenizerConfig = TokenizerConfig()
    model: ModelConfig = ModelConfig()
    batching: BatchingConfig = BatchingConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    noise: NoiseConfig = NoiseConfig()
    training: TrainingConfig = TrainingConfig()
    decoding: DecodingConfig = DecodingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    confidence: ConfidenceConfig = ConfidenceConfig()
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
            case {"data": dict(data), "cleaning": dict(common)}:
                completed = {key: _with_cleaning(data[key], common) for key in ("train", "monolingual") if key in data}
                return {**values, "data": {**data, **completed}}
        return values

    @model_validator(mode="before")
    @classmethod
    def complete_tags(cls, values: Json) -> Json:
        """Put the tag of the target language before those of each corpus, where there are several directions."""
        match values:
            case {"data": dict(data), "languages": {"directions": [*directions]}}:
                tagged = {key: with_tags(data[key], directions) for key in CORPORA if key in data}
                return {**values, "data": {**data, **tagged}}
        return values

    @model_validator(mode="after")
    def sections_agree(self) -> Self:
        is_used = self.training.init_from is None
        if self.model.tied_embeddings == "all" and is_used and not self.tokenizer.joint:
            raise ValueError(
                'model.tied_embeddings = "all" needs tokenizer.joint = true; separate vocabularies allow "target"'
            )
        is_joint = self.tokenizer.joint or not is_used
        if self.training.source_loss and not (self.model.architecture == "decoder-only" and is_joint):
            raise ValueError(
                f"training.source_loss = {self.training.source_loss} needs model.architecture = "
                '"decoder-only", which predicts the source too, and tokenizer.joint = true'
            )
        if self.training.best_metric == "strict-f1" and not self.data.dev_is_of_trees:
            raise ValueError('training.best_metric = "strict-f1" needs a dev set of trees')
        of_trees = [name for name, corpus in self.data.train.items() if corpus.trees is not None]
        if of_trees and is_used and not self.tokenizer.trees:
            key = f"data.{train_key(of_trees[0])}.trees"
            raise ValueError(f"{key} needs tokenizer.trees = true, by which brackets are pieces")
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
        if self.decoding.precision == "int8" and self.model.attention_kernel != "softmax":
            raise ValueError(
                f'decoding.precision = "int8" has no model.attention_kernel = "{self.model.attention_kernel}"; '
                'take "float32" or "bfloat16"'
            )
        if self.tokenizer.model_type == "word" and self.data.tags and is_used:
            raise ValueError(f'tags: {self.data.tags[0]!r} is no piece with tokenizer.model_type = "word"')
        self.check_mbr()
        self.check_directions()
        self.check_augmentation()
        self.check_guided_alignment()
        self.check_monolingual()
        self.check_objective()
        self.check_stages()
        self.check_guard()
        self.check_confidence()
        self.check_synthetic()
        tests = list(self.data.test) or self.languages.directions or ["held-out"]
        if unknown := [test for test in self.expected if test not in tests]:
            raise ValueError(f"expected.{unknown[0]}: no such test set, which are {', '.join(tests)}")
        if self.tokenizer.byte_fallback and self.tokenizer.vocab_size < 300:
            raise ValueError(
                f"tokenizer.vocab_size = {self.tokenizer.vocab_size} must be at least 300 with byte_fallback: "
                "256 pieces are bytes"
            )
        return self

    def check_directions(self) -> None:
        """Raise ValueError where a corpus is of no direction of the recipe, or a direction has no corpus."""
        directions, data = self.languages.directions, self.data
        corpora = {train_key(name): corpus for name, corpus in data.train.items()}
        for name, corpus in {**corpora, **data.held_out}.items():
            if corpus.direction and not directions:
                raise ValueError(f"data.{name}.direction needs languages.directions, in place of source and target")
            if directions and corpus.direction not in directions:
                key, known = f"data.{name}.direction", ", ".join(directions)
                if corpus.direction is None:
                    raise ValueError(f"missing key {key}: one of languages.directions, {known}")
                raise ValueError(f"{key} = {corpus.direction!r}: none of languages.directions, which are {known}")
        if not directions:
            return
        if untaught := [one for one in directions if one not in {corpus.direction for corpus in data.train.values()}]:
            raise ValueError(f'languages.directions: no corpus of data.train has direction = "{untaught[0]}"')
        if self.training.objective != "translation" or data.monolingual:
            given = "data.monolingual" if data.monolingual else f'training.objective = "{self.training.objective}"'
            raise ValueError(f"{given}: languages.directions are for translation from data.train alone")
        if self.augmentation.single_words:
            raise ValueError("augmentation.single_words: the dictionary is of one direction, and there are several")

    def check_augmentation(self) -> None:
        """Raise ValueError where pairs are to be added to what holds no pairs of sentences."""
        if not (rates := self.augmentation.rates):
            return
        key = f"augmentation.{next(iter(rates))}"
        if self.training.objective != "translation":
            raise ValueError(f'{key}: training.objective = "{self.training.objective}" has no pairs: leave it out')
        if self.augmentation.inline_tags and self.training.init_from is None and self.tokenizer.placeholders < 2:
            raise ValueError("augmentation.inline_tags needs tokenizer.placeholders of at least 2")
        if self.augmentation.terms and self.training.init_from is None:
            if not self.tokenizer.joint:
                raise ValueError("augmentation.terms needs tokenizer.joint = true: sources hold words of the target")
            if self.tokenizer.model_type == "word":
                raise ValueError('augmentation.terms: its marks are no pieces with tokenizer.model_type = "word"')
        for name, corpus in self.data.train.items():
            kind = "trees" if corpus.trees is not None else "task" if corpus.task is not None else None
            if kind:
                others = f"data.{train_key(name)}.{kind}"
                raise ValueError(f"{key} changes pairs of sentences, and {others} has others: leave it out")

    def check_guided_alignment(self) -> None:
        """Raise ValueError where no attention can be guided by aligned words."""
        if not (weight := self.training.guided_alignment):
            return
        given = f"training.guided_alignment = {weight:g}"
        if self.training.objective != "translation":
            raise ValueError(f'{given}: training.objective = "{self.training.objective}" has no pairs: leave it out')
        if self.model.architecture != "encoder-decoder":
            raise ValueError(
                f'{given} needs model.architecture = "encoder-decoder": "{self.model.architecture}" has no attention '
                "over the source alone"
            )
        if self.model.attention_kernel != "softmax":
            raise ValueError(
                f'{given} needs model.attention_kernel = "softmax": weights of "{self.model.attention_kernel}" are no '
                "probabilities"
            )
        if self.tokenizer.sampling is not None:
            raise ValueError(f"{given} needs fixed pieces: leave out tokenizer.sampling")
        if any(corpus.trees is not None or corpus.task is not None for corpus in self.data.train.values()):
            raise ValueError(f"{given} needs pairs of sentences, and a corpus has trees or a task: leave it out")

    def check_mbr(self) -> None:
        """Raise ValueError where minimum Bayes risk is of more hypotheses than there are, or its keys are idle."""
        search = self.decoding
        if idle := search.idle_keys(
            [key for key, value in search if value != DecodingConfig.model_fields[key].default]
        ):
            raise ValueError(f"decoding.{idle[0]} is for mbr, which is 0: leave it out")
        if search.mbr_from == "n_best" and search.mbr > search.beam_size:
            raise ValueError(
                f"decoding.mbr = {search.mbr}: of the n best, a beam of as many is needed; raise decoding.beam_size = "
                f'{search.beam_size}, or take decoding.mbr_from = "sampling"'
            )

    def check_monolingual(self) -> None:
        """Raise ValueError where monolingual text or masks fit neither the languages nor the tokenizer."""
        for name, corpus in self.data.monolingual.items():
            if corpus.language not in self.languages.pair:
                raise ValueError(
                    f"data.monolingual.{name}.language = {corpus.language!r}: neither languages.source = "
                    f"{self.languages.source!r} nor languages.target = {self.languages.target!r}"
                )
        if self.data.monolingual and not self.tokenizer.joint and self.training.init_from is None:
            raise ValueError("data.monolingual needs tokenizer.joint = true: its lines are on both sides")
        if masks := [tag for tag in self.data.tags if tag in self.tokenizer.mask_pieces]:
            raise ValueError(f"tags: {masks[0]!r} is a piece of tokenizer.masks")

    def check_objective(self) -> None:
        """Raise ValueError where the objective does not go with the family, the corpora or the tokenizer."""
        objective, data, given = self.training.objective, self.data, f'training.objective = "{self.training.objective}"'
        if objective not in (known := OBJECTIVES[self.model.architecture]):
            raise ValueError(f'{given}: model.architecture = "{self.model.architecture}" has {", ".join(known)}')
        if objective == "translation" and data.monolingual:
            raise ValueError(f"{given} learns from the pairs of data.train alone: leave out data.monolingual")
        if objective in ("denoising", "language-model") and data.train:
            raise ValueError(f"{given} learns from the lines of data.monolingual alone: leave out data.train")
        idle = [key for key, value in self.noise if value != NoiseConfig.model_fields[key].default]
        if idle and objective != "denoising" and (objective != "masked" or "target" in idle):
            raise ValueError(f"noise.{idle[-1]}: {given} has none: leave it out")
        if objective != "translation" and self.training.source_loss:
            raise ValueError(f"training.source_loss: {given} has none: leave it out")
        if objective != "translation" and self.expected:
            raise ValueError(f"expected.{next(iter(self.expected))}: {given} has no scores")
        if self.training.init_from is not None or objective == "translation":
            return
        if self.tokenizer.masks < self.masks_needed:
            raise ValueError(f"{given} needs tokenizer.masks of at least {self.masks_needed}")
        if not self.tokenizer.joint:
            raise ValueError(f"{given} needs tokenizer.joint = true")

    def check_stages(self) -> None:
        """Raise ValueError where a stage of the training does not go with the corpora or the schedule."""
        corpora = self.data.training_corpora
        for stage in self.training.stages:
            where = f"training.stages: stage {stage.name!r}"
            if unknown := [name for name in stage.corpus_names if name not in corpora]:
                raise ValueError(f"{where}: no training corpus {unknown[0]!r}, which are {', '.join(corpora)}")
            if not stage.restart_schedule or self.optimizer.schedule != "linear":
                continue
            if stage.steps is None:
                raise ValueError(f"{where}: restart_schedule needs steps, at the end of which a linear schedule is 0")
            if self.optimizer.warmup_steps >= stage.steps:
                raise ValueError(
                    f"{where}: restart_schedule needs optimizer.warmup_steps = {self.optimizer.warmup_steps} "
                    f"under its {stage.steps} steps"
                )

    def check_guard(self) -> None:
        """Raise ValueError where the guard of a fine-tuning lacks its text, or a start to compare with."""
        training = self.training
        if (training.guard is None) != (self.data.guard is None):
            has, lacks = ("training.guard", "data.guard") if training.guard else ("data.guard", "training.guard")
            raise ValueError(f"{has} needs [{lacks}]: the guard compares scores of that text")
        if training.guard and training.objective != "translation":
            raise ValueError(f'training.guard: training.objective = "{training.objective}" makes no translations')
        if training.guard and training.init_from is None and len(training.stages) < 2:
            raise ValueError(
                "training.guard needs training.init_from or several training.stages: it compares with the "
                "score before a fine-tuning"
            )

    def check_confidence(self) -> None:
        """Raise ValueError where there are no translations of sentences to calibrate the confidence on."""
        if not self.confidence.calibrate:
            return
        if self.training.objective != "translation":
            raise ValueError(
                f'confidence.calibrate: training.objective = "{self.training.objective}" makes no translations: '
                "leave it out"
            )
        if self.tokenizer.trees or self.data.dev_is_of_trees:
            raise ValueError("confidence.calibrate fits the chrF of sentences, and these are trees: leave it out")

    def check_synthetic(self) -> None:
        """Raise ValueError where synthetic pairs fit neither the languages, the splits nor the tokenizer."""
        for name, corpus in self.data.train.items():
            languages = self.languages.of(corpus.direction)
            if corpus.language not in (None, *languages.pair):
                raise ValueError(
                    f"data.{train_key(name)}.language = {corpus.language!r}: neither languages.source = "
                    f"{languages.source!r} nor languages.target = {languages.target!r}"
                )
        translated = self.translated
        if self.distillation is not None:
            if not names_of(self.distillation.teacher) or not all(names_of(self.distillation.teacher)):
                raise ValueError("distillation.teacher names no model")
            if not any(each.key == TEACHER for each in translated.values()):
                raise ValueError(
                    "distillation: all corpora of data.train have translate_with, or there are none: "
                    "nothing is left for the teacher to translate"
                )
        missing = [split for split, there in (("dev", self.data.dev_sets), ("test", self.data.test)) if not there]
        directions: list[str | None] = [*self.languages.directions] or [None]
        for direction in directions if missing and translated else ():
            own = {name for name, corpus in self.data.train.items() if corpus.direction == direction}
            if not own - translated.keys():
                of = f" of {direction}" if direction else ""
                raise ValueError(
                    f"data.{missing[0]}: each training corpus{of} has synthetic pairs, and none can be split off: give "
                    "it files"
                )
        for each in translated.values():
            noise, is_noised = each.config.noise, each.config.method == "noised"
            if is_noised and each.readable == (0,):
                raise ValueError(
                    f'{each.section}.method = "noised": the translations are targets, and noise is for sources: take '
                    '"beam" or "sampling"'
                )
            symbols = self.tokenizer.user_defined_symbols
            if is_noised and noise.blank and noise.symbol not in symbols and self.training.init_from is None:
                raise ValueError(
                    f"{each.section}.noise.symbol = {noise.symbol!r} is none of tokenizer.user_defined_symbols: add it "
                    "there, or set blank = 0"
                )

    @property
    def translated(self) -> dict[str, Translated]:
        """The corpora of `data.train` of which a model makes synthetic pairs, by name."""
        found: dict[str, Translated] = {}
        for name, corpus in self.data.train.items():
            if models := names_of(corpus.translate_with):
                sides: tuple[int, ...] = (0, 1)
                if corpus.monolingual is not None:
                    languages = self.languages.of(corpus.direction)
                    sides = (languages.pair.index(corpus.language or languages.target),)
                key = f"data.{train_key(name)}.translate_with"
                found[name] = Translated(key, models, corpus.synthetic or SyntheticConfig(), sides)
            elif self.distillation is not None:
                found[name] = Translated(TEACHER, names_of(self.distillation.teacher), self.distillation, (0,))
        return found

    def languages_of(self, split: str) -> LanguagesConfig:
        """Return the languages of a set of `data.held_out`; one that was split off has the name of its direction."""
        if corpus := self.data.held_out.get(split):
            return self.languages.of(corpus.direction)
        name = split.partition(".")[2]
        return self.languages.of(name if name in self.languages.directions else None)

    @property
    def needs_alignment(self) -> bool:
        """Whether something is made from the alignment of words in the training text."""
        return self.augmentation.needs_alignment or self.training.guided_alignment > 0

    @property
    def masks_needed(self) -> int:
        """The masks that the objective needs of the tokenizer."""
        if self.training.objective in ("translation", "language-model"):
            return 0
        return 2 if self.noise.target == "spans" else 1

    @property
    def has_prefixes(self) -> bool:
        """Whether language-model cuts lines into a prefix and the rest."""
        return self.model.architecture in PREFIXED


def _with_cleaning(corpora: Json, common: JsonObject) -> Json:
    """Complete the `cleaning` of each corpus of a table, or of the only corpus, which needs no name.

    [cleaning] is not for generated examples.
    """
    if not isinstance(corpora, dict):
        return corpora
    if corpora and all(isinstance(corpus, dict) for corpus in corpora.values()):
        return {name: _completed(corpus, common) for name, corpus in corpora.items()}
    return _completed(corpora, common)


def _completed(corpus: JsonObject, common: JsonObject) -> JsonObject:
    own = corpus.get("cleaning")
    if not isinstance(own, dict) or "task" in corpus:
        return corpus
    return {**corpus, "cleaning": {**common, **own}}

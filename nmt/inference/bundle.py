"""The bundle: a self-contained folder that is all `nmt translate` needs, on any machine."""

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pydantic import Field, SerializerFunctionWrapHandler, ValidationError, model_serializer

from nmt.cards import Card, writer_of
from nmt.config.compatibility import completed
from nmt.config.decoding import DecodingConfig, EvaluationConfig
from nmt.config.inference import TrainingLines
from nmt.config.languages import LanguagesConfig
from nmt.config.model import ModelConfig
from nmt.config.section import Section, first_error
from nmt.config.training import Objective
from nmt.data.encoding.tokenizer import Tokenizer
from nmt.errors import ArtifactError, UsageError
from nmt.files import JsonObject, digest_file, write_json, write_text
from nmt.version import __version__

if TYPE_CHECKING:
    from torch import Tensor

    from nmt.evaluation.metrics import Scores

CONFIG, WEIGHTS, LOCK, SCORES, CARD = "config.json", "model.safetensors", "lock.json", "scores.json", "README.md"
BUNDLE = Card(CONFIG, "bundle", format=2)
FLOAT32, INT8 = 1, 2  # formats by the type of the weights
FINE_TUNE = "fine-tune it: nmt run RECIPE --init-from {path}"
BUNDLED = ("bundle", "evaluate")  # the stages whose results are a bundle and its scores


class Quantized(Section):
    """The origin of weights in int8."""

    bundle: str  # digest in the config of the bundle in float32 that they were made from
    sample: str  # SHA-256 of the text that both bundles translated, or where else it came from
    parity: dict[str, dict[str, int | float]] = Field(default_factory=dict)  # agreement with that bundle, by search


class Imported(Section):
    """The origin of a model that another package trained."""

    origin: str  # its name on the Hub, or the name of its folder
    revision: str | None = None  # commit on the Hub
    licence: str | None = None  # as its model card names it
    files: dict[str, str]  # SHA-256 of its files by name
    versions: dict[str, str]  # of the packages with which it was compared
    sample: str  # SHA-256 of the text that both translated, or where else it came from
    parity: dict[str, dict[str, int | float]] = Field(default_factory=dict)  # agreement with that package, by part

    @property
    def source(self) -> str:
        """The origin with its revision and licence, for people."""
        facts = [f"revision {self.revision}"] if self.revision else []
        facts.append(f"licence {self.licence or 'not named'}")
        return f"{self.origin} ({', '.join(facts)})"


class Learned(Section):
    """The origin of a model that `nmt learn` made from another one."""

    parent: str  # digest in the config of the bundle that was corrected
    corrections: str  # digest of the corrections
    general: str  # digest of the general pairs that were replayed and scored
    pairs: int  # corrections
    settings: JsonObject  # of LearningConfig
    before: dict[str, dict[str, dict[str, float | str]]] = Field(default_factory=dict)
    """Scores of the parent, by test and metric, as in `scores.json`."""


class BundleConfig(Section):
    """The content of `config.json`."""

    format: int = FLOAT32  # version of the bundle's layout
    nmt: str = __version__  # version of nmt that wrote the bundle
    name: str  # name of the recipe
    languages: LanguagesConfig
    model: ModelConfig
    decoding: DecodingConfig
    evaluation: EvaluationConfig
    protect: str | None = None  # regular expression of text to keep unchanged; missing in bundles of older versions
    objective: Objective = "translation"  # what it was trained for
    aligns: bool = False  # whether a head was trained to align, by `training.guided_alignment`
    has_terms: bool = False  # whether it takes terms from its source, by `augmentation.terms`
    training_lines: TrainingLines | None = None  # lengths of the training lines; missing in bundles of older versions
    quantized: Quantized | None = None  # where the weights are in int8, see `nmt.model.preparation`
    imported: Imported | None = None  # where another package trained it
    learned: Learned | None = None  # where it learned from corrections
    files: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of the weights and of the tokenizer's files; set by `write_bundle`."""

    @model_serializer(mode="wrap")
    def as_known_before(self, write: SerializerFunctionWrapHandler) -> JsonObject:
        """Leave out `learned`, `has_terms` and `languages.directions` where there are none: an older nmt, which does
        not know them, reads such a bundle.
        """
        values: JsonObject = write(self)
        if not self.languages.directions:
            del values["languages"]["directions"]
        if values["learned"] is None:
            del values["learned"]
        if not values["has_terms"]:
            del values["has_terms"]
        return values


@dataclass(frozen=True)
class Bundle:
    """An opened and verified bundle."""

    path: Path
    config: BundleConfig
    tokenizer: Tokenizer

    def check_float32(self) -> None:
        """Raise UsageError where the weights are not in float32."""
        if self.config.quantized:
            hint = "take the bundle that it was made from"
            raise UsageError(f"{self.path}: its weights are in int8, and float32 ones are needed", hint=hint)

    def check_plain_text(self) -> None:
        """Raise UsageError where the targets are trees, whose pieces and search other engines lack."""
        if self.tokenizer.target.trees is not None:
            hint = "translate with the native engine, or take --to int8"
            raise UsageError(f"{self.path}: its targets are trees (tokenizer.trees), which nmt alone has", hint=hint)

    def check_one_direction(self, what: str) -> None:
        """Raise UsageError where the model has several directions, and `what` is for one."""
        if (languages := self.config.languages).directions:
            raise UsageError(f"{self.path}: translates {languages.title}, and {what} is for a model of one direction")

    def check_translates(self) -> None:
        """Raise UsageError where the model was trained for another objective than translation."""
        check_translates(self.path, self.config)


def write_bundle(
    folder: Path, weights: "dict[str, Tensor]", tokenizer: Path, lock: JsonObject, config: BundleConfig
) -> None:
    """Write a bundle without scores to the new `folder`, with the tokenizer of the folder `tokenizer`.

    The `lock` is that of the run, whose bundle and scores it may hold, which are not those of this one.
    """
    from nmt.model.tensors import save_tensors  # imports torch

    folder.mkdir(exist_ok=True)
    save_tensors(weights, folder / WEIGHTS)
    parts = Tokenizer.load(tokenizer).files
    for part in parts:
        shutil.copyfile(tokenizer / part, folder / part)
    config = config.model_copy(update={"files": {part: digest_file(folder / part) for part in [WEIGHTS, *parts]}})
    BUNDLE.write(folder, config.model_dump())
    write_json(folder / LOCK, without_results(lock, BUNDLED))
    add_scores(folder, config, {})


def check_translates(path: Path, config: BundleConfig) -> None:
    """Raise UsageError where the model at `path` was trained for another objective than translation."""
    if (objective := config.objective) != "translation":
        hint = FINE_TUNE.format(path=path) if objective != "masked" else "an encoder alone does not translate"
        raise UsageError(f"{path}: was trained for {objective}, not translation", hint=hint)


def without_results(lock: JsonObject, stages: Collection[str]) -> JsonObject:
    """Return the lock of a run without the results of `stages`, and without the scores, which are the last result."""
    results = lock.get("results") if isinstance(lock, dict) else None
    if not isinstance(results, dict):
        return lock
    kept = {stage: result for stage, result in results.items() if stage not in stages}
    return {**lock, "results": kept, "scores": {}}


def add_scores(folder: Path, config: BundleConfig, scores: "dict[str, Scores]") -> None:
    """Write the scores of every test set, and the model card with their table."""
    write_json(folder / SCORES, scores)
    write_text(folder / CARD, card(config, scores))


def card(config: BundleConfig, scores: "dict[str, Scores]") -> str:
    """Return the model card, the bundle's README."""
    languages, model = config.languages, config.model
    made = "imported" if config.imported else "made"
    to = f" --to {languages.target}" if languages.directions else ""
    use = f"nmt translate PATH_OF_THIS_FOLDER{to} < text.{languages.source} > text.{languages.target}"
    kind = "translation"
    if config.objective != "translation":
        kind, use = "pretrained", "nmt run RECIPE --init-from PATH_OF_THIS_FOLDER"
    lines = [
        f"# {config.name}: {languages.title}",
        "",
        f"A {kind} model {made} by nmt {config.nmt}: {model.architecture} Transformer, width {model.d_model}, "
        f"feed-forward {model.ffn}, {model.heads} heads, {' + '.join(map(str, model.stacks.values()))} layers."
        + (f" It was trained for {config.objective}, and does not translate." if kind == "pretrained" else ""),
        "",
        "```",
        use,
        "```",
        "",
        *origins(config),
    ]
    if config.quantized:
        lines += [
            "",
            "The weights are 8-bit integers (int8), made from those of the bundle in float32 whose `config.json` has "
            f"the digest `{config.quantized.bundle}`. The scores of that bundle are not those of this one, which "
            "`nmt evaluate` measures. `quantized` in `config.json` compares both on a sample.",
        ]
    if scores:
        lines += ["", *score_table(scores)]
    if config.learned:
        before = cast("dict[str, Scores]", config.learned.before)
        lines += ["", "Before the corrections:", "", *score_table(before)]
    return "\n".join(lines) + "\n"


def origins(config: BundleConfig) -> list[str]:
    """Return where the model comes from, and what `lock.json` holds."""
    lines = []
    if config.imported:
        lines.append(f"It was imported from {config.imported.source}; `lock.json` has the digests of its files.")
    if config.learned:
        lines.append(
            f"It has learned {config.learned.pairs:,} corrections by `nmt learn`, beginning as the bundle whose "
            f"`config.json` has the digest `{config.learned.parent}`; `lock.json` has the lock of that bundle."
        )
    return lines or [
        "`lock.json` says what it was made from: the whole recipe, digests of the data, versions, seed. "
        "`nmt run lock.json` repeats the run."
    ]


def score_table(scores: "dict[str, Scores]") -> list[str]:
    """Return the lines of a table of the scores of every test set, with their signatures."""
    return ["| Test | Metric | Score | Signature |", "|---|---|---|---|"] + [
        f"| {test} | {metric} | {score['score']:.2f} | `{score['signature'].replace('|', chr(92) + '|')}` |"
        for test, metrics in scores.items()
        for metric, score in metrics.items()
    ]


AGAIN = "copy the bundle again, or make it again with `nmt run`"


def open_bundle(path: Path) -> Bundle:
    """Open the bundle at `path`, and verify its files. Raises ArtifactError."""
    config = read_config(path)
    BUNDLE.verify(path, config.files, hint=AGAIN)
    tokenizer = Tokenizer.load(path)
    for name in (WEIGHTS, *tokenizer.files):
        if name not in config.files:
            raise ArtifactError(f"{path / CONFIG}: damaged: its files do not list {name}", hint=AGAIN)
    return Bundle(path, config, tokenizer)


def read_config(path: Path) -> BundleConfig:
    """Read the config of the bundle at `path`, without a look at its other files. Raises ArtifactError."""
    if not path.is_dir():
        raise ArtifactError(f"{path}: no such bundle", hint="after `nmt run` it is runs/NAME/model")
    if (inner := path / "model" / CONFIG).is_file():
        raise ArtifactError(f"{path}: a run folder, not a bundle", hint=f"take {inner.parent}")
    values = BUNDLE.read(path, hint=AGAIN)
    try:
        return BundleConfig.model_validate(completed(values, BundleConfig))
    except ValidationError as error:
        # Its digest is right, so it is as another nmt wrote it.
        hint = f"use {writer_of(values)}" if "nmt" in values else AGAIN
        raise ArtifactError(f"{path / CONFIG}: {first_error(error)}", hint=hint) from None

"""The initial model of a fine-tuning: weights and tokenizer of a bundle or a checkpoint."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from nmt import console
from nmt.config.compatibility import completed, knobs_with, recorded_knobs
from nmt.config.languages import LanguagesConfig
from nmt.config.model import ModelConfig
from nmt.config.section import first_error
from nmt.config.toml import to_toml
from nmt.data.encoding.tokenizer import Tokenizer
from nmt.errors import ArtifactError
from nmt.files import JsonObject, digest_file, is_missing, read_json
from nmt.inference.bundle import CONFIG, WEIGHTS, open_bundle
from nmt.model.families import check_shapes
from nmt.model.tensors import load_tensors, read_shapes
from nmt.run_folder import RunFolder
from nmt.training.checkpoint import STATE, Checkpoint, Checkpoints, read_checkpoint


@dataclass(frozen=True)
class InitialModel:
    """A trained model that a training starts from, verified once and kept in the run's lock."""

    file: str  # absolute path of its weights
    weights: str  # SHA-256 of the weights
    tokenizer: str  # absolute path of the folder of its tokenizer
    tokenizer_files: dict[str, str]  # SHA-256 of the tokenizer's files by name

    @classmethod
    def read(cls, values: JsonObject) -> Self | None:
        """Read what a lock records of the model; None where it is something else."""
        try:
            return TypeAdapter(cls).validate_python(values)
        except ValidationError:
            return None

    def copy_tokenizer(self, folder: Path) -> None:
        """Copy the tokenizer into `folder`. Raises ArtifactError where it is gone or damaged."""
        for name in Tokenizer.load(Path(self.tokenizer)).files:
            shutil.copyfile(Path(self.tokenizer) / name, folder / name)

    def load(self) -> dict[str, Tensor]:
        """Read the weights by parameter name. Raises ArtifactError where they are gone or have changed."""
        path = Path(self.file)
        if is_missing(path) or digest_file(path) != self.weights:
            raise ArtifactError(f"{path}: gone or changed since this run began", hint="run it again")
        return load_tensors(path)


def open_initial_model(path: Path, model: ModelConfig, languages: LanguagesConfig) -> InitialModel:
    """Open the bundle, checkpoint or folder of checkpoints at `path`, to train `model` from.

    Warns where it translates other languages. Raises ArtifactError where it is none of them, is damaged, or its
    weights do not fit.
    """
    path = Path(os.path.realpath(path))  # `Path.resolve` raises RuntimeError on a link to itself
    theirs: LanguagesConfig | None
    if (path / CONFIG).is_file():
        bundle = open_bundle(path)
        bundle.check_float32()
        initial = describe(path / WEIGHTS, bundle.config.files[WEIGHTS], path, bundle.tokenizer)
        config, theirs = bundle.config.model, bundle.config.languages
    else:
        checkpoint = find_checkpoint(path)
        run = RunFolder(checkpoint.path.parent.parent)
        if not run.tokenizer.is_dir():
            hint = "take a checkpoint in its run folder, or a bundle"
            raise ArtifactError(f"{checkpoint.path}: its tokenizer is not at {run.tokenizer}", hint=hint)
        name, tokenizer = checkpoint.bundle_file, Tokenizer.load(run.tokenizer)
        initial = describe(checkpoint.path / name, checkpoint.files[name], run.tokenizer, tokenizer)
        recorded = completed(recorded_knobs(checkpoint.identity).get("model", {}), ModelConfig)
        try:
            config, theirs = ModelConfig.model_validate(recorded), languages_of(run)
        except ValidationError as error:
            raise ArtifactError(f"{checkpoint.path / STATE}: model.{first_error(error)}") from None
    refuse_misfit(path, config, model, read_shapes(Path(initial.file)), Tokenizer.load(Path(initial.tokenizer)))
    if theirs and not {one.pair for one in theirs.each}.issuperset(one.pair for one in languages.each):
        console.warn(
            f"{path} translates {theirs.title}, the recipe {languages.title}: its tokenizer and its weights know other "
            "text"
        )
    return initial


def describe(file: Path, weights: str, folder: Path, tokenizer: Tokenizer) -> InitialModel:
    """Return the model with the weights in `file`, of digest `weights`, and the `tokenizer` in `folder`."""
    return InitialModel(str(file), weights, str(folder), {name: digest_file(folder / name) for name in tokenizer.files})


def find_checkpoint(path: Path) -> Checkpoint:
    """Return the checkpoint at `path`, or the newest whole one in it. Raises ArtifactError."""
    if (path / STATE).exists():
        return read_checkpoint(path)
    newest, damage = Checkpoints(path, keep=1).newest()
    if newest is None:
        hint = "training.init_from takes runs/NAME/model, runs/NAME/checkpoints, or a folder in that"
        raise ArtifactError(f"{path}: neither a bundle nor a checkpoint", hint=hint)
    for message in damage:
        console.warn(f"{message}; starting from an older checkpoint")
    return newest


def languages_of(run: RunFolder) -> LanguagesConfig | None:
    """Return the languages in the lock of `run`, if it has one."""
    try:
        return LanguagesConfig.model_validate(read_json(run.lock)["recipe"]["languages"])
    except (KeyError, TypeError, ValidationError):
        return None


def refuse_misfit(
    path: Path, config: ModelConfig, model: ModelConfig, shapes: dict[str, tuple[int, ...]], tokenizer: Tokenizer
) -> None:
    """Raise ArtifactError where weights of these `shapes`, of the section `config`, do not fit `model`."""
    there, here = (knobs_with({"weights"}, section) for section in (config, model))
    if model.positions != "learned":
        del here["max_length"]
    keys = [key for key in here if there[key] != here[key]]
    facts = [f"model.{key} = {to_toml(there[key])} there, {to_toml(here[key])} here" for key in keys]
    try:
        check_shapes(shapes, model, tokenizer.source_size, tokenizer.target_size)
    except ValueError as error:
        facts.append(str(error))
    if facts:
        wanted = ", ".join(f"model.{key} = {to_toml(there[key])}" for key in keys)
        raise ArtifactError(
            f"{path}: does not fit the model of the recipe: {'; '.join(facts)}",
            hint=f"set {wanted}" if keys else "the tokenizer beside it is not the one that it was trained with",
        )

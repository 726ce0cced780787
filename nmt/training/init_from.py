"""What fine-tuning begins with: the weights and the tokenizer of a bundle or of a checkpoint."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from nmt import console
from nmt.config.data import LanguagesConfig
from nmt.config.model import ModelConfig
from nmt.data.encoding.tokenizer import Tokenizer
from nmt.errors import ArtifactError
from nmt.files import digest_file, read_json
from nmt.inference.bundle import CONFIG, WEIGHTS, open_bundle
from nmt.model.families import build_without_weights
from nmt.model.tensors import load_tensors
from nmt.run_folder import RunFolder
from nmt.training.checkpoint import STATE, Checkpoint, Checkpoints, read_checkpoint

FREE = {"preset", "dropout", "attention_dropout", "activation_dropout"}
"""Keys of the model that its weights do not depend on."""


@dataclass(frozen=True)
class Start:
    """A trained model that a training begins with, found and verified once; a lock remembers it."""

    file: str
    """Its weights, an absolute path."""
    weights: str
    """SHA-256 of them."""
    tokenizer: str
    """The folder of its tokenizer, an absolute path."""
    tokenizer_files: dict[str, str]
    """SHA-256 of the tokenizer's files by name."""

    def copy_tokenizer(self, folder: Path) -> None:
        """Copy the tokenizer into `folder`. Raises ArtifactError where it is gone or damaged."""
        for name in Tokenizer.load(Path(self.tokenizer)).files:
            shutil.copyfile(Path(self.tokenizer) / name, folder / name)

    def load(self) -> dict[str, Tensor]:
        """Read the weights by parameter name. Raises ArtifactError where they are gone or others by now."""
        path = Path(self.file)
        if not path.is_file() or digest_file(path) != self.weights:
            raise ArtifactError(f"{path}: gone or changed since this training took note of it", hint="run it again")
        return load_tensors(path)


def open_start(path: Path, model: ModelConfig, languages: LanguagesConfig) -> Start:
    """Open the bundle, checkpoint or folder of checkpoints at `path`, to train `model` from.

    Warns where it translates other languages. Raises ArtifactError where it is none of them, is damaged, or its
    weights do not fit.
    """
    path = path.resolve()
    spoken: dict[str, str] | None
    if (path / CONFIG).is_file():
        bundle = open_bundle(path)
        start = start_of(path / WEIGHTS, bundle.config.files[WEIGHTS], path, bundle.tokenizer)
        there, spoken = bundle.config.model.model_dump(), bundle.config.languages.model_dump()
    else:
        found = find_checkpoint(path)
        run = RunFolder(found.path.parent.parent)
        if not run.tokenizer.is_dir():
            raise ArtifactError(
                f"{found.path}: its tokenizer is not at {run.tokenizer}",
                hint="take a checkpoint in its run folder, or a model folder",
            )
        tokenizer = Tokenizer.load(run.tokenizer)
        start = start_of(found.path / found.shipped_file, found.files[found.shipped_file], run.tokenizer, tokenizer)
        there, spoken = found.identity["model"], languages_of(run)
    refuse_misfit(path, there, model, start.load(), Tokenizer.load(Path(start.tokenizer)))
    if spoken and spoken != languages.model_dump():
        console.warn(
            f"{path} translates {spoken['source']} to {spoken['target']}, the recipe {languages.source} to "
            f"{languages.target}: its tokenizer and its weights know other text"
        )
    return start


def start_of(file: Path, weights: str, folder: Path, tokenizer: Tokenizer) -> Start:
    """Note where the weights and the `tokenizer` of `folder` lie, with their digests."""
    return Start(str(file), weights, str(folder), {name: digest_file(folder / name) for name in tokenizer.files})


def find_checkpoint(path: Path) -> Checkpoint:
    """Return the checkpoint at `path`, or the newest whole one in it. Raises ArtifactError."""
    if (path / STATE).exists():
        return read_checkpoint(path)
    found, damage = Checkpoints(path, keep=1).newest_whole()
    if found is None and damage:
        raise ArtifactError(damage[0], hint="no older checkpoint is whole")
    if found is None:
        raise ArtifactError(
            f"{path}: neither a model folder nor a checkpoint",
            hint="training.init_from takes runs/NAME/model, runs/NAME/checkpoints, or a folder in that",
        )
    for message in damage:
        console.warn(f"{message}; beginning with an older checkpoint")
    return found


def languages_of(run: RunFolder) -> dict[str, str] | None:
    """Return the languages of `run` as its lock has them, if it has."""
    try:
        languages: dict[str, str] = read_json(run.lock)["recipe"]["languages"]
    except (KeyError, TypeError):
        return None
    return languages


def refuse_misfit(
    path: Path, there: Mapping[str, Any], model: ModelConfig, weights: Mapping[str, Tensor], tokenizer: Tokenizer
) -> None:
    """Raise ArtifactError where `weights` of a model with the keys `there` are not those of `model`."""
    free = FREE if model.positions == "learned" else {*FREE, "max_length"}
    here = model.model_dump(exclude=free)
    keys = [key for key in here if there.get(key) != here[key]]
    facts = [f"model.{key} = {json.dumps(there.get(key))} there, {json.dumps(here[key])} here" for key in keys]
    outline = build_without_weights(model, tokenizer.source_size, tokenizer.target_size)
    try:
        outline.load_weights(dict(weights))
    except ValueError as error:
        facts.append(str(error))
    if facts:
        wanted = ", ".join(f"model.{key} = {json.dumps(there.get(key))}" for key in keys)
        raise ArtifactError(
            f"{path}: does not fit the model of the recipe: {'; '.join(facts)}",
            hint=f"set {wanted}" if keys else "the tokenizer beside it is not the one that it was trained with",
        )

"""The stage `bundle`, which averages checkpoints and ships the mean, and other averages of a run's checkpoints."""

import shutil
from pathlib import Path
from typing import Literal

from nmt import console
from nmt.config.compatibility import changed_inputs
from nmt.config.inference import TrainingLines
from nmt.config.recipe import Recipe
from nmt.errors import ArtifactError
from nmt.files import JsonObject, check_new_folder, is_missing, read_json, replacing
from nmt.inference.bundle import CARD, LOCK, SCORES, BundleConfig, add_scores, open_bundle, write_bundle
from nmt.inference.confidence import FILE as CALIBRATION
from nmt.pipeline import evaluation
from nmt.pipeline.ids import training_lines
from nmt.pipeline.manifest import Manifest, making
from nmt.pipeline.recipe_file import recorded_recipe
from nmt.pipeline.run import Run
from nmt.pipeline.stage import Stage, digests_of
from nmt.run_folder import RunFolder
from nmt.training.checkpoint import Checkpoints


def inputs(run: Run) -> JsonObject:
    return {"checkpoints": digests_of(run.folder.checkpoints), "tokenizer": digests_of(run.folder.tokenizer)}


def make(run: Run, manifest: Manifest) -> None:
    """Average the checkpoints that the recipe names, and write the bundle."""
    folder, training = run.folder, run.recipe.training
    weights = run.checkpoints.average(training.average_checkpoints, training.average)
    with making(folder.bundle, manifest, changing=(SCORES, CARD, LOCK)) as scratch:
        write_bundle(
            scratch, weights, folder.tokenizer, read_json(folder.lock), config_of(run.recipe, training_lines(folder))
        )
    scored = Manifest.read(folder.evaluation)
    if scored and not changed_inputs(scored.inputs, evaluation.inputs(run), evaluation.STAGE.effects):
        add_scores(folder.bundle, open_bundle(folder.bundle).config, read_json(folder.scores))
        if not is_missing(folder.evaluation / CALIBRATION):
            shutil.copyfile(folder.evaluation / CALIBRATION, folder.bundle / CALIBRATION)
    console.log(f"bundle: {folder.bundle}")


def config_of(recipe: Recipe, lines: TrainingLines | None) -> BundleConfig:
    """Return the config of a recipe's bundle, whose files are not yet known."""
    return BundleConfig(
        name=recipe.name,
        languages=recipe.languages,
        model=recipe.model,
        decoding=recipe.decoding,
        evaluation=recipe.evaluation,
        protect=recipe.data.protect,
        objective=recipe.training.objective,
        aligns=recipe.training.guided_alignment > 0,
        has_terms=recipe.augmentation.terms > 0,
        training_lines=lines,
    )


def average_run(
    run: RunFolder, checkpoints: Path, folder: Path, *, count: int | None, of: Literal["last", "best"]
) -> list[str]:
    """Write the bundle of `run` to `folder` with the mean of `count` of its `checkpoints`; return their names.

    Without `count`, those that its recipe names. Raises UsageError where `folder` is in use, and ArtifactError
    where the run folder is damaged or there are too few checkpoints.
    """
    check_new_folder(folder)
    recipe, lock = recorded_recipe(run.lock), read_json(run.lock)
    store = Checkpoints(checkpoints, recipe.training.keep_checkpoints)
    wanted = count or recipe.training.average_checkpoints
    of = of if count else recipe.training.average
    names = [path.name for path in store.chosen(wanted, of)]
    if count and len(names) < count:
        asked, hint = f"{count} {'best' if of == 'best' else 'newest'} checkpoints", f"take --{of} {len(names)}"
        raise ArtifactError(f"{checkpoints}: {asked} asked for, {len(names)} there", hint=hint)
    weights = store.average(wanted, of)
    with replacing(folder) as scratch:
        config = config_of(recipe, training_lines(run))
        write_bundle(scratch, weights, run.tokenizer, {**lock, "averaged": names}, config)
    return names


STAGE = Stage("bundle", lambda run: run.folder.bundle, frozenset({"bundle", "decoding"}), inputs, make)

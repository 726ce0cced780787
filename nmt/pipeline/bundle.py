"""Bundles of a run: the one that its pipeline makes, and others from its checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from nmt.config.compatibility import completed
from nmt.config.recipe import Recipe
from nmt.config.toml import check
from nmt.errors import ArtifactError, RecipeError, UsageError
from nmt.files import read_record, replacing
from nmt.run_folder import RunFolder


def fill_bundle(folder: Path, weights: dict[str, Any], run: RunFolder, recipe: Recipe, lock: dict[str, Any]) -> None:
    """Write the bundle of `run` with `weights` to the new `folder`."""
    from nmt.inference.bundle import BundleConfig, write_bundle

    config = BundleConfig(
        name=recipe.name,
        languages=recipe.languages,
        model=recipe.model,
        decoding=recipe.decoding,
        evaluation=recipe.evaluation,
        protect=recipe.data.protect,
    )
    write_bundle(folder, weights, run.tokenizer, lock, config)


def average_run(
    run: RunFolder, checkpoints: Path, folder: Path, *, count: int | None, of: Literal["last", "best"]
) -> list[str]:
    """Write the bundle of `run` to `folder` with the mean of `count` of its `checkpoints`; return their names.

    Without `count`, those that its recipe names. Raises UsageError where `folder` is in use, and ArtifactError
    where the run folder is damaged or there are too few checkpoints.
    """
    from nmt.training.checkpoint import Checkpoints

    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(f"{folder}: is there already", hint="name a new or an empty folder")
    lock = read_record(run.lock, "recipe")
    if lock is None:
        raise ArtifactError(f"{run.lock}: missing or damaged", hint="`nmt run` writes it anew")
    try:
        recipe = check(completed(lock["recipe"], Recipe), str(run.lock))
    except RecipeError as error:
        raise ArtifactError(str(error), hint="use the nmt that wrote it") from None
    store = Checkpoints(checkpoints, recipe.training.keep_checkpoints)
    wanted = count or recipe.training.average_checkpoints
    of = of if count else recipe.training.average
    names = [path.name for path in store.chosen(wanted, of)]
    if count and len(names) < count:
        kind = "best" if of == "best" else "newest"
        raise ArtifactError(
            f"{checkpoints}: {count} {kind} checkpoints asked for, {len(names)} there", hint=f"take --{of} {len(names)}"
        )
    weights = store.average(wanted, of)
    with replacing(folder) as scratch:
        fill_bundle(scratch, weights, run, recipe, {**lock, "averaged": names})
    return names

"""The facts about a model: shape, parameters, operations, sizes, settings, and the training that made it."""

from dataclasses import asdict
from pathlib import Path

from nmt.config.inference import InferenceConfig
from nmt.config.recipe import Recipe
from nmt.errors import UsageError
from nmt.files import JsonObject
from nmt.inference.bundle import LOCK, WEIGHTS, Bundle, open_bundle
from nmt.inference.engines.native import NativeEngine
from nmt.model.families import build_without_weights
from nmt.model.size import SOURCE, memory_of_weights, operations, parameters_by_part
from nmt.pipeline.lock import Lock, read_lock
from nmt.pipeline.recipe_file import recorded_recipe

LENGTH = 25  # pieces of both sides of the sentence whose operations are given, EOS included


def facts(path: Path) -> JsonObject:
    """Return the facts about the bundle at `path`. Raises ArtifactError where it is damaged or has no lock.

    An imported one has no training, and another one no import.
    """
    bundle = open_bundle(path)
    config, tokenizer = bundle.config, bundle.tokenizer
    training = None if config.imported else training_of(read_lock(path / LOCK), recorded_recipe(path / LOCK))
    model = build_without_weights(config.model, tokenizer.source_size, tokenizer.target_size)
    parts, counted, beam = parameters_by_part(model), operations(model), config.decoding.beam_size
    return {
        "path": str(path),
        "name": config.name,
        "nmt": config.nmt,
        "languages": config.languages.model_dump(exclude_defaults=True),
        "model": config.model.model_dump(),
        "tokenizer": {
            "joint": tokenizer.joint,
            "source_size": tokenizer.source_size,
            "target_size": tokenizer.target_size,
            "tags": tokenizer.tags,
            "placeholders": tokenizer.placeholders,
            "masks": len(tokenizer.masks),
        },
        "parameters": {**parts, "total": sum(parts.values())},
        "operations": {
            **asdict(counted),
            "sentence": {
                "source": LENGTH,
                "target": LENGTH,
                "beam_size": beam,
                "total": counted.of_search(LENGTH, LENGTH, beam),
            },
            "counted": SOURCE,
        },
        "bytes": {
            "weights": (path / WEIGHTS).stat().st_size,
            "bundle": sum(file.stat().st_size for file in path.iterdir() if file.is_file()),
            "memory": memory_of(bundle),
        },
        "decoding": config.decoding.model_dump(),
        "protect": config.protect,
        "training": training,
        "imported": config.imported and config.imported.model_dump(),
    }


def memory_of(bundle: Bundle) -> int | None:
    """Return the bytes of the weights as `nmt translate` holds them on a CPU; None where it cannot on this one."""
    precision = bundle.config.decoding.precision
    try:
        (model,) = NativeEngine.load([bundle.path], InferenceConfig(device="cpu"), precision).models
    except UsageError:
        return None
    return memory_of_weights(model)


def training_of(lock: Lock, recipe: Recipe) -> JsonObject:
    """Return the facts about a training that its lock records; None for those that an older nmt did not record."""
    counts = {stage: result.counts or {} for stage, result in lock.results.items()}
    ids, trained = counts.get("prepare", {}), counts.get("train", {})
    session = lock.sessions[-1]
    return {
        "recipe": recipe.name,
        "objective": recipe.training.objective,
        "corpora": list(recipe.data.training_corpora),
        "pairs": ids.get("pairs", {}).get("train"),
        "tokens": ids.get("tokens", {}).get("train"),
        "max_steps": recipe.training.max_steps,
        "steps": trained.get("steps"),
        "seed": lock.seed,
        "algorithm": recipe.optimizer.algorithm,
        "precision": recipe.training.precision,
        "averaged": lock.averaged or recipe.training.average_checkpoints,
        "init_from": recipe.training.init_from,
        "began": lock.sessions[0].began,
        "device": session.device or None,
        "versions": session.versions,
    }

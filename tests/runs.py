"""Runs of small recipes, for the tests of stages, and a run folder and a bundle of older versions of nmt."""

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import torch
from conftest import GOLDEN

from nmt.config.compatibility import RECIPE, changed_inputs, knobs_with
from nmt.config.languages import LanguagesConfig
from nmt.config.model import ModelConfig
from nmt.config.toml import LoadedRecipe, check
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, PAD_ID
from nmt.files import read_json, write_json
from nmt.inference.bundle import LOCK, WEIGHTS, open_bundle, write_bundle
from nmt.model.families import build
from nmt.model.tensors import load_tensors
from nmt.pipeline.manifest import Manifest
from nmt.pipeline.run import Run
from nmt.pipeline.stage import Stage
from nmt.pipeline.stage_cache import StageCache


def corpus(root: Path, name: str) -> dict[str, str]:
    """Write a corpus of one pair, and return its section."""
    (root / f"{name}.tsv").write_text(f"{name}\t{name.upper()}\n", encoding="utf-8")
    return {"files": f"{name}.tsv"}


def make_run(root: Path, *, folder: str = "run", cache: StageCache | None = None, **sections: Any) -> Run:
    """Return a run in `root` of two corpora, with some sections changed; with monolingual text, of masked pieces."""
    files = corpus(root, "a")
    is_masked = bool(sections.get("data", {}).get("monolingual"))
    recipe = {
        "name": "x",
        "languages": {"source": "en", "target": "de"},
        "tokenizer": {"placeholders": 2, "masks": int(is_masked)},
        **({"model": {"architecture": "encoder-only"}, "training": {"objective": "masked"}} if is_masked else {}),
        **sections,
        "data": {"train": {"a": files, "b": files}, **sections.get("data", {})},
    }
    loaded = LoadedRecipe(check(recipe, "x"), root / "x.toml", "")
    return Run(loaded, run_dir=root / folder, workers=1, cache=cache)


def all_inputs(stage: Stage, run: Run) -> dict[str, Any]:
    """Return the inputs of a stage, knobs among them."""
    return {RECIPE: knobs_with(stage.effects, run.recipe), **stage.inputs(run)}


def changes(stage: Stage, first: Run, second: Run) -> list[str]:
    """Name the inputs of a stage that differ between two runs."""
    return changed_inputs(all_inputs(stage, first), all_inputs(stage, second), stage.effects)


def record(folder: Path, **files: str) -> None:
    """Write the manifest of a stage that made `files`, of these digests."""
    folder.mkdir(parents=True, exist_ok=True)
    Manifest("made", {}, files=files).write(folder)


def unpack_old_run(folder: Path) -> Path:
    """Unpack a run folder of nmt 0.1.0: two corpora, one with a weight and tags, one with filters of its own."""
    with tarfile.open(GOLDEN / "run-0.1.0.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "old"


def unpack_format_1(folder: Path) -> tuple[Path, dict[str, Any]]:
    """Unpack a bundle of format 1; return it, and what the nmt that made it did with `lines`."""
    with tarfile.open(GOLDEN / "bundle-format-1.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    record = json.loads((folder / "format-1" / "record.json").read_text(encoding="utf-8"))
    return folder / "format-1" / "model", record


def write_translator(folder: Path, source: str, target: str, *, seed: int = 2) -> Path:
    """Write a bundle of a tiny model drawn at random, as if it translated from `source` to `target`."""
    origin, _ = unpack_format_1(folder.with_name(f"{folder.name}-origin"))
    bundle = open_bundle(write_random(folder.with_name(f"{folder.name}-random"), origin, seed=seed, max_length=64))
    languages = LanguagesConfig(source=source, target=target)
    decoding = bundle.config.decoding.model_copy(update={"min_length": 4})  # a random model would leave lines blank
    config = bundle.config.model_copy(update={"languages": languages, "decoding": decoding})
    write_bundle(folder, load_tensors(bundle.path / WEIGHTS), bundle.path, read_json(bundle.path / LOCK), config)
    return folder


def copy_scored(run: Path, folder: Path, **changes: object) -> Path:
    """Copy what a comparison reads of a run folder, and change its lock: `sessions__0__device` is a key in a list."""
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("*.safetensors", "*.model", "model"))
    lock = read_json(folder / "lock.json")
    for key, value in changes.items():
        *path, last = key.split("__")
        inner = lock
        for each in path:
            inner = inner[int(each) if isinstance(inner, list) else each]
        inner[last] = value
    write_json(folder / "lock.json", lock)
    return folder


def write_random(folder: Path, origin: Path, *, seed: int = 2, **model: object) -> Path:
    """Write a bundle of a pre-norm model drawn at random, which likes to end, with the vocabulary of that at `origin`.

    As a trained one it writes neither padding nor BOS; it searches without a length penalty.
    """
    torch.manual_seed(seed)
    bundle = open_bundle(origin)
    shape = {"d_model": 32, "heads": 4, "ffn": 32, "max_length": 16, "norm": "pre", **model}
    config = ModelConfig.model_validate(shape)
    drawn = build(config, bundle.tokenizer.source_size, bundle.tokenizer.target_size)
    weights = drawn.weights()
    bias = weights["decoder_norm.bias" if "decoder_norm.bias" in weights else "encoder_norm.bias"]
    for piece, liking in ((EOS_ID, 4), (PAD_ID, -9), (BOS_ID, -9)):
        row = drawn.generator.weight.detach()[piece]
        bias.add_(liking * row / row.square().sum())
    decoding = bundle.config.decoding.model_copy(update={"length_penalty": 0.0})
    changed = bundle.config.model_copy(update={"model": config, "decoding": decoding})
    write_bundle(folder, weights, origin, read_json(origin / LOCK), changed)
    return folder

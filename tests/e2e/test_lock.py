"""A run repeated from its lock: the same bits from tokenizer to scores, and one line a difference."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from conftest import Run, TinyRun

from nmt.files import read_json, write_json


def without_times(lock: dict[str, Any]) -> dict[str, Any]:
    return {**lock, "sessions": [{**session, "began": ""} for session in lock["sessions"]]}


def test_a_run_from_a_lock_has_the_same_bits_from_tokenizer_to_scores(
    nmt_here: Run, tiny: TinyRun, tmp_path: Path
) -> None:
    lock, again = tiny.folder / "lock.json", tmp_path / "again"
    said = nmt_here("run", lock, "--run-dir", again, "--strict")
    assert said.code == 0, said.err
    first, second = read_json(lock), read_json(again / "lock.json")
    assert list(first["results"]) == ["text", "tokenizer", "prepare", "train", "bundle", "evaluate"]
    assert {"tokenizer.model", "model.safetensors", "test.de", "scores.json"} <= {
        name for result in first["results"].values() for name in result["files"]
    }
    assert first["results"]["text"]["counts"]["funnel"]["kept"] == 800
    assert first["scores"] == read_json(tiny.folder / "evaluation" / "scores.json")
    assert without_times(first) == without_times(second)
    assert second == read_json(again / "model" / "lock.json")
    stages = ", ".join(first["results"])
    assert f"results with the bits of {lock}: {stages}; other: none" in said.messages


@pytest.mark.parametrize("is_strict", [False, True])
def test_another_seed_and_another_version_of_a_package_are_named(
    nmt_here: Run, tiny: TinyRun, tmp_path: Path, is_strict: bool
) -> None:
    values, lock, folder = read_json(tiny.folder / "lock.json"), tmp_path / "lock.json", tmp_path / "run"
    values["sessions"][-1]["versions"]["sacrebleu"] = "1.0"
    write_json(lock, values)
    arguments = ("run", tiny.recipe, "--locked", lock, "--run-dir", folder, "--set", "training.seed=2")
    said = nmt_here(*arguments, *(["--strict"] if is_strict else []))
    refused = ["recipe.training.seed", *(["versions.sacrebleu"] if is_strict else [])]
    assert said.code == 2
    assert said.messages == [
        f"locked: recipe.training.seed: 1 in {lock}, now 2",
        f"{'locked' if is_strict else 'nmt: warning'}: versions.sacrebleu: '1.0' in {lock}, now "
        f"'{version('sacrebleu')}'",
        f"nmt: {lock}: other than in this lock: {', '.join(refused)} "
        "(nothing was run; run the recipe without the lock for other results)",
    ]
    assert not folder.exists()


@pytest.mark.parametrize("text", ["{", json.dumps({"format": 9, "recipe": {}})])
def test_a_lock_that_cannot_be_read_is_one_line(nmt_here: Run, tiny: TinyRun, tmp_path: Path, text: str) -> None:
    lock = tmp_path / "lock.json"
    lock.write_text(text, encoding="utf-8")
    for arguments in ((lock,), (tiny.recipe, "--locked", lock)):
        said = nmt_here("run", *arguments, "--run-dir", tmp_path / "run")
        assert (said.code, len(said.messages)) == (4, 1)
        assert said.err.startswith(f"nmt: {lock}: ")
    assert not (tmp_path / "run").exists()

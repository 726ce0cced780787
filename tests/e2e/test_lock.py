"""A run repeated from its lock, to the same bits, a line for each difference; and expected scores."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, Run, TinyRun, tree

from nmt.files import read_json, write_json


def without_times(lock: dict[str, Any]) -> dict[str, Any]:
    return {**lock, "sessions": [{**session, "began": ""} for session in lock["sessions"]]}


def test_a_lock_is_reproduced_with_the_same_bits_from_tokenizer_to_scores(
    nmt_here: Run, tiny: TinyRun, tmp_path: Path
) -> None:
    lock, again = tiny.folder / "lock.json", tmp_path / "runs" / "tiny-reproduced"
    said = nmt_here("reproduce", lock, "--strict", cwd=tmp_path)
    assert said.code == 0, said.err
    bleu = read_json(tiny.folder / "evaluation" / "scores.json")["test"]["bleu"]["score"]
    assert said.lines == [f"PASS test: BLEU {bleu:.2f}, expected {bleu:.2f} +- 0.5 ({lock})"]
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


def test_a_finished_run_is_skipped_when_it_is_run_from_its_lock(nmt_here: Run, tiny: TinyRun, tmp_path: Path) -> None:
    folder = tiny.copy(tmp_path / "run")
    before = tree(folder)
    said = nmt_here("run", folder / "lock.json", "--run-dir", folder, "--strict")
    assert (said.code, len([line for line in said.messages if ": skipped, " in line])) == (0, 6)
    assert tree(folder) == before


def test_a_model_is_scored_alone_and_a_score_that_is_not_reached_is_exit_code_6(
    nmt_here: Run, tiny: TinyRun, tmp_path: Path
) -> None:
    found = read_json(tiny.folder / "evaluation" / "scores.json")["test"]["bleu"]
    recipe, folder, before = tmp_path / "tiny.toml", tmp_path / "run", tree(tiny.model)
    bleu = f"{found['score']:.2f}"
    for expected, code, verdict in ((found["score"], 0, "PASS"), (50, 6, "FAIL")):
        section = f'[expected.test]\nbleu = {expected}\nsignature = "{found["signature"]}"\ntolerance = 0.01\n'
        recipe.write_text(f"{TINY}\n{section}", encoding="utf-8")
        said = nmt_here("reproduce", recipe, "--from", tiny.model, "--run-dir", folder)
        assert said.code == code
        assert said.lines == [f"{verdict} test: BLEU {bleu}, expected {expected:.2f} +- 0.01"]
    assert said.messages[-1] == (
        f"nmt: {recipe}: 1 of 1 expected scores not reached "
        "(`nmt run RECIPE --locked LOCK` names what differs from a run that reached them)"
    )
    assert sorted(path.name for path in folder.iterdir()) == [
        "lock.json",
        "prepared",
        "recipe.given.toml",
        "recipe.toml",
    ]
    assert tree(tiny.model) == before


def test_an_expected_score_without_signature_is_one_line(nmt_here: Run, tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.toml"
    for section, message in (
        ("bleu = 38.5", "missing key expected.test.signature"),
        ('bleu = 38.5\nsignature = ""', "expected.test.signature = '': string should have at least 1 character"),
    ):
        recipe.write_text(f"{TINY}\n[expected.test]\n{section}\n", encoding="utf-8")
        said = nmt_here("reproduce", recipe)
        assert (said.code, said.out, said.err) == (2, "", f"nmt: {recipe}: {message}\n")


def test_expected_scores_are_part_of_no_fingerprint(nmt_here: Run, tiny: TinyRun, tmp_path: Path) -> None:
    recipe, folder = tmp_path / "tiny.toml", tiny.copy(tmp_path / "run")
    recipe.write_text(f'{TINY}\n[expected.test]\nbleu = 1\nsignature = "x"\n', encoding="utf-8")
    said = nmt_here("run", recipe, "--run-dir", folder)
    assert (said.code, len([line for line in said.messages if ": skipped, " in line])) == (0, 6)
    assert read_json(folder / "lock.json")["recipe"]["expected"]["test"]["bleu"] == 1
    assert read_json(folder / "lock.json")["results"] == read_json(tiny.folder / "lock.json")["results"]


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

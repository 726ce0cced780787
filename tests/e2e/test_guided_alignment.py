"""A recipe with guided attention: its stages, its bundle, and a run that needs none."""

import json
from pathlib import Path

import pytest
from conftest import TINY, Run

SETTINGS = ("training.max_steps=30", "training.checkpoint_every=15", "training.validate_every=30")


@pytest.fixture(scope="module")
def guided(nmt_here: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run a recipe with guided attention, to its bundle. Shared: never change it."""
    folder = tmp_path_factory.mktemp("guided")
    (folder / "tiny.toml").write_text(TINY, encoding="utf-8")
    sets = [part for each in (*SETTINGS, "training.guided_alignment=0.5") for part in ("--set", each)]
    said = nmt_here("train", folder / "tiny.toml", "--run-dir", folder / "run", *sets)
    assert said.code == 0, said.err
    stages = [line.partition(":")[0] for line in said.messages if line.endswith(": running")]
    assert stages == ["text", "alignment", "tokenizer", "prepare", "train", "bundle"]
    return folder / "run"


def test_the_bundle_says_that_a_head_aligns_and_its_lock_what_was_aligned(guided: Path) -> None:
    config = json.loads((guided / "model" / "config.json").read_text(encoding="utf-8"))
    assert config["aligns"] is True
    results = json.loads((guided / "lock.json").read_text(encoding="utf-8"))["results"]
    assert results["alignment"]["files"].keys() == {"dictionary.tsv", "train/00000.txt"}
    assert results["alignment"]["counts"]["pairs"] == results["text"]["counts"]["pairs"]["train"]


def test_the_head_aligns_translations_and_the_mean_of_a_layer_is_another(nmt_here: Run, guided: Path) -> None:
    line = b"The man sees a small dog.\n"
    of_head = nmt_here("translate", guided / "model", "--alignment", stdin=line)
    of_layer = nmt_here("translate", guided / "model", "--alignment", "--alignment-layer", "1", stdin=line)
    assert (of_head.code, of_layer.code) == (0, 0)
    assert of_head.lines[0].partition(" ||| ")[0] == of_layer.lines[0].partition(" ||| ")[0]


def test_a_finished_run_is_skipped_whole_and_a_run_without_a_guide_is_another(nmt_here: Run, guided: Path) -> None:
    folder, sets = guided.parent, [part for each in SETTINGS for part in ("--set", each)]
    again = nmt_here(
        "train", folder / "tiny.toml", "--run-dir", guided, *sets, "--set", "training.guided_alignment=0.5"
    )
    assert "alignment: skipped, its inputs have not changed" in again.messages
    other = nmt_here("train", folder / "tiny.toml", "--run-dir", guided, *sets)
    assert other.code == 4
    assert "it differs in" in other.err
    assert "training.guided_alignment" in other.err

"""Runs that share prepared data, the plan of a run, and the commands of the cache."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, Result, Run, TinyRun, tree

PREPARED = ("text", "tokenizer", "prepare")


@pytest.fixture
def cached(nmt_here: Run, tmp_path: Path) -> Any:
    """Run the command with a cache, in `tmp_path`, which has a recipe in it."""
    (tmp_path / "tiny.toml").write_text(TINY, encoding="utf-8")

    def run(*arguments: str | Path) -> Result:
        return nmt_here(*arguments, cwd=tmp_path, env={"NMT_CACHE": str(tmp_path / "cache"), "NMT_NO_CACHE": "0"})

    return run


def prepared(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in tree(folder).items() if name.startswith(("prepared/", "tokenizer/"))}


def results(folder: Path) -> Any:
    lock = json.loads((folder / "lock.json").read_text(encoding="utf-8"))
    return {key: value for key, value in lock.items() if key != "sessions"}


def actions(said: Result) -> list[str]:
    """Return what a run, or its plan, says of each stage, without paths."""
    lines = [line.partition(" (")[0] for line in [*said.messages, *said.lines]]
    return [line for line in lines if re.match(r"\w+: (runs|running|from the cache|skipped)", line)]


def test_a_second_run_takes_its_data_from_the_cache_and_is_the_same(cached: Any, tiny: TinyRun, tmp_path: Path) -> None:
    first, again = (cached("prepare", "tiny.toml", "--run-dir", name) for name in ("one", "two"))
    assert actions(first) == [f"{stage}: running" for stage in PREPARED]
    assert actions(again) == [f"{stage}: from the cache" for stage in PREPARED]
    counts = [
        [line for line in said.messages if "running" not in line and "cache" not in line] for said in (first, again)
    ]
    assert counts[0] == counts[1]
    assert any("kept " in line for line in counts[0])
    assert prepared(tmp_path / "one") == prepared(tmp_path / "two") == prepared(tiny.folder)
    assert results(tmp_path / "one") == results(tmp_path / "two")
    cutting = ("--set", "cleaning.max_pieces=20")
    assert actions(cached("prepare", "tiny.toml", "--run-dir", "one", *cutting)) == [
        "text: skipped, its inputs have not changed",
        "tokenizer: skipped, its inputs have not changed",
        "prepare: running: cleaning.max_pieces changed",
    ]
    assert actions(cached("prepare", "tiny.toml", "--run-dir", "four")) == actions(again), "the entry has changed"
    assert prepared(tmp_path / "four") == prepared(tmp_path / "two")

    # The list, and what is pruned.
    listed = cached("cache", "list")
    assert listed.code == 0
    assert len(listed.lines) == 5
    assert [line.split()[1:3] for line in listed.lines[1:]].count(["prepare", "tiny"]) == 2
    assert re.fullmatch(rf"{tmp_path}/cache/stages: 4 stages of [0-9.]+ MB", listed.messages[-1])
    shutil.rmtree(tmp_path / "one")
    assert (
        cached("cache", "prune", "--older-than", "1")
        .messages[-1]
        .endswith(f"removed 0 stages of 0.0 MB; left {listed.messages[-1].partition(': ')[2]}")
    )
    pruned = cached("cache", "prune", "--all")
    assert (pruned.code, len(pruned.lines)) == (0, 5)
    assert "removed 4 stages of " in pruned.messages[0]
    assert pruned.messages[0].endswith("; left 0 stages of 0.0 MB")
    assert re.fullmatch(r"of what was removed [0-9.]+ MB stay on the disk, in run folders", pruned.messages[1])
    assert prepared(tmp_path / "four") == prepared(tmp_path / "two")
    assert cached("cache", "list").lines == []


WHICH = "which stages? (give --older-than DAYS, --max-size GB, or both, or --all)"
EVERY = "--all removes every stage (leave it out, or --older-than and --max-size)"


@pytest.mark.parametrize(
    ("options", "message"),
    [([], WHICH), (["--all", "--older-than", "3"], EVERY), (["--all", "--max-size", "1"], EVERY)],
)
def test_what_is_to_be_pruned_has_to_be_said(cached: Any, options: list[str], message: str) -> None:
    assert cached("cache", "prune", *options) == (2, "", f"nmt: {message}\n")


def test_the_plan_of_a_run_writes_nothing(cached: Any, tiny: TinyRun, tmp_path: Path) -> None:
    folder = tiny.copy(tmp_path / "run")
    before = tree(tmp_path)

    def plan(*arguments: str | Path) -> list[str]:
        said = cached("run", *arguments, "--dry-run")
        assert (said.code, said.err) == (0, "")
        assert tree(tmp_path) == before
        assert {path.name for path in tmp_path.iterdir()} == {"run", "tiny.toml"}
        return actions(said)

    assert plan("tiny.toml", "--run-dir", "new") == [
        "text: runs: not made yet",
        "tokenizer: runs, because text runs, unless the cache has it for the files that text makes",
        "prepare: runs, because text runs, unless the cache has it for the files that text makes",
        "train: runs, because text runs",
        "bundle: runs, because train runs",
        "evaluate: runs, because bundle runs",
    ]
    skipped = [f"{stage}: skipped, its inputs have not changed" for stage in (*PREPARED, "train", "bundle", "evaluate")]
    assert plan(tiny.recipe, "--run-dir", folder) == skipped
    assert plan(tiny.recipe, "--run-dir", folder, "--set", "decoding.beam_size=2") == [
        *skipped[:3],
        "train: runs: decoding.beam_size changed; goes on after step 200 of 200",
        "bundle: runs: decoding.beam_size changed",
        "evaluate: runs, because bundle runs, unless bundle makes the same files as before",
    ]
    refused = cached("run", tiny.recipe, "--run-dir", folder, "--set", "model.heads=4", "--dry-run")
    assert refused.code == 4
    assert "a checkpoint of another recipe: it differs in model.heads" in refused.err
    assert tree(tmp_path) == before

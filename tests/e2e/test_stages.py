"""Stages, replay and the guard as a user has them: by a recipe, in the log, in the report, by the exit code."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, TINY, Run, TinyRun
from launcher import end_of, launch
from torch.testing import assert_close

from nmt.training.checkpoint import Checkpoint, read_checkpoint

PAGE = (ROOT / "docs" / "curriculum.md").read_text(encoding="utf-8")
STAGES = """
[[training.stages]]
name = "general"
corpora = ["general"]
steps = 8

[[training.stages]]
name = "domain"
corpora = {general = 0.1, domain = 1}
patience = 2
steps = 8
learning_rate_factor = 0.5
"""
RECIPE = (
    TINY.replace("[data.train]", "[data.train.domain]\nbuiltin = 'train'\npairs = 40\nseed = 3\n\n[data.train.general]")
    .replace("max_steps = 200\n", "")
    .replace("checkpoint_every = 50", "checkpoint_every = 3")
    .replace("validate_every = 100", "validate_every = 4")
    + STAGES
)
NONSENSE = "".join(
    f"{['alpha', 'beta', 'gamma'][n % 3]} {n}\t{['x', 'y', 'z'][n % 3]} {n % 7} z z\n" for n in range(60)
)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "staged.toml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def read_log(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def newest(folder: Path) -> Checkpoint:
    return read_checkpoint(max((folder / "checkpoints").glob("step-*")))


def test_stages_are_in_the_log_the_lock_and_the_report(nmt_here: Run, recipe: Path, tmp_path: Path) -> None:
    said = nmt_here("run", recipe, "--run-dir", tmp_path / "run", env={"NMT_NO_REPORT": ""})
    assert said.code == 0, said.err
    assert "train: stage 2 of 2, domain, begins after step 8" in said.messages
    assert [line for line in said.messages if line.startswith("stage 2 of 2, domain, step 16 of 16: ")]
    stages = {line["step"]: line["stage"] for line in read_log(tmp_path / "run") if line["kind"] == "train"}
    assert [stages[step] for step in (8, 9)] == ["general", "domain"]
    lock = json.loads((tmp_path / "run" / "lock.json").read_text(encoding="utf-8"))
    taken = lock["results"]["train"]["counts"]["stages"]
    assert [(one["name"], one["first"]) for one in taken] == [("general", 1), ("domain", 9)]
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert re.search(r'<th scope="row">domain</th><td class="number">9 to 16</td>', page)
    assert "stage, name domain" not in page
    again = nmt_here("train", recipe, "--run-dir", tmp_path / "run", "--set", "training.stages.domain.steps=9")
    assert again.code == 4
    assert "it differs in training.stages.2.steps (" in again.err


def test_stages_of_two_ranks_are_those_of_one(nmt_here: Run, recipe: Path, tmp_path: Path) -> None:
    calm = ["--set", "model.dropout=0", "--set", "optimizer.epsilon=1e-2", "--set", "batching.micro_batch_tokens=none"]
    assert nmt_here("train", recipe, "--run-dir", tmp_path / "one", *calm).code == 0
    said = end_of(launch(2, "train", recipe, "--run-dir", tmp_path / "two", *calm))
    assert said.code == 0, said.err
    one, two = newest(tmp_path / "one"), newest(tmp_path / "two")
    assert (one.state.step, one.state.stage_ends) == (two.state.step, two.state.stage_ends)
    assert_close(two.weights(), one.weights(), rtol=1e-4, atol=2e-5)


def test_a_fine_tuning_that_forgets_ends_by_its_guard_with_the_best_bundle_and_exit_code_8(
    nmt_here: Run, tiny: TinyRun, tmp_path: Path
) -> None:
    (tmp_path / "nonsense.tsv").write_text(NONSENSE, encoding="utf-8")
    path = tmp_path / "tune.toml"
    path.write_text(
        TINY.replace('builtin = "train"\npairs = 800', 'files = "nonsense.tsv"')
        .replace("max_steps = 200", "max_steps = 60")
        .replace("validate_every = 100", "validate_every = 1")
        .replace("average_checkpoints = 2\n", "")
        + '[training.guard]\nmetric = "loss"\nbound = 0.3\n[data.guard]\nbuiltin = "dev"\npairs = 10\nseed = 5\n',
        encoding="utf-8",
    )
    options: list[str | Path] = ["--init-from", tiny.model, "--run-dir", tmp_path / "run"]
    said = nmt_here("run", path, *options, env={"NMT_NO_REPORT": ""})
    assert said.code == 8, said.err
    last = said.messages[-1]
    assert re.fullmatch(
        rf"nmt: {tmp_path / 'run'}: the guard ended the training at step \d+, at loss [\d.]+ after [\d.]+ before; the "
        r"bundle is that of step \d+, within the bound",
        last,
    )
    guard = json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))["runs"][0]["training"]["guard"]
    assert guard["stopped"]
    assert guard["end"] > guard["start"] + 0.3
    assert "ended the training" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    scored = [line["score"] for line in read_log(tmp_path / "run") if line["kind"] == "guard"]
    assert scored[-1] == guard["end"]
    assert all(score <= guard["start"] + 0.3 for score in scored[:-1])
    again = nmt_here("run", path, *options)
    assert (again.code, again.messages[-1]) == (8, last)
    assert "train: skipped, its inputs have not changed" in again.messages


@pytest.mark.parametrize("example", re.findall(r"```toml\n(.*?)```", PAGE, flags=re.S))
def test_an_example_of_the_page_is_a_recipe(nmt_here: Run, tmp_path: Path, example: str) -> None:
    path = tmp_path / "page.toml"
    head = 'name = "page"\n' if "[languages]" in example else ""
    path.write_text(head + example, encoding="utf-8")
    said = nmt_here("recipe", "show", path)
    assert said.code == 0, said.err

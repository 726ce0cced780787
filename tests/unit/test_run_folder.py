"""The names in a run folder are stable: scripts rely on them."""

from pathlib import Path

import pytest
from runs import make_run

from nmt.errors import ArtifactError
from nmt.pipeline.pipeline import STAGES
from nmt.run_folder import RunFolder


def test_the_names_of_a_run_folder() -> None:
    folder = RunFolder(Path("runs/x"))
    assert {name: str(path.relative_to("runs/x")) for name, path in vars(folder).items()} == {
        "path": ".",
        "recipe": "recipe.toml",
        "given": "recipe.given.toml",
        "lock": "lock.json",
        "log": "log.jsonl",
        "tensorboard": "tensorboard",
        "diverged": "diverged.jsonl",
        "synthetic": "prepared/synthetic",
        "text": "prepared/text",
        "alignment": "prepared/alignment",
        "augmentation": "prepared/augmentation",
        "tokenizer": "tokenizer",
        "ids": "prepared/ids",
        "checkpoints": "checkpoints",
        "bundle": "model",
        "evaluation": "evaluation",
        "scores": "evaluation/scores.json",
        "brackets": "evaluation/brackets.json",
        "reliability": "evaluation/confidence.json",
        "times": "evaluation/times.json",
    }


def test_the_folders_of_the_stages_are_those_that_they_fill(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    assert list(run.folder.stages.items()) == [(stage.name, stage.folder(run)) for stage in STAGES]


def test_a_name_may_lead_elsewhere() -> None:
    folder = RunFolder(Path("runs/x"))
    folder.relocate(Path("runs/x/prepared/text"), Path("cache/text"))
    assert (folder.text, folder.ids) == (Path("cache/text"), Path("runs/x/prepared/ids"))


def test_a_folder_that_no_run_made_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ArtifactError, match=r"not a run folder \(name a folder that `nmt run` made, such as runs/demo\)$"
    ):
        RunFolder(tmp_path).check()
    (tmp_path / "lock.json").touch()
    RunFolder(tmp_path).check()
    with pytest.raises(ArtifactError, match=r"lock\.json: not a run folder"):
        RunFolder(tmp_path / "lock.json").check()

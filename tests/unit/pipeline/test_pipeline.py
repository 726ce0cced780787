"""The stages in their order, on one rank and on several."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import make_run, unpack_old_run

from nmt import console
from nmt.config.toml import LoadedRecipe, check
from nmt.errors import UsageError
from nmt.files import read_json
from nmt.model import int8
from nmt.pipeline import pipeline, training
from nmt.pipeline.manifest import Manifest
from nmt.pipeline.pipeline import GRAMMAR, STAGES, best_checkpoint, run_stages, show_results
from nmt.pipeline.run import Run
from nmt.pipeline.stage import Stage
from nmt.training.distributed import Ranks


def test_the_stages_go_from_text_to_scores() -> None:
    assert [stage.name for stage in STAGES] == ["text", "tokenizer", "prepare", "train", "bundle", "evaluate"]
    assert STAGES[3] is training.STAGE


class Rank(Ranks):
    """A rank whose others want to train."""

    def any(self, *flags: bool) -> list[bool]:
        return [True for _ in flags]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Replace the work of each stage by a note of its name."""
    names: list[str] = []

    def note(stage: Stage) -> Any:
        def make(run: Run, manifest: Manifest) -> None:
            names.append(stage.name if manifest.inputs else f"{stage.name} alone")
            if run.ranks.is_main:
                stage.folder(run).mkdir(parents=True, exist_ok=True)
                Manifest(stage.name, {}).write(stage.folder(run))  # which no inputs fit

        return make

    stages = [Stage(each.name, each.folder, each.effects, lambda _: {}, note(each)) for each in STAGES]
    monkeypatch.setattr(pipeline, "STAGES", stages)
    monkeypatch.setattr(training, "STAGE", stages[3])
    return names


def join(monkeypatch: pytest.MonkeyPatch, ranks: Ranks) -> None:
    @contextmanager
    def joined() -> Iterator[Ranks]:
        yield ranks

    monkeypatch.setattr(pipeline, "joined", joined)
    monkeypatch.setattr(console, "QUIET", False)


def test_stages_run_up_to_the_last_that_is_asked_for(tmp_path: Path, made: list[str]) -> None:
    run_stages(make_run(tmp_path), "prepare")
    assert made == ["text", "tokenizer", "prepare"]
    assert (tmp_path / "run" / "lock.json").is_file()


def test_a_device_or_a_package_that_is_missing_is_found_before_the_first_stage(
    tmp_path: Path, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    on_gpu = make_run(tmp_path, training={"device": "cuda"})
    for last in ("train", "bundle", "evaluate"):
        with pytest.raises(UsageError, match="no GPU that torch can use"):
            run_stages(on_gpu, last)
    with pytest.raises(UsageError, match=r"training\.tensorboard = true needs a package that is not installed"):
        run_stages(make_run(tmp_path, training={"tensorboard": True}))
    assert made == []
    assert not (tmp_path / "run").exists()
    run_stages(on_gpu, "prepare")  # data may be prepared on another machine
    assert made == ["text", "tokenizer", "prepare"]
    for stage in pipeline.STAGES:
        stage.folder(on_gpu).mkdir(parents=True, exist_ok=True)
        Manifest(stage.name, {}).write(stage.folder(on_gpu))
    run_stages(on_gpu)  # there is nothing to be computed


@pytest.mark.parametrize(("device", "is_exact"), [("cuda", True), ("cpu", False)])
def test_int8_that_cannot_be_is_found_before_the_first_stage(
    tmp_path: Path, made: list[str], monkeypatch: pytest.MonkeyPatch, device: str, is_exact: bool
) -> None:
    monkeypatch.setattr(pipeline, "pick_device", lambda _: torch.device(device))
    monkeypatch.setattr(int8, "is_exact", lambda: is_exact)
    in_int8 = make_run(tmp_path, decoding={"precision": "int8"})
    for last in ("train", "bundle", "evaluate"):
        with pytest.raises(UsageError, match=r"^int8 (is for a CPU|needs a processor with exact 8-bit products)"):
            run_stages(in_int8, last)
    assert made == []
    run_stages(make_run(tmp_path, decoding={"precision": "float32"}), "prepare")
    assert made == ["text", "tokenizer", "prepare"]


def test_every_rank_trains_and_the_first_does_the_rest(
    tmp_path: Path, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    join(monkeypatch, Rank(rank=1, size=2))
    run_stages(make_run(tmp_path))
    assert made == ["train alone"]
    assert console.QUIET
    assert not (tmp_path / "run").exists()
    made.clear()
    join(monkeypatch, Rank(rank=0, size=2))
    run_stages(make_run(tmp_path))
    assert made == ["text", "tokenizer", "prepare", "train", "bundle", "evaluate"]
    assert not console.QUIET


def test_ranks_do_not_train_where_the_first_skips_it(
    tmp_path: Path, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rank, "any", lambda _, *flags: [False for _ in flags])
    join(monkeypatch, Rank(rank=1, size=2))
    run_stages(make_run(tmp_path))
    assert made == []


def test_the_results_are_samples_scores_best_checkpoint_time_and_a_next_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = unpack_old_run(tmp_path)
    Manifest("train", {}, counts={"steps": 6, "best_step": 4, "best": 31.2}).write(folder / "checkpoints")
    recipe = check(read_json(folder / "lock.json")["recipe"], "lock")
    show_results(Run(LoadedRecipe(recipe, folder / "recipe.toml", ""), run_dir=folder), 185.2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Samples of test:"
    assert [line[:6] for line in lines[1:4]] == ["  en  ", "  de  ", "  ref "]
    assert len([line for line in lines if line.startswith("  en  ")]) == 3
    path = folder / "checkpoints" / "best-00000004"
    assert lines[-4] == f"Best checkpoint: step 4 of 6, dev BLEU 31.20, {path}"
    assert lines[-3:-1] == ["Total time: 3m 05s", GRAMMAR]
    assert lines[-1].startswith("Next: echo '")
    assert lines[-1].endswith(f"| nmt translate {folder / 'model'}")


def test_the_best_checkpoint_is_one_that_was_validated(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    assert best_checkpoint(run) == ""
    run.folder.checkpoints.mkdir(parents=True)
    Manifest("train", {}, counts={"steps": 9, "best_step": None, "best": None}).write(run.folder.checkpoints)
    assert best_checkpoint(run) == ""
    Manifest("train", {}, counts={"steps": 9000, "best_step": 4000, "best": 31.2}).write(run.folder.checkpoints)
    assert best_checkpoint(run) == "step 4,000 of 9,000, dev BLEU 31.20"
    for name in ("best-00003000", "best-00004000", "best-00005000"):
        (run.folder.checkpoints / name).mkdir()
    assert best_checkpoint(run) == f"step 4,000 of 9,000, dev BLEU 31.20, {run.folder.checkpoints / 'best-00004000'}"
    loss = make_run(tmp_path, training={"best_metric": "loss"})
    assert best_checkpoint(loss).startswith("step 4,000 of 9,000, dev loss 31.20, ")


@pytest.mark.parametrize("is_builtin", [True, False])
def test_a_model_of_the_grammar_says_what_it_can_translate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], is_builtin: bool
) -> None:
    folder = unpack_old_run(tmp_path)
    values = read_json(folder / "lock.json")["recipe"]
    if is_builtin:
        values["data"]["train"] = {"train": {"builtin": "train", "pairs": 9}}
    else:
        values["data"]["train"] = {"a": {"builtin": "train", "pairs": 9}, "b": {"files": "b.tsv"}}
    show_results(Run(LoadedRecipe(check(values, "lock"), folder / "recipe.toml", ""), run_dir=folder), 1)
    assert (GRAMMAR in capsys.readouterr().out.splitlines()) == is_builtin

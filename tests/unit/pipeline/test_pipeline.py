"""The stages in their order, on one rank and on several."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import tree
from runs import corpus, make_run, unpack_old_run

from nmt import console, locks
from nmt.config.compatibility import RECIPE, knobs_with
from nmt.config.recipe import Recipe
from nmt.config.toml import LoadedRecipe, check
from nmt.errors import UsageError
from nmt.files import read_json
from nmt.locks import holding_folder
from nmt.model import int8
from nmt.pipeline import pipeline, tokenizer, training
from nmt.pipeline.manifest import Manifest, making
from nmt.pipeline.pipeline import GRAMMAR, STAGES, best_checkpoint, run_stages, show_results, stages_of
from nmt.pipeline.run import Run
from nmt.pipeline.stage import Stage, digests_of
from nmt.pipeline.stage_cache import StageCache
from nmt.training.distributed import Ranks


def test_the_stages_go_from_text_to_scores() -> None:
    names = ["synthetic", "text", "alignment", "augmentation", "tokenizer", "prepare", "train", "bundle", "evaluate"]
    assert [stage.name for stage in STAGES] == names
    assert STAGES[names.index("train")] is training.STAGE


def test_the_pairs_of_a_model_are_made_first_where_the_recipe_asks_for_some(tmp_path: Path) -> None:
    held_out = {"dev": corpus(tmp_path, "c"), "test": {"d": corpus(tmp_path, "d")}}
    run = make_run(tmp_path, distillation={"teacher": "big/model"}, data=held_out)
    assert [stage.name for stage in stages_of(run, "tokenizer")] == ["synthetic", "text", "tokenizer"]


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

    stages = [
        Stage(each.name, each.folder, each.effects, lambda _: {}, note(each), is_wanted=each.is_wanted)
        for each in STAGES
    ]
    monkeypatch.setattr(pipeline, "STAGES", stages)
    monkeypatch.setattr(training, "STAGE", stages[STAGES.index(training.STAGE)])
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


def test_a_stage_that_the_recipe_no_longer_asks_for_leaves_nothing(tmp_path: Path, made: list[str]) -> None:
    run_stages(make_run(tmp_path, augmentation={"upper": 0.1}), "prepare")
    assert made == ["text", "augmentation", "tokenizer", "prepare"]
    folder = tmp_path / "run" / "prepared" / "augmentation"
    assert folder.is_dir()
    run_stages(make_run(tmp_path), "prepare")
    assert "augmentation" not in made[4:]
    assert not folder.exists()


def test_words_are_aligned_where_something_is_made_from_that(
    tmp_path: Path, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recipe, "needs_alignment", True)
    run_stages(make_run(tmp_path), "prepare")
    assert made == ["text", "alignment", "tokenizer", "prepare"]


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


def test_the_plan_names_the_reason_of_each_stage_and_writes_nothing(
    tmp_path: Path, made: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def plan(folder: str, last: str = "evaluate", **sections: Any) -> list[str]:
        before = tree(tmp_path)
        run_stages(make_run(tmp_path, folder=folder, **sections), last, dry_run=True)
        assert (tree(tmp_path), made) == (before, [])
        return capsys.readouterr().out.splitlines()

    corpus(tmp_path, "a")
    assert plan("new", "prepare") == [
        "text: runs: not made yet",
        "tokenizer: runs, because text runs",
        "prepare: runs, because tokenizer runs",
    ]
    assert not (tmp_path / "new").exists()
    run = make_run(tmp_path)
    for stage in stages_of(run, "prepare"):
        Manifest(stage.name, {RECIPE: knobs_with(stage.effects, run.recipe)}).write(stage.folder(run))
    skipped = [f"{name}: skipped, its inputs have not changed" for name in ("text", "tokenizer", "prepare")]
    rest = ["bundle: runs, because train runs", "evaluate: runs, because bundle runs"]
    assert plan("run") == [*skipped, "train: runs: not made yet", *rest]
    shutil.move(run.folder.text, tmp_path / "away")
    unless = ", unless text makes the same files as before"
    with monkeypatch.context() as patch:
        patch.setattr(
            pipeline, "STAGES", [*stages_of(run, "text"), tokenizer.STAGE]
        )  # which reads the manifest of the text
        assert plan("run", "tokenizer") == ["text: runs: not made yet", f"tokenizer: runs, because text runs{unless}"]
    shutil.move(tmp_path / "away", run.folder.text)
    (run.folder.checkpoints / "step-00001000").mkdir(parents=True)
    (run.folder.checkpoints / "halt-00001234").mkdir()
    assert plan("run") == [*skipped, "train: runs: not made yet; goes on after step 1,234 of 100,000", *rest]
    assert plan("run", "prepare", cleaning={"max_characters": 9, "max_pieces": 7}) == [
        "text: runs: cleaning.max_characters changed",
        "tokenizer: runs, because text runs, unless text makes the same files as before",
        "prepare: runs: cleaning.max_pieces changed",
    ]


def test_the_plan_sees_what_the_cache_has(
    tmp_path: Path, made: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def folder_of(run: Run, name: str) -> Path:
        return run.folder.text if name == "text" else run.folder.ids

    def inputs(run: Run) -> dict[str, Any]:
        return {"text": digests_of(run.folder.text)}

    def make(run: Run, manifest: Manifest) -> None:
        made.append(manifest.stage)
        with making(folder_of(run, manifest.stage), manifest) as scratch:
            (scratch / "a").write_text(f"made {run.recipe.cleaning.max_characters}")

    def say(_: Run, manifest: Manifest) -> None:
        assert manifest.files

    text = Stage("text", lambda run: run.folder.text, frozenset({"text"}), lambda _: {}, make, say, lambda _: {})
    ids = Stage("prepare", lambda run: run.folder.ids, frozenset({"ids"}), inputs, make, say, lambda _: {})
    monkeypatch.setattr(pipeline, "STAGES", [text, ids])

    def run(folder: str, *, dry_run: bool, **sections: Any) -> list[str]:
        cache = StageCache(tmp_path / "cache")
        run_stages(make_run(tmp_path, folder=folder, cache=cache, **sections), "prepare", dry_run=dry_run)
        return capsys.readouterr().out.splitlines()

    unless = "unless the cache has it for the files that text makes"
    assert run("one", dry_run=True) == ["text: runs: not made yet", f"prepare: runs, because text runs, {unless}"]
    run("one", dry_run=False)
    entries = [next((tmp_path / "cache").glob(f"{name}-*")) for name in ("text", "prepare")]
    before = tree(tmp_path)
    found = [f"{name}: from the cache ({entry})" for name, entry in zip(("text", "prepare"), entries, strict=True)]
    assert run("two", dry_run=True) == found
    assert run("two", dry_run=True, cleaning={"max_pieces": 7}) == [found[0], "prepare: runs: not made yet"]
    (entries[1] / "a").unlink()
    assert run("two", dry_run=True) == [found[0], "prepare: runs: not made yet"]
    (entries[1] / "a").write_bytes(before["one/prepared/ids/a"])
    assert tree(tmp_path) == before
    assert made == ["text", "prepare"]
    run("one", dry_run=False, cleaning={"max_characters": 9})
    assert run("one", dry_run=True) == [
        f"{found[0]}: cleaning.max_characters changed",
        f"{found[1]}: text.a changed",
    ]
    run("two", dry_run=False)
    assert made == ["text", "prepare"] * 2
    run("three", dry_run=False, cleaning={"max_pieces": 7})
    assert run("two", dry_run=True, cleaning={"max_characters": 11, "max_pieces": 7}) == [
        "text: runs: cleaning.max_characters changed",
        f"prepare: runs: cleaning.max_pieces changed, {unless}",
    ]


def test_the_plan_of_a_run_that_is_under_way_says_so(
    tmp_path: Path, made: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path)
    monkeypatch.setattr(locks, "is_running", lambda _: True)
    with holding_folder(run.folder.path):
        run_stages(run, "text", dry_run=True)
    said = capsys.readouterr()
    assert said.out == "text: runs: not made yet\n"
    assert said.err.startswith(f"nmt: warning: {run.folder.path}: in use by process ")
    assert said.err.endswith(": the plan is that of this moment\n")
    assert made == []


def test_a_plan_is_made_by_the_first_rank(tmp_path: Path, made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    join(monkeypatch, Rank(rank=1, size=2))
    run_stages(make_run(tmp_path), dry_run=True)
    assert made == []


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

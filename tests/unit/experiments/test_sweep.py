"""Sweeps: the runs of a plan, which of them are finished, and how many run at once."""

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TinyRun

from nmt import runtime
from nmt.errors import RecipeError
from nmt.experiments import jobs
from nmt.experiments import sweep as sweeping
from nmt.experiments.jobs import Ended, Job
from nmt.experiments.sweep import Sweep, make_places, outcome, plan_sweep, run_sweep, sharing
from nmt.experiments.variants import Variant
from nmt.files import read_json, write_json

BASE, GREEDY = Variant("base", ()), Variant("beam_size=1", ("decoding.beam_size=1",))


def plan(tiny: TinyRun, folder: Path, *variants: Variant, seeds: int = 1) -> Sweep:
    return plan_sweep(str(tiny.recipe), (), variants or (BASE, GREEDY), seeds, folder, None)


@pytest.fixture
def half_done(tiny: TinyRun, tmp_path: Path) -> Sweep:
    """Return a sweep of two variants, of which the first is finished."""
    tiny.copy(tmp_path / "base-seed1")
    return plan(tiny, tmp_path)


def test_each_variant_has_a_run_for_each_seed_in_a_folder_of_its_own(tiny: TinyRun, tmp_path: Path) -> None:
    sweep = plan_sweep(str(tiny.recipe), ["training.seed=7"], (BASE, GREEDY), 2, tmp_path, None)
    assert [(one.name, one.seed) for one in sweep.runs] == [
        ("base-seed7", 7), ("base-seed8", 8), ("beam_size=1-seed7", 7), ("beam_size=1-seed8", 8),
    ]  # fmt: skip
    last = sweep.runs[-1]
    assert (last.run.recipe.training.seed, last.run.recipe.decoding.beam_size, last.run.recipe.sweep) == (8, 1, {})
    job = sweep.job("run", last, 3)
    assert job.log == tmp_path / "logs" / "beam_size=1-seed8.log"
    assert job.arguments == (
        "run", str(tiny.recipe), "--run-dir", str(tmp_path / "beam_size=1-seed8"), "--workers", "3",
        "--set", "training.seed=7", "--set", "decoding.beam_size=1", "--set", "sweep={}", "--set", "training.seed=8",
    )  # fmt: skip
    elsewhere = plan_sweep(str(tiny.recipe), (), (BASE,), 1, tmp_path, tmp_path)
    assert elsewhere.job("prepare", elsewhere.runs[0], 1).arguments[-6:-4] == ("--data-dir", str(tmp_path))
    alone = plan_sweep(str(tiny.recipe), (), (BASE,), 1, tmp_path, None, no_cache=True)
    assert alone.job("run", alone.runs[0], 1).arguments[-5] == "--no-cache"


def test_a_variant_that_is_no_recipe_is_named(tiny: TinyRun, tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        plan(tiny, tmp_path, BASE, Variant("A", ("model.heads=3",)))
    assert str(caught.value).startswith("variant A: --set model.heads=3: model: heads = 3 must divide d_model = 32")


def test_a_run_is_finished_when_it_has_scores_of_this_recipe_and_these_data(half_done: Sweep) -> None:
    base, greedy = half_done.runs
    assert (base.is_finished(), greedy.is_finished()) == (True, False)
    assert [one.name for one, _ in half_done.finished()] == ["base-seed1"]
    shutil.copytree(base.run.folder.path, greedy.run.folder.path)  # scores of another recipe
    assert not greedy.is_finished()
    path = base.run.folder.lock
    lock = read_json(path)
    unscored = {stage: result for stage, result in lock["results"].items() if stage != "evaluate"}
    changed: list[dict[str, Any]] = [{"data": {}}, {"init": {}}, {"results": unscored}]
    for changes in changed:
        write_json(path, {**lock, **changes})
        assert not base.is_finished()
    for section, key, value, is_same in (("model", "dropout", 0.3, False), ("training", "log_every", 7, True)):
        recipe = {**lock["recipe"], section: {**lock["recipe"][section], key: value}}
        write_json(path, {**lock, "recipe": {**recipe, "description": "another"}})
        assert base.is_finished() == is_same
    base.run.folder.scores.unlink()
    assert not base.is_finished()


def test_how_a_run_ended_is_a_line(half_done: Sweep) -> None:
    base, greedy = half_done.runs
    job = half_done.job("run", base, 1)
    bleu = read_json(base.run.folder.scores)["test"]["bleu"]["score"]
    assert outcome(base, Ended(job, 0, 62.0)) == (True, f"1m 02s, test BLEU {bleu:.2f}")
    assert outcome(greedy, Ended(job, 0, 1.0)) == (False, "failed: the recipe or its data changed while it ran")
    job.log.parent.mkdir()
    job.log.write_text("train: running\nnmt: it went wrong\n\n", encoding="utf-8")
    assert outcome(base, Ended(job, 5, 1.0)) == (False, "failed with exit code 5: nmt: it went wrong")


@pytest.mark.parametrize(("no_cache", "rounds"), [(False, [["base-seed1"], ["base-seed2"]]), (True, [])])
def test_text_that_runs_share_is_prepared_first_and_then_the_rest(
    tiny: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_cache: bool, rounds: list[list[str]]
) -> None:
    called: list[tuple[set[str], list[str]]] = []

    def run_jobs(jobs: list[Job], _: object) -> list[Ended]:
        called.append(({job.arguments[0] for job in jobs}, [job.name for job in jobs]))
        return []

    monkeypatch.setattr(sweeping, "run_jobs", run_jobs)
    wide = Variant("vocab_size=500", ("tokenizer.vocab_size=500",))
    variants = (BASE, GREEDY, wide)
    sweep = plan_sweep(str(tiny.recipe), (), variants, 2, tmp_path, None, no_cache=no_cache)
    run_sweep(sweep, 1)
    assert [names for command, names in called if command == {"prepare"}] == rounds
    assert called[-1] == ({"run"}, [one.name for one in sweep.runs])
    alone = [one.name for one in sharing(sweep.runs, ("text", "tokenizer"))]
    assert alone == ["base-seed1", "base-seed2"]  # no two runs share the tokenizers of the wide variant


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit])
def test_a_sweep_that_a_signal_ends_says_what_continues_it(
    half_done: Sweep, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ending: type[BaseException]
) -> None:
    def run_jobs(*_: object) -> None:
        raise ending

    monkeypatch.setattr(sweeping, "run_jobs", run_jobs)
    with pytest.raises(ending):
        run_sweep(half_done, 1)
    assert capsys.readouterr().err.split("\n")[-2:] == [
        "sweep: ended before its runs were; the same command continues it",
        "",
    ]


def test_a_finished_sweep_runs_nothing(
    half_done: Sweep, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sweeping, "run_jobs", None)
    done = Sweep(half_done.recipe, half_done.folder, None, half_done.runs[:1])
    assert run_sweep(done, 1) == []
    assert capsys.readouterr().err == "sweep: all 1 runs are finished\n"


def test_runs_at_once_are_bounded_by_the_cores_and_the_memory(
    tiny: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = plan(tiny, tmp_path, seeds=5).runs
    monkeypatch.setattr(jobs, "cores", lambda: 8)
    for module in (jobs, sweeping):
        monkeypatch.setattr(module, "threads", lambda: 4)
    monkeypatch.setattr(runtime, "free_memory", lambda: sys.maxsize)
    assert make_places(runs, None) == [{"OMP_NUM_THREADS": "1", "NMT_NO_REPORT": "1"}] * 4
    assert [place["OMP_NUM_THREADS"] for place in make_places(runs, 2)] == ["2", "2"]
    assert [place["OMP_NUM_THREADS"] for place in make_places(runs[:1], 2)] == ["4"]
    assert not capsys.readouterr().err
    assert len(make_places(runs, 9)) == 8
    assert capsys.readouterr().err == "nmt: warning: --jobs 9: 8 at once, for this machine has 8 cores\n"
    one = sweeping.memory_of(runs[0])
    assert 2**30 < one < 1.01 * 2**30
    monkeypatch.setattr(runtime, "free_memory", lambda: 3 * one - 1)
    assert len(make_places(runs, 3)) == 2
    assert capsys.readouterr().err == "nmt: warning: --jobs 3: 2 at once, for more may not fit into its memory\n"
    monkeypatch.setattr(runtime, "free_memory", lambda: 5)
    assert len(make_places(runs, None)) == 1


def test_on_gpus_each_run_has_one(tiny: TinyRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = plan(tiny, tmp_path, seeds=5).runs
    monkeypatch.setattr(sweeping, "kind_of_device", lambda _: "cuda")
    monkeypatch.setattr(sweeping, "threads", lambda: 6)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert make_places(runs, None) == [
        {"OMP_NUM_THREADS": "2", "NMT_NO_REPORT": "1", "CUDA_VISIBLE_DEVICES": gpu} for gpu in ("0", "1", "2")
    ]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert [place["CUDA_VISIBLE_DEVICES"] for place in make_places(runs, 4)] == ["5", "7"]

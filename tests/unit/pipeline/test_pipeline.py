"""The stages in their order, on one rank and on several."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from runs import make_run, unpack_old_run

from nmt import console
from nmt.config.toml import LoadedRecipe, check
from nmt.files import read_json
from nmt.pipeline import pipeline, training
from nmt.pipeline.pipeline import STAGES, run_stages, show_results
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

    def note(name: str) -> Any:
        return lambda _, manifest: names.append(name if manifest.inputs else f"{name} alone")

    stages = [Stage(each.name, each.folder, each.effects, lambda _: {}, note(each.name)) for each in STAGES]
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


def test_the_results_are_samples_scores_and_a_next_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = unpack_old_run(tmp_path)
    recipe = check(read_json(folder / "lock.json")["recipe"], "lock")
    show_results(Run(LoadedRecipe(recipe, folder / "recipe.toml", ""), run_dir=folder))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Samples of test:"
    assert [line[:6] for line in lines[1:4]] == ["  en  ", "  de  ", "  ref "]
    assert len([line for line in lines if line.startswith("  en  ")]) == 3
    assert lines[-1].startswith("Next: echo '")
    assert lines[-1].endswith(f"| nmt translate {folder / 'model'}")

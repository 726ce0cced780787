"""A stage is skipped where its manifest holds, whichever nmt wrote it."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from conftest import tree
from runs import make_run, record, unpack_old_run

from nmt import console
from nmt.config import compatibility
from nmt.config.compatibility import RECIPE
from nmt.config.recipe import Recipe
from nmt.config.section import Affects, AsBefore
from nmt.config.toml import LoadedRecipe
from nmt.config.training import TrainingConfig
from nmt.errors import ArtifactError
from nmt.files import read_json, write_json
from nmt.pipeline.manifest import MANIFEST, Manifest, making, work_folder
from nmt.pipeline.pipeline import STAGES, stages_of
from nmt.pipeline.run import Run
from nmt.pipeline.stage import Stage, digests_of
from nmt.pipeline.stage_cache import StageCache
from nmt.version import __version__


def make(run: Run, manifest: Manifest) -> None:
    with making(run.folder.tokenizer, manifest) as scratch:
        (scratch / "a").write_text("made")


def stage(**others: Any) -> Stage:
    return Stage("tokenizer", lambda run: run.folder.tokenizer, frozenset({"tokenizer"}), lambda _: others, make)


Said = Callable[[], str]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    return lambda: capsys.readouterr().err


def test_a_stage_runs_until_its_manifest_holds_and_says_why(tmp_path: Path, said: Said) -> None:
    run = make_run(tmp_path)
    due = stage(more=1).due(run)
    assert due is not None
    assert (due.manifest.stage, due.manifest.inputs["nmt"], due.manifest.inputs["more"]) == (
        "tokenizer",
        __version__,
        1,
    )
    assert due.manifest.inputs[RECIPE]["training"] == {"seed": 1}
    stage().run(run, due)
    assert said() == "tokenizer: running\n"
    assert stage(more=1).due(run) is None
    other = make_run(tmp_path, training={"seed": 2})
    assert reason_of(stage(more=2), other) == "more, training.seed changed"
    (run.folder.tokenizer / "a").unlink()
    stage().run(run, stage(more=1).due(run))
    assert said() == "tokenizer: running: a is missing\n"


def reason_of(stage: Stage, run: Run) -> str:
    due = stage.due(run)
    assert due is not None
    return due.reason


def test_five_changes_are_named_at_most(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    record(run.folder.tokenizer)
    assert reason_of(stage(**{f"k{number}": number for number in range(7)}), run) == "k0, k1, k2, k3, k4 changed"


def test_inputs_may_replace_the_knobs(tmp_path: Path) -> None:
    due = stage(**{RECIPE: {}}).due(make_run(tmp_path))
    assert due is not None
    assert due.manifest.inputs == {"nmt": __version__, RECIPE: {}}


def test_a_version_of_nmt_alone_makes_nothing_anew(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    stage().run(run, stage().due(run))
    path = run.folder.tokenizer / MANIFEST
    written = read_json(path)
    write_json(path, {**written, "inputs": {**written["inputs"], "nmt": "0.0.1"}, "fingerprint": "other"})
    assert stage().due(run) is None


def test_a_skipped_stage_forgets_what_a_killed_run_left(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    folder = work_folder(run.folder.tokenizer)
    (folder / "made").mkdir(parents=True)
    stage().run(run, None)
    assert not folder.exists()


def warn_and_make(run: Run, manifest: Manifest) -> None:
    console.warn("odd text")
    manifest.counts = {"lines": 3}
    make(run, manifest)


def say(_: Run, manifest: Manifest) -> None:
    console.log(f"lines {manifest.counts}")


def cached(value: int, more: dict[str, Any] | None) -> Stage:
    inputs = {"value": value}
    return Stage(
        "tokenizer", lambda run: run.folder.tokenizer, frozenset(), lambda _: inputs, warn_and_make, say, lambda _: more
    )


def test_another_run_takes_the_stage_from_the_cache_and_says_all_that_was_said(tmp_path: Path, said: Said) -> None:
    first, second = (make_run(tmp_path, folder=name, cache=StageCache(tmp_path / "cache")) for name in ("one", "two"))
    stage = cached(1, {})
    stage.run(first, stage.due(first))
    told = "nmt: warning: odd text\nlines {'lines': 3}\n"
    assert said() == f"tokenizer: running\n{told}"
    growing = work_folder(second.folder.tokenizer) / "made"
    growing.mkdir(parents=True)  # of a killed run
    due = stage.due(second)
    assert due is not None
    stage.run(second, due)
    entry = stage.entry(second, due)
    assert entry is not None
    assert said() == f"tokenizer: from the cache ({entry})\n{told}"
    assert tree(second.folder.path) == tree(first.folder.path)
    assert stage.due(second) is None
    assert not growing.exists()


@pytest.mark.parametrize("change", ["value", "more", "no origin", "no cache"])
def test_a_stage_of_other_inputs_or_of_unknown_ones_is_made(tmp_path: Path, said: Said, change: str) -> None:
    cache = StageCache(tmp_path / "cache")
    first, second = (make_run(tmp_path, folder=name, cache=cache) for name in ("one", "two"))
    stage = cached(1, {"train": "abc"})
    stage.run(first, stage.due(first))
    said()
    if change == "no cache":
        second.cache = None
    more = {"more": {"train": "other"}, "no origin": None}.get(change, {"train": "abc"})
    stage = cached(2 if change == "value" else 1, more)
    stage.run(second, stage.due(second))
    assert said().startswith("tokenizer: running\n")
    assert len(cache.entries()) == (2 if change in ("value", "more") else 1)


def test_digests_are_those_of_the_manifest(tmp_path: Path) -> None:
    record(tmp_path, **{"train/0": "1", "dev/0": "2", "test/0": "3"})
    assert digests_of(tmp_path) == {"train/0": "1", "dev/0": "2", "test/0": "3"}
    assert digests_of(tmp_path, "train", "dev") == {"train/0": "1", "dev/0": "2"}
    with pytest.raises(ArtifactError):
        digests_of(tmp_path / "missing")


# A run folder of nmt 0.1.0.


def load(folder: Path, recipe: type[Recipe] = Recipe, **training: Any) -> Run:
    """Return the run of `folder`, its recipe read by the class `recipe`, with some keys of [training] changed."""
    values = read_json(folder / "lock.json")["recipe"]
    found = recipe.model_validate({**values, "training": {**values["training"], **training}})
    return Run(LoadedRecipe(found, folder / "recipe.toml", ""), run_dir=folder)


def due(run: Run) -> list[str]:
    """Name the stages of a run that are to be made."""
    return [stage.name for stage in stages_of(run, STAGES[-1].name) if stage.due(run) is not None]


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack_old_run(tmp_path_factory.mktemp("old"))


def test_a_run_folder_of_nmt_0_1_0_is_whole(old: Path) -> None:
    run = load(old)
    run.refuse_other_folder()
    assert due(run) == []


def test_what_changes_in_an_old_run_folder_is_made_anew_or_refused(old: Path) -> None:
    longer = load(old, max_steps=6)
    longer.refuse_other_folder()
    assert due(longer) == ["train"]
    with pytest.raises(ArtifactError, match=r"another recipe: it differs in training\.label_smoothing \("):
        load(old, label_smoothing=0.2).refuse_other_folder()


class NewTraining(TrainingConfig):
    """The section of an nmt to come."""

    shaping: float = 0.5
    other_default: Annotated[bool, AsBefore(False)] = True
    free: Annotated[int, Affects()] = 3
    """Changes nothing."""


class NewRecipe(Recipe):
    """The recipe of an nmt to come."""

    training: NewTraining = NewTraining()


@pytest.mark.parametrize(
    ("training", "key"),
    [
        ({"other_default": False}, ""),
        ({"other_default": False, "free": 4}, ""),
        ({"other_default": False, "shaping": 0.6}, "training.shaping"),
        ({}, ""),
        ({"other_default": True}, "training.other_default"),
    ],
)
def test_an_old_run_is_refused_under_a_new_knob_that_shapes_updates_unless_it_is_as_before(
    old: Path, monkeypatch: pytest.MonkeyPatch, training: dict[str, Any], key: str
) -> None:
    monkeypatch.setattr(compatibility, "Recipe", NewRecipe)
    run = load(old, NewRecipe, **training)
    if key:
        with pytest.raises(
            ArtifactError, match=rf"step-00000004: a checkpoint of another recipe: it differs in {key} \("
        ):
            run.refuse_other_folder()
        assert due(run) == ["train"]
    else:
        run.refuse_other_folder()
        assert due(run) == []

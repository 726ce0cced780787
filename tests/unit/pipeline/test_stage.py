"""A stage is skipped where its manifest holds, whichever nmt wrote it."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from runs import make_run, record, unpack_old_run

from nmt.config import compatibility
from nmt.config.compatibility import RECIPE
from nmt.config.recipe import Recipe
from nmt.config.section import Affects, AsBefore
from nmt.config.toml import LoadedRecipe
from nmt.config.training import TrainingConfig
from nmt.errors import ArtifactError
from nmt.files import read_json, write_json
from nmt.pipeline.manifest import MANIFEST, Manifest, making, work_folder
from nmt.pipeline.pipeline import STAGES
from nmt.pipeline.run import Run
from nmt.pipeline.stage import Stage, digests_of
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
    manifest = stage(more=1).due(run)
    assert manifest is not None
    assert said() == "tokenizer: running\n"
    assert (manifest.stage, manifest.inputs["nmt"], manifest.inputs["more"]) == ("tokenizer", __version__, 1)
    assert manifest.inputs[RECIPE]["training"] == {"seed": 1}
    stage().run(run, manifest)
    assert stage(more=1).due(run) is None
    assert said() == "tokenizer: skipped, its inputs have not changed\n"
    assert stage(more=2).due(make_run(tmp_path, training={"seed": 2})) is not None
    assert said() == "tokenizer: running: more, training.seed changed\n"
    (run.folder.tokenizer / "a").unlink()
    assert stage(more=1).due(run) is not None
    assert said() == "tokenizer: running: a is missing\n"


def test_five_changes_are_named_at_most(tmp_path: Path, said: Said) -> None:
    run = make_run(tmp_path)
    record(run.folder.tokenizer)
    stage(**{f"k{number}": number for number in range(7)}).due(run)
    assert said() == "tokenizer: running: k0, k1, k2, k3, k4 changed\n"


def test_inputs_may_replace_the_knobs(tmp_path: Path) -> None:
    manifest = stage(**{RECIPE: {}}).due(make_run(tmp_path))
    assert manifest is not None
    assert manifest.inputs == {"nmt": __version__, RECIPE: {}}


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
    return [stage.name for stage in STAGES if stage.due(run) is not None]


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

"""How the options of a command open a recipe."""

from pathlib import Path

import pytest
from runs import make_run

from nmt.commands.recipe_options import RunConfig, open_run
from nmt.errors import ArtifactError, RecipeError, UsageError
from nmt.files import read_json, write_json


def test_options_override_the_recipe(tmp_path: Path) -> None:
    where = RunConfig(
        overrides=["training.seed=7"], init_from=Path("base"), run_dir=tmp_path / "run", data_dir=tmp_path, workers=3
    )
    run = open_run("demo", where)
    assert run.recipe.training.seed == 7
    assert run.recipe.training.init_from == str(Path("base").absolute())
    assert (run.folder.path, run.workers) == (tmp_path / "run", 3)


def test_runs_share_the_cache_of_the_user_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NMT_CACHE", str(tmp_path))
    cache = open_run("demo", RunConfig()).cache
    assert cache is not None
    assert cache.folder == tmp_path / "stages"
    assert open_run("demo", RunConfig(no_cache=True)).cache is None
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_data_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        open_run("demo", RunConfig(overrides=[], data_dir=tmp_path / "nosuch"))


def test_a_recipe_has_to_be_there() -> None:
    with pytest.raises(RecipeError, match="nosuch: no such recipe"):
        open_run("nosuch", RunConfig(overrides=[]))


def test_a_lock_is_a_recipe_that_is_held_to_it(tmp_path: Path) -> None:
    first = make_run(tmp_path, training={"seed": 7})
    first.begin()
    lock = first.folder.lock
    run = open_run(str(lock), RunConfig(data_dir=tmp_path, run_dir=tmp_path / "second"))
    assert run.recipe == first.recipe
    assert run.locked is not None
    assert (run.locked.path, run.locked.strict) == (lock, False)
    run.begin()
    assert {**read_json(run.folder.lock), "sessions": 0} == {**read_json(lock), "sessions": 0}
    assert run.folder.given.read_text(encoding="utf-8").startswith(f"# From {lock}.\n")
    given = first.folder.given.read_bytes()
    open_run(str(lock), RunConfig(data_dir=tmp_path, run_dir=first.folder.path)).begin()
    assert first.folder.given.read_bytes() == given
    changed = open_run(str(lock), RunConfig(data_dir=tmp_path, overrides=["training.seed=8"]))
    with pytest.raises(RecipeError, match=r"other than in this lock: recipe\.training\.seed \("):
        changed.begin()


def test_a_recipe_is_held_to_the_lock_of_an_option(tmp_path: Path) -> None:
    lock = tmp_path / "lock.json"
    write_json(lock, {"recipe": {}})
    with pytest.raises(ArtifactError, match=r"lock\.json: damaged: seed: Field required"):
        open_run("demo", RunConfig(locked=lock))
    first = make_run(tmp_path)
    first.begin()
    run = open_run("demo", RunConfig(locked=first.folder.lock, strict=True))
    assert run.locked is not None
    assert (run.locked.path, run.locked.strict, run.locked.recipe) == (first.folder.lock, True, first.recipe)
    with pytest.raises(UsageError, match=r"^--strict is for a lock \(add --locked LOCK\)$"):
        open_run("demo", RunConfig(strict=True))


def test_a_lock_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"nosuch\.json: missing"):
        open_run(str(tmp_path / "nosuch.json"), RunConfig())

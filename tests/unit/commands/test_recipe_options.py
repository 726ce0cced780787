"""How the options of a command open a recipe."""

from pathlib import Path

import pytest

from nmt.commands.recipe_options import RunConfig, open_run
from nmt.errors import RecipeError, UsageError


def test_options_override_the_recipe(tmp_path: Path) -> None:
    where = RunConfig(
        overrides=["training.seed=7"], init_from=Path("base"), run_dir=tmp_path / "run", data_dir=tmp_path, workers=3
    )
    run = open_run("demo", where)
    assert run.recipe.training.seed == 7
    assert run.recipe.training.init_from == str(Path("base").absolute())
    assert (run.folder.path, run.workers) == (tmp_path / "run", 3)


def test_a_folder_of_data_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        open_run("demo", RunConfig(overrides=[], data_dir=tmp_path / "nosuch"))


def test_a_recipe_has_to_be_there() -> None:
    with pytest.raises(RecipeError, match="nosuch: no such recipe"):
        open_run("nosuch", RunConfig(overrides=[]))

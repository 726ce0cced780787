"""The recipe of a run: as run in its folder, as given beside it, and shown from all that records it."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY
from runs import make_run, unpack_old_run

from nmt.config.toml import LoadedRecipe, check, load_recipe
from nmt.errors import ArtifactError, DataError, RecipeError
from nmt.files import read_json, write_json
from nmt.pipeline.recipe_file import recipe_as_run, recorded_recipe, relative_names, shown_recipe
from nmt.pipeline.run import Run


def begun(folder: Path, text: str = TINY, *overrides: str, **options: Any) -> Run:
    """Begin a run of the recipe `text` in `folder`."""
    path = folder / "own.toml"
    path.write_text(text, encoding="utf-8")
    run = Run(load_recipe(str(path), overrides), run_dir=folder / "run", **options)
    run.begin()
    return run


def comments(path: Path) -> list[str]:
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]


@pytest.mark.parametrize(
    "recipe", [None, 5, [], {"model": 5}, {"data": {"train": {"a": 5}}}, {"name": {}}, {"data": {"test": [1]}}]
)
def test_a_lock_of_other_types_is_one_line(tmp_path: Path, recipe: object) -> None:
    write_json(tmp_path / "lock.json", {"recipe": recipe})
    with pytest.raises(ArtifactError, match=r"lock\.json: ") as caught:
        recorded_recipe(tmp_path / "lock.json")
    assert "\n" not in str(caught.value)


def test_the_recipe_of_a_run_folder_has_its_overrides_and_the_one_given_lies_beside_it(tmp_path: Path) -> None:
    run = begun(tmp_path, TINY, "training.seed=7")
    written = load_recipe(str(run.folder.recipe))
    assert written.recipe == run.recipe
    assert written.recipe.training.seed == 7
    assert run.folder.given.read_text(encoding="utf-8") == TINY
    assert comments(run.folder.recipe) == [
        "# The recipe as run, with defaults and overrides; recipe.given.toml is the file as given."
    ]


def test_the_recipe_of_a_run_folder_runs_again_and_leaves_the_one_given(tmp_path: Path) -> None:
    run = begun(tmp_path, TINY, "training.seed=7")
    before = {path.name: path.read_bytes() for path in run.folder.path.iterdir() if path.is_file()}
    again = Run(load_recipe(str(run.folder.recipe)), run_dir=run.folder.path)
    again.begin()
    assert {path.name: path.read_bytes() for path in run.folder.path.iterdir() if path.is_file()} == before


def test_another_recipe_replaces_the_one_given(tmp_path: Path) -> None:
    run = begun(tmp_path)
    begun(tmp_path, TINY + "\n# changed\n")
    assert run.folder.given.read_text(encoding="utf-8") == TINY + "\n# changed\n"


def test_an_old_run_folder_whose_recipe_is_the_one_given_keeps_it_as_such(tmp_path: Path) -> None:
    run = begun(tmp_path)
    run.folder.given.unlink()
    run.folder.recipe.write_text(TINY, encoding="utf-8")
    Run(load_recipe(str(run.folder.recipe), ["training.seed=7"]), run_dir=run.folder.path).begin()
    assert run.folder.given.read_text(encoding="utf-8") == TINY
    assert load_recipe(str(run.folder.recipe)).recipe.training.seed == 7


def test_a_comment_says_where_relative_file_names_start(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    run.begin()
    assert comments(run.folder.recipe)[1:] == [
        f'# Relative file names, such as "a.tsv", start at {tmp_path}: run a copy of this recipe there, or give '
        "--data-dir."
    ]
    copy = load_recipe(str(run.folder.recipe))
    assert Run(copy, data_dir=tmp_path).data_digests == run.data_digests


def test_a_run_without_its_data_leaves_the_comment(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    run.begin()
    before = run.folder.recipe.read_bytes()
    with pytest.raises(DataError):
        Run(load_recipe(str(run.folder.recipe)), run_dir=run.folder.path).begin()
    assert run.folder.recipe.read_bytes() == before


@pytest.mark.parametrize(
    ("sections", "local", "expected"),
    [
        ({"dev": {"source": ["/x", "y"], "target": ["z", "sacrebleu:w"]}}, False, ["a.tsv", "b.tsv", "y", "z"]),
        ({"dev": {"dataset": "d"}}, False, ["a.tsv", "b.tsv"]),
        ({"dev": {"dataset": "d"}}, True, ["a.tsv", "b.tsv", "d"]),
        ({"test": {"t": {"files": "all.tgz/t.tsv"}}}, False, ["a.tsv", "b.tsv"]),
        ({"test": {"t": {"files": "all/t.tsv"}}}, False, ["a.tsv", "b.tsv"]),
        ({"test": {"t": {"files": "all.tgz2/t.tsv"}}}, False, ["a.tsv", "b.tsv", "all.tgz2/t.tsv"]),
        ({"test": {"t": {"builtin": "test", "pairs": 1}}}, True, ["a.tsv", "b.tsv"]),
    ],
)
def test_relative_names_are_those_of_files_that_are_not_downloaded(
    sections: dict[str, Any], local: bool, expected: list[str]
) -> None:
    downloads = {"all.tgz": {"url": "https://example.org/x", "sha256": "0" * 64}}
    data = {"train": {"a": {"files": "a.tsv"}, "b": {"files": "b.tsv"}}, "downloads": downloads, **sections}
    tree = {"name": "x", "languages": {"source": "en", "target": "de"}, "data": data}
    assert relative_names(check(tree, "x"), local=local) == expected
    tuned = check({**tree, "training": {"init_from": "base"}}, "x")
    assert relative_names(tuned, local=local) == [*expected, "base"]


def test_relative_names_are_those_of_monolingual_text_too(tmp_path: Path) -> None:
    run = make_run(tmp_path, data={"monolingual": {"x": {"language": "de", "text": ["t.de", "/y"]}}})
    assert relative_names(run.recipe) == ["a.tsv", "a.tsv", "t.de"]


def test_a_recipe_is_shown_from_its_file_its_run_its_bundle_and_a_lock(tmp_path: Path) -> None:
    run = begun(tmp_path, TINY, "training.seed=7")
    model = tmp_path / "model"
    model.mkdir()
    write_json(model / "lock.json", read_json(run.folder.lock))
    write_json(tmp_path / "other.json", read_json(run.folder.lock))
    for name in (run.folder.recipe, run.folder.path, run.folder.lock, model, tmp_path / "other.json"):
        assert check(tomllib.loads(shown_recipe(str(name))), "shown") == run.recipe, name
        changed = tomllib.loads(shown_recipe(str(name), ["training.seed=8"]))
        assert changed["training"]["seed"] == 8
        with pytest.raises(RecipeError, match=r"--set training\.sed=8: unknown key training\.sed"):
            shown_recipe(str(name), ["training.sed=8"])
    assert shown_recipe(str(model)).startswith(f"# From {model / 'lock.json'}.\nname = ")
    assert shown_recipe(str(run.folder.path / "recipe.given.toml")).startswith("name = ")


def test_a_recorded_recipe_says_where_its_relative_names_start(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    run.begin()
    ending = ": run a copy of this recipe there, or give --data-dir."
    first, second = shown_recipe(str(run.folder.path)).splitlines()[:2]
    assert first == f"# From {run.folder.lock}."
    assert (
        second == f'# Relative file names, such as "a.tsv", start at the folder that {run.folder.recipe} names{ending}'
    )
    run.folder.given.unlink()
    second = shown_recipe(str(run.folder.path)).splitlines()[1]
    assert second == f'# Relative file names, such as "a.tsv", start at the data folder of that run{ending}'
    (tmp_path / "own.toml").write_text(TINY.replace('builtin = "test"\npairs = 20', 'files = "t.tsv"'))
    first = shown_recipe(str(tmp_path / "own.toml")).splitlines()[0]
    assert first == f'# Relative file names, such as "t.tsv", start at {tmp_path}{ending}'


def test_the_lock_of_nmt_0_1_0_is_shown_as_it_was(tmp_path: Path) -> None:
    folder = unpack_old_run(tmp_path)
    recipe = recorded_recipe(folder / "lock.json")
    assert check(tomllib.loads(shown_recipe(str(folder))), "shown") == recipe
    assert recipe.model_dump()["training"]["seed"] == read_json(folder / "lock.json")["recipe"]["training"]["seed"]


def test_a_lock_that_records_no_recipe_or_an_unknown_key_is_an_artifact_that_cannot_be_read(tmp_path: Path) -> None:
    lock = tmp_path / "lock.json"
    lock.write_text("{}")
    with pytest.raises(ArtifactError, match=r"lock.json: missing or damaged \(`nmt run` writes it anew\)"):
        shown_recipe(str(tmp_path))
    run = begun(tmp_path)
    recipe = read_json(run.folder.lock)["recipe"]
    write_json(lock, {"recipe": {**recipe, "surprise": 1}})
    with pytest.raises(ArtifactError, match=r"lock.json: unknown key surprise \(use the nmt that wrote it\)"):
        shown_recipe(str(tmp_path))


def test_a_folder_that_records_nothing_is_no_recipe(tmp_path: Path) -> None:
    for name in (tmp_path, tmp_path / "lock.json"):
        with pytest.raises(RecipeError, match="no such recipe"):
            shown_recipe(str(name))


def test_a_recipe_that_was_loaded_from_its_parts_is_written_whole(tmp_path: Path) -> None:
    recipe = make_run(tmp_path).recipe
    text = recipe_as_run(LoadedRecipe(recipe, tmp_path / "x.toml", ""), Path("data"), local=False)
    assert f"start at {Path('data').absolute()}: " in text
    assert check(tomllib.loads(text), "as run") == recipe

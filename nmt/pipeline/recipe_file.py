"""Recipes of runs: written into the run folder so that they run by themselves, and read from what records them."""

from collections.abc import Sequence
from pathlib import Path

from nmt.config.compatibility import completed
from nmt.config.recipe import Recipe
from nmt.config.toml import LoadedRecipe, check, check_overridden, load_recipe, resolved_toml, to_toml
from nmt.errors import ArtifactError, RecipeError
from nmt.files import read_record
from nmt.run_folder import RunFolder


def recorded_recipe(lock: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Return the recipe that a lock of any nmt records, with `overrides`.

    Raises ArtifactError where the file is missing, damaged or of another nmt, RecipeError for an override.
    """
    record = read_record(lock, recipe=dict)
    if record is None:
        raise ArtifactError(f"{lock}: missing or damaged", hint="`nmt run` writes it anew")
    tree = completed(record["recipe"], Recipe)
    try:
        check(tree, str(lock))
    except RecipeError as error:
        raise ArtifactError(str(error), hint="use the nmt that wrote it") from None
    return check_overridden(tree, overrides, str(lock))


def locked_recipe(lock: Path, overrides: Sequence[str] = ()) -> LoadedRecipe:
    """Return the recipe of a lock as if it were a file beside it. Raises what `recorded_recipe` does."""
    return LoadedRecipe(recorded_recipe(lock, overrides), lock, shown_recipe(str(lock), overrides))


def shown_recipe(name: str, overrides: Sequence[str] = ()) -> str:
    """Return, as TOML that runs, the recipe `name`, or the one of a run folder, a bundle or a lock.json."""
    path = Path(name)
    lock = RunFolder(path).lock if path.is_dir() else path
    if lock.suffix != ".json" or not lock.exists():
        loaded = load_recipe(name, overrides)
        return standalone_toml(loaded.recipe, "", str(loaded.path.absolute().parent))
    run = RunFolder(lock.parent)
    data_dir = f"the folder that {run.recipe} names" if run.given.exists() else "the data folder of that run"
    return standalone_toml(recorded_recipe(lock, overrides), f"From {lock}.", data_dir)


def recipe_as_run(loaded: LoadedRecipe, data_dir: Path, *, local: bool) -> str:
    """Return the recipe of a run as TOML: all overrides in it, and a comment that names its data folder."""
    heading = "The recipe as run, with defaults and overrides; recipe.given.toml is the file as given."
    return standalone_toml(loaded.recipe, heading, str(data_dir.absolute()), local=local)


def standalone_toml(recipe: Recipe, heading: str, data_dir: str, *, local: bool = False) -> str:
    """Return every key of `recipe` as TOML under comments: the heading, and where its relative file names start."""
    names = relative_names(recipe, local=local)
    where = f"start at {data_dir}: run a copy of this recipe there, or give --data-dir."
    start = f"Relative file names, such as {to_toml(names[0])}, {where}" if names else ""
    return "".join([*(f"# {line}\n" for line in (heading, start) if line), resolved_toml(recipe)])


def relative_names(recipe: Recipe, *, local: bool = False) -> list[str]:
    """Return the relative names of the files that `recipe` reads and does not download; of datasets too if `local`."""
    data = recipe.data
    named = [name for corpus in data.corpora for name in corpus.file_names]
    named += [corpus.dataset for corpus in data.corpora if local and corpus.dataset]
    models = [name for translated in recipe.translated.values() for name in translated.names]
    names = [*named, *dict.fromkeys(models), *([recipe.training.init_from] if recipe.training.init_from else [])]
    downloads = {part for name in data.downloads for part in (name, name.rpartition(".")[0])}  # as it is, or compressed
    return [
        name for name in names if not name.startswith(("sacrebleu:", "/")) and name.partition("/")[0] not in downloads
    ]

"""The commands `recipe`: recipes, and the reference of their keys."""

from typing import Annotated

import typer

from nmt import console
from nmt.commands.group import new_app
from nmt.commands.options import command
from nmt.commands.recipe_options import Overrides
from nmt.config.toml import LIBRARY, explain, knobs, load_recipe, recipe_names
from nmt.pipeline.recipe_file import shown_recipe

app = new_app("Show recipes and the reference of their keys.")


def key_names() -> list[str]:
    return [knob.key for knob in knobs()]


@command(app, "nmt recipe list", "list")
def recipe_list() -> None:
    """List the recipes that come with nmt."""
    recipes = [load_recipe(str(LIBRARY / f"{name}.toml")).recipe for name in recipe_names()]
    console.table(["recipe", "what it is"], [[recipe.name, recipe.description] for recipe in recipes])


@command(app, "nmt recipe show demo --set training.seed=2 > own.toml", "show")
def recipe_show(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE",
            help="A TOML file, the name of one in recipes/, a run folder, a bundle or a lock.json.",
            autocompletion=recipe_names,
        ),
    ],
    overrides: Overrides = None,
) -> None:
    """Print every key of RECIPE, defaults included, as TOML that runs."""
    console.out(shown_recipe(recipe, overrides or []))


@command(app, "nmt recipe explain decoding", "explain")
def recipe_explain(
    key: Annotated[
        str | None, typer.Argument(metavar="KEY", help="A key or a section; by default all.", autocompletion=key_names)
    ] = None,
) -> None:
    """Print the reference of the recipe's keys: type, default and meaning."""
    console.out("\n\n".join(f"{knob.key} ({knob.type}) = {knob.default}\n    {knob.text}" for knob in explain(key)))

"""The commands `run`, `prepare` and `train`: a recipe through all stages, or up to one."""

from nmt.commands.group import new_app
from nmt.commands.options import command
from nmt.commands.recipe_options import RecipeName, Where, WherePrepared, WhereTrained, run_recipe

app = new_app("Run a recipe.")


@command(app, "nmt run demo --set training.seed=2")
def run(recipe: RecipeName, *, where: Where) -> None:
    """Run all stages of RECIPE: tokenizer, data, training, bundle, scores. Continues where it stopped.

    At the end it writes report.html to the run folder, as `nmt report` does.
    """
    run_recipe(recipe, where)


@command(app, "nmt prepare demo --workers 4")
def prepare(recipe: RecipeName, *, where: WherePrepared) -> None:
    """Read, clean, split and encode the data of RECIPE, training the tokenizer if there is none."""
    run_recipe(recipe, where, "prepare")


@command(app, "nmt train demo --set training.max_steps=2000")
def train(recipe: RecipeName, *, where: WhereTrained) -> None:
    """Train the model of RECIPE, resuming if a checkpoint exists, and write its bundle."""
    run_recipe(recipe, where, "bundle")

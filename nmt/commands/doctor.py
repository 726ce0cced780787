"""The command `doctor`: what is wrong with a recipe, its data or the machine, before a run."""

from nmt import console
from nmt.commands.group import new_app
from nmt.commands.options import command
from nmt.commands.recipe_options import RecipeName, WhereChecked, open_run
from nmt.errors import NmtError

app = new_app("Check a recipe.")
STYLES: dict[str, console.Style] = {"OK": "green", "warning": "yellow", "error": "red", "skipped": "dim"}
"""Styles of the levels of a finding."""


@command(app, "nmt doctor demo")
def doctor(recipe: RecipeName, *, where: WhereChecked) -> None:
    """Check RECIPE, its data and this machine before a run. Writes nothing."""
    from nmt.advice.doctor import examine  # imports torch

    run = open_run(recipe, where)
    errors: list[tuple[str, NmtError]] = []
    for check, finding in examine(run):
        console.heading(f"{finding.level:<8}", f" {check}: {finding}", STYLES[finding.level])
        if finding.error is not None:
            errors.append((check, finding.error))
    if errors:
        check, error = errors[0]
        raise type(error)(f"{recipe}: checks that found an error: {len(errors)}, the first is {check}")

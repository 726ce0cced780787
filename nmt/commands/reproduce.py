"""The command `reproduce`: the scores of a recipe or a lock, compared with the expected ones."""

from pathlib import Path
from typing import Annotated

import typer

from nmt import console
from nmt.commands.group import new_app
from nmt.commands.options import command
from nmt.commands.recipe_options import RecipeName, WhereReproduced, open_run, write_report_of
from nmt.errors import NotReproducedError
from nmt.pipeline.lock import INPUTS

app = new_app("Reproduce scores.")


@command(app, "nmt reproduce demo")
def reproduce(
    recipe: RecipeName,
    *,
    model: Annotated[
        Path | None, typer.Option("--from", metavar="MODEL", help="Score this bundle instead of training one.")
    ] = None,
    where: WhereReproduced,
) -> None:
    """Run RECIPE, or score a model of it, and compare BLEU with the expected scores: PASS or FAIL.

    Expected are the scores of its sections [expected.TEST], or else those in the lock, each within its tolerance.
    The run folder is by default runs/NAME-reproduced. Another code of nmt than that of the lock is named, not refused.
    Where a score fails, the exit code is 6.
    """
    run = open_run(recipe, where, suffix="-reproduced", refused=INPUTS - {"code"})
    from nmt.experiments import reproduce as work  # start-up time

    verdicts = list(work.reproduce(run, model))
    if run.locked and verdicts and model is None:
        console.log(run.locked.compare(run.results))
    if verdicts and model is None and not where.no_report:
        write_report_of(run)
    for passed, line in verdicts:
        console.heading("PASS" if passed else "FAIL", f" {line}", "green" if passed else "red")
    if failed := sum(not passed for passed, _ in verdicts):
        message = f"{recipe}: {failed} of {len(verdicts)} expected scores not reached"
        hint = "`nmt run RECIPE --locked LOCK` names what differs from a run that reached them"
        raise NotReproducedError(message, hint=hint)

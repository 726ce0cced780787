"""The command `init`: a recipe for the user's own data."""

from pathlib import Path
from typing import Annotated

import typer

from nmt.commands.group import new_app
from nmt.commands.options import Columns, SkipBad, command

app = new_app("Write a recipe.")


@command(app, "nmt init en de --train train.en train.de -o own.toml")
def init(
    source: Annotated[str, typer.Argument(metavar="SRC", help="Code of the source language, such as en.")],
    target: Annotated[str, typer.Argument(metavar="TGT", help="Code of the target language, such as de.")],
    train: Annotated[
        list[str],
        typer.Option(
            metavar="FILE...",
            help="Files of both sides, or two of one side each, NAME.SRC and NAME.TGT; several may follow.",
        ),
    ],
    dev: Annotated[
        list[str] | None, typer.Option(metavar="FILE...", help="The same for validation; by default split off.")
    ] = None,
    test: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE...", help="The same for tests, or sacrebleu:SET; by default split off."),
    ] = None,
    columns: Columns = None,
    skip_bad: SkipBad = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The recipe; by default NAME.toml.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the recipe; by default that of -o, or SRC-TGT.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the recipe.")] = False,
) -> None:
    """Survey your own data, and write a recipe for it that says why each value was chosen."""
    from nmt.advice.recipe_writer import initialize  # start-up time

    initialize(source, target, train, dev or [], test or [], output, name, force, columns, skip_bad=skip_bad)

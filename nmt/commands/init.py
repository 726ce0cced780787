"""The command `init`: a recipe for the user's own data."""

from pathlib import Path
from typing import Annotated

import typer

from nmt.commands.group import new_app
from nmt.commands.options import Columns, SkipBad, command
from nmt.errors import UsageError

app = new_app("Write a recipe.")


@command(app, "nmt init en de --train train.en train.de -o own.toml")
def init(
    source: Annotated[
        str | None, typer.Argument(metavar="SRC", help="Code of the source language, such as en.", show_default=False)
    ] = None,
    target: Annotated[
        str | None, typer.Argument(metavar="TGT", help="Code of the target language, such as de.", show_default=False)
    ] = None,
    train: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE...",
            help="Files of both sides, or two of one side each, NAME.SRC and NAME.TGT; several may follow.",
        ),
    ] = None,
    dev: Annotated[
        list[str] | None, typer.Option(metavar="FILE...", help="The same for validation; by default split off.")
    ] = None,
    test: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE...", help="The same for tests, or sacrebleu:SET; by default split off."),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Several directions, in place of SRC, TGT and files: rows with TAB between source, target, train, and "
            "if wanted dev, test; the first row names these columns.",
        ),
    ] = None,
    columns: Columns = None,
    skip_bad: SkipBad = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The recipe; by default NAME.toml.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the recipe; by default that of -o, or SRC-TGT.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the recipe.")] = False,
) -> None:
    """Survey your own data, and write a recipe for it that says why each value was chosen."""
    if table is not None:
        if source or target or train or dev or test:
            raise UsageError(
                "--table has the languages and all files", hint="leave out SRC, TGT, --train, --dev, --test"
            )
        from nmt.advice.table import initialize_table  # start-up time

        initialize_table(table, output, name, force, columns, skip_bad=skip_bad)
        return
    if source is None or target is None or not train:
        raise UsageError("init takes SRC, TGT and --train FILE, or --table FILE")
    from nmt.advice.recipe_writer import initialize  # start-up time

    initialize(source, target, train, dev or [], test or [], output, name, force, columns, skip_bad=skip_bad)

"""The command `key`: API keys of the server."""

from pathlib import Path
from typing import Annotated

import typer

from nmt import console
from nmt.commands.group import new_app
from nmt.commands.options import OptionsOf, command
from nmt.config.serving import QuotaConfig
from nmt.server.keys import add_key

app = new_app("API keys.")


@command(app, "nmt key weblate keys.toml --requests-per-minute 60")
def key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of who is to use it; the log has it.")],
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="File of `nmt serve --api-keys`; made if there is none.")
    ],
    *,
    quotas: Annotated[QuotaConfig, OptionsOf("Quotas")],
) -> None:
    """Make an API key for `nmt serve`: print it, this once, and add its hash to FILE.

    To withdraw it, delete its table in FILE. A running server reads FILE again on SIGHUP.
    """
    console.out(add_key(file, name, quotas))

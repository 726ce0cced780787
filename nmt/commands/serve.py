"""The command `serve`: translations over HTTP."""

import re
import signal
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from nmt.commands.group import new_app
from nmt.commands.model_options import Glossary, Search, check_device, read_terms
from nmt.commands.options import OptionsOf, command
from nmt.config.inference import InferenceConfig
from nmt.config.serving import ServingConfig
from nmt.errors import UsageError
from nmt.runtime import import_extra

NAMED = re.compile(r"(?:([A-Za-z0-9][A-Za-z0-9._-]*)=)?(.+)", re.DOTALL)
app = new_app("Serve.")
OF_SERVER = ("tags", "protect", "engine", "export", "device", "threads")


@command(app, "nmt serve runs/demo/model --engine ctranslate2")
def serve(
    models: Annotated[
        list[str],
        typer.Argument(metavar="[NAME=]MODEL", help="A bundle: runs/NAME/model; the name is by default its recipe's."),
    ],
    *,
    serving: Annotated[ServingConfig, OptionsOf("Server")],
    search: Search,
    files: Glossary,
    inference: Annotated[InferenceConfig, OptionsOf("Models and device", only=OF_SERVER)],
) -> None:
    """Serve each MODEL over HTTP, with a page for people and the interface of LibreTranslate for programs.

    Requests that arrive together share batches. Of several models of one pair of languages the first one answers, and
    the others do by their names; where there is none, two models translate by way of a third language.
    SIGHUP loads the models, the terms and the keys again; SIGTERM ends the server once all requests are answered.
    """
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to load again
    for package in ("fastapi", "httptools", "python_multipart", "uvicorn", *["prometheus_client"] * serving.metrics):
        import_extra(package, "serve", "nmt serve")
    if len(models) > 1 and (files.glossary or files.avoid):
        raise UsageError(
            "--glossary and --avoid are for one model", hint="requests to /v1/translate may bring their own"
        )
    read_terms(files, inference)  # before the models, which take seconds to load
    check_device(inference)
    from nmt.server import running  # an optional extra

    named = [NAMED.fullmatch(model) for model in models]
    paths = [(found[1], Path(found[2])) for found in named if found]
    running.run(paths, serving, search, inference, partial(read_terms, files, inference))

"""The command for exports of a model to other engines."""

import re
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Literal

import typer

from nmt import console
from nmt.commands.group import new_app
from nmt.commands.model_options import Model
from nmt.commands.options import command
from nmt.errors import UsageError
from nmt.files import read_json
from nmt.locks import holding_folder
from nmt.run_folder import RunFolder

app = new_app("Export.")


@command(app, "nmt export runs/demo/model --to ctranslate2 --quantization int8")
def export(
    model: Model,
    to: Annotated[Literal["ctranslate2"], typer.Option("--to", help="The engine; needs the extra ctranslate2.")],
    quantization: Annotated[
        Literal["float32", "float16", "bfloat16", "int16", "int8", "int8_float32"],
        typer.Option(help="The weights' type: int8 is the fastest on a processor, a quarter in size, and not exact."),
    ] = "float32",
    name: Annotated[str | None, typer.Option(help="The export's name; by default ctranslate2-QUANTIZATION.")] = None,
    sample: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Compare on this source text; by default on pieces of the vocabulary."),
    ] = None,
) -> None:
    """Write MODEL for another engine, to MODEL/exports/NAME.

    A sample is translated by both engines first: in float32 the export has to translate it as the native engine
    does, else it has to come near; where it does not, nothing is written.
    """
    from nmt.exporting.ctranslate2 import export_ctranslate2  # start-up time

    name = name or f"{to}-{quantization}"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UsageError(f"--name {name}: not a name", hint="take letters, digits, '.', '_' and '-'")
    run = RunFolder(model.absolute().parent)
    with holding_folder(run.path if run.lock.exists() else model) if model.is_dir() else nullcontext():
        parity = export_ctranslate2(model, quantization=quantization, name=name, sample=sample)
    for search, found in parity.items():
        console.log(
            f"export: {search.replace('_', ' ')}: {found['differing']} of {found['lines']} lines differ from the "
            f"native engine's, {found['ties']} ties; scores within {found['score_difference']:.1e}; "
            f"BLEU against it {found['bleu']:.1f}"
        )
    for side, compared in read_json(model / "exports" / name / "manifest.json")["tokenizers"].items():
        console.log(
            f"export: {compared['file']}, the {side} tokenizer for packages without nmt's normal form, splits "
            f"{compared['differing']} of {compared['lines']} lines differently"
        )
    console.log(f"export: written to {model / 'exports' / name}")

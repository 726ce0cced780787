"""The command for exports of a model: for another engine or program, and as a bundle in int8."""

import re
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nmt import console
from nmt.commands.group import new_app
from nmt.commands.model_options import Model
from nmt.commands.options import command
from nmt.errors import UsageError
from nmt.files import read_json
from nmt.locks import holding_folder, holding_output
from nmt.run_folder import RunFolder

if TYPE_CHECKING:
    from nmt.exporting.parity import Agreement
    from nmt.exporting.tokenizers import Exported

app = new_app("Export.")
Form = Literal["ctranslate2", "int8", "huggingface"]
Quantization = Literal["float32", "float16", "bfloat16", "int16", "int8", "int8_float32"]


@command(app, "nmt export runs/demo/model --to ctranslate2 --quantization int8")
def export(
    model: Model,
    to: Annotated[
        Form,
        typer.Option(
            "--to",
            help="ctranslate2: for this engine; needs the extra of its name. int8: a new bundle, a quarter in size. "
            "huggingface: a folder that transformers loads; needs the extra of its name.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="PATH",
            help="The new bundle for int8; the new folder for huggingface, by default MODEL/exports/huggingface.",
        ),
    ] = None,
    quantization: Annotated[
        Quantization | None,
        typer.Option(
            help="The weights' type for ctranslate2, by default float32: int8 is the fastest on a processor, a quarter "
            "in size, and not exact.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The name for ctranslate2; by default ctranslate2-QUANTIZATION.")
    ] = None,
    sample: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Compare on this source text; by default on pieces of the vocabulary."),
    ] = None,
    push: Annotated[
        str | None,
        typer.Option(
            metavar="OWNER/NAME",
            help="Upload the export for huggingface to this repository of the Hub too, which is made private.",
        ),
    ] = None,
) -> None:
    """Write MODEL for another engine or program, or as a new bundle with weights in int8.

    A sample is translated by both first: in float32 the export has to translate it as the native engine
    does, else it has to come near; where it does not, nothing is written.
    """
    check(to, output, quantization, name, push)
    from nmt.exporting import ctranslate2, hub, huggingface, int8  # start-up time

    run, quantization = RunFolder(model.absolute().parent), quantization or "float32"
    folder = output or model / "exports" / (name or (to if to == "huggingface" else f"{to}-{quantization}"))
    if push:
        hub.check_push(push)
    with ExitStack() as stack:
        if model.is_dir():
            stack.enter_context(holding_folder(run.path if run.lock.exists() else model))
        if output is not None:
            stack.enter_context(holding_output(output))
        if to == "huggingface":
            written = huggingface.export_huggingface(model, folder, sample=sample)
            lines = [*agreements(written["parity"]), *huggingface.told(written)]
        elif to == "int8":
            lines = agreements(int8.export_int8(model, folder, sample=sample))
        else:
            parity = ctranslate2.export_ctranslate2(model, quantization=quantization, name=folder.name, sample=sample)
            lines = [*agreements(parity), *splits(read_json(folder / "manifest.json")["tokenizers"])]
    for line in [*lines, f"written to {folder}"]:
        console.log(f"export: {line}")
    if push:
        console.log(f"export: uploaded to {hub.push(folder, push)}")


def agreements(parity: "Mapping[str, Agreement]") -> list[str]:
    """Return a line for each search of the sample."""
    return [
        f"{search.replace('_', ' ')}: {found['differing']} of {found['lines']} lines differ from the "
        f"native engine's in float32, {found['ties']} ties; scores within {found['score_difference']:.1e}; "
        f"BLEU against it {found['bleu']:.1f}"
        for search, found in parity.items()
    ]


def splits(tokenizers: "Mapping[str, Exported]") -> list[str]:
    """Return a line for each SentencePiece model of an export."""
    return [
        f"{compared['file']}, the {side} tokenizer for packages without nmt's normal form, splits "
        f"{compared['differing']} of {compared['lines']} lines differently"
        for side, compared in tokenizers.items()
    ]


def check(to: Form, output: Path | None, quantization: Quantization | None, name: str | None, push: str | None) -> None:
    """Raise UsageError where options do not go together."""
    if to == "int8" and output is None:
        raise UsageError("--to int8 writes a new bundle", hint="say where: -o FOLDER")
    if push and to != "huggingface":
        raise UsageError("--push is for --to huggingface", hint="leave it out")
    if to != "ctranslate2" and (quantization or name):
        raise UsageError("--quantization and --name are for --to ctranslate2", hint="leave them out")
    if to == "ctranslate2" and output is not None:
        raise UsageError(
            "-o is not for --to ctranslate2", hint="an export for ctranslate2 lies in MODEL; --name names it"
        )
    if name and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UsageError(f"--name {name}: not a name", hint="take letters, digits, '.', '_' and '-'")

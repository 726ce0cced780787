"""The command for exports of a model: for another engine, and as a bundle in int8."""

import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nmt import console
from nmt.commands.group import new_app
from nmt.commands.model_options import Model
from nmt.commands.options import command
from nmt.errors import UsageError
from nmt.locks import holding_folder, holding_output
from nmt.run_folder import RunFolder

if TYPE_CHECKING:
    from nmt.exporting.parity import Agreement
    from nmt.exporting.tokenizers import Exported

app = new_app("Export.")
Form = Literal["ctranslate2", "int8", "argos", "huggingface"]
Quantization = Literal["float32", "float16", "bfloat16", "int16", "int8", "int8_float32"]


@command(app, "nmt export runs/demo/model --to ctranslate2 --quantization int8")
def export(
    model: Model,
    to: Annotated[
        Form,
        typer.Option(
            "--to",
            help="ctranslate2: for this engine; needs the extra of its name. int8: a new bundle, a quarter in size. "
            "argos: a package of Argos Translate and LibreTranslate; needs the extra of its name. "
            "huggingface: a folder that transformers loads; needs the extra of its name.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="PATH",
            help="The new bundle for int8; the file for argos, by default MODEL/exports/argos-QUANTIZATION.argosmodel; "
            "the new folder for huggingface, by default MODEL/exports/huggingface.",
        ),
    ] = None,
    quantization: Annotated[
        Quantization | None,
        typer.Option(
            help="The weights' type for ctranslate2 and argos, by default float32: int8 is the fastest on a processor, "
            "a quarter in size, and not exact.",
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
        typer.Option(metavar="OWNER/NAME", help="Upload the export for huggingface to the Hub, by default in private."),
    ] = None,
) -> None:
    """Write MODEL for another engine or program, to MODEL/exports, or as a new bundle in int8.

    A sample is translated by both first: in float32 the export has to translate it as the native engine
    does, else it has to come near; where it does not, nothing is written.
    """
    check(to, output, quantization, name, push)
    write(to, model, output, quantization or "float32", name, sample, push)


def write(
    to: Form,
    model: Path,
    output: Path | None,
    quantization: Quantization,
    name: str | None,
    sample: Path | None,
    push: str | None,
) -> None:
    """Write the export of `model` to `output` or to its place in the bundle, and say how it agrees."""
    from nmt.exporting import argos, ctranslate2, hub, huggingface, int8  # start-up time

    if push:
        hub.check_push(push)
    run, names = RunFolder(model.absolute().parent), {"huggingface": to, "argos": f"{to}-{quantization}{argos.SUFFIX}"}
    place = output or model / "exports" / (name or names.get(to, f"{to}-{quantization}"))
    with ExitStack() as stack:
        if model.is_dir():
            stack.enter_context(holding_folder(run.path if run.lock.exists() else model))
        if output is not None:
            stack.enter_context(holding_output(output))
        if to == "int8":
            tell(int8.export_int8(model, place, sample=sample), {})
        elif to == "argos":
            package = argos.export_argos(model, place, quantization=quantization, sample=sample)
            tell(package["model"]["parity"], package["model"]["tokenizers"], argos.otherwise(package))
        elif to == "huggingface":
            written = huggingface.export_huggingface(model, place, sample=sample)
            tell(written["parity"], {}, huggingface.told(written))
        else:
            manifest = ctranslate2.export_ctranslate2(model, quantization=quantization, name=place.name, sample=sample)
            tell(manifest["parity"], manifest["tokenizers"])
    console.log(f"export: written to {place}")
    if push:
        console.log(f"export: uploaded to {hub.push(place, push)}")


def tell(parity: "dict[str, Agreement]", tokenizers: "dict[str, Exported]", notes: Sequence[str] = ()) -> None:
    """Say how an export and its SentencePiece models agree with nmt; `notes` say what differs otherwise."""
    for search, found in parity.items():
        console.log(
            f"export: {search.replace('_', ' ')}: {found['differing']} of {found['lines']} lines differ from the "
            f"native engine's in float32, {found['ties']} ties; scores within {found['score_difference']:.1e}; "
            f"BLEU against it {found['bleu']:.1f}"
        )
    for side, compared in tokenizers.items():
        console.log(
            f"export: {compared['file']}, the {side} tokenizer for packages without nmt's normal form, splits "
            f"{compared['differing']} of {compared['lines']} lines differently"
        )
    for note in notes:
        console.log(f"export: {note}")


def check(to: Form, output: Path | None, quantization: Quantization | None, name: str | None, push: str | None) -> None:
    """Raise UsageError where options do not go together."""
    if to == "int8" and output is None:
        raise UsageError("--to int8 writes a new bundle", hint="say where: -o FOLDER")
    if push and to != "huggingface":
        raise UsageError("--push is for --to huggingface", hint="leave it out")
    if to in ("int8", "huggingface") and quantization:
        raise UsageError("--quantization is for --to ctranslate2 and argos", hint="leave it out")
    if to != "ctranslate2" and name:
        raise UsageError("--name is for --to ctranslate2", hint="leave it out; -o says where")
    if to == "ctranslate2" and output is not None:
        raise UsageError(
            "-o is not for --to ctranslate2", hint="an export for ctranslate2 lies in MODEL; --name names it"
        )
    if name and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UsageError(f"--name {name}: not a name", hint="take letters, digits, '.', '_' and '-'")

"""What the commands have in common: their options, and how a recipe is opened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Literal, TypeVar

import typer

from nmt import console
from nmt.errors import UsageError

if TYPE_CHECKING:
    from nmt.config.section import Section
    from nmt.inference.translator import Translator
    from nmt.pipeline.run import Run

S = TypeVar("S", bound="Section")
Flags = Mapping[str, float | None]
"""What flags give of a section of the configuration, by its keys; None is not given."""

RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A TOML file, or the name of one in recipes/.")]
DataDir = Annotated[
    Path | None, typer.Option(help="Where the recipe's relative file names lie; by default beside the recipe.")
]
RunDir = Annotated[Path | None, typer.Option(help="The run folder; by default runs/NAME.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override section.key of the recipe.")
]
InitFrom = Annotated[
    Path | None,
    typer.Option(metavar="MODEL", help="Fine-tune this model folder or checkpoint: sets training.init_from."),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Processes that prepare data, whose number changes nothing; by default a core each."),
]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A model folder: runs/NAME/model.")]
Models = Annotated[
    list[Path],
    typer.Argument(metavar="MODEL", help="A model folder: runs/NAME/model; several translate together."),
]
RunOrFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run folder, runs/NAME, or the folder checkpoints in it.")
]
Input = Annotated[Path | None, typer.Option("-i", "--input", help="Read this file instead of standard input.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="Write this file instead of standard output.")]
BeamSize = Annotated[int | None, typer.Option(min=1, help="Hypotheses kept for each sentence; 1 is greedy.")]
LengthPenalty = Annotated[float | None, typer.Option(min=0, max=2, help="Alpha of Wu et al. 2016, eq. 14.")]
MaxExtraLength = Annotated[int | None, typer.Option(min=0, help="Pieces a hypothesis may have more than its source.")]
MaxLengthRatio = Annotated[
    float | None, typer.Option(min=0, help="Pieces a hypothesis may have, as a multiple of its source's.")
]
MinLength = Annotated[int | None, typer.Option(min=0, help="Pieces a hypothesis has to have.")]
NoRepeatNgram = Annotated[
    int | None, typer.Option(min=0, help="No run of so many pieces twice in a hypothesis; 0 allows it.")
]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="TAG", help="A tag of the model to put before every line; several may be given."),
]
Protect = Annotated[
    str | None,
    typer.Option(metavar="REGEX", help="Keep what matches as it is; by default as MODEL's recipe says. none: nothing."),
]
BatchTokens = Annotated[int | None, typer.Option(min=1, help="Padded source tokens decoded at once.")]
EngineOption = Annotated[Literal["native", "ctranslate2"], typer.Option("--engine", help="What computes.")]
ExportName = Annotated[
    str | None, typer.Option("--export", metavar="NAME", help="Which of MODEL's exports the engine takes.")
]
Devices = Annotated[
    int, typer.Option(min=1, help="Processes that share the work, each with a GPU or a part of the processor.")
]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to compute.")]
PrecisionName = Annotated[Literal["float32", "bfloat16"], typer.Option(help="float32 is exact, bfloat16 faster.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of each process; by default one a core.")]
SideName = Annotated[Literal["source", "target"], typer.Option(help="Which tokenizer, where they are separate.")]


def open_pipeline(
    recipe: str,
    data_dir: Path | None,
    run_dir: Path | None,
    overrides: list[str] | None,
    init_from: Path | None = None,
    workers: int | None = None,
) -> Run:
    """Load `recipe` and bind it to its folders."""
    from nmt.config.toml import load_recipe, to_toml

    given = [f"training.init_from={to_toml(str(init_from.absolute()))}"] if init_from else []
    loaded = load_recipe(recipe, [*(overrides or []), *given])
    if data_dir is not None and not data_dir.is_dir():
        raise UsageError(f"--data-dir {data_dir}: no such folder")
    from nmt.pipeline.run import Run

    return Run(loaded, data_dir=data_dir, run_dir=run_dir, workers=workers)


def from_flags(section: type[S], flags: Flags) -> S:
    """Set what `flags` give of `section`, its defaults otherwise. Raises UsageError where a value cannot be."""
    from pydantic import ValidationError

    try:
        return section.model_validate({key: value for key, value in flags.items() if value is not None})
    except ValidationError as error:
        finding = error.errors()[0]
        flag = str(finding["loc"][0]).replace("_", "-")
        raise UsageError(f"--{flag} {finding['input']}: {finding['msg']}") from None


def load_translator(
    models: Sequence[Path],
    flags: Flags,
    *,
    engine: Literal["native", "ctranslate2"] = "native",
    export: str | None = None,
    device: str = "auto",
    devices: int = 1,
    precision: Literal["float32", "bfloat16"] = "float32",
    threads: int | None = None,
    tags: Sequence[str] | None = None,
    protect: str | None = None,
) -> Translator:
    """Load `models` with the flags that were given in place of the first one's own decoding settings."""
    if export is not None and engine == "native":
        raise UsageError("--export is for another engine than the native one", hint="add --engine ctranslate2")
    from nmt.inference.translator import Translator

    return Translator.load(
        *models,
        decoding={key: value for key, value in flags.items() if value is not None},
        engine=engine,
        export=export,
        device=device,
        devices=devices,
        precision=precision,
        threads=threads,
        tags=tags or (),
        protect=protect,
    )


@contextmanager
def writing(path: Path | None) -> Iterator[BinaryIO]:
    """Yield standard output, or a file that appears at `path` only when it is whole."""
    if path is None:
        console.end_with_pipe()
        yield console.stdout()
    elif path.exists() and not path.is_file():  # a device or a pipe
        with path.open("wb") as file:
            yield file
    else:
        from nmt.files import replacing

        with replacing(path) as scratch, scratch.open("wb") as file:
            yield file
            file.flush()

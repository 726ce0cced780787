"""What the commands have in common: their options, and how a recipe is opened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nmt.errors import UsageError

if TYPE_CHECKING:
    from nmt.pipeline import Pipeline

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
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A model folder: runs/NAME/model.")]
RunOrFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run folder, runs/NAME, or the folder checkpoints in it.")
]
Input = Annotated[Path | None, typer.Option("-i", "--input", help="Read this file instead of standard input.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="Write this file instead of standard output.")]
BeamSize = Annotated[int | None, typer.Option(min=1, help="Hypotheses kept for each sentence; 1 is greedy.")]
LengthPenalty = Annotated[float | None, typer.Option(min=0, max=2, help="Alpha of Wu et al. 2016, eq. 14.")]
MaxExtraLength = Annotated[int | None, typer.Option(min=0, help="Pieces a hypothesis may have more than its source.")]
BatchTokens = Annotated[int | None, typer.Option(min=1, help="Padded source tokens decoded at once.")]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to compute.")]
PrecisionName = Annotated[Literal["float32", "bfloat16"], typer.Option(help="float32 is exact, bfloat16 faster.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of torch; by default one a core.")]
SideName = Annotated[Literal["source", "target"], typer.Option(help="Which tokenizer, where they are separate.")]


def open_pipeline(
    recipe: str,
    data_dir: Path | None,
    run_dir: Path | None,
    overrides: list[str] | None,
    init_from: Path | None = None,
) -> Pipeline:
    """Load `recipe` and bind it to its folders."""
    from nmt.recipe import load_recipe, to_toml

    given = [f"training.init_from={to_toml(str(init_from.absolute()))}"] if init_from else []
    loaded = load_recipe(recipe, [*(overrides or []), *given])
    if data_dir is not None and not data_dir.is_dir():
        raise UsageError(f"--data-dir {data_dir}: no such folder")
    from nmt.pipeline import Pipeline

    return Pipeline(loaded, data_dir=data_dir, run_dir=run_dir)

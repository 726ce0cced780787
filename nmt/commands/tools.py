"""The commands for the parts of a run: recipes, tokenizers, checkpoints, data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nmt import console
from nmt.commands.data_clean import clean, filters, funnel
from nmt.commands.data_inspect import inspect
from nmt.commands.options import (
    DataDir,
    InitFrom,
    Overrides,
    RecipeName,
    RunDir,
    RunOrFolder,
    SideName,
    Workers,
    open_pipeline,
)
from nmt.errors import ArtifactError, UsageError

if TYPE_CHECKING:
    from nmt.run_folder import RunFolder
    from nmt.training.checkpoint import Checkpoints

recipe_app = typer.Typer(help="Look at recipes and at the reference of their keys.", no_args_is_help=True)
tokenizer_app = typer.Typer(help="Train and use SentencePiece tokenizers.", no_args_is_help=True)
data_app = typer.Typer(help="Look at parallel text, clean it, make some.", no_args_is_help=True)
checkpoints_app = typer.Typer(help="List, verify and average the checkpoints of a run.", no_args_is_help=True)


@recipe_app.command("list")
def recipe_list() -> None:
    """List the recipes that come with nmt."""
    from nmt.config.toml import LIBRARY, load_recipe

    recipes = [load_recipe(str(path)).recipe for path in sorted(LIBRARY.glob("*.toml"))]
    console.table(["recipe", "what it is"], [[recipe.name, recipe.description] for recipe in recipes])


@recipe_app.command("show")
def recipe_show(recipe: RecipeName, overrides: Overrides = None) -> None:
    """Print every key of RECIPE, defaults included, as TOML."""
    from nmt.config.toml import load_recipe, resolved_toml

    console.out(resolved_toml(load_recipe(recipe, overrides or []).recipe))


@recipe_app.command("explain")
def recipe_explain(
    key: Annotated[str | None, typer.Argument(metavar="KEY", help="A key or a section; by default all.")] = None,
) -> None:
    """Print the reference of the recipe's keys: type, default and meaning."""
    from nmt.config.toml import explain

    console.out("\n\n".join(f"{knob.key} ({knob.type}) = {knob.default}\n    {knob.text}" for knob in explain(key)))


@tokenizer_app.command("train")
def tokenizer_train(
    recipe: RecipeName,
    data_dir: DataDir = None,
    run_dir: RunDir = None,
    overrides: Overrides = None,
    init_from: InitFrom = None,
    workers: Workers = None,
) -> None:
    """Train the tokenizer of RECIPE on its cleaned training text."""
    from nmt.pipeline.pipeline import run_stages

    run_stages(open_pipeline(recipe, data_dir, run_dir, overrides, init_from, workers), "tokenizer")


@tokenizer_app.command("encode")
def tokenizer_encode(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model folder or a tokenizer folder.")],
    side: SideName = "source",
    ids: Annotated[bool, typer.Option("--ids", help="Write ids instead of pieces.")] = False,
) -> None:
    """Read text, write its pieces, separated by spaces."""
    from nmt.data.encoding.tokenizer import Tokenizer
    from nmt.data.reading.streams import decode_lines

    tokenizer = Tokenizer.load(model)
    chosen = tokenizer.source if side == "source" else tokenizer.target
    console.end_with_pipe()
    for line in decode_lines(console.stdin(), "standard input"):
        (row,) = chosen.encode([line]) if ids else chosen.encode_pieces([line])
        console.out(" ".join(map(str, row)))


@tokenizer_app.command("decode")
def tokenizer_decode(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model folder or a tokenizer folder.")],
    side: SideName = "target",
    ids: Annotated[bool, typer.Option("--ids", help="Read ids instead of pieces.")] = False,
) -> None:
    """Read pieces, separated by spaces, write text."""
    from nmt.data.encoding.tokenizer import Tokenizer
    from nmt.data.reading.streams import decode_lines

    tokenizer = Tokenizer.load(model)
    chosen = tokenizer.source if side == "source" else tokenizer.target
    console.end_with_pipe()
    for number, line in enumerate(decode_lines(console.stdin(), "standard input"), start=1):
        row = line.split(" ") if line else []
        (text,) = chosen.decode([chosen.parse_ids(row, number)]) if ids else chosen.decode_pieces([row])
        console.out(text)


@tokenizer_app.command("show")
def tokenizer_show(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model folder or a tokenizer folder.")],
) -> None:
    """Show sizes and normalisation; decode(encode(line)) is the line under that normalisation."""
    from nmt.data.encoding.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(model)
    console.out(f"vocabularies: {'joint' if tokenizer.joint else 'separate'}")
    console.out(f"pieces: source {tokenizer.source_size:,}, target {tokenizer.target_size:,}")
    console.out(f"normalisation: {tokenizer.normalization}")


def open_checkpoints(path: Path) -> tuple[RunFolder, Checkpoints]:
    """Return the run folder at `path`, or around it, and its checkpoints. Raises ArtifactError where it has none."""
    from nmt.run_folder import RunFolder
    from nmt.training.checkpoint import Checkpoints

    run = RunFolder(path)
    store = Checkpoints(run.checkpoints, keep=1)
    if not run.checkpoints.is_dir():
        run, store = RunFolder(path.absolute().parent), Checkpoints(path, keep=1)
    if not store.all_paths():
        raise ArtifactError(f"{path}: no checkpoint in it", hint="take a run folder, runs/NAME, that was trained")
    return run, store


@checkpoints_app.command("list")
def checkpoints_list(run: RunOrFolder) -> None:
    """List the checkpoints of RUN with step, epoch, size and dev score, each verified by its digests."""
    found = open_checkpoints(run)[1].survey()
    states = [finding.state for finding in found if finding.state]
    dev = {step: f"{state.metric} {value:.4g}" for state in states for value, step in state.ranked}
    rows = [
        [
            finding.path.name,
            f"{finding.step:,}",
            f"{finding.state.epoch:,}" if finding.state else "",
            f"{finding.size / 1e6:,.1f} MB",
            dev.get(finding.step, ""),
            finding.verdict,
        ]
        for finding in found
    ]
    console.table(["checkpoint", "step", "epoch", "size", "dev", "state"], rows)


@checkpoints_app.command("verify")
def checkpoints_verify(run: RunOrFolder) -> None:
    """Verify every checkpoint of RUN by its digests, a line each; exit 4 where one is damaged."""
    found = open_checkpoints(run)[1].survey()
    for finding in found:
        console.out(f"{finding.path.name}: {finding.verdict}")
    if damage := [finding.damage for finding in found if finding.damage]:
        raise ArtifactError(f"{len(damage)} of {len(found)} checkpoints are damaged, first {damage[0]}")


@checkpoints_app.command("average")
def checkpoints_average(
    run: RunOrFolder,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="The new model folder.")],
    last: Annotated[int | None, typer.Option(min=1, help="Average so many of the newest checkpoints.")] = None,
    best: Annotated[int | None, typer.Option(min=1, help="Average so many of the best on dev.")] = None,
) -> None:
    """Write a model folder with the mean of other checkpoints of RUN; by default those that its recipe names."""
    from nmt.pipeline.bundle import average_run

    if last and best:
        raise UsageError("--last and --best exclude each other")
    folder, store = open_checkpoints(run)
    names = average_run(folder, store.folder, output, count=last or best, of="best" if best else "last")
    console.log(f"averaged {', '.join(names)}: {output}")


@data_app.command("synthesize")
def data_synthesize(
    folder: Annotated[Path, typer.Argument(help="Where to write SPLIT.en and SPLIT.de.")],
    split: Annotated[Literal["train", "dev", "test", "unseen"], typer.Option(help="Which split to draw.")] = "train",
    pairs: Annotated[int, typer.Option(min=1, help="How many pairs.")] = 100_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw.")] = 1,
) -> None:
    """Write pairs of the built-in English-German grammar as two files, line by line translations."""
    from nmt.files import replacing
    from nmt.tasks.grammar import generate

    source, target = folder / f"{split}.en", folder / f"{split}.de"
    with replacing(source) as left, replacing(target) as right, left.open("wb") as en, right.open("wb") as de:
        for english, german in generate(split, pairs, seed):
            en.write(english.encode() + b"\n")
            de.write(german.encode() + b"\n")
        en.flush()
        de.flush()
    console.log(f"wrote {pairs:,} pairs to {source} and {target}")


data_app.command()(inspect)
data_app.command()(clean)
data_app.command()(filters)
data_app.command()(funnel)

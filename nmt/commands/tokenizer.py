"""The commands `tokenizer`: SentencePiece tokenizers of recipes and models."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nmt import console
from nmt.commands.group import new_app
from nmt.commands.options import command
from nmt.commands.recipe_options import RecipeName, WherePrepared, run_recipe
from nmt.data.reading.streams import decode_lines

if TYPE_CHECKING:
    from nmt.data.encoding.tokenizer import Tokenizer

app = new_app("Train and use SentencePiece tokenizers.")
Folder = Annotated[Path, typer.Argument(metavar="MODEL", help="A bundle or a tokenizer folder.")]
SideName = Annotated[Literal["source", "target"], typer.Option(help="Whose tokenizer and normal form.")]


def load_tokenizer(folder: Path) -> "Tokenizer":
    """Load the tokenizer of a bundle or a tokenizer folder."""
    from nmt.data.encoding.tokenizer import Tokenizer  # start-up time

    return Tokenizer.load(folder)


def input_lines() -> Iterator[str]:
    """Yield the lines of standard input, for a filter that ends with the pipe it writes to."""
    console.end_with_pipe()
    return decode_lines(console.stdin(), "standard input")


@command(app, "nmt tokenizer train demo", "train")
def tokenizer_train(recipe: RecipeName, *, where: WherePrepared) -> None:
    """Train the tokenizer of RECIPE on its cleaned training text."""
    run_recipe(recipe, where, "tokenizer")


@command(app, "nmt tokenizer encode runs/demo/model < test.en", "encode")
def tokenizer_encode(
    model: Folder,
    side: SideName = "source",
    ids: Annotated[bool, typer.Option("--ids", help="Write ids instead of pieces.")] = False,
) -> None:
    """Read text, write its pieces, separated by spaces."""
    tokenizer = load_tokenizer(model)
    chosen = tokenizer.source if side == "source" else tokenizer.target
    changed = 0
    for line in input_lines():
        (row,) = chosen.encode([line]) if ids else chosen.encode_pieces([line])
        console.text_out(" ".join(map(str, row)))
        changed += chosen.changes(line)
    if changed:
        console.warn(f"lines that the normal form of the {side} changes: {changed:,} (see --side)")


@command(app, "nmt tokenizer decode runs/demo/model < pieces.de", "decode")
def tokenizer_decode(
    model: Folder,
    side: SideName = "target",
    ids: Annotated[bool, typer.Option("--ids", help="Read ids instead of pieces.")] = False,
) -> None:
    """Read pieces, separated by spaces, write text."""
    tokenizer = load_tokenizer(model)
    chosen = tokenizer.source if side == "source" else tokenizer.target
    for number, line in enumerate(input_lines(), start=1):
        row = line.split(" ") if line else []
        (text,) = chosen.decode([chosen.parse_ids(row, number)]) if ids else chosen.decode_pieces([row])
        console.text_out(text)


@command(app, "nmt tokenizer show runs/demo/model", "show")
def tokenizer_show(model: Folder) -> None:
    """Show sizes and normalisation; decode(encode(line)) is the line under that normalisation."""
    tokenizer = load_tokenizer(model)
    console.out(f"vocabularies: {'joint' if tokenizer.joint else 'separate'}")
    console.out(f"pieces: source {tokenizer.source_size:,}, target {tokenizer.target_size:,}")
    forms = [form.rule for form in (tokenizer.source.form, tokenizer.target.form) if form]
    console.out(f"normalisation: {'source {}, target {}'.format(*forms) if forms else tokenizer.normalization}")

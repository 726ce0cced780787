"""The commands `data`: parallel text to inspect, to clean, and to make."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from nmt import console
from nmt.commands.data_clean import clean, filters, funnel
from nmt.commands.data_inspect import inspect
from nmt.commands.group import new_app
from nmt.commands.options import command
from nmt.files import replacing
from nmt.tasks.grammar import generate

app = new_app("Inspect parallel text, clean it, make some.")


command(app, "nmt data inspect train.en train.de")(inspect)
command(app, "nmt data clean train.en train.de -o clean --set cleaning.max_ratio=3")(clean)
command(app, "nmt data filters")(filters)
command(app, "nmt data funnel runs/demo -o funnel.svg")(funnel)


@command(app, "nmt data synthesize folder --split test --pairs 1000", "synthesize")
def data_synthesize(
    folder: Annotated[Path, typer.Argument(help="Where to write SPLIT.en and SPLIT.de.")],
    split: Annotated[Literal["train", "dev", "test", "unseen"], typer.Option(help="Which split to draw.")] = "train",
    pairs: Annotated[int, typer.Option(min=1, help="How many pairs.")] = 100_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw.")] = 1,
) -> None:
    """Write pairs of the built-in English-German grammar as two files, line by line translations."""
    source, target = folder / f"{split}.en", folder / f"{split}.de"
    with replacing(source) as left, replacing(target) as right, left.open("wb") as en, right.open("wb") as de:
        for english, german in generate(split, pairs, seed):
            en.write(english.encode() + b"\n")
            de.write(german.encode() + b"\n")
        en.flush()
        de.flush()
    console.log(f"wrote {pairs:,} pairs to {source} and {target}")

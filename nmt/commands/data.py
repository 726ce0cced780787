"""The commands `data`: parallel text to inspect, to clean, and to make."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from nmt import console
from nmt.commands.group import new_app
from nmt.commands.options import Workers, command
from nmt.data.reading.formats import Format
from nmt.files import replacing
from nmt.tasks.grammar import generate

app = new_app("Inspect parallel text, clean it, make some.")

Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILES",
        help="Two files, line by line translations, such as train.en train.de; or files of both sides: .tsv, .csv, "
        ".jsonl, .parquet, .tmx, folders and archives of such, or - for standard input.",
    ),
]
SourceLanguage = Annotated[
    str | None, typer.Option(metavar="CODE", help="Source language; by default from the names of the files.")
]
TargetLanguage = Annotated[
    str | None, typer.Option(metavar="CODE", help="Target language; by default from the names of the files.")
]
FormatName = Annotated[
    Format | None,
    typer.Option("--format", help="Format of FILES of both sides; by default from their names."),
]
Columns = Annotated[
    str | None,
    typer.Option(
        metavar="SOURCE,TARGET",
        help="Their columns, by name, or of .tsv without a header by number, from 1; by default the first two of "
        ".tsv, else the languages.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@command(app, "nmt data inspect train.en train.de")
def inspect(
    files: Files,
    source_language: SourceLanguage = None,
    target_language: TargetLanguage = None,
    pairs: Annotated[
        int | None, typer.Option(min=1, help="Number of pairs to inspect, from the first; by default all.")
    ] = None,
    form: FormatName = None,
    columns: Columns = None,
    as_json: AsJson = False,
) -> None:
    """Inspect parallel text: lengths, words, characters, duplicates, pairs that each filter would drop, and examples.

    Each filter is counted alone, switched on if it is off by default; those that matter are printed as a [cleaning]
    section for a recipe. Files are read once, as a stream.
    """
    from nmt.advice import inspection  # start-up time

    inspection.inspect(files, source_language, target_language, pairs, form, columns, as_json)


@command(app, "nmt data clean train.en train.de -o clean --set cleaning.max_ratio=3")
def clean(
    files: Files,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="NAME",
            help="Write NAME.SOURCE and NAME.TARGET, or one file where NAME ends in .tsv; if NAME ends in .gz, what is "
            "written is compressed.",
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set a key of [cleaning], such as cleaning.max_ratio=3."),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE...", help="Held-out text whose pairs are not to be in the output; see FILES."),
    ] = None,
    source_language: SourceLanguage = None,
    target_language: TargetLanguage = None,
    form: FormatName = None,
    columns: Columns = None,
    workers: Workers = None,
    as_json: AsJson = False,
) -> None:
    """Normalise and filter parallel text as a recipe does, write the pairs that stay, and count those dropped.

    With -v, examples of dropped pairs are shown. `nmt data filters` lists the settings.
    """
    from nmt.commands import data_clean  # start-up time

    languages = (source_language, target_language)
    data_clean.clean(files, output, overrides, against, *languages, form, columns, workers, as_json)


@command(app, "nmt data filters")
def filters() -> None:
    """List the settings of [cleaning]: name in reports, key in a recipe, default and meaning."""
    from nmt.commands import data_clean  # start-up time

    data_clean.filters()


@command(app, "nmt data funnel runs/demo -o funnel.svg")
def funnel(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, runs/NAME, whose text is prepared.")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Draw it: an .svg or a .png.")
    ] = None,
) -> None:
    """Show, or draw, how many pairs of each corpus of RUN each filter dropped, with examples."""
    from nmt.commands import data_clean  # start-up time

    data_clean.funnel(run, output)


@command(app, "nmt data synthesize folder --split test --pairs 1000", "synthesize")
def data_synthesize(
    folder: Annotated[Path, typer.Argument(help="Where to write SPLIT.en and SPLIT.de.")],
    split: Annotated[Literal["train", "dev", "test", "unseen"], typer.Option(help="Split to draw.")] = "train",
    pairs: Annotated[int, typer.Option(min=1, help="Number of pairs.")] = 100_000,
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

"""What the commands for text have in common: the options that say which text, and the corpus that they make."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

Files = Annotated[
    list[str],
    typer.Argument(
        metavar="FILES",
        help="Two files, line by line translations, such as train.en train.de; or files of both sides: .tsv, .csv, "
        ".jsonl, .parquet, .tmx, folders and archives of such, or - for standard input.",
    ),
]
SourceLanguage = Annotated[
    str | None, typer.Option(metavar="CODE", help="Source language; by default as the names of the files say.")
]
TargetLanguage = Annotated[str | None, typer.Option(metavar="CODE", help="Target language, likewise.")]
FormatName = Annotated[
    Literal["tsv", "csv", "jsonl", "parquet", "tmx"] | None,
    typer.Option("--format", help="Format of FILES of both sides; by default their names say it."),
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

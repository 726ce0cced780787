"""The command `data inspect`."""

from __future__ import annotations

from typing import Annotated

import typer

from nmt import console
from nmt.commands.text_options import AsJson, Columns, Files, FormatName, SourceLanguage, TargetLanguage
from nmt.data.reading.corpus import STDIN
from nmt.data.reading.named_files import named_corpus


def inspect(
    files: Files,
    source_language: SourceLanguage = None,
    target_language: TargetLanguage = None,
    pairs: Annotated[int | None, typer.Option(min=1, help="Look at so many pairs, the first.")] = None,
    form: FormatName = None,
    columns: Columns = None,
    as_json: AsJson = False,
) -> None:
    """Look at parallel text: lengths, words, characters, duplicates, what each filter would drop, and examples.

    Each filter is counted alone, and switched on for it if it is off by default; what would matter comes as a
    [cleaning] section for a recipe. Files are read once, as a stream.
    """
    from nmt.advice.inspection import inspect_text, show  # loads NumPy, which --help need not

    text = named_corpus(files, source_language, target_language, form, columns, pairs)
    report = {"files": files, **inspect_text(text, console.stdin() if STDIN in files else None)}
    if as_json:
        console.json_out(report)
    else:
        show(report)

"""What the commands for text have in common: the options that say which text, and the corpus that they make."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nmt.errors import DataError, UsageError

if TYPE_CHECKING:
    from nmt.config import CorpusConfig, LanguagesConfig

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

STDIN = "-"
"""The name of standard input."""
TEST_SET = "sacrebleu:"
"""What the name of a test set of sacreBLEU begins with."""
CODE = re.compile(r"[a-z]{2,3}([_-][A-Za-z0-9]{2,8})*")
"""What looks like the code of a language."""
BOTH = re.compile(r"(?:^|[.:_/])([a-z]{2,3})[-_]([a-z]{2,3})(?=$|[./])")
"""Two codes in a name, as in `news.en-de.tsv`."""


@dataclass(frozen=True)
class Given:
    """The text that a command line names."""

    corpus: CorpusConfig
    languages: LanguagesConfig

    @property
    def paths(self) -> list[Path]:
        """The files, as they lie on the disk."""
        return [Path(name) for name in names_of(self.corpus) if is_path(name)]


def given_text(
    files: Sequence[str],
    source: str | None = None,
    target: str | None = None,
    form: Literal["tsv", "csv", "jsonl", "parquet", "tmx"] | None = None,
    columns: str | None = None,
    pairs: int | None = None,
) -> Given:
    """Make a corpus of `files`, and find out the languages that are not given, by the files' names.

    Raises DataError where a file is missing or its name does not say what it is, UsageError where the languages cannot
    be found out.
    """
    from pydantic import ValidationError

    from nmt.config import CorpusConfig, LanguagesConfig
    from nmt.data.archives import find_file

    for name in files:
        if is_path(name):
            find_file(Path(name))
    lines = [name for name in files if is_lines(name, form)]
    if lines and len(files) > 2:
        raise DataError(
            f"{', '.join(files)}: more than two files, and {lines[0]} is taken for a file of one side",
            hint="one pair of such files is the limit; of files of both sides there may be many; see --format",
        )
    if lines and len(files) != 2:
        raise DataError(
            f"{lines[0]}: its name does not say what format it has",
            hint="name its format by --format, or give two files, one of each side",
        )
    if len(lines) == 1:
        raise DataError(
            f"{' and '.join(files)}: one is a file of one side, the other of both",
            hint="give two files of one side each, or files of both sides; see --format",
        )
    found_source, found_target = languages_of(files, sides=bool(lines))
    if lines and found_source == found_target is not None and (source is None or target is None):
        raise UsageError(
            f"{' and '.join(files)}: both end in .{found_source}, which cannot be the language of both",
            hint="name the languages by --source-language and --target-language",
        )
    source, target = source or found_source, target or found_target
    if source is None or target is None:
        raise UsageError(
            f"{', '.join(files)}: no telling which languages these are",
            hint="add --source-language and --target-language",
        )
    try:
        languages = LanguagesConfig(source=source, target=target)
    except ValidationError as error:
        raise UsageError(
            f"{error.errors()[0]['input']!r} is no code of a language", hint="such as en or pt-BR"
        ) from None
    if source.lower() == target.lower():
        raise UsageError(
            f"the source and the target language are both {source}",
            hint="name the languages by --source-language and --target-language",
        )
    if lines:
        if columns is not None:
            raise UsageError("--columns is for files of both sides")
        return Given(CorpusConfig(source=files[0], target=files[1], pairs=pairs), languages)
    chosen = columns.split(",") if columns else None
    if chosen is not None and len(chosen) > 2:
        raise UsageError(f"--columns {columns}: not two columns but {len(chosen)}", hint="such as --columns src,tgt")
    return Given(CorpusConfig(files=list(files), format=form, columns=chosen, pairs=pairs), languages)


def is_path(name: str) -> bool:
    """Tell whether `name` is that of a file."""
    return name != STDIN and not name.startswith(TEST_SET)


def is_lines(name: str, form: str | None) -> bool:
    """Tell whether `name` is that of a file of one side."""
    from nmt.data.archives import find_file, is_archive, member_names, split_path
    from nmt.data.readers import format_of

    if form is not None or not is_path(name) or format_of(name):
        return False
    there, member = split_path(find_file(Path(name)))
    return there.is_file() and (not is_archive(there.name) or member in member_names(there))


def languages_of(files: Sequence[str], *, sides: bool) -> tuple[str | None, str | None]:
    """Tell the languages by the names of the files: by `a.en` and `a.de` if they are `sides`, or by `a.en-de.tsv`."""
    from nmt.data.readers import plain_name

    if sides:
        codes = [plain_name(name).rpartition(".")[2] for name in files]
        source, target = (code if CODE.fullmatch(code) else None for code in codes)
        return source, target
    found = {match.groups() for name in files if (match := BOTH.search(name.lower()))}
    if len(found) == 1:
        source, target = found.pop()
        return source, target
    return None, None


def shortened(text: str, most: int) -> str:
    """Quote a text, cut where it has more than `most` characters."""
    return repr(text if len(text) <= most else text[: most - 1] + "…")


def names_of(corpus: CorpusConfig) -> list[str]:
    """Return the names of the files of a corpus that a command line gave."""
    if corpus.source is not None and corpus.target is not None:
        return [str(corpus.source), str(corpus.target)]
    return list(corpus.files or [])

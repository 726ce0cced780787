"""From file names on a command line to corpora and languages."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nmt.config.data import CorpusConfig, LanguagesConfig
from nmt.data.languages import primary_subtag
from nmt.data.reading.archives import find_file, is_archive
from nmt.data.reading.corpus import TEST_SET
from nmt.data.reading.formats import format_of, plain_name
from nmt.data.reading.sacrebleu_sets import sacrebleu_missing
from nmt.errors import DataError, UsageError

STDIN = "-"
"""The name of standard input."""


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

    from nmt.config.data import CorpusConfig, LanguagesConfig
    from nmt.data.reading.archives import find_file

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
    from nmt.data.reading.archives import find_file, is_archive, member_names, split_path
    from nmt.data.reading.formats import format_of

    if form is not None or not is_path(name) or format_of(name):
        return False
    there, member = split_path(find_file(Path(name)))
    return there.is_file() and (not is_archive(there.name) or member in member_names(there))


def languages_of(files: Sequence[str], *, sides: bool) -> tuple[str | None, str | None]:
    """Tell the languages by the names of the files: by `a.en` and `a.de` if they are `sides`, or by `a.en-de.tsv`."""
    from nmt.data.reading.formats import plain_name

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


Corpora = dict[str, CorpusConfig]


def read_languages(source: str, target: str) -> LanguagesConfig:
    """Take the two codes. Raises UsageError where they are none, or the same."""
    for code in (source, target):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", code):
            raise UsageError(f"{code!r} is no language code", hint="codes are as in ISO 639-1: en, de")
    if source.lower() == target.lower():
        raise UsageError(f"the source and the target language are both {source}", hint="nmt init SRC TGT --train ...")
    return LanguagesConfig(source=source, target=target)


def cleaned(name: str) -> str:
    """Make `name` one that a recipe allows."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._") or "corpus"


def group(names: Sequence[str], languages: LanguagesConfig, option: str) -> Corpora:
    """Make corpora of the files that `option` names: NAME.SRC with NAME.TGT, or files of both sides, each by itself.

    Names of the corpora come from those of the files. Raises UsageError, and DataError where a file is missing.
    """
    sides: tuple[dict[str, str], dict[str, str]] = ({}, {})
    origins: list[tuple[str, CorpusConfig]] = []
    for name in names:
        if name.startswith(TEST_SET):
            sacrebleu_missing(name.removeprefix(TEST_SET), languages)
            origins.append((name.removeprefix(TEST_SET).partition(":")[0].replace("/", "-"), CorpusConfig(files=name)))
            continue
        path = find_file(Path(name))
        place = side_of(path.name, languages)
        if place is not None:
            stem = str(path.with_name(plain_name(path.name).rpartition(".")[0] or "corpus"))
            if stem in sides[place]:
                raise UsageError(f"{option}: {sides[place][stem]} and {path} are the same side of {stem}")
            sides[place][stem] = str(path)
        elif path.is_dir() or is_archive(path.name) or format_of(path.name):
            origins.append((str(path.with_name(stem_of(path.name))), CorpusConfig(files=str(path))))
        else:
            raise UsageError(
                f"{option}: {path}: its name tells neither its language nor its format",
                hint=f"lines of one side are in NAME.{languages.source} and NAME.{languages.target}, both sides in "
                ".tsv, .csv, .jsonl, .parquet, .tmx, a folder or an archive of such files",
            )
    origins += [
        (stem, CorpusConfig(source=left, target=right)) for stem, left, right in match(sides, languages, option)
    ]
    return dict(zip(distinct([stem for stem, _ in origins]), [config for _, config in origins], strict=True))


def side_of(name: str, languages: LanguagesConfig) -> int | None:
    """Tell whether a file's name is that of a source, 0, or of a target, 1: by its ending, region and script aside."""
    ending = plain_name(name).rpartition(".")[2].lower().replace("_", "-")
    codes = [code.lower().replace("_", "-") for code in (languages.source, languages.target)]
    if ending in codes:
        return codes.index(ending)
    short = [primary_subtag(code) for code in codes]
    return short.index(ending) if ending in short and short[0] != short[1] else None


def stem_of(name: str) -> str:
    """Take the endings of compression, archive and format off a name."""
    plain = plain_name(name)
    endings = (".tar", ".zip", ".tgz", ".tbz2", ".txz", ".tzst")
    return plain.rpartition(".")[0] if format_of(plain) or plain.lower().endswith(endings) else plain


def match(
    sides: tuple[dict[str, str], dict[str, str]], languages: LanguagesConfig, option: str
) -> Iterator[tuple[str, str, str]]:
    """Yield stem, source and target of each two files with the same stem, or of the only two that are left."""
    lonely = [[stem for stem in side if stem not in other] for side, other in (sides, sides[::-1])]
    for stem, source in sides[0].items():
        if stem in sides[1]:
            yield stem, source, sides[1][stem]
    if len(lonely[0]) == len(lonely[1]) == 1:
        yield lonely[0][0], sides[0][lonely[0][0]], sides[1][lonely[1][0]]
        return
    for side, stems, wanted in zip(sides, lonely, (languages.target, languages.source), strict=True):
        if stems:
            raise UsageError(
                f"{option}: {side[stems[0]]}: no file of {wanted} with it", hint=f"name {stems[0]}.{wanted} too"
            )


def distinct(paths: Sequence[str]) -> list[str]:
    """Return a name for each path: its last part, with folders before it, or a number, where others have it too."""
    names = [cleaned(Path(path).name) for path in paths]
    twice = {name for name, count in Counter(names).items() if count > 1}
    names = [
        cleaned("-".join(Path(path).parts[-2:])) if name in twice else name
        for path, name in zip(paths, names, strict=True)
    ]
    seen: Counter[str] = Counter()
    for place, name in enumerate(names):
        seen[name] += 1
        if seen[name] > 1:
            names[place] = f"{name}-{seen[name]}"
    return names


def one(corpora: Corpora) -> CorpusConfig | None:
    """Make one corpus of several, None of none. Raises UsageError where they are of different kinds."""
    configs = list(corpora.values())
    if len(configs) < 2:
        return configs[0] if configs else None
    if all(config.files for config in configs):
        return CorpusConfig(files=[str(config.files) for config in configs])
    if any(config.files for config in configs):
        raise UsageError("--dev: files of one side and of both cannot be mixed", hint="dev is one corpus")
    return CorpusConfig(
        source=[str(config.source) for config in configs], target=[str(config.target) for config in configs]
    )

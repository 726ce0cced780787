"""Make corpora of the file names of a command line: NAME.LANGUAGE files, files of both sides, sacreBLEU's test sets."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nmt.config.data import CorpusConfig, Format
from nmt.config.languages import LanguagesConfig
from nmt.data.languages import same_code, same_language, spelled, unknown_code
from nmt.data.reading.archives import find_file, member_names, split_path
from nmt.data.reading.corpus import STDIN, TEST_SET
from nmt.data.reading.formats import ENDINGS, TABLES, format_of, split_language
from nmt.data.reading.sacrebleu_sets import sacrebleu_missing
from nmt.data.reading.streams import is_archive, plain_name
from nmt.errors import DataError, UsageError

LANGUAGE = re.compile(r"[a-z]{2,3}([_-][A-Za-z0-9]{2,8})*")  # a suffix that looks like the code of a language
DIRECTION = re.compile(r"(?:^|[.:_/])([a-z]{2,3})[-_]([a-z]{2,3})(?=$|[./])")
"""The codes of both languages in a file name, as in `news.en-de.tsv`."""
LANGUAGE_OPTIONS = "name the languages by --source-language and --target-language"
Corpora = dict[str, CorpusConfig]
Sides = tuple[dict[str, str], dict[str, str]]
"""Files of the source and of the target language, by their names without the language."""


@dataclass(frozen=True)
class NamedCorpus:
    """A corpus on a command line, with its languages."""

    corpus: CorpusConfig
    languages: LanguagesConfig

    @property
    def paths(self) -> list[Path]:
        return [Path(name) for name in self.corpus.file_names if is_path(name)]


def named_corpus(
    files: Sequence[str],
    source: str | None = None,
    target: str | None = None,
    form: Format | None = None,
    columns: str | None = None,
    pairs: int | None = None,
    *,
    skip_bad: bool = False,
) -> NamedCorpus:
    """Return the corpus of `files`: either two, source and target, or any number that hold both sides.

    Languages that are None are inferred from the names. Raises DataError where a file is missing or its format
    unknown, UsageError where the languages are.
    """
    sides = [name for name in files if is_path(name) and not (holds_pairs(find_file(Path(name))) or form)]
    if sides:
        check_sides(files, sides)
    languages = infer_languages(files, source, target, are_sides=bool(sides))
    if sides:
        if columns is not None:
            raise UsageError("--columns is for files of both sides")
        return NamedCorpus(CorpusConfig(source=files[0], target=files[1], pairs=pairs), languages)
    if columns is not None and not any(has_columns(name, form) for name in files):
        raise UsageError(f"--columns: no columns in {', '.join(files)}", hint=f"{', '.join(TABLES)} have them")
    corpus = CorpusConfig(
        files=list(files), format=form, columns=split_columns(columns), pairs=pairs, skip_bad=skip_bad
    )
    return NamedCorpus(corpus, languages)


def split_columns(columns: str | None) -> str | list[str] | None:
    """Return the two columns, or the one, that `--columns` names. Raises UsageError for more, and for one twice."""
    names = columns.split(",") if columns else []
    if len(names) > 2:
        raise UsageError(f"--columns {columns}: not two columns but {len(names)}", hint="such as --columns src,tgt")
    if len(names) == 2 and names[0] == names[1]:
        raise UsageError(f"--columns {columns}: the same column for both sides", hint="such as --columns src,tgt")
    return names if len(names) == 2 else columns or None


def named_corpora(
    names: Sequence[str],
    languages: LanguagesConfig,
    option: str,
    columns: str | list[str] | None = None,
    *,
    skip_bad: bool = False,
) -> Corpora:
    """Return the corpora of the files after `option`: each NAME.SRC with its NAME.TGT, each file of both sides alone.

    `columns` are those of the files of both sides, but not of test sets and of files without columns (.tmx). The names
    of the corpora are made from the names of the files. Raises UsageError, and DataError where a file is missing.
    """
    sides: Sides = ({}, {})
    corpora: list[tuple[str, CorpusConfig]] = []
    for name in names:
        if name.startswith(TEST_SET):
            test_set = name.removeprefix(TEST_SET)
            sacrebleu_missing(test_set, languages)  # an unknown set is an error
            corpora.append((test_set.partition(":")[0].replace("/", "-"), CorpusConfig(files=name)))
            continue
        path = find_file(Path(name))
        side = side_of(path.name, languages)
        if side is not None:
            stem = str(path.with_name(split_language(path.name)[0] or "corpus"))
            if stem in sides[side]:
                raise UsageError(f"{option}: {sides[side][stem]} and {path} are the same side of {stem}")
            sides[side][stem] = str(path)
        elif holds_pairs(path):
            own = columns if has_columns(path.name) else None
            config = CorpusConfig(files=str(path), columns=own, skip_bad=skip_bad)
            corpora.append((str(path.with_name(stem_of(path.name))), config))
        else:
            raise UsageError(
                f"{option}: {path}: its name tells neither its language nor its format",
                hint=f"lines of one side are in NAME.{languages.source} and NAME.{languages.target}, both sides in "
                f"{ENDINGS}, a folder or an archive of such files",
            )
    for stem, source, target in pair_sides(sides, languages, option):
        corpora.append((stem, CorpusConfig(source=source, target=target)))
    return dict(zip(distinct_names([stem for stem, _ in corpora]), [config for _, config in corpora], strict=True))


def merged(corpora: Corpora, option: str) -> CorpusConfig | None:
    """Return one corpus of several, None of none. Raises UsageError where they are of different kinds.

    `option` says in messages where they come from.
    """
    configs = list(corpora.values())
    if len(configs) < 2:
        return configs[0] if configs else None
    if all(config.files for config in configs):
        columns = next((config.columns for config in configs if config.columns), None)
        return configs[0].model_copy(update={"files": [str(config.files) for config in configs], "columns": columns})
    if any(config.files for config in configs):
        raise UsageError(f"{option}: files of one side and of both cannot be mixed", hint="dev is one corpus")
    sources, targets = ([str(getattr(config, side)) for config in configs] for side in ("source", "target"))
    return configs[0].model_copy(update={"source": sources, "target": targets})


def has_columns(name: str, form: Format | None = None) -> bool:
    """Check whether a file of both sides may have columns: by its format, or as a folder or an archive."""
    return (form or format_of(name)) in (None, *TABLES)


def is_path(name: str) -> bool:
    return name != STDIN and not name.startswith(TEST_SET)


def holds_pairs(path: Path) -> bool:
    """Check whether `path`, as returned by `find_file`, holds both sides: by its format, or as a folder or archive."""
    if format_of(path.name) is not None:
        return True
    base, member = split_path(path)
    is_container = is_archive(base.name) and (not member or member not in member_names(base))
    return is_container or not base.is_file()


def check_sides(files: Sequence[str], sides: Sequence[str]) -> None:
    """Raise DataError where `sides`, of one side each, are not two and all of `files`."""
    if len(files) > 2:
        raise DataError(
            f"{', '.join(files)}: more than two files, and {sides[0]} is taken for a file of one side",
            hint="one pair of such files is the limit; of files of both sides there may be many; see --format",
        )
    if len(files) != 2:
        hint = "name its format by --format, or give two files, one of each side"
        raise DataError(f"{sides[0]}: its name does not say what format it has", hint=hint)
    if len(sides) == 1:
        hint = "give two files of one side each, or files of both sides; see --format"
        raise DataError(f"{' and '.join(files)}: one is a file of one side, the other of both", hint=hint)


def infer_languages(
    files: Sequence[str], source: str | None, target: str | None, *, are_sides: bool
) -> LanguagesConfig:
    """Return `source` and `target`, the missing ones from names such as `a.en` and `a.de`, or `a.en-de.tsv`."""
    found: set[tuple[str | None, ...]]
    if are_sides:
        codes = [split_language(name)[1] for name in files]
        codes = [code.lower() if code.isupper() else code for code in codes]
        found = {tuple(code if LANGUAGE.fullmatch(code) else None for code in codes)}
    else:
        found = {match.groups() for name in files if (match := DIRECTION.search(name.lower()))}
    named_source, named_target = found.pop() if len(found) == 1 else (None, None)
    if are_sides and named_source == named_target is not None and (source is None or target is None):
        problem = f"both end in .{named_source}, which cannot be the language of both"
        raise UsageError(f"{' and '.join(files)}: {problem}", hint=LANGUAGE_OPTIONS)
    source, target = source or named_source, target or named_target
    if source is None or target is None:
        raise UsageError(f"{', '.join(files)}: no language codes in the file names", hint=LANGUAGE_OPTIONS)
    return language_pair(source, target, LANGUAGE_OPTIONS)


def language_pair(source: str, target: str, tip: str) -> LanguagesConfig:
    """Return the two languages. Raises UsageError where one is no code, or, with `tip`, where they are the same."""
    for code in (source, target):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", code):
            raise UsageError(f"{code!r} is no language code", hint="codes are as in ISO 639: en, de")
    if same_code(source, target):
        raise UsageError(f"the source and the target language are both {source}", hint=tip)
    return LanguagesConfig(source=source, target=target)


def known_pair(source: str, target: str, tip: str) -> LanguagesConfig:
    """Return the two languages. Raises UsageError also where one is unknown, with the nearest code in its hint."""
    languages = language_pair(source, target, tip)
    for code in (source, target):
        if (near := unknown_code(code)) is not None:
            hint = "codes are as in ISO 639: en, de; qaa to qtz are free for other languages"
            raise UsageError(f"{code!r} is no language code", hint=f"did you mean {near}? {hint}" if near else hint)
    return languages


def side_of(name: str, languages: LanguagesConfig) -> int | None:
    """Return 0 for the name of a source file, 1 for a target file, None for others; see `same_language`."""
    suffix, codes = split_language(name)[1], (languages.source, languages.target)
    sides = [side for side, code in enumerate(codes) if same_language(suffix, code)]
    if len(sides) == 2:  # two variants of a language, which their whole codes tell apart
        sides = [side for side in sides if spelled(codes[side]) == spelled(suffix)]
    return sides[0] if sides else None


def stem_of(name: str) -> str:
    """Return a file name without its suffixes of compression, archive and format."""
    plain = plain_name(name)
    return plain.rpartition(".")[0] if format_of(plain) or is_archive(plain) else plain


def pair_sides(sides: Sides, languages: LanguagesConfig, option: str) -> Iterator[tuple[str, str, str]]:
    """Yield stem, source and target of each two files of the same stem, and of the only two without."""
    sources, targets = sides
    for stem in sources:
        if stem in targets:
            yield stem, sources[stem], targets[stem]
    alone = [[stem for stem in side if stem not in other] for side, other in (sides, sides[::-1])]
    if len(alone[0]) == len(alone[1]) == 1:
        yield alone[0][0], sources[alone[0][0]], targets[alone[1][0]]
        return
    for side, stems, missing in zip(sides, alone, (languages.target, languages.source), strict=True):
        if stems:
            hint = f"name {stems[0]}.{missing} too"
            raise UsageError(f"{option}: {side[stems[0]]}: no file of {missing} with it", hint=hint)


def distinct_names(paths: Sequence[str]) -> list[str]:
    """Return a name for each path: its last part, with the folder before it, or a number, where others have it too."""
    names = [safe_name(Path(path).name) for path in paths]
    counts, seen = Counter(names), Counter[str]()
    for index, path in enumerate(paths):
        name = names[index] if counts[names[index]] == 1 else safe_name("-".join(Path(path).parts[-2:]))
        seen[name] += 1
        names[index] = name if seen[name] == 1 else f"{name}-{seen[name]}"
    return names


def safe_name(name: str) -> str:
    """Return `name` with the characters alone that a recipe allows."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._") or "corpus"


def shortened(text: str, limit: int) -> str:
    """Quote a text, cut to at most `limit` characters."""
    return repr(text if len(text) <= limit else text[: limit - 1] + "…")

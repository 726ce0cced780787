"""Parallel text from files (plain, gzip or TSV), from Hugging Face datasets, or built in.

A line ends at "\\n" and nowhere else: U+2028, U+0085, form feeds and tabs are text. One "\\r" before the "\\n" and
a byte-order mark at the start of a file are dropped.
"""

from __future__ import annotations

import gzip
import itertools
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, cast

from nmt.config import CorpusConfig, LanguagesConfig
from nmt.errors import DataError
from nmt.files import digest_file, digest_json

Pair = tuple[str, str]

RECIPE_TIP = "; names in a recipe start at --data-dir, or else at the recipe's folder"


def read_lines(path: Path, replaced: list[int] | None = None) -> Iterator[str]:
    """Yield the lines of `path`, plain or gzip, without their ends; a name without .gz finds the .gz.

    What `replaced` is for, `decode_lines` says.
    """
    path = find_file(path)
    try:
        file = _open(path)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    with file:
        yield from decode_lines(file, str(path), replaced)


def decode_lines(stream: Iterable[bytes], name: str, replaced: list[int] | None = None) -> Iterator[str]:
    """Yield the lines of `stream`, as they come, without their ends; `name` stands in the DataError.

    Given a list `replaced`, bytes that are not UTF-8 are no error: they become U+FFFD, and the list gets the number
    of their line.
    """
    number = 0
    try:
        for number, line in enumerate(stream, 1):
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError:
                if replaced is None:
                    raise
                replaced.append(number)
                text = line.decode("utf-8", errors="replace")
            if number == 1:
                text = text.removeprefix("\ufeff")
            yield text.removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}:{number}: not UTF-8: byte 0x{error.object[error.start]:02x} at place {error.start + 1}",
            hint="find out the encoding and convert it: iconv -f LATIN1 -t UTF-8",
        ) from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{name}: damaged or cut short after line {number}: {error}", hint="copy or download the file again"
        ) from None
    except OSError as error:
        raise DataError(f"{name}: {error.strerror or error}") from None


def count_lines(path: Path) -> int:
    """Count the lines of `path`, plain or gzip; they need not be UTF-8."""
    return sum(1 for _ in read_lines(path, []))


def find_file(path: Path, tip: str = "") -> Path:
    """Return `path`, or `path` with .gz appended, whichever is there; `tip` ends the DataError's hint."""
    zipped = path.with_name(path.name + ".gz")
    for candidate in (path, zipped):
        if candidate.exists():
            return candidate
    raise DataError(
        f"{path}: no such file",
        hint=f"nor {zipped.name}{tip}",
    )


def _open(path: Path) -> IO[bytes]:
    """Open `path` for bytes; gzip is known by its first two bytes, which no UTF-8 text begins with."""
    file = path.open("rb")
    if file.peek(2)[:2] == b"\x1f\x8b":
        return cast(IO[bytes], gzip.open(file, "rb"))
    if path.suffix == ".gz":
        file.close()
        raise DataError(f"{path}: not a gzip file", hint="copy or download the file again, or name it without .gz")
    return file


def read_corpus(
    config: CorpusConfig, languages: LanguagesConfig, *, root: Path, local: bool, default_split: str
) -> Iterator[Pair]:
    """Yield the raw pairs (source, target) of a corpus, at most `config.pairs` of them.

    Relative names start at `root`. With `local` (--data-dir was given) a Hub dataset is read from a folder under
    `root`, without network. A corpus of unequal sides is an error once the shorter side ends, not before.
    """
    if config.builtin is not None:
        pairs = _read_builtin(config, languages)
    elif config.tsv is not None:
        pairs = itertools.chain.from_iterable(_read_tsv(root / name) for name in _names(config.tsv))
    elif config.dataset is not None:
        pairs = _read_dataset(config, languages, root, local, config.split or default_split)
    else:
        pairs = _read_sides(config, root)
    number = 0
    for number, pair in enumerate(itertools.islice(pairs, config.pairs), 1):  # noqa: B007
        yield pair
    if number == 0:
        raise DataError(f"{describe(config)}: no pairs in it")


def describe(config: CorpusConfig) -> str:
    """Name the origin of a corpus for a message."""
    if config.builtin is not None:
        return f"builtin {config.builtin}"
    if config.dataset is not None:
        return f"dataset {config.dataset}"
    return ", ".join(_names(config.tsv) or [*_names(config.source), *_names(config.target)])


def corpus_digests(config: CorpusConfig, *, root: Path, local: bool) -> dict[str, str]:
    """Name each input of a corpus by a SHA-256: of its bytes for a file, of what is asked for elsewhere.

    For a dataset on the Hub that is its id, configuration, revision, split and columns: what lies behind them is known
    only after a download, and a digest must not change by that; see `hub_revision`.
    """
    if config.builtin is not None:
        sources = sorted(Path(__file__).parent.glob("synthetic*.py"))
        content = [config.builtin, config.pairs, config.seed, *map(digest_file, sources)]
        return {f"builtin:{config.builtin}": digest_json(content)}
    if config.dataset is not None:
        if local:
            folder, _ = _find_dataset(config, root)
            files = sorted(path for path in folder.rglob("*") if path.is_file())
            return {f"{config.dataset}/{path.relative_to(folder)}": digest_file(path) for path in files}
        asked = [config.dataset, config.config, config.revision, config.split]
        return {":".join(part for part in asked if part): digest_json([*asked, config.columns])}
    names = [*_names(config.source), *_names(config.target), *_names(config.tsv)]
    try:
        return {name: digest_file(find_file(root / name, RECIPE_TIP)) for name in names}
    except OSError as error:
        raise DataError(f"{error.filename}: {error.strerror}") from None


def hub_revision(config: CorpusConfig) -> str | None:
    """Return the commit of a Hub dataset that was downloaded last, without network; None where none was."""
    from huggingface_hub.constants import HF_HUB_CACHE

    if config.dataset is None:
        return None
    folder = Path(HF_HUB_CACHE) / f"datasets--{config.dataset.replace('/', '--')}"
    head = folder / "refs" / (config.revision or "main")
    if head.is_file():
        return head.read_text(encoding="ascii").strip()
    return config.revision if re.fullmatch("[0-9a-f]{40}", config.revision or "") else None


def _names(value: str | list[str] | None) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else value


def _read_sides(config: CorpusConfig, root: Path) -> Iterator[Pair]:
    sources, targets = _names(config.source), _names(config.target)
    if len(sources) != len(targets):
        raise DataError(
            f"{len(sources)} source files ({', '.join(sources)}) but {len(targets)} target files "
            f"({', '.join(targets)})",
            hint="each source file needs its own target file",
        )
    for source, target in zip(sources, targets, strict=True):
        yield from _read_files(root / source, root / target)


def _read_files(source: Path, target: Path) -> Iterator[Pair]:
    """Yield the pairs of two files and compare their lengths at the end."""
    sources = targets = 0
    for source_line, target_line in itertools.zip_longest(read_lines(source), read_lines(target)):
        sources += source_line is not None
        targets += target_line is not None
        if source_line is not None and target_line is not None:
            yield source_line, target_line
    if sources != targets:
        raise DataError(
            f"{find_file(source)} has {sources} lines but {find_file(target)} has {targets}",
            hint="the two files of a corpus are translations line by line",
        )


def _read_tsv(path: Path) -> Iterator[Pair]:
    for number, line in enumerate(read_lines(path), 1):
        columns = line.split("\t")
        if len(columns) < 2:
            raise DataError(
                f"{find_file(path)}:{number}: no tab in this line",
                hint="a line is source, tab, target; further columns are not read",
            )
        yield columns[0], columns[1]


def _read_builtin(config: CorpusConfig, languages: LanguagesConfig) -> Iterator[Pair]:
    direction = (languages.source, languages.target)
    if direction not in {("en", "de"), ("de", "en")}:
        raise DataError(
            f"builtin {config.builtin} is English-German, not {languages.source}-{languages.target}",
            hint="set languages to en and de, in either order, or give files",
        )
    from nmt.data.synthetic import generate

    assert config.builtin is not None
    assert config.pairs is not None
    for english, german in generate(config.builtin, config.pairs, config.seed):
        yield (english, german) if direction == ("en", "de") else (german, english)


def _find_dataset(config: CorpusConfig, root: Path) -> tuple[Path, str | None]:
    """Find the folder of a Hub dataset under `root`, and the configuration to ask of it."""
    assert config.dataset is not None
    tried = [root / config.dataset, root / config.dataset.rpartition("/")[2], root]
    for folder in tried:
        if not folder.is_dir() or not any(folder.iterdir()):
            continue
        part = folder / config.config if config.config else folder
        # Without its README, which declares the configurations, a copy of a dataset has them as folders only.
        if part != folder and part.is_dir() and not (folder / "README.md").is_file():
            return part, None
        return folder, config.config
    raise DataError(
        f"dataset {config.dataset}: not found under --data-dir; looked at "
        + ", ".join(str(path) for path in dict.fromkeys(tried)),
        hint="save the dataset there, or leave out --data-dir to fetch it from the Hub",
    )


def _load_dataset(config: CorpusConfig, root: Path, local: bool, split: str) -> Any:
    import datasets

    datasets.disable_progress_bars()
    name: str | None = config.config
    where: str = config.dataset or ""
    try:
        if not local:
            return datasets.load_dataset(where, name=name, split=split, revision=config.revision)
        folder, name = _find_dataset(config, root)
        where = str(folder)
        # What `save_to_disk` wrote; such a folder cannot be read by `load_dataset`.
        if (folder / "dataset_dict.json").is_file():
            splits = datasets.load_from_disk(where)
            if split not in splits:
                raise DataError(f"dataset {where}: no split {split!r}; it has {', '.join(sorted(splits))}")
            return splits[split]
        if (folder / "state.json").is_file():
            data = datasets.load_from_disk(where)
            if data.split is not None and str(data.split) != split:
                raise DataError(f"dataset {where}: holds the split {str(data.split)!r}, not {split!r}")
            return data
        return datasets.load_dataset(where, name=name, split=split)
    except DataError:
        raise
    except Exception as error:  # `datasets` documents no set of errors: network, format, name, split, ...
        said = str(error).strip().partition("\n")[0] or type(error).__name__
        raise DataError(
            f"dataset {where}, split {split}: {said}", hint="check data.*.dataset, config and split"
        ) from error


def _read_dataset(
    config: CorpusConfig, languages: LanguagesConfig, root: Path, local: bool, split: str
) -> Iterator[Pair]:
    data = _load_dataset(config, root, local, split)
    needed = _names(config.columns)
    for column in needed:
        if column not in data.column_names:
            raise DataError(
                f"dataset {config.dataset}: no column {column!r}; it has {', '.join(data.column_names)}",
                hint=f"set columns to {json.dumps(['source column', 'target column'])} in the recipe",
            )
    for rows in data.select_columns(needed).iter(batch_size=1000):
        columns = [rows[column] for column in needed]
        if len(columns) == 1:
            columns = list(zip(*(_sides(config, row, languages) for row in columns[0]), strict=True))
        for source, target in zip(*columns, strict=True):
            yield _one_line(config, source), _one_line(config, target)


def _sides(config: CorpusConfig, row: Any, languages: LanguagesConfig) -> tuple[Any, Any]:
    if not isinstance(row, Mapping):
        raise DataError(
            f"dataset {config.dataset}: column {config.columns!r} holds no {{language: text}} but {type(row).__name__}",
            hint=f"set columns to {json.dumps(['source column', 'target column'])} in the recipe",
        )
    for language in (languages.source, languages.target):
        if language not in row:
            raise DataError(
                f"dataset {config.dataset}: no language {language!r} in column {config.columns!r}; "
                f"it has {', '.join(row)}"
            )
    return row[languages.source], row[languages.target]


def _one_line(config: CorpusConfig, text: Any) -> str:
    """Make a dataset's text a line; a missing text is blank."""
    if text is None:
        return ""
    if not isinstance(text, str):
        raise DataError(f"dataset {config.dataset}: {type(text).__name__} where text should be: {text!r}")
    return re.sub(r"\r\n|\n|\r", " ", text)

"""Parallel text from files, from Hugging Face datasets, or built in: the pairs of a corpus, as they are."""

from __future__ import annotations

import io
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import BinaryIO, cast

from nmt.config.data import CorpusConfig, DownloadConfig, LanguagesConfig
from nmt.data.reading.archives import count_lines, download_of, find_file, member_names, read_lines, spelled, split_path
from nmt.data.reading.formats import Pair, Wanted, read_file, read_sides, read_stream
from nmt.data.reading.hub import dataset_digests, hub_commit, read_dataset
from nmt.data.reading.streams import decode_lines, decompress
from nmt.errors import DataError
from nmt.files import digest_file, digest_json

__all__ = [
    "RECIPE_TIP",
    "Pair",
    "corpus_digests",
    "count_lines",
    "decode_lines",
    "describe",
    "find_file",
    "hub_commit",
    "read_corpus",
    "read_lines",
]

RECIPE_TIP = "; names in a recipe start at --data-dir, or else at the recipe's folder"
STDIN = "-"
"""The name of standard input."""
TEST_SET = "sacrebleu:"
"""What the name of a test set of sacreBLEU begins with."""

Downloads = Mapping[str, DownloadConfig]


def read_corpus(
    config: CorpusConfig,
    languages: LanguagesConfig,
    *,
    root: Path,
    local: bool,
    default_split: str,
    downloads: Downloads | None = None,
    oddities: Counter[str] | None = None,
    stdin: BinaryIO | None = None,
) -> Iterator[Pair]:
    """Yield the raw pairs (source, target) of a corpus, at most `config.pairs` of them.

    Relative names start at `root`; what is not there is looked for in `downloads`. With `local` (--data-dir was given)
    a Hub dataset is read from a folder under `root`, without network. The name `-` is `stdin`, where it is given. A
    corpus of unequal sides is an error once the shorter side ends, not before. `oddities` counts by name what was
    dropped or is odd. Raises DataError.
    """
    columns = _names(config.columns) or None
    wanted = Wanted(languages, columns, config.format, Counter() if oddities is None else oddities)
    files = _Files(root, downloads or {}, stdin)
    if config.builtin is not None:
        pairs = _read_builtin(config, languages)
    elif config.dataset is not None:
        pairs = read_dataset(config, root, local, config.split or default_split, wanted)
    elif config.files is not None:
        pairs = itertools.chain.from_iterable(files.pairs(name, wanted) for name in _names(config.files))
    else:
        pairs = _read_sides(config, files, wanted)
    pairs = itertools.islice(pairs, config.pairs)
    first = next(pairs, None)
    if first is None:
        raise DataError(f"{describe(config)}: no pairs in it")
    yield first
    yield from pairs


def describe(config: CorpusConfig) -> str:
    """Name the origin of a corpus for a message."""
    if config.builtin is not None:
        return f"builtin {config.builtin}"
    if config.dataset is not None:
        return f"dataset {config.dataset}"
    return ", ".join(_file_names(config))


def corpus_digests(
    config: CorpusConfig,
    *,
    root: Path,
    local: bool,
    downloads: Downloads | None = None,
    languages: LanguagesConfig | None = None,
) -> dict[str, str]:
    """Name each input of a corpus by a SHA-256: of its bytes for a file, of what is asked for elsewhere.

    Nothing is fetched for it. A file that is to be downloaded has the SHA-256 that it must have; a test set of
    sacreBLEU those that sacreBLEU knows, and its name may leave out the languages where `languages` are given. For a
    dataset on the Hub it is its id, configuration, revision, split and columns: what lies behind them is known only
    after a download, and a digest must not change by that; see `hub_commit`.
    """
    if config.builtin is not None:
        sources = sorted(Path(__file__).parent.glob("synthetic*.py"))
        content = [config.builtin, config.pairs, config.seed, *map(digest_file, sources)]
        return {f"builtin:{config.builtin}": digest_json(content)}
    if config.dataset is not None:
        return dataset_digests(config, root, local)
    found: dict[str, str] = {}
    digest = cache(digest_file)  # several names may lie in one archive
    try:
        for name in _file_names(config):
            if name.startswith(TEST_SET):
                found[name] = _test_set_digest(name, languages)
            else:
                found |= _file_digests(name, root, downloads or {}, digest)
    except OSError as error:
        raise DataError(f"{error.filename}: {error.strerror}") from None
    return found


def _names(value: str | list[str] | None) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else value


def _file_names(config: CorpusConfig) -> list[str]:
    return [*_names(config.source), *_names(config.target), *_names(config.files)]


class _Files:
    """The files of a corpus, by the names that the recipe has for them."""

    def __init__(self, root: Path, downloads: Downloads, stdin: BinaryIO | None) -> None:
        self._root, self._downloads, self._stdin = root, downloads, stdin

    def lines(self, name: str, oddities: Counter[str]) -> tuple[Iterator[str], Path]:
        """Return the lines of a file of one side, and where it lies."""
        if name == STDIN:
            return decode_lines(self._standard_input(), "standard input", oddities=oddities), Path("standard input")
        path = find_file(self._root / name, RECIPE_TIP, self._downloads)
        return read_lines(path, oddities=oddities), path

    def pairs(self, name: str, wanted: Wanted) -> Iterator[Pair]:
        """Yield the pairs of a file of both sides."""
        if name == STDIN:
            yield from read_stream(self._standard_input(), "standard input", wanted.format or "tsv", wanted)
        elif name.startswith(TEST_SET):
            from nmt.data.reading.sacrebleu_sets import sacrebleu_files

            source, target = sacrebleu_files(name.removeprefix(TEST_SET), wanted.languages)
            sources, targets = (read_lines(path, oddities=wanted.oddities) for path in (source, target))
            yield from read_sides(sources, targets, source, target)
        else:
            yield from read_file(find_file(self._root / name, RECIPE_TIP, self._downloads), wanted)

    def _standard_input(self) -> io.BufferedReader:
        if self._stdin is None:
            raise _no_digest_of_stdin()
        stream = self._stdin
        raw = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, stream))
        return decompress(raw, "standard input")


def _no_digest_of_stdin() -> DataError:
    return DataError(
        "standard input is no corpus of a run, which names each file by its SHA-256", hint="write it to a file first"
    )


def _read_sides(config: CorpusConfig, files: _Files, wanted: Wanted) -> Iterator[Pair]:
    sources, targets = _names(config.source), _names(config.target)
    if len(sources) != len(targets):
        raise DataError(
            f"{len(sources)} source files ({', '.join(sources)}) but {len(targets)} target files "
            f"({', '.join(targets)})",
            hint="each source file needs its own target file",
        )
    if [*sources, *targets].count(STDIN) > 1:
        raise DataError("standard input can be one file of a corpus, not several")
    for source, target in zip(sources, targets, strict=True):
        (source_lines, source_path), (target_lines, target_path) = (
            files.lines(name, wanted.oddities) for name in (source, target)
        )
        yield from read_sides(source_lines, target_lines, source_path, target_path)


def _read_builtin(config: CorpusConfig, languages: LanguagesConfig) -> Iterator[Pair]:
    direction = (languages.source, languages.target)
    if direction not in {("en", "de"), ("de", "en")}:
        raise DataError(
            f"builtin {config.builtin} is English-German, not {languages.source}-{languages.target}",
            hint="set languages to en and de, in either order, or give files",
        )
    from nmt.tasks.grammar import generate

    assert config.builtin is not None
    assert config.pairs is not None
    for english, german in generate(config.builtin, config.pairs, config.seed):
        yield (english, german) if direction == ("en", "de") else (german, english)


def _test_set_digest(name: str, languages: LanguagesConfig | None) -> str:
    from nmt.data.reading.sacrebleu_sets import sacrebleu_digest

    source, _, target = name.rpartition(":")[2].partition("-")
    if name.count(":") > 1 and source and target:
        languages = LanguagesConfig(source=source, target=target)
    if languages is None:
        raise DataError(f"{name}: which languages?", hint=f"name them: {name}:en-de")
    return sacrebleu_digest(name.removeprefix(TEST_SET), languages)


def _file_digests(name: str, root: Path, downloads: Downloads, digest: Callable[[Path], str]) -> dict[str, str]:
    """Return the `digest` of a file or of the archive it lies in, or those of the files of a folder."""
    if name == STDIN:
        raise _no_digest_of_stdin()
    if download := download_of(root / name, downloads):
        return {name: downloads[download].sha256}
    path, _ = split_path(find_file(root / name, RECIPE_TIP))
    if path.is_dir():
        return {spelled(f"{name}/{file}"): digest(path / file) for file in member_names(path)}
    return {name: digest(path)}

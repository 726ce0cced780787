"""Read the raw pairs of a corpus: from files, trees, test sets, Hugging Face datasets, the built-in grammar, a task."""

import io
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import BinaryIO, cast

from nmt.config.data import CorpusConfig, DownloadConfig, MonolingualConfig, TrainingPairsConfig, language_of_lines
from nmt.config.languages import LanguagesConfig
from nmt.data.languages import best_pair
from nmt.data.pairs import Pair
from nmt.data.reading.archives import (
    check_inside,
    download_of,
    find_file,
    member_names,
    printable,
    read_lines,
    split_path,
)
from nmt.data.reading.columns import Wanted
from nmt.data.reading.formats import Side, join_sides, read_file, read_sides, read_stream
from nmt.data.reading.hub import dataset_digests, read_dataset
from nmt.data.reading.inline_codes import KeptCodes
from nmt.data.reading.sacrebleu_sets import sacrebleu_digest, sacrebleu_files
from nmt.data.reading.streams import decode_lines, decompress
from nmt.data.reading.test_sets import is_sgm, read_test_set
from nmt.data.reading.trees import read_trees
from nmt.errors import DataError, input_error
from nmt.files import digest_file, digest_json
from nmt.tasks import algorithmic, grammar

RECIPE_TIP = "; names in a recipe start at --data-dir, or else at the recipe's folder"
READING = 3
"""Version of what is read from the same files: text that a killed run made half of by another version is made anew."""
STDIN = "-"  # name of standard input
TEST_SET = "sacrebleu:"  # prefix of the names of sacreBLEU's test sets
TASK_SPLITS: dict[str, algorithmic.Split] = {"train": "train", "validation": "dev", "test": "test"}
Downloads = Mapping[str, DownloadConfig]


def read_corpus(
    config: CorpusConfig,
    languages: LanguagesConfig,
    *,
    root: Path,
    local: bool,
    default_split: str,
    downloads: Downloads | None = None,
    anomalies: Counter[str] | None = None,
    stdin: BinaryIO | None = None,
    placeholders: int | None = None,
) -> Iterator[Pair]:
    """Yield the raw pairs (source, target) of a corpus, at most `config.pairs` of them.

    A monolingual line is a pair of itself, also where a model is to make pairs of such lines; for [data.monolingual],
    of an origin of pairs, the side of its language is read alone.
    Relative names start at `root`; missing files are looked up in `downloads`. With `local` (--data-dir was given) a
    Hub dataset is read from a folder under `root`, without network. The name `-` is `stdin`, if given. Sides of
    unequal length are an error at the end of the shorter side, not before. `anomalies` counts, by name, dropped
    characters and other irregularities. `placeholders` is their number in the tokenizer, where it is known. Raises
    DataError.
    """
    columns = _as_list(config.columns) or None
    kept_codes = KeptCodes(placeholders) if config.codes == "placeholders" else None
    anomalies = Counter() if anomalies is None else anomalies
    wanted = Wanted(languages, columns, config.format, anomalies, config.skip_bad, kept_codes)
    files = _Files(root, downloads or {}, stdin)
    if config.builtin is not None:
        pairs = _read_builtin(config, languages)
    elif config.task is not None:
        pairs = _read_task(config, default_split)
    elif isinstance(config, MonolingualConfig) and config.text is not None:
        pairs = ((line, line) for name in _as_list(config.text) for line in files.lines(name, anomalies))
    elif isinstance(config, TrainingPairsConfig) and config.monolingual is not None:
        pairs = ((line, line) for name in _as_list(config.monolingual) for line in files.lines(name, anomalies))
    elif config.dataset is not None:
        pairs = read_dataset(config, root, local, config.split or default_split, wanted)
    elif config.trees is not None:
        pairs = itertools.chain.from_iterable(files.trees(name, anomalies) for name in _as_list(config.trees))
    elif config.files is not None:
        pairs = itertools.chain.from_iterable(files.pairs(name, wanted) for name in _as_list(config.files))
    else:
        pairs = _read_sides(config, files, wanted)
    if isinstance(config, MonolingualConfig) and config.text is None:
        side = languages.pair.index(config.language)
        pairs = ((pair[side], pair[side]) for pair in pairs)
    pairs = itertools.islice(pairs, config.pairs)
    first = next(pairs, None)
    if first is None:
        left_out = ", ".join(f"{name} {count:,}" for name, count in anomalies.items())
        units = "pairs" if language_of_lines(config, languages) is None else "lines"
        raise DataError(f"{describe(config)}: no {units} in it", hint=f"found in it: {left_out}" if left_out else None)
    yield first
    yield from pairs


def describe(config: CorpusConfig) -> str:
    """Name the origin of a corpus for a message."""
    if config.builtin is not None:
        return f"builtin {config.builtin}"
    if config.task is not None:
        return f"task {config.task}"
    if config.dataset is not None:
        return f"dataset {config.dataset}"
    return ", ".join(config.file_names)


def corpus_digests(
    config: CorpusConfig,
    *,
    root: Path,
    local: bool,
    downloads: Downloads | None = None,
    languages: LanguagesConfig | None = None,
) -> dict[str, str]:
    """Return the SHA-256 of each input of a corpus by its name: the digest of a file, or else of its identification.

    Nothing is fetched. A download has the SHA-256 of the recipe; a test set of sacreBLEU the digest of the MD5s that
    sacreBLEU expects, and its name may omit the languages where `languages` are given. A dataset on the Hub is
    identified by its id, configuration, revision, split and columns: its content is known only after a download, and
    a digest must not change by that; see `hub_commit`.
    """
    if config.builtin is not None:
        content = [config.builtin, config.pairs, config.seed, *grammar.VERSION]
        return {f"builtin:{config.builtin}": digest_json(content)}
    if config.task is not None:
        return {f"task:{config.task}": digest_json([*algorithmic.identity(config), config.pairs, config.seed])}
    if config.dataset is not None:
        return dataset_digests(config, root, local)
    digests: dict[str, str] = {}
    digest = cache(digest_file)  # several names may lie in one archive
    try:
        for name in config.file_names:
            if name.startswith(TEST_SET):
                digests[name] = _test_set_digest(name, languages)
            else:
                digests |= _file_digests(name, root, downloads or {}, digest)
    except OSError as error:
        raise input_error(error.filename, error) from None
    return digests


def _as_list(value: str | list[str] | None) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else value


class _Files:
    """The files of a corpus, by their names in the recipe."""

    def __init__(self, root: Path, downloads: Downloads, stdin: BinaryIO | None) -> None:
        self._root, self._downloads, self._stdin = root, downloads, stdin

    def lines(self, name: str, anomalies: Counter[str]) -> Iterable[str]:
        """Return the lines of a file of one language, of SGM its segments."""
        texts, _ = self.side(name, anomalies)
        return texts.values() if isinstance(texts, dict) else texts

    def side(self, name: str, anomalies: Counter[str]) -> tuple[Side, Path]:
        """Return the texts of a file of one side, and its path."""
        if name == STDIN:
            return decode_lines(self._standard_input(), "standard input", anomalies=anomalies), Path("standard input")
        path = find_file(self._root / name, RECIPE_TIP, self._downloads)
        if is_sgm(path):
            return read_test_set(path, anomalies).only(), path
        return read_lines(path, anomalies=anomalies), path

    def pairs(self, name: str, wanted: Wanted) -> Iterator[Pair]:
        """Return the pairs of a file of both sides, or of a test set."""
        if name == STDIN:
            return read_stream(self._standard_input(), "standard input", wanted.format or "tsv", wanted)
        if not name.startswith(TEST_SET):
            return read_file(find_file(self._root / name, RECIPE_TIP, self._downloads), wanted)
        source, target = sacrebleu_files(name.removeprefix(TEST_SET), wanted.languages)
        sources, targets = (read_lines(path, anomalies=wanted.anomalies) for path in (source, target))
        return read_sides(sources, targets, source, target)

    def trees(self, name: str, anomalies: Counter[str]) -> Iterator[Pair]:
        """Yield the words and trees of a file, or of all files of a folder."""
        if name == STDIN:
            yield from read_trees(self.lines(name, anomalies), "standard input", anomalies)
            return
        path = find_file(self._root / name, RECIPE_TIP, self._downloads)
        for member in member_names(path) if path.is_dir() else [""]:
            if member:
                check_inside(path, member)
            yield from read_trees(read_lines(path / member, anomalies=anomalies), str(path / member), anomalies)

    def _standard_input(self) -> io.BufferedReader:
        if self._stdin is None:
            raise _no_digest_of_stdin()
        stream = self._stdin
        raw = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, stream))
        return decompress(raw, "standard input")


def _no_digest_of_stdin() -> DataError:
    problem = "standard input is no corpus of a run, which names each file by its SHA-256"
    return DataError(problem, hint="write it to a file first")


def _read_sides(config: CorpusConfig, files: _Files, wanted: Wanted) -> Iterator[Pair]:
    sources, targets = _as_list(config.source), _as_list(config.target)
    if len(sources) != len(targets):
        left, right = (f"files ({', '.join(names)})" for names in (sources, targets))
        problem = f"{len(sources)} source {left} but {len(targets)} target {right}"
        raise DataError(problem, hint="each source file needs its own target file")
    if [*sources, *targets].count(STDIN) > 1:
        raise DataError("standard input can be one file of a corpus, not several")
    for names in zip(sources, targets, strict=True):
        source, target = (files.side(name, wanted.anomalies) for name in names)
        yield from join_sides((source[0], target[0]), (source[1], target[1]), wanted.anomalies)


def _read_builtin(config: CorpusConfig, languages: LanguagesConfig) -> Iterator[Pair]:
    pair = best_pair(*languages.pair, ["en", "de"])
    if pair is None:
        hint = "set languages to en and de, in either order, or give files"
        raise DataError(f"builtin {config.builtin} is English-German, not {'-'.join(languages.pair)}", hint=hint)
    assert config.builtin is not None
    assert config.pairs is not None
    for english, german in grammar.generate(config.builtin, config.pairs, config.seed):
        yield (english, german) if pair == ("en", "de") else (german, english)


def _read_task(config: CorpusConfig, split: str) -> Iterator[Pair]:
    """Generate the examples of a task, those of train, dev and test apart."""
    assert config.pairs is not None
    return algorithmic.generate(config, TASK_SPLITS[split], config.pairs, config.seed)


def _test_set_digest(name: str, languages: LanguagesConfig | None) -> str:
    source, _, target = name.rpartition(":")[2].partition("-")
    if name.count(":") > 1 and source and target:
        languages = LanguagesConfig(source=source, target=target)
    if languages is None:
        raise DataError(f"{name}: which languages?", hint=f"name them: {name}:en-de")
    return sacrebleu_digest(name.removeprefix(TEST_SET), languages)


def _file_digests(name: str, root: Path, downloads: Downloads, digest: Callable[[Path], str]) -> dict[str, str]:
    """Return the `digest` of a file or of the archive that holds it, or the digests of all files of a folder."""
    if name == STDIN:
        raise _no_digest_of_stdin()
    if download := download_of(root / name, downloads):
        return {name: downloads[download].sha256}
    path, _ = split_path(find_file(root / name, RECIPE_TIP))
    if path.is_dir():
        return {printable(f"{name}/{file}"): digest(path / file) for file in member_names(path)}
    return {name: digest(path)}

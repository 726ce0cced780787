"""Fetch the test sets that sacreBLEU knows, and check their files."""

import hashlib
import itertools
import socket
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from http.client import HTTPException
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from nmt import console
from nmt.config.languages import LanguagesConfig
from nmt.data.languages import same_language
from nmt.data.reading.downloads import TIMEOUT, connection_error, exclusive, size_of
from nmt.errors import DataError
from nmt.files import digest_json

if TYPE_CHECKING:
    from sacrebleu.dataset.base import Dataset

Archives = dict[Path, tuple[str, str | None]]
"""Where sacreBLEU keeps the files that it downloads, with their URLs and MD5s."""


def _sacrebleu() -> ModuleType:
    import sacrebleu  # 0.1 s that other corpora need not wait for

    return sacrebleu


def sacrebleu_files(name: str, languages: LanguagesConfig) -> tuple[Path, Path]:
    """Return the source and the first reference of one of sacreBLEU's test sets, fetched by sacreBLEU if missing.

    `name` is SET or SET:PAIR, such as `wmt14/full:en-de`. Raises DataError where there is no such set or pair, where
    the pair is not that of `languages`, where the set cannot be fetched, and where its files are incomplete.
    """
    data, pair = _test_set(name, languages)
    full_name = f"sacrebleu:{data.name}:{pair}"
    folder = Path(_sacrebleu().SACREBLEU_DIR) / data.name
    folder.mkdir(parents=True, exist_ok=True)
    with exclusive(folder / "nmt.lock"):
        archives = _archives(data)
        _check_archives(archives, full_name)
        for url in _missing(archives).values():
            console.log(f"{full_name}: needs {url}")
        try:
            with _sacrebleu_is_quiet():
                source, reference = _fetch(data.name, pair, archives)
        except (urllib.error.URLError, HTTPException, ConnectionError, TimeoutError, SystemExit) as error:
            _check_archives(archives, full_name)  # sacreBLEU leaves a file of a wrong MD5, and uses it the next time
            reason = "no secure connection" if isinstance(error, SystemExit) else connection_error(error)
            missing = [f"{url} at {path}" for path, url in _missing(archives).items()]
            hint = f"put the file {', the file '.join(missing)}; $SACREBLEU names another folder than ~/.sacrebleu"
            raise DataError(f"{full_name}: cannot be downloaded: {reason}", hint=hint) from None
    lines = [path.read_bytes().count(b"\n") for path in (source, reference)]
    if lines[0] != lines[1]:
        hint = f"sacreBLEU was broken off when it wrote them: remove {folder} and try again"
        raise DataError(f"{full_name}: {source} has {lines[0]} lines but {reference} has {lines[1]}", hint=hint)
    return source, reference


def sacrebleu_missing(name: str, languages: LanguagesConfig) -> list[str]:
    """Return the URLs of a test set's files that are yet to be fetched. Offline; raises DataError."""
    data, _ = _test_set(name, languages)
    return list(_missing(_archives(data)).values())


def sacrebleu_digest(name: str, languages: LanguagesConfig) -> str:
    """Return a SHA-256 of a test set's name, pair and the MD5s that sacreBLEU expects. Offline; raises DataError."""
    data, pair = _test_set(name, languages)
    return digest_json([data.name, pair, data.md5])


def _test_set(name: str, languages: LanguagesConfig) -> "tuple[Dataset, str]":
    """Return sacreBLEU's entry of the test set, and the pair."""
    wanted = f"{languages.source}-{languages.target}"
    test_set, _, named = name.partition(":")
    datasets: dict[str, Dataset] = _sacrebleu().DATASETS
    if test_set not in datasets:
        hint = _nearest(test_set, datasets) or "`sacrebleu --list` names them"
        raise DataError(f"sacrebleu:{name}: sacreBLEU has no test set {test_set!r}", hint=hint)
    data = datasets[test_set]
    own = next((pair for pair in data.langpairs if _is_pair(pair, languages)), wanted)
    pair = named or (wanted if wanted in data.langpairs else own)
    if pair not in data.langpairs:
        hint = _nearest(pair, data.langpairs) or f"it has {', '.join(sorted(data.langpairs))}"
        raise DataError(f"sacrebleu:{name}: the test set {test_set} has no pair {pair!r}", hint=hint)
    if not _is_pair(pair, languages):
        known = f"sacrebleu:{test_set}:{own}" if own in data.langpairs else None
        raise DataError(f"sacrebleu:{name}: of {pair}, but the recipe's languages are {wanted}", hint=known)
    return data, pair


def _is_pair(pair: str, languages: LanguagesConfig) -> bool:
    source, _, target = pair.partition("-")
    return same_language(source, languages.source) and same_language(target, languages.target)


def _nearest(name: str, known: Iterable[str]) -> str | None:
    close = get_close_matches(name, list(known))
    return f"did you mean {' or '.join(close)}?" if close else None


def _fetch(test_set: str, pair: str, archives: Iterable[Path]) -> tuple[Path, Path]:
    """Let sacreBLEU download missing archives, and return its files of the pair, source and first reference."""
    utils = _sacrebleu().utils

    def paths() -> tuple[Path, Path]:
        source, references = utils.get_source_file(test_set, pair), utils.get_reference_files(test_set, pair)
        return Path(source), Path(references[0])

    try:
        return paths()
    except FileNotFoundError:
        # It unpacks an archive right after its download only: not one put there by hand or left packed by a kill.
        for archive in archives:
            utils.extract_tarball(str(archive), str(archive.parent))
        return paths()


def _archives(data: "Dataset") -> Archives:
    folder = Path(_sacrebleu().SACREBLEU_DIR) / data.name / "raw"
    prefix = data.name.replace("/", "_")
    md5s = itertools.chain(data.md5 or [], itertools.repeat(None))
    return {
        folder / f"{prefix}.{url.rpartition('/')[2]}": (url, md5)
        for url, md5 in zip(data.data or [], md5s)  # noqa: B905
    }


def _missing(archives: Archives) -> dict[Path, str]:
    return {path: url for path, (url, _) in archives.items() if not size_of(path)}


def _check_archives(archives: Archives, name: str) -> None:
    """Raise DataError where an existing archive has a wrong MD5; sacreBLEU checks it right after a download only."""
    for path, (url, expected) in archives.items():
        if size_of(path) and expected is not None:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
            if found != expected:
                hint = "remove it and try again"
                raise DataError(f"{name}: {path} is not {url}: its MD5 is {found}, expected {expected}", hint=hint)


@contextmanager
def _sacrebleu_is_quiet() -> Iterator[None]:
    """Keep sacreBLEU from writing to standard error, and from waiting for ever: it sets no timeout."""
    sacrelogger = _sacrebleu().utils.sacrelogger
    disabled, timeout = sacrelogger.disabled, socket.getdefaulttimeout()
    sacrelogger.disabled = True
    socket.setdefaulttimeout(TIMEOUT)
    try:
        yield
    finally:
        sacrelogger.disabled = disabled
        socket.setdefaulttimeout(timeout)

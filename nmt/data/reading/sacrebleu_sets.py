"""Test sets that sacreBLEU downloads."""

from __future__ import annotations

import hashlib
import socket
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from http.client import HTTPException
from pathlib import Path
from typing import Any

from nmt import console
from nmt.config.data import LanguagesConfig
from nmt.data.reading.downloads import TIMEOUT, _alone, _size, _why
from nmt.errors import DataError
from nmt.files import digest_json


def sacrebleu_files(name: str, languages: LanguagesConfig) -> tuple[Path, Path]:
    """Return the source and the first reference of one of sacreBLEU's test sets, fetched by sacreBLEU where needed.

    `name` is SET or SET:PAIR, such as `wmt14/full:en-de`. Raises DataError where there is no such set or pair, where
    the pair is not that of `languages`, where the set cannot be fetched, and where its files are not whole.
    """
    import sacrebleu

    data, pair = _test_set(name, languages)
    asked = f"sacrebleu:{data.name}:{pair}"
    folder = Path(sacrebleu.SACREBLEU_DIR) / data.name
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder / "nmt.lock"):
        archives = _archives(data)
        _check_archives(archives, asked)
        for url in [url for path, (url, _) in archives.items() if not _size(path)]:
            console.log(f"{asked}: needs {url}")
        try:
            with _sacrebleu_is_quiet():
                source, reference = _ask_sacrebleu(data.name, pair, archives)
        except (urllib.error.URLError, HTTPException, ConnectionError, TimeoutError, SystemExit) as error:
            _check_archives(archives, asked)  # sacreBLEU leaves what has the wrong MD5, and takes it the next time
            reason = "no secure connection" if isinstance(error, SystemExit) else _why(error)
            missing = [f"{url} at {path}" for path, (url, _) in archives.items() if not _size(path)]
            raise DataError(
                f"{asked}: cannot be downloaded: {reason}",
                hint=f"put the file {', the file '.join(missing)}; $SACREBLEU names another folder than ~/.sacrebleu",
            ) from None
    lines = [path.read_bytes().count(b"\n") for path in (source, reference)]
    if lines[0] != lines[1]:
        raise DataError(
            f"{asked}: {source} has {lines[0]} lines but {reference} has {lines[1]}",
            hint=f"sacreBLEU was broken off when it wrote them: remove {folder} and try again",
        )
    return source, reference


def sacrebleu_missing(name: str, languages: LanguagesConfig) -> list[str]:
    """Return the URLs of what sacreBLEU has yet to fetch for a test set.

    Needs no network. Raises DataError as `sacrebleu_files` does of the name.
    """
    data, _ = _test_set(name, languages)
    return [url for path, (url, _) in _archives(data).items() if not _size(path)]


def sacrebleu_digest(name: str, languages: LanguagesConfig) -> str:
    """Name a test set of sacreBLEU by a SHA-256: of its name, its pair, and the MD5s that sacreBLEU wants of it.

    Needs no network. Raises DataError as `sacrebleu_files` does of the name.
    """
    data, pair = _test_set(name, languages)
    return digest_json([data.name, pair, data.md5])


def _test_set(name: str, languages: LanguagesConfig) -> tuple[Any, str]:
    """Return what sacreBLEU knows of the set, and the pair."""
    import sacrebleu

    wanted = f"{languages.source}-{languages.target}"
    test_set, _, pair = name.partition(":")
    pair = pair or wanted
    if test_set not in sacrebleu.DATASETS:
        raise DataError(
            f"sacrebleu:{name}: sacreBLEU has no test set {test_set!r}",
            hint=_nearest(test_set, sacrebleu.DATASETS) or "`sacrebleu --list` names them",
        )
    data = sacrebleu.DATASETS[test_set]
    if pair not in data.langpairs:
        raise DataError(
            f"sacrebleu:{name}: the test set {test_set} has no pair {pair!r}",
            hint=_nearest(pair, data.langpairs) or f"it has {', '.join(sorted(data.langpairs))}",
        )
    if pair != wanted:
        raise DataError(
            f"sacrebleu:{name}: of {pair}, but the recipe's languages are {wanted}",
            hint=f"sacrebleu:{test_set}:{wanted}" if wanted in data.langpairs else None,
        )
    return data, pair


def _ask_sacrebleu(test_set: str, pair: str, archives: Iterable[Path]) -> tuple[Path, Path]:
    """Let sacreBLEU download what is missing, and return its files of the pair, source and first reference."""
    from sacrebleu.utils import extract_tarball, get_reference_files, get_source_file

    def paths() -> tuple[Path, Path]:
        return Path(get_source_file(test_set, pair)), Path(get_reference_files(test_set, pair)[0])

    try:
        return paths()
    except FileNotFoundError:
        # It unpacks only what it has just downloaded: not what was put there, nor what a kill left packed.
        for archive in archives:
            extract_tarball(str(archive), str(archive.parent))  # type: ignore[no-untyped-call]
        return paths()


def _nearest(name: str, known: Iterable[str]) -> str | None:
    close = get_close_matches(name, list(known))
    return f"did you mean {' or '.join(close)}?" if close else None


def _archives(data: Any) -> dict[Path, tuple[str, str | None]]:
    """Return where sacreBLEU keeps what it downloads of a set: {path: (URL, MD5)}."""
    import sacrebleu

    folder = Path(sacrebleu.SACREBLEU_DIR) / data.name / "raw"
    prefix = data.name.replace("/", "_")
    md5s = data.md5 or [None] * len(data.data)
    return {
        folder / f"{prefix}.{url.rpartition('/')[2]}": (url, md5) for url, md5 in zip(data.data, md5s, strict=False)
    }


def _check_archives(archives: dict[Path, tuple[str, str | None]], asked: str) -> None:
    """Raise DataError where one that is there is not what sacreBLEU means; it looks only after a download."""
    for path, (url, expected) in archives.items():
        if _size(path) and expected is not None:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
            if found != expected:
                raise DataError(
                    f"{asked}: {path} is not {url}: its MD5 is {found}, expected {expected}",
                    hint="remove it and try again",
                )


@contextmanager
def _sacrebleu_is_quiet() -> Iterator[None]:
    """Keep sacreBLEU from writing to standard error, and from waiting for ever: it sets no timeout."""
    from sacrebleu.utils import sacrelogger

    disabled, timeout = sacrelogger.disabled, socket.getdefaulttimeout()
    sacrelogger.disabled = True
    socket.setdefaulttimeout(TIMEOUT)
    try:
        yield
    finally:
        sacrelogger.disabled = disabled
        socket.setdefaulttimeout(timeout)

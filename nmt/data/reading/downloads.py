"""Files from the network: fetched once, verified by SHA-256, kept in a cache; and sacreBLEU's test sets by name."""

from __future__ import annotations

import fcntl
import os
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from nmt import console
from nmt.config.data import DownloadConfig
from nmt.errors import DataError, RecipeError
from nmt.files import digest_file, read_json, remove, sync, write_json
from nmt.version import __version__

TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as broken."""
PAUSES = (1.0, 3.0, 9.0)
"""Seconds before each further try of a mirror; they begin anew once a try has brought the file on."""
BLOCK = 1 << 18
"""Bytes taken at once."""
NOT_NOW = {408, 425, 429, 500, 502, 503, 504}
"""The HTTP statuses that may be others a moment later."""
MINUTE = 60.0
"""Seconds between two lines of progress where there is no terminal."""


class _FailedError(Exception):
    """A request that brought no whole file, and why; `again` tells whether a further try may."""

    def __init__(self, reason: str, *, again: bool = True) -> None:
        super().__init__(reason)
        self.again = again


def cache_folder() -> Path:
    """Return the folder of what is fetched: $NMT_CACHE, else $XDG_CACHE_HOME/nmt, else ~/.cache/nmt."""
    if own := os.environ.get("NMT_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "nmt"


def fetch(name: str, config: DownloadConfig) -> Path:
    """Return the path of a file that has the SHA-256 of `config`: from the cache, or else from the network.

    What a broken connection has brought is kept, and the next try or call goes on from there. Raises DataError where
    no mirror gives the file; an OSError of the disk passes through.
    """
    path = _place(name, config)
    try:
        if _is_whole(path, config.sha256):
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path.with_name(f"{name}.lock")):
            if not _is_whole(path, config.sha256):  # another process may just have fetched it
                _download(name, config, path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk does not say of which file
        raise
    return path


def is_fetched(name: str, config: DownloadConfig) -> bool:
    """Tell whether the cache has the file, so that `fetch` needs no network."""
    return _is_whole(_place(name, config), config.sha256)


def _place(name: str, config: DownloadConfig) -> Path:
    return cache_folder() / "downloads" / config.sha256 / name


def _is_whole(path: Path, sha256: str) -> bool:
    try:
        facts = path.stat()
    except FileNotFoundError:
        return False
    return _digest_once(path, facts.st_size, facts.st_mtime_ns) == sha256


@cache
def _digest_once(path: Path, _length: int, _time: int) -> str:
    """Digest `path` again only when its size or time has changed."""
    return digest_file(path)


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Keep other processes out, by a lock that the system takes from a process that dies.

    Where none can be had, in a read-only folder or a file system without locks, go on: digests tell what is whole.
    """
    with ExitStack() as stack:
        with suppress(OSError):
            file = stack.enter_context(lock.open("w"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                console.log(f"{lock}: another process is fetching this; waiting for it")
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _download(name: str, config: DownloadConfig, path: Path) -> None:
    """Bring the file to `path` from the first mirror that gives it."""
    urls = [config.url] if isinstance(config.url, str) else config.url
    for url in urls:
        if not url.lower().startswith(("https://", "http://")):
            raise RecipeError(f"data.downloads.{name}.url: {url} is neither https nor http")
    if path.exists():
        console.warn(f"{path}: not the file of SHA-256 {config.sha256}; fetching it anew")
    part = path.with_name(f"{name}.part")
    if _size(part) and digest_file(part) == config.sha256:  # killed after the last byte
        _finish(part, path)
        return
    reasons = []
    for url in urls:
        try:
            _from_mirror(url, part, name, config.sha256)
        except _FailedError as failure:
            reasons.append(f"{url}: {failure}")
        else:
            _finish(part, path)
            return
    raise DataError(
        f"{name}: cannot be downloaded: {'; '.join(reasons) or 'its list of mirrors is empty'}",
        hint=f"put the file at {path}, or beside the data as {name}",
    )


def _from_mirror(url: str, part: Path, name: str, sha256: str) -> None:
    """Fill `part` with the file of that SHA-256. Raises _FailedError, also where the mirror has another."""
    is_joined = _receive(url, part, name)
    if is_joined and digest_file(part) != sha256:
        # Pieces of two versions, or what a power cut left: the mirror may be right all the same.
        console.log(f"{name}: its pieces do not fit together; starting anew")
        _discard(part)
        _receive(url, part, name)
    found = digest_file(part)
    if found != sha256:
        _discard(part)
        raise _FailedError(f"not the file of data.downloads.{name}.sha256: found {found}, expected {sha256}")


def _receive(url: str, part: Path, name: str) -> bool:
    """Fill `part` in as many tries as it takes; tell whether the last one added to what others had brought."""
    tries, most = 0, _size(part)
    while True:
        try:
            return _try(url, part, name)
        except _FailedError as failure:
            if _size(part) > most:
                tries, most = 0, _size(part)
            if not failure.again or tries == len(PAUSES):
                raise
            console.log(f"{name}: {url}: {failure}; trying again in {PAUSES[tries]:g} s")
            time.sleep(PAUSES[tries])
            tries += 1


def _try(url: str, part: Path, name: str) -> bool:
    """Ask for what `part` lacks and add it, or begin anew where the answer is a whole file; tell whether it was added.

    Raises _FailedError; what has come by then stays in `part`.
    """
    have = _size(part)
    with _ask(url, part, have) as answer:
        is_rest = answer.status == 206
        if is_rest and not re.match(rf"bytes {have}-", answer.headers.get("Content-Range", "")):
            _discard(part)
            raise _FailedError("sends another range than was asked for")
        if not is_rest:
            have = 0
            part.write_bytes(b"")  # before the note: an empty part goes with any
            write_json(_note(part), {"url": url, "etag": answer.headers.get("ETag")})
        length = answer.headers.get("Content-Length", "")
        left = int(length) if length.isdecimal() else None
        total = None if left is None else have + left
        with part.open("ab") as file, console.Progress(name, total and total // 1000, unit="kB") as progress:
            size = "" if total is None else f", {total // 1000:,} kB"
            progress.log(f"{name}: downloading {url}{size}" + (f", from {have // 1000:,} kB on" if have else ""))
            begun = said = time.monotonic()
            before = have
            for block in _blocks(answer, left):
                file.write(block)
                have += len(block)
                now = time.monotonic()
                rate = (have - before) / max(now - begun, 1e-3)
                speed = f"{rate / 1e6:.1f} MB/s"
                if total is not None:
                    speed += f", {console.duration((total - have) / rate)} left"
                progress.update(have // 1000, speed)
                if now - said >= MINUTE:
                    progress.log(f"{name}: {have // 1000:,} kB, {speed}")
                    said = now
    return is_rest


def _ask(url: str, part: Path, have: int) -> HTTPResponse:
    """Send the request for all but the first `have` bytes. Raises _FailedError."""
    request = urllib.request.Request(url, headers={"User-Agent": f"nmt/{__version__}"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        note = read_json(_note(part)) or {}
        # A weak ETag does not vouch for bytes, and that of another mirror says nothing to this one.
        if note.get("url") == url and str(note["etag"]).startswith('"'):
            request.add_header("If-Range", note["etag"])
    try:
        answer: HTTPResponse = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and have:  # longer than the file there: of another version
            _discard(part)
            raise _FailedError("has no such range of it") from None
        raise _FailedError(f"HTTP {error.code} {error.reason}", again=error.code in NOT_NOW) from None
    except (OSError, HTTPException, ValueError) as error:
        raise _FailedError(_why(error)) from None
    return answer


def _blocks(answer: HTTPResponse, left: int | None) -> Iterator[bytes]:
    """Yield what comes, at most the `left` bytes that were announced. Raises _FailedError where it breaks off."""
    while left is None or left > 0:
        try:
            block = answer.read1(BLOCK if left is None else min(BLOCK, left))
        except (OSError, HTTPException) as error:
            raise _FailedError(_why(error)) from None
        if not block:
            break
        yield block
        left = None if left is None else left - len(block)
    if left:
        raise _FailedError(f"broke off, {left:,} bytes before the end")


def _why(error: Exception) -> str:
    """Say shortly what is wrong with a connection."""
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception):
        return _why(error.reason)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _note(part: Path) -> Path:
    """Where it stands from which mirror, and from which version of the file there, `part` comes."""
    return part.with_name(f"{part.name}.json")


def _discard(part: Path) -> None:
    remove(part)
    remove(_note(part))


def _finish(part: Path, path: Path) -> None:
    """Give a whole file its final name."""
    sync(part)
    part.replace(path)
    sync(path.parent)
    remove(_note(part))

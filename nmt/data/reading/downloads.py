"""Download files once, verify them by their SHA-256, and keep them in a cache."""

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
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from typing import IO
from urllib.request import Request

from nmt import console
from nmt.config.data import DownloadConfig
from nmt.errors import DataError
from nmt.files import digest_file, read_json, remove, sync, write_json
from nmt.version import __version__

TIMEOUT = 30.0  # seconds without a byte after which a connection counts as broken
PAUSES = (1.0, 3.0, 9.0)
"""Seconds before each further try of a mirror, counted again from the first after a try that received bytes."""
SCHEMES = ("https://", "http://")
LARGEST = 1 << 40  # bytes of the largest file that is downloaded: a server may send without end
BLOCK = 1 << 18  # bytes to receive at once
TEMPORARY = {408, 425, 429, 500, 502, 503, 504}  # HTTP statuses that a later try may not meet
MINUTE = 60.0  # seconds between two lines of progress where there is no terminal


class _FailedError(Exception):
    """A request that brought no complete file; `again` if a further try may succeed."""

    def __init__(self, reason: str, *, again: bool = True) -> None:
        super().__init__(reason)
        self.again = again


def cache_folder() -> Path:
    """Return the folder of downloads: $NMT_CACHE, else $XDG_CACHE_HOME/nmt, else ~/.cache/nmt."""
    if own := os.environ.get("NMT_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "nmt"


def fetch(name: str, config: DownloadConfig) -> Path:
    """Return the path of a file with the SHA-256 of `config`: from the cache, or else from the network.

    The bytes received over a broken connection are kept, and the next try or call resumes after them. Raises DataError
    where no mirror gives the file; an OSError of the disk passes through.
    """
    path = _cached_path(name, config)
    try:
        if _is_whole(path, config.sha256):
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(path.with_name(f"{name}.lock")):
            if not _is_whole(path, config.sha256):  # another process may just have fetched it
                _download(name, config, path)
    except OSError as error:
        error.filename = error.filename or str(path)  # the error of a full disk names no file
        raise
    return path


def is_fetched(name: str, config: DownloadConfig) -> bool:
    """Check whether the cache holds the file, so that `fetch` needs no network."""
    return _is_whole(_cached_path(name, config), config.sha256)


def _cached_path(name: str, config: DownloadConfig) -> Path:
    return cache_folder() / "downloads" / config.sha256 / name


def _is_whole(path: Path, sha256: str) -> bool:
    try:
        status = path.stat()
    except FileNotFoundError:
        return False
    return _digest_once(path, status.st_size, status.st_mtime_ns) == sha256


@cache
def _digest_once(path: Path, _size: int, _time: int) -> str:
    """Return the digest of `path`, computed again only after its size or time has changed."""
    return digest_file(path)


@contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Keep other processes out of the block, by a lock that the system releases when a process dies.

    Where locking is impossible, in a read-only folder or a file system without locks, the block runs unlocked:
    incomplete files are recognised by their digests.
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
    """Download the file to `path` from the first mirror that has it."""
    urls = [config.url] if isinstance(config.url, str) else config.url
    if path.exists():
        console.warn(f"{path}: not the file of SHA-256 {config.sha256}; fetching it anew")
    part = path.with_name(f"{name}.part")
    is_complete = size_of(part) > 0 and digest_file(part) == config.sha256  # killed after the last byte
    reasons = []
    for url in () if is_complete else urls:
        try:
            _download_from(url, part, name, config.sha256)
        except _FailedError as failure:
            reasons.append(f"{url}: {failure}")
        else:
            is_complete = True
            break
    if not is_complete:
        problem = f"{name}: cannot be downloaded: {'; '.join(reasons) or 'its list of mirrors is empty'}"
        raise DataError(problem, hint=f"put the file at {path}, or beside the data as {name}")
    sync(part)
    part.replace(path)
    sync(path.parent)
    remove(_origin(part))


def _download_from(url: str, part: Path, name: str, sha256: str) -> None:
    """Fill `part` with the file of that SHA-256. Raises _FailedError, also where the mirror has another file."""
    is_resumed = _receive(url, part, name)
    if is_resumed and digest_file(part) != sha256:
        # Pieces of two versions, or the leftovers of a power cut: the mirror may be right all the same.
        console.log(f"{name}: its pieces do not fit together; starting anew")
        _discard(part)
        _receive(url, part, name)
    found = digest_file(part)
    if found != sha256:
        _discard(part)
        raise _FailedError(f"not the file of data.downloads.{name}.sha256: found {found}, expected {sha256}")


def _receive(url: str, part: Path, name: str) -> bool:
    """Fill `part` in several tries if needed; return whether the last one resumed an earlier download."""
    tries, most = 0, size_of(part)
    while True:
        try:
            return _receive_rest(url, part, name)
        except _FailedError as failure:
            if size_of(part) > most:
                tries, most = 0, size_of(part)
            if not failure.again or tries == len(PAUSES):
                raise
            console.log(f"{name}: {url}: {failure}; trying again in {PAUSES[tries]:g} s")
            time.sleep(PAUSES[tries])
            tries += 1


def _receive_rest(url: str, part: Path, name: str) -> bool:
    """Request the missing rest of `part` and append it, or overwrite `part` where the response is the whole file.

    Returns whether it was appended. Raises _FailedError; the bytes received by then stay in `part`.
    """
    start = size_of(part)
    with _request(url, part, start) as response:
        is_rest = response.status == 206
        if is_rest and not re.match(rf"bytes {start}-", response.headers.get("Content-Range", "")):
            _discard(part)
            raise _FailedError("sends another range than was asked for")
        if not is_rest:
            start = 0
            part.write_bytes(b"")  # first: an empty part suits any origin
            write_json(_origin(part), {"url": url, "etag": response.headers.get("ETag")})
        length = response.headers.get("Content-Length", "")
        left = int(length) if length.isdecimal() else None
        total = None if left is None else start + left
        _check_size(total or start, part)
        with part.open("ab") as file, console.Progress(name, total and total // 1000, unit="kB") as progress:
            size = "" if total is None else f", {total // 1000:,} kB"
            progress.log(f"{name}: downloading {url}{size}" + (f", from {start // 1000:,} kB on" if start else ""))
            received = start
            started = logged = time.monotonic()
            for block in _blocks(response, left):
                file.write(block)
                received += len(block)
                _check_size(received, part)
                now = time.monotonic()
                rate = (received - start) / max(now - started, 1e-3)
                speed = f"{rate / 1e6:.1f} MB/s"
                if total is not None:
                    speed += f", {console.duration((total - received) / rate)} left"
                progress.update(received // 1000, speed)
                if now - logged >= MINUTE:
                    progress.log(f"{name}: {received // 1000:,} kB, {speed}")
                    logged = now
    return is_rest


def _check_size(size: int, part: Path) -> None:
    """Raise _FailedError, and delete `part`, where a file of `size` bytes is too large to be a corpus."""
    if size > LARGEST:
        _discard(part)
        raise _FailedError(f"is larger than {LARGEST:,} bytes", again=False)


def _request(url: str, part: Path, start: int) -> HTTPResponse:
    """Request the file from byte `start` on. Raises _FailedError."""
    request = urllib.request.Request(url, headers={"User-Agent": f"nmt/{__version__}"})
    if start:
        request.add_header("Range", f"bytes={start}-")
        origin = read_json(_origin(part)) or {}
        # A weak ETag does not vouch for bytes, and the ETag of one mirror means nothing to another.
        if origin.get("url") == url and str(origin["etag"]).startswith('"'):
            request.add_header("If-Range", origin["etag"])
    try:
        response = urllib.request.build_opener(_Redirects).open(request, timeout=TIMEOUT)
        assert isinstance(response, HTTPResponse)
        return response
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and start:  # the file there is shorter, so of another version
            _discard(part)
            raise _FailedError("has no such range of it") from None
        raise _FailedError(f"HTTP {error.code} {error.reason}", again=error.code in TEMPORARY) from None
    except (OSError, HTTPException, ValueError) as error:
        raise _FailedError(connection_error(error)) from None


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https and http alone; urllib would follow those to ftp too."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """Return the request of the new address. Raises _FailedError where its scheme is another."""
        if not newurl.lower().startswith(SCHEMES):
            raise _FailedError(f"redirects to {newurl}, which is neither https nor http", again=False)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _blocks(response: HTTPResponse, left: int | None) -> Iterator[bytes]:
    """Yield the received bytes, at most the `left` announced ones. Raises _FailedError where they end too early."""
    while left is None or left > 0:
        try:
            block = response.read1(BLOCK if left is None else min(BLOCK, left))
        except (OSError, HTTPException) as error:
            raise _FailedError(connection_error(error)) from None
        if not block:
            break
        yield block
        left = None if left is None else left - len(block)
    if left:
        raise _FailedError(f"broke off, {left:,} bytes before the end")


def connection_error(error: Exception) -> str:
    """Describe the failure of a connection in a few words."""
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception):
        return connection_error(error.reason)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _origin(part: Path) -> Path:
    """Return the path of the file that holds the mirror's URL of `part`, and the ETag of its version there."""
    return part.with_name(f"{part.name}.json")


def _discard(part: Path) -> None:
    remove(part)
    remove(_origin(part))

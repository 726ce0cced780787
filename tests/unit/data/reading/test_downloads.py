"""Downloads from a server that misbehaves on demand."""

import errno
import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from http_server import Server, Start

from nmt import console
from nmt.config.data import DownloadConfig
from nmt.config.languages import LanguagesConfig
from nmt.data.reading import downloads
from nmt.data.reading.downloads import cache_folder, fetch
from nmt.errors import DataError

BODY = bytes(range(256)) * 400
ENGLISH_GERMAN = LanguagesConfig(source="en", target="de")


@pytest.fixture
def server(start: Start) -> Server:
    return start({"/a.gz": BODY})


def config(*urls: str, body: bytes = BODY) -> DownloadConfig:
    return DownloadConfig(url=list(urls), sha256=hashlib.sha256(body).hexdigest())


def place(cache: Path, body: bytes = BODY) -> Path:
    return cache / "downloads" / hashlib.sha256(body).hexdigest() / "a.gz"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def dead_url() -> str:
    """Return a URL where nobody listens."""
    server = Server({})
    server.close()
    return f"{server.url}/a.gz"


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.setenv("NMT_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "nmt"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "nmt"


def test_a_file_is_fetched_once(server: Server, cache: Path, capfd: pytest.CaptureFixture[str]) -> None:
    asked = config(f"{server.url}/a.gz")
    path = fetch("a.gz", asked)
    assert (path, path.read_bytes()) == (place(cache), BODY)
    assert names(path.parent) == ["a.gz", "a.gz.lock"]
    assert fetch("a.gz", asked) == path
    assert server.asked == [("/a.gz", None, None)]
    assert capfd.readouterr() == ("", f"a.gz: downloading {server.url}/a.gz, 102 kB\n")


def test_one_url_need_not_be_a_list(server: Server) -> None:
    one = DownloadConfig(url=f"{server.url}/a.gz", sha256=hashlib.sha256(BODY).hexdigest())
    assert fetch("a.gz", one).read_bytes() == BODY


def test_a_broken_download_goes_on_where_it_broke(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    server.plan = ["cut 50000", "cut 2000", "cut 0", "cut 10000"]
    assert fetch("a.gz", config(f"{server.url}/a.gz")).read_bytes() == BODY
    assert [span for _, span, _ in server.asked] == [
        None,
        *(f"bytes={have}-" for have in (50000, 52000, 52000, 62000)),
    ]
    assert {if_range for _, _, if_range in server.asked[1:]} == {'"one"'}
    assert server.sent == len(BODY)
    lines = capfd.readouterr().err.split("\n")
    assert lines[1:3] == [
        f"a.gz: {server.url}/a.gz: broke off, 52,400 bytes before the end; trying again in 0 s",
        f"a.gz: downloading {server.url}/a.gz, 102 kB, from 50 kB on",
    ]


def test_tries_begin_anew_when_one_brought_something(server: Server) -> None:
    server.plan = ["cut 10000"] * 9
    assert fetch("a.gz", config(f"{server.url}/a.gz")).read_bytes() == BODY
    assert server.sent == len(BODY)


def test_the_next_call_goes_on_where_the_last_one_broke(server: Server, cache: Path) -> None:
    asked = config(f"{server.url}/a.gz")
    server.plan = ["cut 50000", 404]
    with pytest.raises(DataError, match="HTTP 404 Not Found"):
        fetch("a.gz", asked)
    assert names(place(cache).parent) == ["a.gz.lock", "a.gz.part", "a.gz.part.json"]
    assert fetch("a.gz", asked).read_bytes() == BODY
    assert server.sent == len(BODY)
    assert names(place(cache).parent) == ["a.gz", "a.gz.lock"]


def test_another_mirror_goes_on_without_the_etag_of_the_first(start: Start) -> None:
    one, other = start({"/a.gz": BODY}), start({"/b": BODY})
    one.plan, other.etag = ["cut 50000", 404], '"two"'
    assert fetch("a.gz", config(f"{one.url}/a.gz", f"{other.url}/b")).read_bytes() == BODY
    assert other.asked == [("/b", "bytes=50000-", None)]


def test_a_weak_etag_is_not_sent_back(server: Server) -> None:
    server.etag, server.plan = 'W/"one"', ["cut 50000"]
    assert fetch("a.gz", config(f"{server.url}/a.gz")).read_bytes() == BODY
    assert server.asked[1] == ("/a.gz", "bytes=50000-", None)


def test_a_server_that_knows_no_ranges_starts_anew(server: Server) -> None:
    server.knows_ranges, server.plan = False, ["cut 50000", "cut 50000"]
    assert fetch("a.gz", config(f"{server.url}/a.gz")).read_bytes() == BODY
    assert server.sent == 100000 + len(BODY)


def test_a_server_that_always_breaks_off_is_given_up(server: Server) -> None:
    server.knows_ranges, server.plan = False, ["cut 50000"] * 9
    with pytest.raises(DataError, match=r"a\.gz: broke off, 52,400 bytes before the end \("):
        fetch("a.gz", config(f"{server.url}/a.gz"))
    assert len(server.asked) == 3


def test_a_file_that_changes_in_between_starts_anew(server: Server) -> None:
    server.files["/a.gz"], server.etag, server.plan = b"old" * 30000, '"old"', ["cut 50000", 404]
    with pytest.raises(DataError, match="cannot be downloaded"):
        fetch("a.gz", config(f"{server.url}/a.gz"))
    server.files["/a.gz"], server.etag, server.asked = BODY, '"new"', []
    assert fetch("a.gz", config(f"{server.url}/a.gz")).read_bytes() == BODY
    assert server.asked == [("/a.gz", "bytes=50000-", '"old"')]


def test_pieces_that_do_not_fit_together_are_fetched_anew(server: Server, cache: Path) -> None:
    server.etag = None
    place(cache).parent.mkdir(parents=True)
    place(cache).with_name("a.gz.part").write_bytes(b"rubbish")
    assert fetch("a.gz", config(f"{server.url}/a.gz")).read_bytes() == BODY
    assert server.asked == [("/a.gz", "bytes=7-", None), ("/a.gz", None, None)]


def test_a_range_that_is_not_there_starts_anew(server: Server, cache: Path) -> None:
    place(cache).parent.mkdir(parents=True)
    place(cache).with_name("a.gz.part").write_bytes(BODY + b"more")
    assert fetch("a.gz", config(f"{server.url}/a.gz")).read_bytes() == BODY
    assert [span for _, span, _ in server.asked] == [f"bytes={len(BODY) + 4}-", None]


def test_another_range_than_asked_for_starts_anew(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    server.plan = ["cut 50000", "shift"]
    assert fetch("a.gz", config(f"{server.url}/a.gz")).read_bytes() == BODY
    assert [span for _, span, _ in server.asked] == [None, "bytes=50000-", None]
    assert "sends another range than was asked for; trying again" in capfd.readouterr().err


def test_a_download_that_was_killed_after_the_last_byte_is_whole(cache: Path) -> None:
    place(cache).parent.mkdir(parents=True)
    place(cache).with_name("a.gz.part").write_bytes(BODY)
    assert fetch("a.gz", config(dead_url())).read_bytes() == BODY
    assert names(place(cache).parent) == ["a.gz", "a.gz.lock"]


def test_a_length_need_not_be_announced(server: Server) -> None:
    server.announces_length = False
    assert fetch("a.gz", config(f"{server.url}/a.gz")).read_bytes() == BODY


def test_the_second_mirror_is_asked_where_the_first_has_nothing(start: Start) -> None:
    one, other = start({}), start({"/b": BODY})
    assert fetch("a.gz", config(f"{one.url}/a.gz", f"{other.url}/b")).read_bytes() == BODY
    assert len(one.asked) == 1


def test_the_second_mirror_is_asked_where_the_first_has_another_file(start: Start, cache: Path) -> None:
    one, other = start({"/a.gz": b"<html>moved</html>"}), start({"/b": BODY})
    assert fetch("a.gz", config(f"{one.url}/a.gz", f"{other.url}/b")).read_bytes() == BODY
    assert other.asked == [("/b", None, None)]
    assert names(place(cache).parent) == ["a.gz", "a.gz.lock"]


def test_a_server_that_is_busy_is_asked_again(server: Server) -> None:
    server.plan = [503, 429]
    assert fetch("a.gz", config(f"{server.url}/a.gz")).read_bytes() == BODY
    assert len(server.asked) == 3


def test_the_pauses_grow(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.undo()
    monkeypatch.setenv("NMT_CACHE", "/nowhere")
    monkeypatch.setattr("time.sleep", pauses.append)
    server.plan = [503] * 9
    with pytest.raises(downloads._FailedError, match="HTTP 503 Service Unavailable"):
        downloads._receive(f"{server.url}/a.gz", Path("/nowhere/part"), "a.gz")
    assert pauses == list(downloads.PAUSES) == sorted(downloads.PAUSES)


@pytest.mark.parametrize("broken", [False, True])
def test_a_file_of_another_digest_is_refused(server: Server, cache: Path, broken: bool) -> None:
    url, dead, wanted = f"{server.url}/a.gz", dead_url(), b"other"
    server.plan = ["cut 50000"] if broken else []
    with pytest.raises(DataError) as caught:
        fetch("a.gz", config(url, dead, body=wanted))
    assert str(caught.value) == (
        f"a.gz: cannot be downloaded: {url}: not the file of data.downloads.a.gz.sha256: found "
        f"{hashlib.sha256(BODY).hexdigest()}, expected {hashlib.sha256(wanted).hexdigest()}; "
        f"{dead}: Connection refused (put the file at {place(cache, wanted)}, or beside the data as a.gz)"
    )
    assert names(place(cache, wanted).parent) == ["a.gz.lock"]


def test_without_network_the_error_says_which_file_to_put_where(server: Server, cache: Path) -> None:
    dead, absent = dead_url(), f"{server.url}/absent"
    with pytest.raises(DataError) as caught:
        fetch("a.gz", config(dead, absent))
    assert str(caught.value) == (
        f"a.gz: cannot be downloaded: {dead}: Connection refused; {absent}: HTTP 404 Not Found "
        f"(put the file at {place(cache)}, or beside the data as a.gz)"
    )
    place(cache).write_bytes(BODY)
    assert fetch("a.gz", config(dead)) == place(cache)


def test_a_list_without_a_mirror_is_named() -> None:
    with pytest.raises(DataError, match=r"a\.gz: cannot be downloaded: its list of mirrors is empty \(put"):
        fetch("a.gz", config())


def test_a_silent_server_is_a_broken_connection(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "TIMEOUT", 0.05)
    monkeypatch.setattr(downloads, "PAUSES", ())
    done = threading.Event()
    monkeypatch.setattr(server, "answer", lambda _: done.wait(5))
    try:
        with pytest.raises(DataError, match=r"a\.gz: timed out \("):
            fetch("a.gz", config(f"{server.url}/a.gz"))
    finally:
        done.set()


def test_a_file_damaged_in_the_cache_is_fetched_anew(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    asked = config(f"{server.url}/a.gz")
    path = fetch("a.gz", asked)
    path.write_bytes(BODY[:-1])
    capfd.readouterr()
    assert fetch("a.gz", asked).read_bytes() == BODY
    warning = f"nmt: warning: {path}: not the file of SHA-256 {asked.sha256}; fetching it anew\n"
    assert capfd.readouterr().err.startswith(warning)


def test_of_two_at_once_one_waits_for_the_other(
    server: Server, cache: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = threading.Event()
    asked, answer, found = config(f"{server.url}/a.gz"), server.answer, []

    def hold(handler: BaseHTTPRequestHandler) -> None:
        waiting.wait(5)
        answer(handler)

    monkeypatch.setattr(server, "answer", hold)
    log = console.log

    def release(text: str) -> None:
        log(text)
        if "waiting" in text:
            waiting.set()

    monkeypatch.setattr(console, "log", release)
    both = [threading.Thread(target=lambda: found.append(fetch("a.gz", asked).read_bytes())) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert found == [BODY, BODY]
    assert len(server.asked) == 1
    assert f"{place(cache)}.lock: another process is fetching this; waiting for it\n" in capfd.readouterr().err


def test_where_no_lock_can_be_had_the_file_is_fetched_all_the_same(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    assert fetch("a.gz", config(f"{server.url}/a.gz")).read_bytes() == BODY


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_no_broken_connection(server: Server, cache: Path) -> None:
    place(cache).parent.mkdir(parents=True)
    place(cache).with_name("a.gz.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device") as caught:
        fetch("a.gz", config(f"{server.url}/a.gz"))
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(place(cache)))
    assert len(server.asked) == 1


def test_a_long_download_says_how_far_it_is(
    server: Server, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(downloads, "MINUTE", 0.0)
    monkeypatch.setattr(downloads, "BLOCK", 60000)
    fetch("a.gz", config(f"{server.url}/a.gz"))
    assert re.search(r"^a\.gz: \d+ kB, [\d.]+ MB/s, \d+s left$", capfd.readouterr().err, re.MULTILINE)


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/a.gz", "file:///etc/hostname", "FTP://127.0.0.1/a.gz"])
def test_a_redirect_to_another_scheme_is_not_followed(server: Server, target: str) -> None:
    server.plan = [f"to {target}"] * 5
    with pytest.raises(DataError) as caught:
        fetch("a.gz", config(f"{server.url}/a.gz"))
    assert re.search(
        r"redirect(s|ion) to .*(url )?'?(ftp://127\.0\.0\.1/a\.gz|file:///etc/hostname)", str(caught.value).lower()
    )
    assert re.search(r", which is neither https nor http \(|' is not allowed \(", str(caught.value))
    assert len(server.asked) == 1


def test_a_redirect_to_another_address_is_followed(server: Server, start: Start) -> None:
    server.plan = [f"to {start({'/b.gz': BODY}).url}/b.gz"]
    assert fetch("a.gz", config(f"{server.url}/a.gz")).read_bytes() == BODY


@pytest.mark.parametrize("announced", [False, True])
def test_a_file_larger_than_any_corpus_is_given_up(
    server: Server, cache: Path, announced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.announces_length = announced
    monkeypatch.setattr(downloads, "LARGEST", len(BODY))
    assert fetch("a.gz", config(f"{server.url}/a.gz")).read_bytes() == BODY
    place(cache).unlink()
    monkeypatch.setattr(downloads, "LARGEST", len(BODY) - 1)
    with pytest.raises(DataError, match=r": is larger than 102,399 bytes \("):
        fetch("a.gz", config(f"{server.url}/a.gz"))
    assert names(place(cache).parent) == ["a.gz.lock"]
    assert len(server.asked) == 2


def test_no_more_is_read_than_was_announced(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(BODY)))
        handler.end_headers()
        handler.wfile.write(BODY + b"more")

    monkeypatch.setattr(server, "answer", answer)
    assert fetch("a.gz", config(f"{server.url}/a.gz")).read_bytes() == BODY

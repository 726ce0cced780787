"""Downloads from a server that misbehaves as it is told, and test sets that sacreBLEU is made to know."""

import errno
import hashlib
import io
import re
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import sacrebleu
from sacrebleu.dataset.plain_text import PlainTextDataset

from nmt import console
from nmt.config.data import DownloadConfig, LanguagesConfig
from nmt.data.reading import downloads
from nmt.data.reading.downloads import cache_folder, fetch
from nmt.data.reading.sacrebleu_sets import sacrebleu_digest, sacrebleu_files
from nmt.errors import DataError, RecipeError

BODY = bytes(range(256)) * 400
ENGLISH_GERMAN = LanguagesConfig(source="en", target="de")


class Server:
    """Serves `files` by path; `plan` says how the next requests go wrong, `asked` and `sent` what happened."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.etag: str | None = '"one"'
        self.knows_ranges = True
        self.announces_length = True
        self.plan: list[int | str] = []
        """A status to answer with; `cut N`: break off after N bytes; `shift`: send another range; else as it should."""
        self.asked: list[tuple[str, str | None, str | None]] = []
        self.sent = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        span, if_range = handler.headers["Range"], handler.headers["If-Range"]
        self.asked.append((handler.path, span, if_range))
        turn = self.plan.pop(0) if self.plan else "whole"
        body = self.files.get(handler.path)
        if isinstance(turn, int) or body is None:
            handler.send_error(turn if isinstance(turn, int) else 404)
            return
        start = int(span.removeprefix("bytes=").removesuffix("-")) if span else 0
        if not self.knows_ranges or (if_range is not None and if_range != self.etag):
            start = 0
        if start >= len(body):
            handler.send_error(416)
            return
        handler.send_response(206 if start else 200)
        if start:
            first = start + 1 if turn == "shift" else start
            handler.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        if self.etag:
            handler.send_header("ETag", self.etag)
        if self.announces_length:
            handler.send_header("Content-Length", str(len(body) - start))
        handler.end_headers()
        cut = int(turn.removeprefix("cut ")) if turn.startswith("cut ") else len(body)
        handler.wfile.write(body[start : start + cut])
        self.sent += len(body[start : start + cut])

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


Start = Callable[[dict[str, bytes]], Server]


@pytest.fixture
def start() -> Iterator[Start]:
    servers: list[Server] = []

    def started(files: dict[str, bytes]) -> Server:
        servers.append(Server(files))
        return servers[-1]

    yield started
    for server in servers:
        server.close()


@pytest.fixture
def server(start: Start) -> Server:
    return start({"/a.gz": BODY})


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NMT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(downloads, "PAUSES", (0.0, 0.0))
    return tmp_path / "cache"


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


def test_a_url_with_a_blank_is_a_reason(cache: Path) -> None:
    with pytest.raises(DataError, match="URL can't contain control characters"):
        fetch("a.gz", config("http://127.0.0.1/a b"))
    assert names(place(cache).parent) == ["a.gz.lock"]


def test_other_protocols_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(BODY)
    with pytest.raises(RecipeError) as caught:
        fetch("a.gz", config(f"file://{tmp_path}/file"))
    assert str(caught.value) == f"data.downloads.a.gz.url: file://{tmp_path}/file is neither https nor http"


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


@pytest.fixture
def corpus(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Let sacreBLEU know the test set `tiny/a` of two pairs, in an archive on a server."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in (("tiny.en", b"one\ntwo\n"), ("tiny.de", b"eins\nzwei\n")):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text))
    server = start({"/tiny.tar.gz": packed.getvalue()})
    monkeypatch.setattr("sacrebleu.SACREBLEU_DIR", str(tmp_path / "sb"))
    monkeypatch.setattr("sacrebleu.dataset.base.SACREBLEU_DIR", str(tmp_path / "sb"))
    data = PlainTextDataset(
        "tiny/a",
        data=[f"{server.url}/tiny.tar.gz"],
        md5=[hashlib.md5(packed.getvalue()).hexdigest()],
        langpairs={"en-de": ["tiny.en", "tiny.de"], "de-en": ["tiny.de", "tiny.en"], "en-cs": ["tiny.en", "tiny.cs"]},
    )
    monkeypatch.setitem(sacrebleu.DATASETS, "tiny/a", data)
    return server


def archive(tmp_path: Path) -> Path:
    return tmp_path / "sb" / "tiny" / "a" / "raw" / "tiny_a.tiny.tar.gz"


@pytest.mark.parametrize("name", ["tiny/a:en-de", "tiny/a"])
def test_a_test_set_of_sacrebleu_is_fetched_once(
    corpus: Server, tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    source, reference = sacrebleu_files(name, ENGLISH_GERMAN)
    assert (source.read_text(), reference.read_text()) == ("one\ntwo\n", "eins\nzwei\n")
    assert source.parent == tmp_path / "sb" / "tiny" / "a"
    assert archive(tmp_path).read_bytes() == corpus.files["/tiny.tar.gz"]
    assert sacrebleu_files(name, ENGLISH_GERMAN) == (source, reference)
    assert len(corpus.asked) == 1
    assert capfd.readouterr() == ("", f"sacrebleu:tiny/a:en-de: needs {corpus.url}/tiny.tar.gz\n")


def test_the_other_direction_is_another_test(corpus: Server) -> None:  # noqa: ARG001
    languages = LanguagesConfig(source="de", target="en")
    source, reference = sacrebleu_files("tiny/a", languages)
    assert (source.read_text(), reference.read_text()) == ("eins\nzwei\n", "one\ntwo\n")
    assert sacrebleu_digest("tiny/a", languages) != sacrebleu_digest("tiny/a", ENGLISH_GERMAN)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tiny/b", "sacrebleu:tiny/b: sacreBLEU has no test set 'tiny/b' (did you mean tiny/a?)"),
        ("Q:en-de", "sacrebleu:Q:en-de: sacreBLEU has no test set 'Q' (`sacrebleu --list` names them)"),
        (
            "tiny/a:en-dd",
            "sacrebleu:tiny/a:en-dd: the test set tiny/a has no pair 'en-dd' (did you mean en-de or en-cs?)",
        ),
        ("tiny/a:q", "sacrebleu:tiny/a:q: the test set tiny/a has no pair 'q' (it has de-en, en-cs, en-de)"),
        (
            "tiny/a:de-en",
            "sacrebleu:tiny/a:de-en: of de-en, but the recipe's languages are en-de (sacrebleu:tiny/a:en-de)",
        ),
    ],
)
def test_a_test_set_that_is_not_there_is_named(corpus: Server, name: str, message: str) -> None:
    for function in (sacrebleu_files, sacrebleu_digest):
        with pytest.raises(DataError) as caught:
            function(name, ENGLISH_GERMAN)
        assert str(caught.value) == message
    assert corpus.asked == []


def test_another_pair_than_the_recipes_has_no_hint_where_the_set_lacks_that(corpus: Server) -> None:  # noqa: ARG001
    with pytest.raises(DataError) as caught:
        sacrebleu_digest("tiny/a:en-de", LanguagesConfig(source="en", target="fr"))
    assert str(caught.value) == "sacrebleu:tiny/a:en-de: of en-de, but the recipe's languages are en-fr"


def test_the_digest_of_a_test_set_needs_no_network(corpus: Server, tmp_path: Path) -> None:
    digest = sacrebleu_digest("tiny/a", ENGLISH_GERMAN)
    assert re.fullmatch("[0-9a-f]{64}", digest)
    assert digest == sacrebleu_digest("tiny/a:en-de", ENGLISH_GERMAN)
    sacrebleu.DATASETS["tiny/a"].md5 = ["0" * 32]
    assert digest != sacrebleu_digest("tiny/a", ENGLISH_GERMAN)
    assert corpus.asked == []
    assert not (tmp_path / "sb").exists()


def test_without_network_the_error_says_where_sacrebleu_looks(
    corpus: Server, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    url, body = f"{corpus.url}/tiny.tar.gz", corpus.files.pop("/tiny.tar.gz")
    with pytest.raises(DataError) as caught:
        sacrebleu_files("tiny/a", ENGLISH_GERMAN)
    assert str(caught.value) == (
        f"sacrebleu:tiny/a:en-de: cannot be downloaded: HTTP Error 404: Not Found (put the file {url} at "
        f"{archive(tmp_path)}; $SACREBLEU names another folder than ~/.sacrebleu)"
    )
    archive(tmp_path).write_bytes(body)
    sacrebleu_files("tiny/a", ENGLISH_GERMAN)
    assert len(corpus.asked) == 1
    assert capfd.readouterr().err == f"sacrebleu:tiny/a:en-de: needs {url}\n"


def test_a_test_set_that_is_cut_short_is_no_test_set(corpus: Server, tmp_path: Path) -> None:
    corpus.plan = ["cut 20"]
    with pytest.raises(DataError, match=r"en-de: cannot be downloaded: IncompleteRead\(20 bytes read"):
        sacrebleu_files("tiny/a", ENGLISH_GERMAN)
    assert sacrebleu_files("tiny/a", ENGLISH_GERMAN)[0].read_text() == "one\ntwo\n"
    assert archive(tmp_path).read_bytes() == corpus.files["/tiny.tar.gz"]


def test_a_test_set_of_another_digest_is_refused_each_time(corpus: Server, tmp_path: Path) -> None:
    url, body = f"{corpus.url}/tiny.tar.gz", b"no archive"
    expected = hashlib.md5(corpus.files["/tiny.tar.gz"]).hexdigest()
    corpus.files["/tiny.tar.gz"] = body
    for _ in range(2):
        with pytest.raises(DataError) as caught:
            sacrebleu_files("tiny/a", ENGLISH_GERMAN)
        assert str(caught.value) == (
            f"sacrebleu:tiny/a:en-de: {archive(tmp_path)} is not {url}: its MD5 is {hashlib.md5(body).hexdigest()}, "
            f"expected {expected} (remove it and try again)"
        )
    assert len(corpus.asked) == 1


def test_a_connection_that_is_not_secure_is_no_exit(corpus: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(*_: object) -> str:
        raise SystemExit(1)

    monkeypatch.setattr("sacrebleu.utils.get_source_file", leave)
    with pytest.raises(DataError, match="en-de: cannot be downloaded: no secure connection"):
        sacrebleu_files("tiny/a", ENGLISH_GERMAN)
    assert corpus.asked == []


def test_a_test_set_that_was_written_in_part_is_refused(corpus: Server) -> None:  # noqa: ARG001
    source, reference = sacrebleu_files("tiny/a", ENGLISH_GERMAN)
    reference.write_text("eins\nzw")
    with pytest.raises(DataError) as caught:
        sacrebleu_files("tiny/a", ENGLISH_GERMAN)
    assert str(caught.value) == (
        f"sacrebleu:tiny/a:en-de: {source} has 2 lines but {reference} has 1 "
        f"(sacreBLEU was broken off when it wrote them: remove {source.parent} and try again)"
    )

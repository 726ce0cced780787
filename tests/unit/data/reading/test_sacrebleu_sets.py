"""Test sets that sacreBLEU is made to know, on a server that misbehaves on demand."""

import hashlib
import io
import re
import socket
import tarfile
from pathlib import Path

import pytest
import sacrebleu
from http_server import Server, Start
from sacrebleu import utils
from sacrebleu.dataset.plain_text import PlainTextDataset

from nmt.config.languages import LanguagesConfig
from nmt.data.reading.downloads import TIMEOUT
from nmt.data.reading.sacrebleu_sets import sacrebleu_digest, sacrebleu_files, sacrebleu_missing
from nmt.errors import DataError

ENGLISH_GERMAN = LanguagesConfig(source="en", target="de")


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


@pytest.mark.parametrize(("source", "target"), [("eng_Latn", "deu"), ("en-GB", "de-AT")])
def test_the_languages_of_a_test_set_are_known_in_every_spelling(
    corpus: Server,  # noqa: ARG001
    source: str,
    target: str,
) -> None:
    languages = LanguagesConfig(source=source, target=target)
    for name in ("tiny/a", "tiny/a:en-de"):
        assert sacrebleu_files(name, languages) == sacrebleu_files("tiny/a", ENGLISH_GERMAN)


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
    for function in (sacrebleu_files, sacrebleu_digest, sacrebleu_missing):
        with pytest.raises(DataError) as caught:
            function(name, ENGLISH_GERMAN)
        assert str(caught.value) == message
    assert corpus.asked == []


def test_what_is_yet_to_be_fetched_is_known_without_network(corpus: Server, tmp_path: Path) -> None:
    url = f"{corpus.url}/tiny.tar.gz"
    assert sacrebleu_missing("tiny/a", ENGLISH_GERMAN) == [url]
    archive(tmp_path).parent.mkdir(parents=True)
    archive(tmp_path).touch()
    assert sacrebleu_missing("tiny/a:en-de", ENGLISH_GERMAN) == [url], "an empty file is what a kill leaves"
    archive(tmp_path).write_bytes(b"x")
    assert sacrebleu_missing("tiny/a", ENGLISH_GERMAN) == []
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


def test_long_test_sets_are_complete_too(corpus: Server) -> None:  # noqa: ARG001
    paths = sacrebleu_files("tiny/a", ENGLISH_GERMAN)
    for path in paths:
        path.write_text("x\n" * 1000)
    assert sacrebleu_files("tiny/a", ENGLISH_GERMAN) == paths


@pytest.mark.usefixtures("corpus")
def test_sacrebleu_is_quiet_and_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    get, seen = utils.get_source_file, list[object]()

    def watched(*names: str) -> str:
        seen.extend((utils.sacrelogger.disabled, socket.getdefaulttimeout()))
        return get(*names)

    monkeypatch.setattr("sacrebleu.utils.get_source_file", watched)
    before = utils.sacrelogger.disabled, socket.getdefaulttimeout()
    sacrebleu_files("tiny/a", ENGLISH_GERMAN)
    assert seen == [True, TIMEOUT]
    assert (utils.sacrelogger.disabled, socket.getdefaulttimeout()) == before

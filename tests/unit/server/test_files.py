"""Files that are translated: what is taken, what is kept of them, for how long, and by which name it is to be had."""

import asyncio
import io
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from nmt.config.decoding import DecodingConfig
from nmt.config.inference import InferenceConfig
from nmt.config.serving import ServingConfig
from nmt.documents.formats import SUFFIXES
from nmt.server import files
from nmt.server.app import create_app
from nmt.server.errors import ApiError
from nmt.server.files import Results, packed_chars
from nmt.server.models import Models, Served
from nmt.server.service import Service

pytestmark = pytest.mark.anyio
LINES = ["A small dog sleeps.", "The woman wants to see the old house."]
ENDINGS = ", ".join(f".{suffix}" for suffix in SUFFIXES)
NOT_UTF8 = "note.txt:2: not UTF-8: byte 0xff (find out the encoding and convert it: iconv -f LATIN1 -t UTF-8)"
TEXT = f"\ufeff{LINES[0]}\r\n\n{LINES[1]}".encode()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def client(tiny_model: Path) -> Iterator[TestClient]:
    models = Models.of([Served.load(None, tiny_model, DecodingConfig(), InferenceConfig(device="cpu"), 0.0)])
    with TestClient(create_app(Service(models, ServingConfig(max_chars=200, max_body_mb=0.001)))) as made:
        yield made
    models.close()


def send(
    client: TestClient, content: bytes = TEXT, name: str = "note.txt", *, source: str = "en", **more: str
) -> tuple[int, str]:
    """Send a file; return the status, and the error or the address of the translation."""
    fields = {"source": source, "target": "de", **more}
    answer = client.post("/translate_file", files={"file": (name, content)}, data=fields)
    return answer.status_code, answer.json().get("error") or answer.json()["translatedFileUrl"]


@pytest.mark.parametrize("more", [{}, {"model": "tiny", "source": "xx", "target": "yy"}])
def test_a_text_is_translated_line_by_line(client: TestClient, more: dict[str, str]) -> None:
    found = [client.post("/translate", json={"q": line, "source": "en", "target": "de"}).json() for line in LINES]
    first, second = (one["translatedText"] for one in found)
    status, url = send(client, **more)  # type: ignore[arg-type]
    assert (status, url.startswith("http://testserver/download_file/")) == (200, True)
    answer = client.get(url)
    assert answer.content.decode("utf-8") == f"\ufeff{first}\r\n\n{second}"
    assert answer.headers["content-disposition"] == 'attachment; filename="note.de.txt"'
    assert "no-store" in answer.headers["cache-control"]


def test_a_page_is_translated_between_its_tags(client: TestClient) -> None:
    page = f"<p class='a'>{LINES[0]}</p>\n<ul><li>{LINES[1]}"
    found = client.get(send(client, page.encode(), "page.HTML")[1])
    assert found.headers["content-disposition"] == 'attachment; filename="page.de.HTML"'
    first, second = client.post("/translate", json={"q": LINES, "source": "en", "target": "de"}).json()[
        "translatedText"
    ]
    assert found.text == f"<p class='a'>{first}</p>\n<ul><li>{second}</li></ul>"
    answer = client.post("/translate", json={"q": [page, LINES[0]], "source": "en", "target": "de", "format": "html"})
    assert answer.json() == {"translatedText": [found.text, first]}


def test_the_name_of_a_file_leads_nowhere(client: TestClient) -> None:
    for name in ("../../etc/passwd.txt", "..\\..\\x.txt", 'a"b\r\nX: y.txt', "/.txt.txt", "ü.TXT", "n" * 300 + ".txt"):
        status, url = send(client, name=name)
        assert status == 200
        shown = client.get(url).headers["content-disposition"]
        assert not any(mark in shown.partition("filename")[2].strip('*="') for mark in '/\\\r\n"')
        assert len(shown) < 200
        kept = url.rpartition("/")[2]
        for other in (
            f"../{kept}",
            f"%2e%2e%2f{kept}",
            f".%2f{kept}",
            kept[:-1],
            f"{kept}%00",
            "..%2f..%2fetc%2fpasswd",
        ):
            assert client.get(f"/download_file/{other}").status_code == 404


@pytest.mark.parametrize(
    ("sent", "status", "message"),
    [
        ({"name": "note.exe"}, 400, f"note.exe cannot be translated: files end in {ENDINGS}"),
        ({"content": b"a\nb\xff"}, 400, NOT_UTF8),
        ({"content": b"x" * 201}, 400, "201 characters in one request: the most are 200"),
        ({"content": b"x" * 1001}, 413, "the body is larger than 0.001 MB"),
        ({"source": "fr"}, 400, "fr cannot be translated: the source languages are en"),
        ({"model": "none"}, 400, "there is no model none"),
    ],
)
def test_a_file_that_is_not_taken_is_told_why(
    client: TestClient, sent: dict[str, str], status: int, message: str
) -> None:
    assert send(client, **sent) == (status, message)  # type: ignore[arg-type]


def test_a_form_without_a_file_is_refused(client: TestClient) -> None:
    fields = {"source": "en", "target": "de"}
    for answer in (
        client.post("/translate_file", json={**fields, "file": "x"}),
        client.post("/translate_file", data={**fields, "file": "x"}),
    ):
        assert (answer.status_code, answer.json()) == (
            400,
            {"error": "file: must be one file, sent as multipart/form-data"},
        )
    answer = client.post("/translate_file", data=fields, files={"other": b""})
    assert (answer.status_code, answer.json()) == (400, {"error": "file: Field required"})
    answer = client.post("/translate_file", data={"source": "en"}, files={"file": ("a.txt", b"x")})
    assert (answer.status_code, answer.json()) == (400, {"error": "target: Field required"})


async def test_a_translation_is_deleted_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    results = Results(100)
    monkeypatch.setattr(files, "LIFETIME", 0.05)
    name = results.add(b"text", "a.de.txt")
    assert results.files[name].path.read_bytes() == b"text"
    folder = results.files[name].path.parent
    assert folder.stat().st_mode & 0o777 == 0o700
    end = time.monotonic() + 5
    while results.files and time.monotonic() < end:
        await asyncio.sleep(0.01)
    assert list(folder.iterdir()) == []


async def test_translations_take_a_bounded_room() -> None:
    results = Results(10)
    first = results.add(b"x" * 6, "a.txt")
    with pytest.raises(ApiError) as refused:
        results.add(b"x" * 5, "b.txt")
    assert refused.value.status == 429
    assert refused.value.headers == {"Retry-After": "600"}
    assert refused.value.message == "there is no room for more files: try again in 600 s"
    results.remove(first)
    assert results.add(b"x" * 10, "b.txt") != first


def packed(**members: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name, member in members.items():
            file.writestr(name.replace("_", "."), member)
    return content.getvalue()


def test_a_packed_file_is_refused_by_what_it_unpacks_to(client: TestClient) -> None:
    assert packed_chars(packed(document_xml=bytes(4000), styles_xml=bytes(21), image_png=bytes(10_000))) == 201
    assert packed_chars(b"PK") == 0
    message = "201 characters in one request: the most are 200"
    assert send(client, packed(document_xml=bytes(4020)), "a.docx") == (400, message)
    status, message = send(client, packed(document_xml=bytes(4019)), "a.docx")
    assert (status, "no .docx" in message) == (400, True)

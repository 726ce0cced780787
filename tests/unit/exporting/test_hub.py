"""Uploads to a Hub that is a server in this process."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from nmt.errors import StorageError, UsageError
from nmt.exporting.hub import check_push, push


class Hub(ThreadingHTTPServer):
    """Keeps what is asked of it, and answers as the Hub does; `refusal` is a status for everything."""

    refusal = 0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, Any]] = []
        self.address = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        self.answer({"name": "me", "type": "user"})

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"])).decode()
        lines = [json.loads(line) for line in content.splitlines()]
        self.server.asked.append((self.path, lines))
        if self.path.endswith("/preupload/main"):
            files = [{"path": each["path"], "uploadMode": "regular"} for each in lines[0]["files"]]
            self.answer({"files": [{**file, "shouldIgnore": False, "oid": None} for file in files]})
        else:
            address = f"{self.server.address}/me/mine"
            self.answer({"url": address, "commitUrl": f"{address}/commit/1", "commitOid": "1", "success": True})

    def answer(self, value: dict[str, Any]) -> None:
        content = json.dumps({"error": "No"} if self.server.refusal else value).encode()
        self.send_response(self.server.refusal or 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    client = huggingface_hub.HfApi
    with Hub() as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        monkeypatch.setattr(huggingface_hub, "HfApi", lambda: client(endpoint=server.address, token="hf_x"))
        yield server
        server.shutdown()


def test_a_folder_is_uploaded_to_a_private_repository(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# A model\n", encoding="utf-8")
    check_push("me/mine")
    assert push(tmp_path, "me/mine") == f"{hub.address}/me/mine"
    (create, [made]), *_, (commit, lines) = hub.asked
    assert (create, made["name"], made["organization"]) == ("/api/repos/create", "mine", "me")
    assert made.get("private") is True or made.get("visibility") == "private"
    assert commit == "/api/models/me/mine/commit/main"
    ((name, content),) = (
        (line["value"]["path"], base64.b64decode(line["value"]["content"])) for line in lines if line["key"] == "file"
    )
    assert (name, content) == ("README.md", b"# A model\n")


@pytest.mark.parametrize("name", ["mine", "a/b/c", "me/", "me/a b"])
def test_what_is_no_name_is_refused_before_anything_is_asked(hub: Hub, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_push(name)
    assert str(caught.value) == f"--push {name}: not OWNER/NAME"
    assert hub.asked == []


def test_a_name_that_the_client_refuses_is_one_line(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"^--push me/a--b: "):
        push(tmp_path, "me/a--b")
    assert hub.asked == []


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_says_how_to_log_in(hub: Hub, tmp_path: Path, status: int) -> None:
    hub.refusal = status
    with pytest.raises(UsageError) as caught:
        push(tmp_path, "me/mine")
    message = str(caught.value)
    assert message.startswith("--push me/mine: the Hub refuses: ")
    assert message.endswith(" (log in: hf auth login, with a token that may write there)")
    assert "\n" not in message


def test_another_failure_says_that_the_export_is_kept(hub: Hub, tmp_path: Path) -> None:
    hub.refusal = 404
    with pytest.raises(StorageError) as caught:
        push(tmp_path, "me/mine")
    assert str(caught.value).endswith(" (the export is kept; run again, or upload it: hf upload)")


def test_who_is_not_logged_in_is_told_how(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(UsageError) as caught:
        check_push("me/mine")
    assert str(caught.value) == "--push me/mine: nobody is logged in to the Hub (log in: hf auth login)"


def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    client = huggingface_hub.HfApi
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: client(endpoint="http://127.0.0.1:9", token="hf_x"))
    for work in (lambda: check_push("me/mine"), lambda: push(tmp_path, "me/mine")):
        with pytest.raises(StorageError, match=r"^--push me/mine: "):
            work()

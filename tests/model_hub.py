"""A Hub of models on this machine: what huggingface_hub asks of the real one to fetch files at a commit."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "c0ffee" * 6 + "c0ff"


class ModelHub:
    """Serves the files of a folder as the model `name`, whose main branch is at COMMIT."""

    def __init__(self, name: str, folder: Path, url: str) -> None:
        self.name, self.folder, self.url = name, folder, url
        self.sent: list[str] = []  # names of the files that were fetched

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Return the status, headers and body for a path."""
        path = path.partition("?")[0]
        files = sorted(self.folder.iterdir())
        if path == f"/api/models/{self.name}":
            siblings = [{"rfilename": file.name} for file in files]
            return self.json({"id": self.name, "sha": COMMIT, "siblings": siblings, "tags": []})
        if path == f"/api/models/{self.name}/tree/{COMMIT}":
            return self.json(
                [{"type": "file", "path": file.name, "size": file.stat().st_size, "oid": COMMIT} for file in files]
            )
        file = self.folder / path.removeprefix(f"/{self.name}/resolve/{COMMIT}/")
        if not (path.startswith(f"/{self.name}/") and file.is_file()):
            return 404, {"X-Error-Code": "RepoNotFound"}, b""
        body = file.read_bytes()
        digest = hashlib.sha256(body).hexdigest()
        return 200, {"ETag": f'"{digest}"', "X-Repo-Commit": COMMIT, "Content-Type": "application/octet-stream"}, body

    def json(self, values: object) -> tuple[int, dict[str, str], bytes]:
        return 200, {"Content-Type": "application/json"}, json.dumps(values).encode()


@contextmanager
def model_hub(name: str, folder: Path) -> Iterator[ModelHub]:
    """Serve `folder` while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.respond()

        def do_GET(self) -> None:
            body = self.respond()
            if "/resolve/" in self.path:
                hub.sent.append(self.path.rpartition("/")[2])
            self.wfile.write(body)

        def respond(self) -> bytes:
            status, headers, body = hub.answer(self.path)
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            return body

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub = ModelHub(name, folder, f"http://127.0.0.1:{http.server_port}")
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield hub
    finally:
        http.shutdown()
        http.server_close()
        thread.join()

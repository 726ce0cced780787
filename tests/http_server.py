"""A server on this machine that misbehaves on demand."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """Serves `files` by path; `plan` says how the next requests go wrong, `asked` and `sent` what happened."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.etag: str | None = '"one"'
        self.knows_ranges = True
        self.announces_length = True
        self.plan: list[int | str] = []
        """A status to answer with; `cut N`: break off after N bytes; `shift`: send another range; `to URL`: redirect;
        else as it should."""
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
        if turn.startswith("to "):
            handler.send_response(302)
            handler.send_header("Location", turn.removeprefix("to "))
            handler.end_headers()
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

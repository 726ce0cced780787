"""The server as a process of its own, and requests to it."""

import asyncio
import json
import re
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from conftest import command, environment
from starlette.types import ASGIApp, Message


class Answer(NamedTuple):
    """A response: its status, its body as JSON or text, and its headers."""

    status: int
    body: Any
    headers: dict[str, str]


@dataclass
class Serving:
    """A running server."""

    process: subprocess.Popen[str]
    url: str
    said: list[str]

    def request(
        self, path: str, body: bytes | None = None, headers: dict[str, str] | None = None, method: str | None = None
    ) -> Answer:
        """Send a request, by default a GET without a body and a POST with one."""
        request = urllib.request.Request(self.url + path, body, headers or {}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return answer(response.status, response.read(), dict(response.headers))
        except urllib.error.HTTPError as error:
            return answer(error.code, error.read(), dict(error.headers))

    def post(self, path: str, **values: object) -> Answer:
        """Post values as JSON."""
        return self.request(path, json.dumps(values).encode(), {"Content-Type": "application/json"})


def answer(status: int, content: bytes, headers: dict[str, str]) -> Answer:
    is_json = "json" in headers.get("content-type", "")
    return Answer(status, json.loads(content) if is_json else content.decode(), headers)


@contextmanager
def serving(*arguments: str | Path, env: dict[str, str] | None = None) -> Iterator[Serving]:
    """Run `nmt serve` on a free port while the block runs; it must not end before."""
    started = subprocess.Popen(
        command("serve", *arguments, "--port", "0"), stderr=subprocess.PIPE, text=True, env=environment(env)
    )
    with started as process:
        assert process.stderr is not None
        said: list[str] = []
        for line in process.stderr:
            said.append(line.removesuffix("\n"))
            if found := re.fullmatch(r"serve: ready at (http\S+)\n", line):
                break
        else:
            raise AssertionError("\n".join(said))
        try:
            yield Serving(process, found[1], said)
        finally:
            process.kill()


async def ask(
    app: ASGIApp,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    *,
    method: str | None = None,
    client: str = "192.0.2.1",
) -> Answer:
    """Ask an application in this process, without a network; see `Serving.request`."""
    given = {"host": "localhost", **(headers or {}), **({} if body is None else {"content-length": str(len(body))})}
    scope = {
        **{"type": "http", "http_version": "1.1", "scheme": "http", "root_path": "", "query_string": b"", "state": {}},
        **{"method": method or ("GET" if body is None else "POST"), "path": path, "raw_path": path.encode()},
        **{"headers": [(name.lower().encode(), value.encode()) for name, value in given.items()]},
        **{"client": (client, 1234), "server": ("127.0.0.1", 5000)},
    }
    sent: list[Message] = []
    parts: list[Message] = [{"type": "http.request", "body": body or b"", "more_body": False}]

    async def receive() -> Message:
        return parts.pop() if parts else await asyncio.Future()

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    content = b"".join(message.get("body", b"") for message in sent[1:])
    return answer(
        sent[0]["status"], content, {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    )

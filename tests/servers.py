"""The server as a process of its own, and requests to it."""

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

"""Connections: refused in JSON, and closed where they take too long, send too much or are too many."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from nmt.config.serving import ServingConfig
from nmt.server.connections import Connection

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
LARGE = 64 * 1024 * 1024  # more than the buffers of both sides hold
REFUSED: list[int] = []


async def app(scope: Scope, _: Receive, send: Send) -> None:
    size = LARGE if scope["path"] == "/large" else 2
    headers = [(b"content-length", str(size).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": bytes(size) if size > 2 else b"ok"})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    limits = ServingConfig(receive_timeout=0.3, max_connections=4)
    protocol: Any = partial(Connection, limits=limits, on_refused=REFUSED.append)
    config = uvicorn.Config(app, http=protocol, ws="none", log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join(20)


@pytest.fixture(autouse=True)
def nothing_refused() -> None:
    REFUSED.clear()


def connect(port: int) -> "closing[socket.socket]":
    return closing(socket.create_connection(("127.0.0.1", port), 20))


def rest(client: socket.socket) -> bytes:
    """Return what comes until the server closes the connection."""
    content = b""
    while part := client.recv(65_536):
        content += part
    return content


def answered(client: socket.socket) -> bool:
    """Read a whole answer, which leaves the connection open."""
    content = b""
    while not content.endswith(b"\r\n\r\nok"):
        content += client.recv(1000)
    return content.startswith(b"HTTP/1.1 200 ")


def refused(content: bytes) -> tuple[int, str]:
    """Return the status and the message of a refusal."""
    head, _, body = content.partition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in head
    assert b"\r\ncontent-type: application/json\r\n" in head
    assert [int(head.split()[1])] == REFUSED
    return REFUSED[0], json.loads(body)["error"]


def test_what_is_no_http_is_refused_in_json(port: int) -> None:
    with connect(port) as client:
        client.sendall(b"hello\r\n\r\n")
        assert refused(rest(client)) == (400, "Invalid HTTP request received.")


def test_half_a_head_is_waited_for_a_while(port: int) -> None:
    began = time.monotonic()
    with connect(port) as client:
        client.sendall(GET)
        assert refused(rest(client)) == (408, "the head of the request did not come within 0.3 s")
    assert time.monotonic() - began > 0.25


def test_a_connection_that_sends_nothing_or_line_breaks_is_closed(port: int) -> None:
    with connect(port) as client, connect(port) as other:
        other.sendall(GET + b"\r\n")
        assert answered(other)
        other.sendall(b"\r\n")
        assert rest(client) == rest(other) == b""


def test_a_slow_head_that_comes_in_time_is_answered(port: int) -> None:
    with connect(port) as client:
        for part in (GET, b"X: y\r\n", b"\r\n"):
            client.sendall(part)
            time.sleep(0.05)
        assert answered(client)
        time.sleep(0.4)
        client.sendall(GET + b"Connection: close\r\n\r\n")
        assert rest(client).endswith(b"ok"), "between requests a connection may be idle for longer"


@pytest.mark.parametrize(
    "head",
    [GET + b"X: ", b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1;"],
    ids=["head", "extension"],
)
def test_a_head_or_a_frame_without_end_is_refused(port: int, head: bytes) -> None:
    with connect(port) as client:
        client.sendall(head)
        time.sleep(0.05)
        with pytest.raises(ConnectionError):  # noqa: PT012
            for _ in range(1000):
                client.sendall(b"a" * 10_000)
                time.sleep(0.001)
    assert REFUSED == [431]


def test_a_large_body_in_small_chunks_is_no_large_head(port: int) -> None:
    with connect(port) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.sendall(b"1\r\na\r\n" * 50_000 + b"0\r\n\r\n")
        assert answered(client)
    assert REFUSED == []


def test_one_connection_too_many_is_refused(port: int) -> None:
    with connect(port), connect(port), connect(port), connect(port) as fourth:
        fourth.sendall(GET + b"\r\n")
        assert answered(fourth)
        with connect(port) as fifth:
            assert refused(rest(fifth)) == (503, "too many connections are open: try again in a second")


def test_a_client_that_does_not_read_is_left(port: int) -> None:
    with connect(port) as client:
        client.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(1)
        try:
            content = rest(client)
        except ConnectionError:
            content = b""
    assert len(content) < LARGE

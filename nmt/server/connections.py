"""Connections: bounded in number, time and size also where uvicorn bounds nothing, and refused in JSON."""

import asyncio
import json
from collections.abc import Callable
from http import HTTPStatus

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from nmt.config.serving import ServingConfig

LARGEST_HEAD = 65_536  # bytes of a message beside its body: head, frames of chunks, trailer
FRAME = 8  # bytes of frames that one byte of a body may have: a chunk of its own
LINGER = 5.0  # seconds in which a closed connection takes what is still to be sent


class Connection(HttpToolsProtocol):
    """A connection that is closed where its client is slow to send a head, or to read what is sent to it."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: ServingConfig,
        on_refused: Callable[[int], None],
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.limits, self.on_refused = limits, on_refused
        self._has_begun = False  # a head that is not complete
        self._sent = self._body = 0  # bytes of the message, about, and of its body
        self._head_timer: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.limits.max_connections:
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections are open: try again in a second")
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in (self._head_timer, self._stalled):
            if timer is not None:
                timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Parse `data`; bound what a client may send that is no body, and for how long nothing of use may come."""
        self._sent += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._sent > LARGEST_HEAD + FRAME * self._body:
            self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the head is larger than {LARGEST_HEAD:,} bytes")
        elif self._head_timer is None and (self.cycle is None or self.cycle.response_complete):
            self._await_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._has_begun = True
        self._sent = self._body = 0

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._has_begun = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:
        self.refuse(HTTPStatus.BAD_REQUEST, msg)

    def refuse(self, status: HTTPStatus, message: str) -> None:
        """Answer with an error, unless an answer is on its way, and close the connection."""
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            content = json.dumps({"error": message}).encode()
            head = (
                f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
                f"content-length: {len(content)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode() + content)
        self.on_refused(status.value)
        self._close()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.limits.receive_timeout, self._give_up_head)

    def _give_up_head(self) -> None:
        self._head_timer = None
        if self.transport.is_closing():
            return
        if self._has_begun:
            seconds = f"{self.limits.receive_timeout:g} s"
            self.refuse(HTTPStatus.REQUEST_TIMEOUT, f"the head of the request did not come within {seconds}")
        else:
            self._close()

    def _close(self) -> None:
        self.transport.close()
        self.loop.call_later(LINGER, self.transport.abort)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self.loop.call_later(self.limits.receive_timeout, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()

    def timeout_keep_alive_handler(self) -> None:
        if not self.transport.is_closing():
            self._close()

"""The guard around the application: by which names it may be asked, and a record of each request."""

import ipaddress
import re
import secrets
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nmt import console, strict_json
from nmt.config.serving import ServingConfig
from nmt.server.errors import CLIENT_GONE

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
PORT = re.compile(r":\d*$")
OTHER = "other"  # the path of all that is nowhere: a label for each would have no bounds


@dataclass(frozen=True)
class Record:
    """What is known of a request that is over; nothing of its text."""

    id: str
    method: str
    path: str  # as it was asked for
    route: str  # one of the application's, or `OTHER`
    status: int
    seconds: float
    chars: int
    client: str | None  # the name of its key

    def logged(self) -> str:
        """Return the record as one line of JSON."""
        return strict_json.dumps(
            {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "id": self.id,
                "method": self.method,
                "path": self.path,
                "status": self.status,
                "ms": round(1000 * self.seconds, 1),
                "chars": self.chars,
                **({"key": self.client} if self.client else {}),
            }
        )


class Guard:
    """An application behind the guard.

    A browser sends a Host that is not the server's where the page of a stranger had its own name point to this machine
    (DNS rebinding), and would let that page read the answers. An address as Host is nobody's name.
    """

    def __init__(self, app: ASGIApp, config: ServingConfig, on_done: Callable[[Record], None]) -> None:
        self.app, self.on_done = app, on_done
        self.hosts = frozenset(name.lower() for name in ("localhost", config.host, *config.allow_host))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and make its record."""
        began = time.perf_counter()
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        identity = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8).encode()
        status = CLIENT_GONE

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = [(b"x-request-id", identity), (b"x-content-type-options", b"nosniff")]
                message = {**message, "headers": [*message["headers"], *own]}
            await send(message)

        method = scope["method"]
        inner = {**scope, "method": "GET"} if method == "HEAD" else scope  # uvicorn leaves the body out
        try:
            strange = next((host for host in hosts_of(scope) if not self.knows(host)), None)
            if strange is None:
                await self.app(inner, receive, sending)
            else:
                await misdirected(strange)(inner, receive, sending)
        except Exception as error:  # any, which the application has answered with 500
            console.warn(f"a bug, while request {identity.decode()} was answered: {located(error)}")
        finally:
            state = inner.get("state", {})
            route = getattr(inner.get("route"), "path", OTHER)
            seconds = time.perf_counter() - began
            chars, client = state.get("chars", 0), state.get("client")
            self.on_done(Record(identity.decode(), method, scope["path"], route, status, seconds, chars, client))

    def knows(self, host: str) -> bool:
        """Return whether the server may be asked as `host`, a name or an address, with or without a port."""
        name = PORT.sub("", host).lower()
        if "*" in self.hosts or name in self.hosts or name.endswith(".localhost"):
            return True
        try:
            ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return True


def hosts_of(scope: Scope) -> list[str]:
    return [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]


def misdirected(host: str) -> JSONResponse:
    """Return the answer to who asks for another `host`."""
    name = PORT.sub("", host)[:100]
    message = f"this server does not go by the name {name}: start it with --allow-host {name}"
    return JSONResponse({"error": message}, HTTPStatus.MISDIRECTED_REQUEST)


def located(error: Exception) -> str:
    """Return the type of `error` and where it was raised, in one line; its message may hold text of the request."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    return f"{type(error).__name__} at {' < '.join(f'{one.filename}:{one.lineno}' for one in reversed(frames))}"

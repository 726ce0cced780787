"""The process: its socket, its signals, and the reloading of models."""

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from nmt import console
from nmt.config.decoding import DecodingConfig
from nmt.config.inference import InferenceConfig
from nmt.config.serving import ServingConfig
from nmt.errors import NmtError, UsageError
from nmt.server.app import create_app
from nmt.server.models import Models, Served
from nmt.server.service import Service

BACKLOG = 2048  # connections that wait to be accepted


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to the address. Raises UsageError where it is in use, or not of this machine."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        server = socket.socket(family, kind, proto)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(address)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(
            f"cannot listen on {host} port {port}: {reason}", hint="take another --port or --host"
        ) from None
    return server


class Server(uvicorn.Server):
    """A server that ends by SIGTERM or Ctrl-C once all requests are answered, and reloads its models by SIGHUP."""

    def __init__(self, config: uvicorn.Config, reload: Callable[[], None]) -> None:
        super().__init__(config)
        self.reload_models = reload

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listener in sockets or ():
            host, port = listener.getsockname()[:2]
            console.log(f"serve: ready at http://{f'[{host}]' if ':' in host else host}:{port}")

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Answer the signals in the block; afterwards they mean again what they did before."""
        handlers = {signal.SIGINT: self.handle_exit, signal.SIGTERM: self.handle_exit}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        if hasattr(signal, "SIGHUP"):
            before[signal.SIGHUP] = signal.signal(signal.SIGHUP, lambda *_: self.reload_models())
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def run(
    named: Sequence[tuple[str | None, Path]], serving: ServingConfig, search: DecodingConfig, inference: InferenceConfig
) -> None:
    """Serve the bundles at paths under their names until a signal ends it; on SIGHUP load them again.

    Raises ArtifactError, UsageError.
    """

    def load() -> Models:
        wait = serving.batch_wait_ms / 1000
        models = Models.of([Served.load(name, path, search, inference, wait) for name, path in named])
        for line in models.described():
            console.log(f"serve: {line}")
        return models

    with bind(serving.host, serving.port) as listener:
        service = Service(load(), serving)
        config = uvicorn.Config(
            create_app(service), log_config=None, access_log=False, server_header=False, backlog=BACKLOG, lifespan="off"
        )
        server = Server(config, Reloader(service, load))
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(server.serve([listener]))


class Reloader:
    """Loads the models again in a thread; calls meanwhile are for nothing."""

    def __init__(self, service: Service, load: Callable[[], Models]) -> None:
        self.service, self.load, self._one_at_a_time = service, load, threading.Lock()

    def __call__(self) -> None:
        threading.Thread(target=self._reload, name="reload", daemon=True).start()

    def _reload(self) -> None:
        if self._one_at_a_time.acquire(blocking=False):
            try:
                self.service.reload(self.load())
            except NmtError as error:
                console.warn(f"the models were not loaded again, those before go on: {error}")
            finally:
                self._one_at_a_time.release()

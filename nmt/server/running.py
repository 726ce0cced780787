"""The process: its socket, its signals, and the reloading of models."""

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import cast

import uvicorn

from nmt import console
from nmt.config.decoding import DecodingConfig
from nmt.config.inference import InferenceConfig
from nmt.config.serving import ServingConfig
from nmt.data.reading.terms import Terms
from nmt.errors import NmtError, UsageError
from nmt.server.app import create_app, guarded
from nmt.server.connections import Connection
from nmt.server.gate import Gate
from nmt.server.guard import Record
from nmt.server.models import Models, Served
from nmt.server.service import Service

BACKLOG = 2048  # connections that wait to be accepted
SPARE_FILES = 128  # files that are no connections
OPEN = {"0.0.0.0", "::", ""}  # all addresses of the machine


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
    named: Sequence[tuple[str | None, Path]],
    serving: ServingConfig,
    search: DecodingConfig,
    inference: InferenceConfig,
    read_terms: Callable[[], Terms | None],
) -> None:
    """Serve the bundles at paths under their names until a signal ends it; on SIGHUP load them again.

    Raises ArtifactError, UsageError.
    """

    load = partial(load_models, named, search, inference, serving.batch_wait_ms / 1000, read_terms)
    gate = Gate(serving)
    with bind(serving.host, serving.port) as listener:
        service = Service(load(), serving, gate)
        if serving.host in OPEN:
            keys = "with an API key" if service.gate.keys else "without a key"
            console.log(f"serve: open to all who reach this machine, {keys}")
        allow_files(serving.max_connections + SPARE_FILES)
        config = uvicorn_config(service)
        server = Server(config, Reloader(service, load))
        console.capture_logging()
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(server.serve([listener]))
        service.models.close()
        for model in service.models.served:
            model.batcher.join()


def load_models(
    named: Sequence[tuple[str | None, Path]],
    search: DecodingConfig,
    inference: InferenceConfig,
    wait: float,
    read_terms: Callable[[], Terms | None] = lambda: None,
) -> Models:
    """Load the bundles at paths under their names; none stays loaded where one cannot be. See `Served.load`."""
    served: list[Served] = []
    terms = read_terms()
    try:
        for name, path in named:
            own = Served.load(name, path, search, inference, wait, terms).directions
            served += own
            if terms is not None and len(own) > 1:
                hint = "requests to /v1/translate may bring their own"
                raise UsageError("--glossary and --avoid are for a model of one direction", hint=hint)
        models = Models.of(served)
    except NmtError:
        for one in served:
            one.batcher.close()
            one.batcher.join()  # a thread that ends together with the process may abort it
        raise
    for line in models.described():
        console.log(f"serve: {line}")
    return models


def uvicorn_config(service: Service) -> uvicorn.Config:
    """Return how uvicorn serves the application, with all guards."""
    limits, app = service.config, create_app(service)
    done: list[Callable[[Record], None]] = []
    refused: Callable[[int], None] = ignored
    if limits.log_requests:
        done.append(lambda record: console.log(record.logged()))
    if limits.metrics:
        from nmt.server.metrics import Metrics, router_of  # only where it is wanted

        metrics = Metrics(service)
        app.include_router(router_of(metrics))
        done.append(metrics.count)
        refused = metrics.count_refused

    def on_done(record: Record) -> None:
        for each in done:
            each(record)

    return uvicorn.Config(
        guarded(app, on_done),
        http=cast("type[asyncio.Protocol]", partial(Connection, limits=limits, on_refused=refused)),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        root_path=limits.root_path,
        backlog=BACKLOG,
        lifespan="off",
        timeout_graceful_shutdown=round(limits.receive_timeout + limits.timeout) + 1,
    )


def ignored(_: int) -> None:
    """Do nothing with a status."""


def allow_files(number: int) -> None:
    """Let the process open as many files as it may, where `number` is more than the limit."""
    try:
        import resource  # not on Windows
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = number if hard == resource.RLIM_INFINITY else min(number, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Reloader:
    """Loads the keys and the models again in a thread, after a call in the meantime once more."""

    def __init__(self, service: Service, load: Callable[[], Models]) -> None:
        self.service, self.load = service, load
        self._one_at_a_time, self._is_wanted = threading.Lock(), False

    def __call__(self) -> None:
        self._is_wanted = True
        threading.Thread(target=self._reload, name="reload", daemon=True).start()

    def _reload(self) -> None:
        with self._one_at_a_time:
            if self._is_wanted:
                self._is_wanted = False
                self._try("keys", self.service.gate.reload)
                self._try("models", lambda: self.service.reload(self.load()))

    def _try(self, what: str, again: Callable[[], None]) -> None:
        try:
            again()
        except (NmtError, OSError) as error:
            console.warn(f"the {what} were not loaded again, those before go on: {error}")

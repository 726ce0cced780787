"""The work of the server: requests are counted, translated in threads, and given up where nobody waits for them."""

import asyncio
import contextlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from typing import TypeVar

from starlette.requests import Request

from nmt.config.inference import Options
from nmt.config.serving import ServingConfig
from nmt.data.languages import best_match, spelled
from nmt.errors import ArtifactError, NmtError
from nmt.inference.results import Translation
from nmt.server.batching import GoneError, Ticket
from nmt.server.detection import Detected, detect
from nmt.server.documents import translate_fragments
from nmt.server.errors import CLIENT_GONE, ApiError, bad_request, busy
from nmt.server.gate import Gate
from nmt.server.models import Models, Route

R = TypeVar("R")
UNPACKED = 4  # times the characters of a request: a file may be packed, and some text is translated twice for its tags
LINE_END = re.compile(r"(\r?\n)")


@dataclass(frozen=True)
class Text:
    """A translated text."""

    text: str
    alternatives: list[str]
    translations: list[Translation]  # of its lines


class Service:
    """The models, and the requests in progress."""

    def __init__(self, models: Models, config: ServingConfig, gate: Gate | None = None) -> None:
        self.models, self.config, self.gate = models, config, gate or Gate(config)
        self.requests = self.chars = 0  # in progress
        self._threads = ThreadPoolExecutor(config.max_requests, thread_name_prefix="request")
        self._speed = 1000.0  # characters a second, a running mean

    def reload(self, models: Models) -> None:
        """Answer all new requests by `models`; those in progress keep theirs."""
        before, self.models = self.models, models
        before.close()

    def route(self, source: str, target: str) -> Route:
        """Return the route between two languages. Raises ApiError (400) where there is none."""
        if route := self.models.route(source, target):
            return route
        if not best_match(source, self.models.routes):
            raise bad_request(
                f"{source} cannot be translated: the source languages are {', '.join(self.models.routes)}"
            )
        targets = ", ".join(self.models.routes[best_match(source, self.models.routes) or ""])
        raise bad_request(f"{source} cannot be translated into {target}: the target languages are {targets}")

    def detect(self, text: str) -> list[Detected]:
        """Return the languages that `text` may be in, the likeliest first."""
        return detect(text, self.models.languages)

    async def run(self, request: Request, chars: int, work: Callable[[Ticket], R]) -> R:
        """Do `work` on `chars` characters in a thread.

        Raises what it raises, an expected failure as an ApiError (400); ApiError where the server takes no more
        or has done too much for this client (429), the time is over (504), or the client has gone.
        """
        if chars > self.config.max_chars:
            raise bad_request(f"{chars:,} characters in one request: the most are {self.config.max_chars:,}")
        with self._admitted(chars):
            self.gate.charge(request, chars)
            ticket = Ticket(time.monotonic() + self.config.timeout, UNPACKED * self.config.max_chars)
            future = asyncio.get_running_loop().run_in_executor(self._threads, work, ticket)
            gone = asyncio.ensure_future(disconnected(request))
            try:
                await asyncio.wait((future, gone), return_when=asyncio.FIRST_COMPLETED)
                if not future.done():
                    ticket.cancel()
                return await future
            except GoneError:
                status = CLIENT_GONE if gone.done() else HTTPStatus.GATEWAY_TIMEOUT
                raise ApiError(status, f"not done within {self.config.timeout:g} s") from None
            except ArtifactError as error:  # of the model, whatever the request is
                raise ApiError(HTTPStatus.INTERNAL_SERVER_ERROR, str(error)) from None
            except NmtError as error:
                raise bad_request(str(error)) from None
            finally:
                gone.cancel()

    @contextlib.contextmanager
    def _admitted(self, chars: int) -> Iterator[None]:
        """Count a request while it is in progress. Raises ApiError (429) where there are too many."""
        is_full = self.requests >= self.config.max_requests or (
            self.requests and self.chars + chars > self.config.max_pending_chars
        )
        if is_full:
            raise busy(max(1, round(self.chars / self._speed)))
        began = time.monotonic()
        self.requests += 1
        self.chars += chars
        before = self.chars
        try:
            yield
            if (took := time.monotonic() - began) > 0:
                self._speed += 0.05 * (before / took - self._speed)
        finally:
            self.requests -= 1
            self.chars -= chars

    def translate_between(
        self, source: str, target: str, texts: Sequence[str], form: str, count: int, ticket: Ticket
    ) -> tuple[list[Text], str | None]:
        """Translate `texts`, each to at most `count` versions; return the third language where there is one, too.

        HTML has one version. Texts in the target language stay as they are. Raises ApiError (400).
        """
        if spelled(source) == spelled(target) and best_match(source, self.models.languages):
            return [Text(text, [], []) for text in texts], None
        route = self.route(source, target)
        if form == "html":
            return [Text(text, [], []) for text in translate_fragments(texts, route, ticket)], route.pivot
        decoding = route.models[-1].translator.decoding
        most = decoding.mbr or decoding.beam_size
        found, _ = self.translate(texts, route, Options(n_best=min(count, most)), ticket)
        return found, route.pivot

    def translate(
        self, texts: Sequence[str], route: Route, options: Options, ticket: Ticket
    ) -> tuple[list[Text], list[str]]:
        """Translate `texts` line by line, as `nmt translate` does, keeping line breaks; return the warnings, too."""
        parts = [LINE_END.split(text) for text in texts]
        lines = [line for part in parts for line in part[::2]]
        translations, reports = route.translate(lines, options, ticket)
        found, begun = [], 0
        for part in parts:
            of_text = translations[begun : begun + len(part[::2])]
            begun += len(of_text)
            most = max(len(one.candidates) for one in of_text)
            versions = [
                "".join(
                    one.candidates[min(k, len(one.candidates) - 1)].text + end
                    for one, end in zip(of_text, [*part[1::2], ""], strict=True)
                )
                for k in range(most)
            ]
            found.append(Text(versions[0], versions[1:], of_text))
        return found, [warning for report in reports for warning in report.warnings()]


async def disconnected(request: Request) -> None:
    """Wait until the client of `request`, whose body has been read, has gone."""
    while (await request.receive())["type"] != "http.disconnect":
        pass

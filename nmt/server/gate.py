"""The gate: who asks, by which key, and how much more."""

import math
from http import HTTPStatus
from pathlib import Path

from starlette.requests import Request

from nmt.config.serving import QuotaConfig, ServingConfig
from nmt.server.errors import ApiError, bad_request
from nmt.server.keys import Keys
from nmt.server.quotas import FOREVER, Quotas, network_of

MINUTE, DAY = 60.0, 86_400.0


class Gate:
    """Lets requests in: with a key where keys are wanted, and within their quotas."""

    def __init__(self, config: ServingConfig) -> None:
        """Read the file of keys. Raises UsageError."""
        self._path = Path(config.api_keys) if config.api_keys is not None else None
        self._anonymous = QuotaConfig(requests_per_minute=config.requests_per_minute)
        self._requests, self._chars = Quotas(MINUTE), Quotas(DAY)
        self.keys: Keys | None = None
        self.reload()

    def reload(self) -> None:
        """Read the file of keys again; where that fails, those before stay. Raises UsageError."""
        if self._path is not None:
            self.keys = Keys.read(self._path)

    def admit(self, request: Request, api_key: str | None = None) -> None:
        """Let `request` in, with the key of its body or its header Authorization.

        Raises ApiError: 403 without a right key, 429 beyond the quota of requests.
        """
        client, allowed = self._client(request, api_key)
        wait = self._requests.take(client, allowed.requests_per_minute)
        if wait:
            raise over_quota(f"more than {allowed.requests_per_minute:,} requests in a minute", wait)

    def charge(self, request: Request, chars: int) -> None:
        """Count the characters of an admitted request. Raises ApiError (400, 403, 429)."""
        request.state.chars = chars
        if self.keys is None:
            return
        name = getattr(request.state, "client", "")
        if (entry := self.keys.entries.get(name)) is None:  # not admitted, or withdrawn since
            raise forbidden("the API key is not one of this server's")
        wait = self._chars.take(name, entry.chars_per_day, chars)
        if wait == FOREVER:
            raise bad_request(f"{chars:,} characters: the key {name} has {entry.chars_per_day:,} a day")
        if wait:
            raise over_quota(f"more than {entry.chars_per_day:,} characters in a day", wait)

    def _client(self, request: Request, api_key: str | None) -> tuple[str, QuotaConfig]:
        """Return who asks: the name of a key, or an address. Raises ApiError (403)."""
        if self.keys is None:
            return network_of(request.client.host if request.client else ""), self._anonymous
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        key = given.strip() if kind.lower() == "bearer" else api_key
        if not key:
            raise forbidden("an API key is needed: api_key in the body, or Authorization: Bearer KEY")
        name = self.keys.find(key)
        if name is None:
            raise forbidden("the API key is not one of this server's")
        request.state.client = name
        return name, self.keys.entries[name]


def forbidden(message: str) -> ApiError:
    return ApiError(HTTPStatus.FORBIDDEN, message)


def over_quota(what: str, wait: float) -> ApiError:
    seconds = math.ceil(wait)
    return ApiError(HTTPStatus.TOO_MANY_REQUESTS, f"{what}: try again in {seconds:,} s", {"Retry-After": str(seconds)})

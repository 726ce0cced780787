"""The settings of the server; no part of a recipe."""

import ipaddress
import re
from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt, StringConstraints, field_validator

from nmt.config.section import Flag, Section

ORIGIN = re.compile(r"\*|https?://[A-Za-z0-9.\-\[\]:]+")
HOST = re.compile(r"\*|[^\s/:]+")


class QuotaConfig(Section):
    """What the holder of one API key may ask for."""

    requests_per_minute: PositiveInt | None = None
    """Requests a minute; by default any number."""
    chars_per_day: PositiveInt | None = None
    """Characters a day; by default any number."""


class ServingConfig(Section):
    """Where `nmt serve` listens, to whom, and how much it takes."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 is all of this machine's, for a network that you trust."""
    port: Annotated[int, Field(ge=0, le=65535)] = 5000
    """Port to listen on; 0 is any free one."""
    api_keys: Annotated[str | None, Flag(metavar="FILE")] = None
    """File of API keys, made by `nmt key`: translations are for those who send one."""
    requests_per_minute: PositiveInt | None = None
    """Requests a minute from one address, where no keys are wanted; more are refused (429)."""
    cors: Annotated[list[str], Flag("--cors", "ORIGIN")] = Field(default_factory=list)
    """Origin of web pages that may read answers, such as https://example.org, or * for all; may be given several
    times."""
    allow_host: Annotated[list[str], Flag("--allow-host", "NAME")] = Field(default_factory=list)
    """Name by which the server may be asked, beside its addresses, localhost and `host`; * for all; may be given
    several times."""
    proxy: Annotated[list[str], Flag("--proxy", "ADDRESS")] = Field(default_factory=list)
    """Address or network of a reverse proxy whose X-Forwarded-For and X-Forwarded-Proto are believed; may be given
    several times."""
    root_path: Annotated[str, StringConstraints(pattern=r"^(/[A-Za-z0-9._~-]+)*$")] = ""
    """Path under which a reverse proxy publishes the server, which it takes away: /translator."""
    metrics: bool = False
    """Serve /metrics for Prometheus, to those with a key where keys are wanted."""
    log_requests: bool = False
    """Write a line of JSON for each request to standard error, never its text."""
    page: bool = True
    """Whether there is a web page at /, beside the interfaces for programs."""
    batch_wait_ms: Annotated[float, Field(ge=0, le=1000)] = 2.0
    """Milliseconds that a sentence waits for others to share its batch, where nothing else is to be done."""
    max_chars: PositiveInt = 100_000
    """Characters of one request, those of markup included; more are refused (400)."""
    max_body_mb: PositiveFloat = 10.0
    """Megabytes of the body of a request, a file to translate among them; more are refused (413)."""
    max_files_mb: PositiveFloat = 100.0
    """Megabytes of all translated files, which are kept for ten minutes; more are refused (429)."""
    max_requests: Annotated[PositiveInt, Field(le=4096)] = 256
    """Requests in progress; more are refused (429), with the time to try again."""
    max_pending_chars: PositiveInt = 1_000_000
    """Characters of all requests in progress; a request that would exceed them is refused (429)."""
    max_connections: Annotated[PositiveInt, Field(le=65_536)] = 1000
    """Open connections; more are answered with 503 and closed."""
    receive_timeout: Annotated[PositiveFloat, Field(le=86_400)] = 30.0
    """Seconds for the head of a request to arrive, again for its body, and for the client to read the answer."""
    timeout: Annotated[PositiveFloat, Field(le=86_400)] = 120.0
    """Seconds for one translation; what is not done by then is given up (504)."""

    @field_validator("cors")
    @classmethod
    def check_origins(cls, origins: list[str]) -> list[str]:
        if not all(map(ORIGIN.fullmatch, origins)):
            raise ValueError("an origin is like https://example.org, without a path, or *")
        return origins

    @field_validator("allow_host")
    @classmethod
    def check_names(cls, names: list[str]) -> list[str]:
        if not all(map(HOST.fullmatch, names)):
            raise ValueError("a name is like translate.example.org, without scheme, port and path, or *")
        return names

    @field_validator("proxy")
    @classmethod
    def check_addresses(cls, addresses: list[str]) -> list[str]:
        for address in addresses:
            try:
                ipaddress.ip_network(address)
            except ValueError:
                raise ValueError("a proxy is an address such as 10.0.0.1, or a network such as 10.0.0.0/8") from None
        return addresses

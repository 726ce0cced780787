"""The settings of the server; no part of a recipe."""

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from nmt.config.section import Section


class ServingConfig(Section):
    """Where `nmt serve` listens, and how much it takes."""

    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 is all of this machine's, for a network that you trust."""
    port: Annotated[int, Field(ge=0, le=65535)] = 5000
    """Port to listen on; 0 is any free one."""
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
    timeout: Annotated[PositiveFloat, Field(le=86_400)] = 120.0
    """Seconds for one request, from its first byte to the end of the translation."""

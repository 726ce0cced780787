"""The body of a request: read within limits of size and time, and understood as JSON or as a form."""

import asyncio
import json
from http import HTTPStatus
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.datastructures import UploadFile
from starlette.requests import Request

from nmt.config.section import first_error
from nmt.config.serving import ServingConfig
from nmt.server.errors import ApiError, bad_request

M = TypeVar("M", bound=BaseModel)
MEGABYTE = 10**6


class Body(BaseModel):
    """The base of all bodies: unknown keys are left alone, as clients send some for other servers."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)


async def read(request: Request, config: ServingConfig) -> bytes:
    """Return the body. Raises ApiError where it is too large (413) or too slow (408)."""
    most = int(config.max_body_mb * MEGABYTE)
    error = ApiError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body is larger than {config.max_body_mb:g} MB",
        {"Connection": "close"},
    )
    if int(request.headers.get("content-length", 0)) > most:
        raise error
    body = bytearray()
    try:
        async with asyncio.timeout(config.timeout):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise error
    except TimeoutError:
        message = f"the body did not come within {config.timeout:g} s"
        raise ApiError(HTTPStatus.REQUEST_TIMEOUT, message, {"Connection": "close"}) from None
    return bytes(body)


async def parse(request: Request, kind: type[M], config: ServingConfig) -> M:
    """Read the body as a `kind`, from JSON or a form. Raises ApiError (400, 408, 413)."""
    content = await read(request, config)
    values: object
    if "form" in request.headers.get("content-type", ""):
        values = await form_values(request, content)
    else:
        try:
            values = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise bad_request(f"the body is not JSON: {error}") from None
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise bad_request(first_error(error)) from None


async def form_values(request: Request, content: bytes) -> dict[str, object]:
    """Return the values of the form `content`; of a key that occurs several times all, as a list."""

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": content, "more_body": False}

    form = await Request(request.scope, receive).form()
    values: dict[str, object] = {}
    for key in form:
        all_values: list[UploadFile | str] = form.getlist(key)
        values[key] = all_values if len(all_values) > 1 else all_values[0]
    return values

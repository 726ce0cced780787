"""The body of a request: read within limits of size and time, and understood as JSON or as a form."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from http import HTTPStatus
from typing import Annotated, TypeVar
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from nmt.config.section import first_error
from nmt.config.serving import ServingConfig
from nmt.server.errors import CLIENT_GONE, ApiError, bad_request
from nmt.server.gate import Gate

MEGABYTE = 10**6
CLOSE = {"Connection": "close"}
DRAIN = 2.0  # seconds in which the rest of a body that is too large is read and dropped
FIELDS = 1000  # of a form
BYTES, EXTRA = 12, 65_536  # bytes of a character at most, as escapes in JSON or a form; and of all else
UTF_8 = b"utf-8"
JSON, FORM, MULTIPART = "application/json", b"application/x-www-form-urlencoded", b"multipart/form-data"


class Body(BaseModel):
    """The base of all bodies: unknown keys are left alone, as clients send some for other servers."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)
    api_key: Annotated[str, Field(max_length=200)] | None = None
    """Key, where the server wants one; or the header Authorization: Bearer KEY."""


M = TypeVar("M", bound=Body)


async def read(request: Request, config: ServingConfig) -> bytes:
    """Return the body. Raises ApiError where it is too large (413), too slow (408) or compressed (415)."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body is compressed: send it as it is", CLOSE)
    most = int(config.max_body_mb * MEGABYTE)
    has_files = request.headers.get("content-type", "").startswith("multipart/")
    if not has_files:  # reading text must not take long
        most = min(most, BYTES * config.max_chars + EXTRA)
    body = bytearray()
    size = 0
    try:
        async with asyncio.timeout(config.receive_timeout) as limit:
            async for chunk in request.stream():
                size += len(chunk)
                if size <= most:
                    body += chunk
                elif body:  # a client that sends on does not see the answer: it may, for a while
                    body.clear()
                    limit.reschedule(min(limit.when() or 0, asyncio.get_running_loop().time() + DRAIN))
    except TimeoutError:
        if size <= most:
            message = f"the body did not come within {config.receive_timeout:g} s"
            raise ApiError(HTTPStatus.REQUEST_TIMEOUT, message, CLOSE) from None
    except ClientDisconnect:
        raise ApiError(CLIENT_GONE, "the client has gone") from None
    if size > most:
        message = f"the body is larger than {most / MEGABYTE:.3g} MB"
        raise ApiError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message, CLOSE)
    return bytes(body)


async def parse(request: Request, kind: type[M], config: ServingConfig) -> M:
    """Read the body as a `kind`, from JSON or a form, and let the request in by its key.

    That is before the body is read where it can be. Raises ApiError (400, 403, 408, 413, 415, 429).
    """
    gate: Gate = request.app.state.service.gate
    if is_early := gate.keys is None or "authorization" in request.headers:
        gate.admit(request)
    content = await read(request, config)
    media, parameters = parse_options_header(request.headers.get("content-type", JSON))
    try:
        if media.endswith(b"json"):
            body = kind.model_validate_json(content)
        else:
            items = await items_of(request, content, media, parameters.get(b"charset", UTF_8).lower())
            body = kind.model_validate(together(items))
    except ValidationError as error:
        raise bad_request(first_error(error).removeprefix(": ")) from None
    except ValueError as error:  # a form that is not UTF-8, or of too many fields
        raise bad_request(f"the form cannot be read: {error}") from None
    if not is_early:
        gate.admit(request, body.api_key)
    return body


async def items_of(
    request: Request, content: bytes, media: bytes, charset: bytes
) -> Sequence[tuple[str, UploadFile | str]]:
    """Return the fields of a form. Raises ApiError (400, 415), ValueError."""
    if media == FORM:
        return parse_qsl(content.decode(), keep_blank_values=True, errors="strict", max_num_fields=FIELDS)
    if media == MULTIPART and charset == UTF_8:
        return await parts_of(request, content)
    raise ApiError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send JSON, or a form in UTF-8")


async def parts_of(request: Request, content: bytes) -> list[tuple[str, UploadFile | str]]:
    """Return the parts of a form in several parts. Raises ApiError (400)."""

    async def chunks() -> AsyncGenerator[bytes, None]:
        yield content

    try:
        form = await MultiPartParser(
            request.headers, chunks(), max_files=1, max_fields=FIELDS, max_part_size=len(content)
        ).parse()
    except MultiPartException as error:
        raise bad_request(f"the form cannot be read: {error.message}") from None
    items = form.multi_items()
    if not all(value.encode() in content for _, value in items if isinstance(value, str)):
        raise bad_request("the form is not UTF-8")  # which the parser takes for Latin-1 then
    return items


def together(items: Iterable[tuple[str, object]]) -> dict[str, object]:
    """Return the values of a form; of a key that occurs several times all, as a list."""
    values: dict[str, list[object]] = {}
    for key, value in items:
        values.setdefault(key, []).append(value)
    return {key: found if len(found) > 1 else found[0] for key, found in values.items()}

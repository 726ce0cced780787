"""Files: translated in one request, and kept for a while under a name that nobody can guess."""

import asyncio
import re
import secrets
import time
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import ValidationError
from starlette.datastructures import UploadFile

from nmt.config.inference import Options
from nmt.config.section import first_error
from nmt.config.serving import ServingConfig
from nmt.server.batching import Ticket
from nmt.server.body import Body, form_values, read
from nmt.server.errors import ApiError, bad_request
from nmt.server.libretranslate import AUTO, SUFFIXES, likeliest, service_of
from nmt.server.models import Route
from nmt.server.openapi import ERRORS
from nmt.server.service import Service

LIFETIME = 600  # seconds that a translated file is kept
NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f"*/:<>?\\|]+')
LONGEST_NAME = 100  # characters of a file's name that are kept
router = APIRouter(tags=["LibreTranslate"], responses=ERRORS)


class FileFields(Body):
    """The fields beside the file."""

    source: str
    """Code of the language of the file, or auto."""
    target: str
    """Code of the language to translate into."""
    model: str | None = None
    """Name of a model of /v1/models, in place of the languages."""
    api_key: str | None = None
    """Key, where the server wants one."""


FORM = FileFields.model_json_schema()
FORM["properties"]["file"] = {"type": "string", "format": "binary", "description": f"A file: {', '.join(SUFFIXES)}."}
FORM["required"].append("file")
BODY = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": FORM}}}}


@dataclass(frozen=True)
class Kept:
    """A translated file."""

    path: Path
    shown: str  # the name under which a client saves it
    size: int
    end: float  # by time.monotonic()


class Results:
    """Translated files in a folder of their own, which is removed when the process ends."""

    def __init__(self, most: int) -> None:
        self.most = most  # bytes of all files
        self.files: dict[str, Kept] = {}

    @cached_property
    def _folder(self) -> TemporaryDirectory[str]:
        return TemporaryDirectory(prefix="nmt-serve-")

    def add(self, content: bytes, shown: str) -> str:
        """Keep a file; return its name. Raises ApiError (429) where it has no room."""
        now = time.monotonic()
        if sum(one.size for one in self.files.values()) + len(content) > self.most:
            left = max(1, round(min([one.end for one in self.files.values()], default=now) - now))
            message = f"there is no room for more files: try again in {left} s"
            raise ApiError(HTTPStatus.TOO_MANY_REQUESTS, message, {"Retry-After": str(left)})
        name = secrets.token_urlsafe(24) + PurePath(shown).suffix
        path = Path(self._folder.name, name)
        path.write_bytes(content)
        self.files[name] = Kept(path, shown, len(content), now + LIFETIME)
        asyncio.get_running_loop().call_later(LIFETIME, self.remove, name)
        return name

    def remove(self, name: str) -> None:
        """Delete a file."""
        self.files.pop(name).path.unlink(missing_ok=True)


def results_of(request: Request) -> Results:
    """Return the translated files of the application."""
    results: Results = request.app.state.results
    return results


@router.post("/translate_file", openapi_extra=BODY)
async def translate_file(request: Request) -> JSONResponse:
    """Translate a file, by the format that its name ends in; the answer is where to download the translation."""
    service = service_of(request)
    file, fields = await file_and_fields(request, service.config)
    name = NOT_IN_NAMES.sub(" ", PurePath(file.filename or "").name)[-LONGEST_NAME:]
    suffix = PurePath(name).suffix.lower()
    if suffix not in SUFFIXES:
        raise bad_request(f"{name or 'a file without a name'} cannot be translated: files end in {', '.join(SUFFIXES)}")
    content = await file.read()

    def work(ticket: Ticket) -> tuple[bytes, str, list[str]]:
        return translate_text(content, service, fields, ticket)

    translated, target, warnings = await service.run(request, len(content), work)
    shown = f"{PurePath(name).stem}.{target}{suffix}"
    kept = results_of(request).add(translated, shown)
    url = str(request.url_for("download_file", name=kept))
    return JSONResponse({"translatedFileUrl": url, **({"warnings": warnings} if warnings else {})})


async def file_and_fields(request: Request, config: ServingConfig) -> tuple[UploadFile, FileFields]:
    """Read a form with a file. Raises ApiError (400, 408, 413)."""
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise bad_request("a file is sent as multipart/form-data")
    values = await form_values(request, await read(request, config))
    file = values.get("file")
    if not isinstance(file, UploadFile):
        raise bad_request("file: send one file")
    try:
        return file, FileFields.model_validate(values)
    except ValidationError as error:
        raise bad_request(first_error(error)) from None


def route_of(service: Service, fields: FileFields, text: str) -> Route:
    """Return the models for `text` that `fields` ask for. Raises ApiError (400)."""
    if fields.model is not None:
        if route := service.models.named(fields.model):
            return route
        raise bad_request(f"there is no model {fields.model}")
    source = likeliest(service, text).language if fields.source == AUTO else fields.source
    return service.route(source, fields.target)


def translate_text(
    content: bytes, service: Service, fields: FileFields, ticket: Ticket
) -> tuple[bytes, str, list[str]]:
    """Translate a text line by line; return the code of its language and the warnings, too. Raises ApiError (400)."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise bad_request(f"line {line} of the file is not UTF-8") from None
    route = route_of(service, fields, text)
    (translated,), warnings = service.translate([text], route, Options(), ticket)
    return translated.text.encode(), route.target, warnings


@router.get("/download_file/{name}", response_class=FileResponse)
async def download_file(request: Request, name: str) -> Response:
    """Return a translated file, within ten minutes of its translation."""
    kept = results_of(request).files.get(name)
    if kept is None:
        raise ApiError(HTTPStatus.NOT_FOUND, "there is no such file: translations are kept for ten minutes")
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, no-store"}
    return FileResponse(kept.path, media_type="application/octet-stream", filename=kept.shown, headers=headers)

"""Files: translated in one request, and kept for a while under a name that nobody can guess."""

import asyncio
import io
import re
import secrets
import time
import zipfile
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import PlainValidator, WithJsonSchema
from starlette.datastructures import UploadFile

from nmt.documents.formats import SUFFIXES, format_of
from nmt.server.batching import Ticket
from nmt.server.body import Body, parse
from nmt.server.documents import translate_file
from nmt.server.errors import ApiError, bad_request
from nmt.server.libretranslate import AUTO, Code, likeliest, service_of
from nmt.server.models import Route
from nmt.server.openapi import ERRORS, PARTS, TranslatedFile
from nmt.server.service import Service

MARKUP = 20  # bytes of the XML of a .docx for each character
LIFETIME = 600  # seconds that a translated file is kept
NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f"*/:<>?\\|]+')
LONGEST_NAME = 100  # characters of a file's name that are kept
SAMPLE = 2000  # bytes by which the language of a file is identified
TAG = re.compile("<[^>]*>")
router = APIRouter(tags=["LibreTranslate"], responses=ERRORS)


def uploaded(value: object) -> UploadFile:
    """Return a file of a form. Raises ValueError where it is something else."""
    if not isinstance(value, UploadFile):
        raise ValueError("must be one file, sent as multipart/form-data")
    return value


class FileBody(Body):
    """The body of /translate_file, a form in several parts."""

    file: Annotated[UploadFile, PlainValidator(uploaded), WithJsonSchema({"type": "string", "format": "binary"})]
    """File, whose name ends in its format."""
    source: Code
    """Code of the language of the file, or auto."""
    target: Code
    """Code of the language to translate into."""
    model: Code | None = None
    """Name of a model of /v1/models, in place of the languages."""


BODY = {"requestBody": {"required": True, "content": {PARTS: {"schema": FileBody.model_json_schema()}}}}


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


@router.post("/translate_file", response_model=TranslatedFile, openapi_extra=BODY)
async def translate_form(request: Request) -> JSONResponse:
    """Translate a file, by the format that its name ends in; the answer is where to download the translation."""
    service = service_of(request)
    body = await parse(request, FileBody, service.config)
    name = NOT_IN_NAMES.sub(" ", PurePath(body.file.filename or "").name)[-LONGEST_NAME:]
    kind = format_of(name)
    if kind is None:
        endings = ", ".join(f".{suffix}" for suffix in SUFFIXES)
        raise bad_request(f"{name or 'a file without a name'} cannot be translated: files end in {endings}")
    content = await body.file.read()

    def work(ticket: Ticket) -> tuple[bytes, list[str], str]:
        route = route_of(service, body, content)
        return *translate_file(content, kind, name, route, ticket), route.target

    chars = await asyncio.to_thread(packed_chars, content) if kind == "docx" else len(content)
    translated, warnings, target = await service.run(request, chars, work)
    shown = f"{PurePath(name).stem}.{target}{PurePath(name).suffix}"
    kept = results_of(request).add(translated, shown)
    url = str(request.url_for("download_file", name=kept))
    return JSONResponse({"translatedFileUrl": url, **({"warnings": warnings} if warnings else {})})


def packed_chars(content: bytes) -> int:
    """Return about how many characters the XML of a packed document has, without unpacking it."""
    try:
        infos = zipfile.ZipFile(io.BytesIO(content)).infolist()
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, NotImplementedError, ValueError):
        return 0  # which its reader tells better
    return sum(info.file_size for info in infos if info.filename.endswith(".xml")) // MARKUP


def route_of(service: Service, body: FileBody, content: bytes) -> Route:
    """Return the models that `body` asks for. Raises ApiError (400)."""
    if body.model is not None:
        if route := service.models.named(body.model):
            return route
        raise bad_request(f"there is no model {body.model}")
    if body.source != AUTO:
        return service.route(body.source, body.target)
    text = TAG.sub(" ", content[:SAMPLE].decode(errors="ignore"))
    return service.route(likeliest(service, text).language, body.target)


@router.get("/download_file/{name}", response_class=FileResponse)
async def download_file(request: Request, name: str) -> Response:
    """Return a translated file, within ten minutes of its translation."""
    kept = results_of(request).files.get(name)
    if kept is None:
        raise ApiError(HTTPStatus.NOT_FOUND, "there is no such file: translations are kept for ten minutes")
    headers = {"Cache-Control": "private, no-store"}
    return FileResponse(kept.path, media_type="application/octet-stream", filename=kept.shown, headers=headers)

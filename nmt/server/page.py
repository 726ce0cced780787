"""The web page at /: files of this package, which ask for nothing from elsewhere."""

import hashlib
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response

FOLDER = Path(__file__).with_name("static")
INDEX = "index.html"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
HEADERS = {
    # No script or style within the page runs, whatever text comes into it, and no other site may frame it.
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "object-src 'none'",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-cache",  # kept, but asked for again: a newer server has a newer page
}


@dataclass(frozen=True)
class Asset:
    """A file of the page."""

    content: bytes
    kind: str
    etag: str

    def answer(self, request: Request) -> Response:
        """Return the file, or that the client's copy is still the same."""
        headers = {**HEADERS, "ETag": self.etag}
        if self.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(self.content, media_type=self.kind, headers=headers)


def read_assets() -> dict[str, Asset]:
    """Read the files of the page, by name."""
    assets = {}
    for path in sorted(FOLDER.iterdir()):
        if path.suffix in TYPES:
            content = path.read_bytes()
            assets[path.name] = Asset(content, TYPES[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:16]}"')
    return assets


def page_router() -> APIRouter:
    """Return the routes of the page: / and /page/NAME, with no other file than those read now."""
    assets = read_assets()
    router = APIRouter(include_in_schema=False)

    def add(path: str, asset: Asset) -> None:
        async def answer(request: Request) -> Response:
            return asset.answer(request)

        router.add_api_route(path, answer, methods=["GET", "HEAD"])

    for name, asset in assets.items():
        add("/" if name == INDEX else f"/page/{name}", asset)
    return router

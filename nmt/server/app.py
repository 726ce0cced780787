"""The application: all interfaces, and how failures are told."""

from collections.abc import Callable
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from nmt.config.serving import ServingConfig
from nmt.server import files, libretranslate, v1
from nmt.server.body import MEGABYTE
from nmt.server.errors import ApiError
from nmt.server.guard import Guard, Record
from nmt.server.page import page_router
from nmt.server.service import Service
from nmt.version import __version__


def create_app(service: Service) -> FastAPI:
    """Return the application that answers by `service`."""
    app = FastAPI(
        title="nmt",
        version=__version__,
        description="Translations by models of nmt: the contract of LibreTranslate, and an interface of its own.",
        redoc_url=None,
        docs_url=None,
        redirect_slashes=False,
    )
    app.state.service = service
    app.state.results = files.Results(int(service.config.max_files_mb * MEGABYTE))
    app.include_router(libretranslate.router)
    app.include_router(files.router)
    app.include_router(v1.router)
    if service.config.page:
        app.include_router(page_router())

    @app.exception_handler(ApiError)
    async def tell(_: Request, error: ApiError) -> JSONResponse:
        return JSONResponse({"error": error.message}, error.status, error.headers)

    @app.exception_handler(HTTPException)
    async def tell_other(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def tell_bug(_: Request, __: Exception) -> JSONResponse:
        return JSONResponse({"error": "a bug of the server; its log has more"}, HTTPStatus.INTERNAL_SERVER_ERROR)

    return app


def guarded(app: FastAPI, on_done: Callable[[Record], None]) -> ASGIApp:
    """Return `app` as it is put on the network: behind its guard, with the headers that let other pages read answers.

    `on_done` is called with the record of each request.
    """
    config: ServingConfig = app.state.service.config
    inner: ASGIApp = app
    if config.cors:
        headers = ["Authorization", "Content-Type", "X-Request-ID"]
        shown = ["Retry-After", "X-Request-ID"]
        inner = CORSMiddleware(
            app, allow_origins=config.cors, allow_methods=["GET", "POST"], allow_headers=headers, expose_headers=shown
        )
    guard = Guard(inner, config, on_done)
    return ProxyHeadersMiddleware(guard, config.proxy) if config.proxy else guard  # type: ignore[arg-type, return-value]

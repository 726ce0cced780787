"""LibreTranslate's contract, which many clients speak: https://docs.libretranslate.com/api."""

from importlib.util import find_spec
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from nmt.data.languages import english_name
from nmt.documents.formats import SUFFIXES
from nmt.server.batching import Ticket
from nmt.server.body import Body, parse
from nmt.server.detection import Detected
from nmt.server.errors import bad_request
from nmt.server.openapi import ERRORS, Health, Language, Settings, Translated, body_of
from nmt.server.service import Service, Text

MOST_TEXTS = 1000
Texts = Annotated[
    str | Annotated[list[str], Field(min_length=1, max_length=MOST_TEXTS)], Field(examples=["A small dog sleeps."])
]
Code = Annotated[str, Field(max_length=100)]
AUTO = "auto"
router = APIRouter(tags=["LibreTranslate"], responses=ERRORS)


class TranslateBody(Body):
    """The body of /translate."""

    q: Texts
    """Text, or a list of texts."""
    source: Code
    """Code of the language of the text, or auto."""
    target: Code
    """Code of the language to translate into."""
    format: Literal["text", "html"] = "text"
    """text, or html, whose tags are kept."""
    alternatives: Annotated[int, Field(ge=0, le=1000)] = 0
    """Other translations wanted; there are at most as many as the model finds, less one: its beam, or its
    hypotheses of minimum Bayes risk."""


class DetectBody(Body):
    """The body of /detect."""

    q: Texts
    """Text, or a list of texts."""


def service_of(request: Request) -> Service:
    """Return the service of the application."""
    service: Service = request.app.state.service
    return service


@router.post("/translate", response_model=Translated, openapi_extra=body_of(TranslateBody))
async def translate(request: Request) -> JSONResponse:
    """Translate a text, or a list of texts."""
    service = service_of(request)
    body = await parse(request, TranslateBody, service.config)
    texts = [body.q] if isinstance(body.q, str) else body.q

    def work(ticket: Ticket) -> tuple[list[Text], list[Detected], str | None]:
        detected = [likeliest(service, text) for text in texts] if body.source == AUTO else []
        sources = [one.language for one in detected] or [body.source] * len(texts)
        found: dict[int, Text] = {}
        pivots = set()
        for source in dict.fromkeys(sources):
            mine = [index for index, one in enumerate(sources) if one == source]
            of_source, pivot = service.translate_between(
                source, body.target, [texts[index] for index in mine], body.format, body.alternatives + 1, ticket
            )
            found.update(zip(mine, of_source, strict=True))
            pivots.add(pivot)
        return [found[index] for index in range(len(texts))], detected, next(filter(None, pivots), None)

    found, detected, pivot = await service.run(request, sum(map(len, texts)), work)
    answer: dict[str, object] = {"translatedText": [one.text for one in found]}
    if detected:
        answer["detectedLanguage"] = [vars(one) for one in detected]
    if body.alternatives:
        answer["alternatives"] = [one.alternatives for one in found]
    if isinstance(body.q, str):
        answer = {key: values[0] for key, values in answer.items() if isinstance(values, list)}
    return JSONResponse({**answer, **({"pivot": pivot} if pivot else {})})


def likeliest(service: Service, text: str) -> Detected:
    """Return the language that `text` is in. Raises ApiError (400) where no source language can be identified."""
    if found := service.detect(text):
        return found[0]
    raise bad_request("the language of the text cannot be identified: name it")


@router.post("/detect", response_model=list[Detected] | list[list[Detected]], openapi_extra=body_of(DetectBody))
async def detect(request: Request) -> JSONResponse:
    """Identify the language of a text, among those that can be translated."""
    service = service_of(request)
    body = await parse(request, DetectBody, service.config)
    texts = [body.q] if isinstance(body.q, str) else body.q
    found = await service.run(request, sum(map(len, texts)), lambda _: [service.detect(text) for text in texts])
    lists = [[vars(one) for one in of_text] for of_text in found]
    return JSONResponse(lists[0] if isinstance(body.q, str) else lists)


@router.post("/languages", include_in_schema=False)  # as the client of Argos Translate asks
@router.get("/languages", response_model=list[Language])
async def languages(request: Request) -> JSONResponse:
    """List the languages of texts, each with those it can be translated into."""
    models = service_of(request).models
    found = [
        {"code": code, "name": english_name(code), "targets": list(models.routes.get(code, {}))}
        for code in models.languages
    ]
    return JSONResponse(found)


@router.get("/health", response_model=Health)
async def health() -> JSONResponse:
    """Say that the server is there."""
    return JSONResponse({"status": "ok"})


@router.get("/frontend/settings", response_model=Settings)
async def settings(request: Request) -> JSONResponse:
    """Return the settings that pages of clients ask for."""
    service = service_of(request)
    routes = service.models.routes
    source = next(iter(routes))
    target = next(iter(routes[source]))

    def named(code: str) -> dict[str, str]:
        return {"code": code, "name": english_name(code)}

    return JSONResponse(
        {
            "apiKeys": service.gate.keys is not None,
            "keyRequired": service.gate.keys is not None,
            "charLimit": service.config.max_chars,
            "frontendTimeout": 500,
            "filesTranslation": True,
            "supportedFilesFormat": [f".{suffix}" for suffix in SUFFIXES],
            "suggestions": False,
            "detection": find_spec("py3langid") is not None,  # of this server alone
            "language": {"source": named(source), "target": named(target)},
        }
    )


@router.get("/spec", include_in_schema=False)
async def spec(request: Request) -> JSONResponse:
    """Return the description of all interfaces, as OpenAPI."""
    return JSONResponse(request.app.openapi())

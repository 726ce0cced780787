"""The server's own interface: translations with scores, alignments, prefixes and warnings."""

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from nmt.config.inference import Options
from nmt.data.languages import english_name
from nmt.inference.translator import Candidate, Translation
from nmt.server.batching import Ticket
from nmt.server.body import Body, parse
from nmt.server.errors import bad_request
from nmt.server.libretranslate import MOST_TEXTS, service_of
from nmt.server.models import Route
from nmt.server.openapi import ERRORS, body_of
from nmt.server.service import Service

router = APIRouter(prefix="/v1", tags=["nmt"], responses=ERRORS)
Lines = Annotated[list[str], Field(min_length=1, max_length=MOST_TEXTS)]


class TranslateLinesBody(Body):
    """The body of /v1/translate."""

    lines: Lines
    """Lines of text: each is translated to one line."""
    source: str | None = None
    """Code of their language; not needed with `model`."""
    target: str | None = None
    """Code of the language to translate into; not needed with `model`."""
    model: str | None = None
    """Name of a model of /v1/models, in place of languages."""
    n_best: Annotated[int, Field(ge=1, le=1000)] = 1
    """Hypotheses of each line, at most as many as the beam of the model."""
    prefixes: Lines | None = None
    """Beginnings of the translations, one a line; a blank one leaves the start to the model."""
    tags: list[str] = Field(default_factory=list)
    """Tags of the model, put before each line."""
    alignment: bool = False
    """Add pairs of words, source and translation, counted from 0."""
    token_scores: bool = False
    """Add the pieces with their log-probabilities."""
    api_key: str | None = None
    """Key, where the server wants one."""


@router.post("/translate", openapi_extra=body_of(TranslateLinesBody))
async def translate(request: Request) -> JSONResponse:
    """Translate lines as `nmt translate` does, with what it can say of them."""
    service = service_of(request)
    body = await parse(request, TranslateLinesBody, service.config)
    if any("\n" in line for line in body.lines):
        raise bad_request("a line holds a line break: /translate takes texts of several lines")
    options = Options(n_best=body.n_best, token_scores=body.token_scores, alignment=body.alignment)
    lines = [" ".join([*body.tags, line]) for line in body.lines]

    def work(ticket: Ticket) -> tuple[Route, list[Translation], list[str]]:
        route = route_of(service, body)
        for tag in body.tags:
            if tag not in route.models[0].translator.tokenizer.tags:
                raise bad_request(f"{tag} is no tag of {route.models[0].name}")
        return route, *route.translate(lines, options, ticket, prefixes=body.prefixes)

    route, translations, warnings = await service.run(request, sum(map(len, lines)), work)
    return JSONResponse(
        {
            "models": [model.name for model in route.models],
            "source": route.source,
            "target": route.target,
            **({"pivot": route.pivot} if route.pivot else {}),
            "translations": [
                {"source": line, "candidates": [described(one) for one in translation.candidates]}
                for line, translation in zip(body.lines, translations, strict=True)
            ],
            "warnings": warnings,
        }
    )


def route_of(service: Service, body: TranslateLinesBody) -> Route:
    """Return the model or models that `body` asks for. Raises ApiError (400)."""
    if body.model is not None:
        if route := service.models.named(body.model):
            return route
        names = ", ".join(model.name for model in service.models.served)
        raise bad_request(f"there is no model {body.model}: there are {names}")
    if body.source is None or body.target is None:
        raise bad_request("say source and target, or model")
    return service.route(body.source, body.target)


def described(candidate: Candidate) -> dict[str, object]:
    """Return what is known of a hypothesis."""
    values: dict[str, object] = {"text": candidate.text, "score": candidate.score}
    if candidate.alignment is not None:
        values["alignment"] = candidate.alignment
    if candidate.token_scores is not None:
        values |= {"pieces": candidate.pieces, "token_scores": candidate.token_scores}
    if candidate.unrestored:
        values["unrestored"] = candidate.unrestored
    return values


@router.get("/models")
async def models(request: Request) -> JSONResponse:
    """List the models, the first of a pair of languages being the one that translates it."""
    found = []
    for model in service_of(request).models.served:
        translator = model.translator
        found.append(
            {
                "name": model.name,
                "source": model.source,
                "target": model.target,
                "source_name": english_name(model.source),
                "target_name": english_name(model.target),
                "beam_size": translator.decoding.beam_size,
                "max_length": translator.max_length,
                "tags": translator.tokenizer.tags,
            }
        )
    return JSONResponse(found)

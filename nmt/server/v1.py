"""The server's own interface: translations with scores, alignments, prefixes and warnings."""

from itertools import accumulate, count, islice, pairwise
from typing import Annotated, NamedTuple

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import Field

from nmt.config.inference import Options
from nmt.data.languages import english_name
from nmt.data.reading.terms import Forms, Mode, Terms
from nmt.documents.lines import LineTranslator
from nmt.inference.results import Candidate, Translation
from nmt.inference.segments import join
from nmt.server.batching import Ticket
from nmt.server.body import Body, parse
from nmt.server.errors import bad_request
from nmt.server.libretranslate import MOST_TEXTS, Code, service_of
from nmt.server.models import Route
from nmt.server.openapi import ERRORS, ModelAnswer, TranslatedLines, body_of
from nmt.server.service import Service

router = APIRouter(prefix="/v1", tags=["nmt"], responses=ERRORS)
MOST_TERMS = 1000
Phrase = Annotated[str, Field(min_length=1, max_length=200)]
Lines = Annotated[list[str], Field(min_length=1, max_length=MOST_TEXTS)]


class TranslateLinesBody(Body):
    """The body of /v1/translate."""

    lines: Lines
    """Lines of text: each is translated to one line."""
    source: Code | None = None
    """Code of their language; not needed with `model`."""
    target: Code | None = None
    """Code of the language to translate into; not needed with `model`."""
    model: Code | None = None
    """Name of a model of /v1/models, in place of languages."""
    n_best: Annotated[int, Field(ge=1, le=1000)] = 1
    """Hypotheses of each line, at most as many as the beam of the model."""
    prefixes: Lines | None = None
    """Beginnings of the translations, one a line; a blank one leaves the start to the model."""
    tags: Annotated[list[Code], Field(max_length=32)] = Field(default_factory=list)
    """Tags of the model, put before each line."""
    glossary: Annotated[dict[Phrase, Phrase | list[Phrase]], Field(max_length=MOST_TERMS)] | None = None
    """Translations of terms, by the term; of several any will do. They take the place of the server's own glossary."""
    glossary_mode: Mode | None = None
    """Soft: a model for terms takes those of `glossary` from its source. Hard: the search holds to them as they are
    written. By default soft for a model for terms."""
    glossary_forms: Forms = "written"
    """How soft terms are found in a line: as they are written, or in any form of their words."""
    avoid: Annotated[list[Phrase], Field(max_length=MOST_TERMS)] | None = None
    """Phrases that no translation is to hold, in place of the server's own."""
    alignment: bool = False
    """Add pairs of words, source and translation, separated by white space and counted from 0."""
    token_scores: bool = False
    """Add the pieces with their log-probabilities."""
    confidence: bool = False
    """Add the chrF to expect of each translation, of a model with a calibration."""
    repair: bool = False
    """Check, and search again where a check fails."""
    check: bool = False
    """Compare numbers, addresses, tags and placeholders of each translation with those of its line."""
    parts: bool = False
    """Answer for each part of a line that the model translates by itself, mostly a sentence. `before` is what stands
    before its translation in that of the line: a space, or nothing."""


@router.post("/translate", response_model=TranslatedLines, openapi_extra=body_of(TranslateLinesBody))
async def translate(request: Request) -> JSONResponse:
    """Translate lines as `nmt translate` does, with what it can say of them."""
    service = service_of(request)
    body = await parse(request, TranslateLinesBody, service.config)
    if any("\n" in line for line in body.lines):
        raise bad_request("a line holds a line break: /translate takes texts of several lines")
    if body.glossary is None and (body.glossary_mode or body.glossary_forms != "written"):
        raise bad_request("glossary_mode and glossary_forms are for a glossary, and the request has none")
    if body.parts and body.prefixes is not None:
        raise bad_request("parts of lines have no prefixes")
    options = Options(
        n_best=body.n_best,
        token_scores=body.token_scores,
        alignment=body.alignment,
        confidence=body.confidence,
        check=body.check or body.repair,
        repair=body.repair,
    )

    def work(ticket: Ticket) -> dict[str, object]:
        route = route_of(service, body)
        translator = route.models[0].translator
        for tag in body.tags:
            if tag not in translator.tokenizer.tags:
                raise bad_request(f"{tag} is no tag of {route.models[0].name}")
        of_lines = [translator.reader.parts(line, body.tags) if body.parts else [line] for line in body.lines]
        texts = [text for parts in of_lines for text in parts]
        tagged = [" ".join([*body.tags, text]) for text in texts]
        translations, reports = route.translate(tagged, options, ticket, prefixes=body.prefixes, terms=terms_of(body))
        done = zip(texts, translations, count(1), strict=False)
        rest = iter([Part(text, one, [w for r in reports for w in r.of_line(n)]) for text, one, n in done])
        return {
            "models": [model.name for model in route.models],
            "source": route.source,
            "target": route.target,
            **({"pivot": route.pivot} if route.pivot else {}),
            "translations": [
                described(line, [*islice(rest, len(parts))], body)
                for line, parts in zip(body.lines, of_lines, strict=True)
            ],
            "warnings": [
                warning
                for report in reports
                for warning in [*report.warnings(), *(report.unused if body.glossary else [])]
            ],
        }

    tags = sum(len(tag) + 1 for tag in body.tags)
    chars = sum(len(line) + tags for line in body.lines) + sum(map(len, body.prefixes or ()))
    chars += sum(len(term) + sum(map(len, [*targets])) for term, targets in (body.glossary or {}).items())
    chars += sum(map(len, body.avoid or ()))
    return JSONResponse(await service.run(request, chars, work))


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


def terms_of(body: TranslateLinesBody) -> Terms | None:
    """Return the terms that `body` gives; None for those of the server. Raises DataError."""
    if body.glossary is None and body.avoid is None:
        return None
    return Terms.of(body.glossary, body.avoid or [], body.glossary_mode, body.glossary_forms)


class Part(NamedTuple):
    """A translated text: a line, or a part of one."""

    source: str
    translation: Translation
    warnings: list[str]


def described(line: str, parts: list[Part], body: TranslateLinesBody) -> dict[str, object]:
    """Return what is known of a line: of its translation, or of the translations of its parts."""
    found: list[dict[str, object]] = [
        {
            "source": part.source,
            "candidates": [described_candidate(one, len(body.tags)) for one in part.translation.candidates],
            "warnings": part.warnings,
        }
        for part in parts
    ]
    if not body.parts:
        return found[0]
    texts = [part.translation.text for part in parts]
    wholes = accumulate(texts, lambda before, text: join([before, text]), initial="")
    sizes = [len(after) - len(before) for before, after in pairwise(wholes)]
    befores = [" " * (size - len(text)) for size, text in zip(sizes, texts, strict=True)]
    return {"source": line, "parts": [{"before": one, **rest} for one, rest in zip(befores, found, strict=True)]}


def described_candidate(candidate: Candidate, tags: int) -> dict[str, object]:
    """Return what is known of a hypothesis of a text with `tags` tags."""
    values: dict[str, object] = {"text": candidate.text, "score": candidate.score}
    if candidate.alignment is not None:
        values["alignment"] = [(src - tags, tgt) for src, tgt in candidate.alignment]
    if candidate.token_scores is not None:
        values |= {"pieces": candidate.pieces, "token_scores": candidate.token_scores}
    if candidate.unrestored:
        values["unrestored"] = candidate.unrestored
    if candidate.unmet:
        values["unmet"] = candidate.unmet
    if candidate.confidence is not None:
        values["confidence"] = candidate.confidence
    if candidate.checks is not None:
        values["checks"] = candidate.checks
    return values


@router.get("/models", response_model=list[ModelAnswer])
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
                "alignment": LineTranslator(translator).can_align,
                "tags": translator.tokenizer.tags,
            }
        )
    return JSONResponse(found)

"""The description of bodies, answers and errors in OpenAPI."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from nmt.server.body import Body
from nmt.server.detection import Detected

JSON, FORM, PARTS = "application/json", "application/x-www-form-urlencoded", "multipart/form-data"
ERROR = {
    "type": "object",
    "properties": {"error": {"type": "string", "description": "What is wrong, in one sentence."}},
    "required": ["error"],
}
STATUSES = {
    400: "A request that cannot be answered.",
    403: "An API key is needed, or is not known.",
    404: "Nothing is there.",
    408: "The body came too slowly.",
    413: "The body is too large.",
    415: "The body is compressed, or neither JSON nor a form.",
    429: "Too many requests, or more than the quota; Retry-After says when to come again.",
    500: "A bug.",
    504: "The time is over.",
}
ERRORS: dict[int | str, dict[str, object]] = {
    status: {"description": text, "content": {JSON: {"schema": ERROR}}} for status, text in STATUSES.items()
}


def body_of(kind: type[Body]) -> dict[str, object]:
    """Return the description of an operation whose body is a `kind`, as JSON or as a form."""
    schema = {"schema": kind.model_json_schema()}
    return {"requestBody": {"required": True, "content": {JSON: schema, FORM: schema, PARTS: schema}}}


class Answer(BaseModel):
    """The base of all answers."""

    model_config = ConfigDict(use_attribute_docstrings=True)


class Translated(Answer):
    """The answer of /translate; to a list of texts, all values are lists."""

    translatedText: Annotated[str | list[str], Field(examples=["Ein kleiner Hund schläft."])]  # noqa: N815
    """Translation."""
    detectedLanguage: Detected | list[Detected] | None = None  # noqa: N815
    """Language of the text, where the source was auto."""
    alternatives: list[str] | list[list[str]] | None = None
    """Other translations, where they were asked for."""
    pivot: str | None = None
    """Third language by way of which the text was translated."""


class Language(Answer):
    """A language of texts."""

    code: str
    """Code."""
    name: str
    """Name in English."""
    targets: list[str]
    """Codes of the languages it can be translated into."""


class Health(Answer):
    """Whether the server is there."""

    status: str
    """ok"""


class NamedLanguage(Answer):
    """A language."""

    code: str
    """Code."""
    name: str
    """Name in English."""


class Settings(Answer):
    """The answer of /frontend/settings."""

    apiKeys: bool  # noqa: N815
    """Whether there are API keys."""
    keyRequired: bool  # noqa: N815
    """Whether one is needed."""
    charLimit: int  # noqa: N815
    """Characters of one request."""
    frontendTimeout: int  # noqa: N815
    """Milliseconds after the last key before a page translates."""
    filesTranslation: bool  # noqa: N815
    """Whether files are translated."""
    supportedFilesFormat: list[str]  # noqa: N815
    """Endings of the names of such files."""
    suggestions: bool
    """Whether better translations can be suggested."""
    detection: bool
    """Whether the server detects languages."""
    language: dict[str, NamedLanguage]
    """The languages to begin with, source and target."""


class TranslatedFile(Answer):
    """The answer of /translate_file."""

    translatedFileUrl: str  # noqa: N815
    """Address of the translation, for ten minutes."""
    warnings: list[str] | None = None
    """Lines that look wrong."""


class FindingAnswer(Answer):
    """A check that a translation fails."""

    missing: list[str]
    """Items of the line that the translation lacks."""
    invented: list[str]
    """Items of the translation that the line lacks."""


class HypothesisAnswer(Answer):
    """One of the translations of a line."""

    text: str
    """Translation."""
    score: float
    """Log-probability over the length penalty."""
    alignment: list[tuple[int, int]] | None = None
    """Pairs of words, source and translation."""
    pieces: list[str] | None = None
    """Output of the model."""
    token_scores: list[float] | None = None
    """Log-probability of each piece, EOS last."""
    unrestored: list[str] | None = None
    """Protected text that is missing from the translation."""
    unmet: list[str] | None = None
    """Targets of the glossary that the translation lacks."""
    confidence: float | None = None
    """Expected chrF of the translation, 0 to 100."""
    checks: dict[str, FindingAnswer] | None = None
    """Checks that the translation fails: numbers, urls, emails, tags, placeholders; empty where it passes."""


class PartAnswer(Answer):
    """A part of a line."""

    before: str
    """What stands before its translation in that of the line."""
    source: str
    """Text of the part."""
    candidates: list[HypothesisAnswer]
    """Translations, best first."""
    warnings: list[str]
    """What looks wrong."""


class LineAnswer(Answer):
    """A line: its translations, or those of its parts."""

    source: str
    """Text of the line."""
    candidates: list[HypothesisAnswer] | None = None
    """Translations, best first."""
    warnings: list[str] | None = None
    """What looks wrong."""
    parts: list[PartAnswer] | None = None
    """Parts of the line, where they were asked for."""


class TranslatedLines(Answer):
    """The answer of /v1/translate."""

    models: list[str]
    """Names of the models: one, or two by way of a third language."""
    source: str
    """Code of the language of the lines."""
    target: str
    """Code of the language of the translations."""
    pivot: str | None = None
    """Code of the third language."""
    translations: list[LineAnswer]
    """Lines, in order."""
    warnings: list[str]
    """What looks wrong in all of them."""


class ModelAnswer(Answer):
    """A model."""

    name: str
    """Name."""
    source: str
    """Code of the language that it translates."""
    target: str
    """Code of the language that it translates into."""
    source_name: str
    """Name of the first language in English."""
    target_name: str
    """Name of the other."""
    beam_size: int
    """Most hypotheses of a line."""
    max_length: int
    """Longest text in pieces that it translates at once; a longer one is cut into sentences."""
    alignment: bool
    """Whether its translations can be aligned: not by every engine, and not where text is protected."""
    tags: list[str]
    """Tags that may stand before a line."""

"""The description of bodies, answers and errors in OpenAPI."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from nmt.server.body import Body
from nmt.server.detection import Detected

FORM, JSON = "application/x-www-form-urlencoded", "application/json"
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
    return {"requestBody": {"required": True, "content": {JSON: schema, FORM: schema}}}


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
    language: dict[str, NamedLanguage]
    """The languages to begin with, source and target."""

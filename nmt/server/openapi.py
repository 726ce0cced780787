"""The description of bodies and errors in OpenAPI."""

from nmt.server.body import Body

FORM, JSON = "application/x-www-form-urlencoded", "application/json"
ERROR = {
    "type": "object",
    "properties": {"error": {"type": "string", "description": "What is wrong, in one sentence."}},
    "required": ["error"],
}
STATUSES = {
    400: "A request that cannot be answered.",
    403: "A key is wanted, or is wrong.",
    404: "Nothing is there.",
    408: "The body came too slowly.",
    413: "The body is too large.",
    429: "Too many requests; Retry-After says when to come again.",
    504: "The time is over.",
}
ERRORS: dict[int | str, dict[str, object]] = {
    status: {"description": text, "content": {JSON: {"schema": ERROR}}} for status, text in STATUSES.items()
}


def body_of(kind: type[Body]) -> dict[str, object]:
    """Return the description of an operation whose body is a `kind`, as JSON or as a form."""
    schema = {"schema": kind.model_json_schema()}
    return {"requestBody": {"required": True, "content": {JSON: schema, FORM: schema}}}

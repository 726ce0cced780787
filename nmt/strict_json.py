"""JSON as its standard has it (RFC 8259), without Python's NaN and Infinity."""

import json
import math


def dumps(value: object, indent: int | None = None) -> str:
    """Write a value as JSON; NaN and infinity become null.

    >>> dumps({"loss": [float("nan"), 1.5]})
    '{"loss": [null, 1.5]}'
    """
    try:
        return json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), indent=indent, ensure_ascii=False, allow_nan=False)


def _finite(value: object) -> object:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""The marks at the end of a sentence."""

import re

_FINAL = re.compile(r"[\s.!?\u2026\u3002\uff01\uff1f\u061f\u06d4\u0964]+$")
_CLOSED = re.compile(
    r"[.!?\u2026\u3002\uff01\uff1f\u061f\u06d4\u0964][\"'\u201c\u201d\u2019\u00bb\u00ab\u300d\u300f)\]]*\s*$"
)


def without_final_mark(line: str) -> str:
    """Return `line` without the marks at its end; a line of marks alone stays as it is."""
    return _FINAL.sub("", line) or line


def has_final_mark(line: str) -> bool:
    """Return whether `line` ends in a mark, perhaps before a closing quotation mark or bracket."""
    return _CLOSED.search(line) is not None

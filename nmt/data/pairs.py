"""A sentence pair, and lines that show nothing."""

import unicodedata

Pair = tuple[str, str]
"""Source and target."""


def is_blank(line: str) -> bool:
    """Return whether a line shows nothing: it holds white space, control and format characters alone, as U+200B."""
    if line[:1].isalnum():  # as most lines begin, and this is much faster
        return False
    return all(letter.isspace() or unicodedata.category(letter) in ("Cc", "Cf") for letter in line)

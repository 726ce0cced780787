"""The type of a sentence pair."""

Pair = tuple[str, str]

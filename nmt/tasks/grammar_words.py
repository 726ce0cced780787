"""Read the word tables of the built-in corpus from `words.toml`, once a process."""

import tomllib
from functools import cache
from pathlib import Path


@cache
def tables() -> dict[str, list[str]]:
    """Return the entries of each table, in their order."""
    return tomllib.loads(Path(__file__).with_name("words.toml").read_text(encoding="utf-8"))


@cache
def entries(table: str) -> list[tuple[str, str]]:
    """Return the pairs of a table of `English/German` entries; one without a slash is the same in both."""
    halves = (entry.partition("/") for entry in tables()[table])
    return [(english, german or english) for english, _, german in halves]

"""A document is known by the name of its file."""

from typing import get_args

from nmt.documents.formats import SUFFIXES, DocumentFormat, format_of


def test_files_are_known_by_their_suffixes() -> None:
    assert format_of("a/b.HTML") == "html"
    assert format_of("b.md") == "markdown"
    assert format_of("html") is None
    assert format_of("a.docm") is None


def test_every_format_has_a_suffix() -> None:
    assert set(SUFFIXES.values()) == set(get_args(DocumentFormat))

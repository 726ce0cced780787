"""The formats of documents, and the names of files by which they are known."""

from pathlib import PurePath
from typing import Literal

DocumentKind = Literal["html", "markdown", "xliff", "po", "tmx", "csv", "srt", "docx"]
DocumentFormat = Literal["text", DocumentKind]
SUFFIXES: dict[str, DocumentFormat] = {
    "txt": "text",
    "htm": "html",
    "html": "html",
    "xhtml": "html",
    "md": "markdown",
    "markdown": "markdown",
    "xlf": "xliff",
    "xliff": "xliff",
    "po": "po",
    "pot": "po",
    "tmx": "tmx",
    "csv": "csv",
    "tsv": "csv",
    "srt": "srt",
    "docx": "docx",
}


def format_of(name: str) -> DocumentFormat | None:
    """Return the format of a document by the name of its file; None where that says nothing."""
    return SUFFIXES.get(PurePath(name).suffix.lower().removeprefix("."))

"""The structure of an HTML page, checked without a browser."""

import re
from html.parser import HTMLParser
from itertools import pairwise

VOID = {"meta", "br", "img", "hr", "input", "link", "col", "wbr"}
Attributes = dict[str, str | None]


class Page(HTMLParser):
    """All elements of a page with their attributes, and its text; every tag must be closed in its order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, Attributes]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(str(html))  # of Markup, which would escape what it is added to
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data

    def all(self, tag: str) -> list[Attributes]:
        """Return the attributes of every element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]


def check_page(html: str) -> Page:
    """Check what holds for every page: headings in order, unique ids, texts for pictures, nothing from outside."""
    page = Page(html)
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    values = [(key, value or "") for _, attributes in page.elements for key, value in attributes.items()]
    targets = {value[1:] for key, value in values if key in ("href", "xlink:href") and value.startswith("#")}
    targets |= {name for _, value in values for name in re.findall(r"url\(#([^)]+)\)", value)}
    targets |= {value for key, value in values if key == "aria-labelledby"}
    assert targets <= set(ids)
    assert all(value.startswith(("#", "data:")) for key, value in values if key in ("href", "xlink:href", "src"))
    assert not re.search(r"https?://|url\((?!#)|@import", html)
    assert not page.all("script")
    assert not page.all("link")
    assert not [key for key, _ in values if key.startswith("on")]
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in page.all("svg") if "aria-hidden" not in svg)
    assert all(image["alt"] for image in page.all("img"))
    assert len(page.all("figure")) == len(page.all("figcaption"))
    assert all(cell["scope"] in ("row", "col") for cell in page.all("th"))
    assert page.all("html")[0]["lang"] == "en"
    assert len(html.encode()) < 3_000_000
    return page

"""The files of the web page: shipped, complete, without a script or style within, and kept by browsers."""

import re
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pages import Page

from nmt.config.serving import ServingConfig
from nmt.server.app import create_app
from nmt.server.models import Models
from nmt.server.page import FOLDER, INDEX, TYPES, page_router
from nmt.server.service import Service


@pytest.fixture(scope="module")
def client() -> TestClient:
    app = FastAPI()
    app.include_router(page_router())
    return TestClient(app)


def test_all_files_of_the_folder_are_served_and_no_other(client: TestClient) -> None:
    names = {path.name for path in FOLDER.iterdir()}
    assert INDEX in names
    assert all(Path(name).suffix in TYPES for name in names)
    for name in names - {INDEX}:
        answer = client.get(f"/page/{name}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, TYPES[Path(name).suffix])
        assert answer.content == (FOLDER / name).read_bytes()
    for path in ("/page/", "/page/index.html", "/page/../page.py", "/page/%2e%2e/page.py", "/page/none.js"):
        assert client.get(path).status_code == 404


def test_the_page_may_ask_nobody_else_and_nobody_may_frame_it(client: TestClient) -> None:
    headers = client.get("/").headers
    assert "default-src 'self';" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"


def test_a_copy_that_is_still_the_same_is_not_sent_again(client: TestClient) -> None:
    first = client.get("/")
    assert first.headers["cache-control"] == "no-cache"
    again = client.get("/", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert client.get("/", headers={"If-None-Match": '"another"'}).status_code == 200
    assert client.head("/").status_code == 200


def test_the_page_names_files_that_are_there_and_nothing_of_others() -> None:
    html = (FOLDER / INDEX).read_text(encoding="utf-8")
    page = Page(html)
    named = {attributes.get("src") or attributes["href"] for attributes in page.all("script") + page.all("link")}
    assert named == {"page/icon.svg", "page/page.css", "page/page.js"}
    assert not [key for _, attributes in page.elements for key in attributes if key.startswith("on") or key == "style"]
    assert not page.all("style")
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    scripts = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.js")}
    imported = {name for text in scripts.values() for name in re.findall(r'from "\./(.+?)"', text)}
    assert imported | {"page.js"} == scripts.keys()
    for text in [html, *scripts.values(), (FOLDER / "page.css").read_text(encoding="utf-8")]:
        assert "http" not in text.replace("https but", "")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|url\(", text)


def test_a_server_without_the_page_has_the_interfaces_alone() -> None:
    app = create_app(Service(Models.of([]), ServingConfig(page=False)))
    assert TestClient(app).get("/").status_code == 404
    assert TestClient(app).get("/health").status_code == 200
    app = create_app(Service(Models.of([]), ServingConfig()))
    assert TestClient(app).get("/").status_code == 200

"""The documentation as a site: every page is in its menu, no link leads nowhere, and nothing comes from outside."""

import re
from pathlib import Path

import pytest
from browser import needs_chromium, show
from conftest import ROOT
from docs_site import build, pages


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site, without a warning."""
    folder = tmp_path_factory.mktemp("docs")
    done = build(folder)
    assert (done.returncode, "Warning" in done.stdout + done.stderr) == (0, False), done.stdout + done.stderr
    return folder / "site"


def test_the_menu_holds_every_page_once(site: Path) -> None:
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"^ +- [^:]+: (\S+\.md)$", settings, re.MULTILINE)
    assert sorted(listed) == sorted(name for name in pages() if name.endswith(".md"))
    for name in listed:
        made = site / re.sub(r"README\.md$", "index.md", name)
        assert made.with_suffix(".html").is_file(), f"{name} is not in the site"


@pytest.mark.slow
def test_a_link_of_a_page_to_nowhere_stops_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "README.md").write_text("# Start\n\n[A page](docs/nosuch.md)\n", encoding="utf-8")
    (tmp_path / "docs").mkdir()
    (tmp_path / "mkdocs.yml").write_text("site_name: x\ndocs_dir: pages\n", encoding="utf-8")
    monkeypatch.setattr("docs_site.ROOT", tmp_path)
    monkeypatch.setattr("docs_site.OTHERS", ("README.md",))
    done = build(tmp_path / "built")
    assert done.returncode != 0
    assert "page does not exist" in done.stdout + done.stderr


def test_the_pages_name_no_script_style_or_picture_of_another_host(site: Path) -> None:
    found = [
        (page.name, tag)
        for page in site.rglob("*.html")
        for tag in re.findall(r"<(?:script|img|iframe|link)\b[^>]*>", page.read_text(encoding="utf-8"))
        if re.search(r"""(?:src|href)=["']?(?:https?:)?//""", tag)
    ]
    assert found == []


@needs_chromium
def test_a_browser_asks_no_host_for_anything_and_has_nothing_to_complain_of(site: Path, tmp_path: Path) -> None:
    shown = show(site / "docs" / "translating.html", tmp_path)
    assert (shown.messages, shown.requests) == ([], [])
    assert "nmt translate" in shown.dom

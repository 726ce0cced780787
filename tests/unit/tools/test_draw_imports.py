"""The picture of the imports: packages, their arrows, and circles."""

from pathlib import Path

import draw_imports
import pytest


@pytest.fixture
def package(tmp_path: Path) -> Path:
    sources = {
        "errors.py": "",
        "cli.py": "def main():\n    from nmt.pipeline import run",
        "pipeline/run.py": "from nmt.data.reading.tmx import read\nfrom nmt.errors import NmtError",
        "data/reading/tmx.py": "from nmt import errors\nif TYPE_CHECKING:\n    from nmt.pipeline import run",
    }
    for name, source in sources.items():
        path = tmp_path / "nmt" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return tmp_path / "nmt"


def test_packages_and_their_imports_are_found(package: Path) -> None:
    modules, graph = draw_imports.read_package(package)
    assert modules == {"cli": ["cli"], "data.reading": ["tmx"], "ground": ["errors"], "pipeline": ["run"]}
    assert graph == {
        "cli": {"pipeline"},
        "data.reading": {"ground"},
        "ground": set(),
        "pipeline": {"data.reading", "ground"},
    }
    assert draw_imports.reduced(graph)["pipeline"] == {"data.reading"}
    assert draw_imports.levels(graph) == [["cli"], ["pipeline"], ["data.reading"], ["ground"]]


def test_a_circle_is_refused() -> None:
    with pytest.raises(ValueError, match="in a circle: a, b"):
        draw_imports.reduced({"a": {"b"}, "b": {"a"}, "c": {"a"}})


def test_a_box_a_package_and_an_arrow_an_import(package: Path) -> None:
    picture = draw_imports.picture(package)
    assert picture.count("<rect") == 4
    assert picture.count("marker-end") == 3
    assert ">tmx<" in picture

"""The picture of the imports: packages, their arrows, and circles."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from conftest import ROOT


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_imports", ROOT / "tools" / "draw_imports.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


def test_packages_and_their_imports_are_found(tool: ModuleType, package: Path) -> None:
    modules, graph = tool.read_package(package)
    assert modules == {"cli": ["cli"], "data.reading": ["tmx"], "ground": ["errors"], "pipeline": ["run"]}
    assert graph == {
        "cli": {"pipeline"},
        "data.reading": {"ground"},
        "ground": set(),
        "pipeline": {"data.reading", "ground"},
    }
    assert tool.reduced(graph)["pipeline"] == {"data.reading"}
    assert tool.levels(graph) == [["cli"], ["pipeline"], ["data.reading"], ["ground"]]


def test_a_circle_is_refused(tool: ModuleType) -> None:
    with pytest.raises(ValueError, match="in a circle: a, b"):
        tool.reduced({"a": {"b"}, "b": {"a"}, "c": {"a"}})


def test_a_box_a_package_and_an_arrow_an_import(tool: ModuleType, package: Path) -> None:
    picture = tool.picture(package)
    assert picture.count("<rect") == 4
    assert picture.count("marker-end") == 3
    assert ">tmx<" in picture

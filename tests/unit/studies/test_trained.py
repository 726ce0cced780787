"""Models that studies train: the whole example of the page on studies."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from conftest import ROOT

from nmt.studies.base import configure
from nmt.studies.runner import StudyRun, make_cell
from nmt.studies.trained import Translated, train_and_test


def test_exact_match_is_the_share_of_equal_lines() -> None:
    assert Translated(["a b", "a", "", "c"], ["a b", "b", "", "c "]).exact == 50


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the module that the page has."""
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "studies.md").read_text(encoding="utf-8"), re.DOTALL)
    path = tmp_path / "widths.py"
    path.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("widths", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "widths", module)
    spec.loader.exec_module(module)
    return module


def test_the_example_of_the_page_is_a_study(example: ModuleType, tmp_path: Path) -> None:
    study = example.Widths()
    config = configure(study, ["steps=60", "widths=16"], is_quick=True, seed=None)
    run = StudyRun(study, config, tmp_path / "study")
    (cell,) = study.cells(config)
    make_cell(run, cell)
    result = run.result_of(cell)
    assert result is not None
    assert 10 < result["exact"] <= 100
    assert study.table(config, run.results()) == [{"cell": "width-16", "exact match": f"{result['exact']:.0f}"}]
    assert study.plot(config, run.results()).keys() == {"widths"}
    recipe = run.cell_folder(cell) / "run" / "recipe.toml"
    assert 'task = "mode"' in recipe.read_text(encoding="utf-8")


def test_a_finished_run_is_read_again(example: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def train(recipe: dict[str, object], folder: Path) -> object:
        seen.append(recipe)
        return train_and_test(recipe, folder)

    monkeypatch.setattr("nmt.studies.trained.train_and_test", train)
    config = configure(example.Widths(), ["steps=25", "widths=16"], is_quick=True, seed=None)
    cell = example.Widths().cells(config)[0]
    first = example.Widths().run(cell, config, tmp_path)
    bundle = (tmp_path / "run" / "model" / "model.safetensors").stat().st_mtime_ns
    assert example.Widths().run(cell, config, tmp_path) == first
    assert (tmp_path / "run" / "model" / "model.safetensors").stat().st_mtime_ns == bundle
    assert seen[0] == seen[1]

"""The hint that names an optional extra; the name on PyPI."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from nmt import version
from nmt.version import DISTRIBUTION, install_hint

ROOT = Path(__file__).parents[2]


def test_an_extra_is_installed_in_the_checkout_or_from_pypi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ROOT == version.ROOT
    assert install_hint("langid") == 'pip install -e ".[langid]"'
    monkeypatch.setattr(version, "ROOT", tmp_path)
    assert install_hint("langid") == 'pip install "nmt-toolkit[langid]"'


def test_the_distribution_has_the_name_of_the_hint_and_every_extra_that_is_named() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == DISTRIBUTION
    assert {"ctranslate2", "ja", "ko", "langid", "tensorboard"} <= project["optional-dependencies"].keys()
    assert project["scripts"] == {"nmt": "nmt.__main__:main"}


def test_the_floors_and_the_pins_are_free_of_the_fault_of_arrow_and_the_audit_is_pinned_too() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needs = {need.name: need for need in map(Requirement, project["dependencies"])}
    assert "23.0.0" not in needs["pyarrow"].specifier  # CVE-2026-25087
    assert "23.0.1" in needs["pyarrow"].specifier
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split("\n")
    pins = {
        pin.name: next(iter(pin.specifier)) for pin in map(Requirement, filter(re.compile("[A-Za-z]").match, lines))
    }
    assert {pin.operator for pin in pins.values()} == {"=="}
    assert pins["pyarrow"].version in needs["pyarrow"].specifier
    assert "pip_audit" in pins
    assert not any("Editable" in line for line in lines)

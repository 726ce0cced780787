"""The hint that names an optional extra; the name on PyPI."""

import tomllib
from pathlib import Path

import pytest

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

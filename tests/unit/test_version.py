"""The hint that names an optional extra; the name on PyPI."""

import re
import tomllib
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from nmt import version
from nmt.version import DISTRIBUTION, EXTRAS, TRAINING, install_hint, missing_package

ROOT = Path(__file__).parents[2]


def test_an_extra_is_installed_in_the_checkout_or_from_pypi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ROOT == version.ROOT
    assert install_hint("langid") == 'pip install -e ".[langid]"'
    monkeypatch.setattr(version, "ROOT", tmp_path)
    assert install_hint("langid") == 'pip install "nmt-toolkit[langid]"'


def project() -> dict[str, Any]:
    """Return the table `[project]` of pyproject.toml."""
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


def names(needs: Iterable[str]) -> set[str]:
    """Return the names of required packages, as modules are named."""
    return {Requirement(need).name.lower().replace("-", "_") for need in needs}


def closure(needs: Iterable[str]) -> set[str]:
    """Return the names of all packages that an install of `needs` brings, as installed packages declare them."""
    found: set[str] = set()
    waiting = [Requirement(need) for need in needs]
    while waiting:
        need = waiting.pop()
        if (key := f"{need.name.lower().replace('-', '_')}[{','.join(sorted(need.extras))}]") in found:
            continue
        found.add(key)
        with suppress(PackageNotFoundError):
            for inner in map(Requirement, requires(need.name) or []):
                if inner.marker is None or any(inner.marker.evaluate({"extra": each}) for each in ("", *need.extras)):
                    waiting.append(inner)
    return {name.partition("[")[0] for name in found}


def test_a_missing_package_of_an_extra_is_named_with_its_command_and_no_other_is() -> None:
    line = missing_package(ModuleNotFoundError("No module named 'torch'", name="torch"))
    assert line == 'the package torch is not installed (pip install -e ".[train]")'
    assert missing_package(ModuleNotFoundError("No module named 'torch.nosuch'", name="torch.nosuch")) is None
    assert missing_package(ModuleNotFoundError("nameless")) is None


def test_the_distribution_has_the_name_of_the_hint_and_the_extras_that_install_each_package() -> None:
    assert project()["name"] == DISTRIBUTION
    assert project()["scripts"] == {"nmt": "nmt.__main__:main"}
    extras = project()["optional-dependencies"]
    assert {"ja", "ko"} <= extras.keys()
    tools = {"audit", "dev", "docs", "ja", "ko", "mutants"}  # of which nmt imports nothing
    declared = {name: extra for extra, needs in extras.items() if extra not in tools for name in names(needs)}
    assert declared == EXTRAS
    assert {EXTRAS[name] for name in TRAINING} == {"train"}


def test_an_install_for_serving_brings_no_package_of_training() -> None:
    base, extras = project()["dependencies"], project()["optional-dependencies"]
    assert set(TRAINING) <= closure(extras["train"])
    serving = closure([*base, *extras["ctranslate2"], *extras["serve"]])
    assert {"numpy", "sentencepiece", "pygments", "pyyaml", "starlette"} <= serving
    assert serving.isdisjoint({*TRAINING, "lxml", "pandas", "pillow", "sympy"})


def test_the_floors_and_the_pins_are_free_of_the_fault_of_arrow_and_the_audit_is_pinned_too() -> None:
    needs = {need.name: need for need in map(Requirement, project()["optional-dependencies"]["train"])}
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


def test_citation_and_changelog_name_the_version_and_the_licence() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["cff-version"], citation["type"]) == ("1.2.0", "software")
    assert (citation["version"], citation["license"]) == (version.__version__, project()["license"])
    assert citation["authors"] == [{"name": "The nmt authors"}]
    assert {"message", "title"} <= citation.keys()
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", changelog, re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert f"this will be {version.__version__}." in changelog or f"[{version.__version__}]" in headings[1]
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.+)$", changelog, re.MULTILINE)) <= kinds

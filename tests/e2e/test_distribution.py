"""The sdist and the wheel: what they hold, and that the wheel works away from the checkout."""

import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT, Result, environment

from nmt.runtime import code
from nmt.version import __version__

NAME = f"nmt_toolkit-{__version__}"
RECIPES = sorted((ROOT / "recipes").iterdir())


def build(target: str, folder: Path, output: Path) -> Path:
    """Build the `target` of the project in `folder`, as a build front end does; return its file."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(output)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (found,) = output.iterdir()
    return found


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an unpacked sdist."""
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(build("sdist", ROOT, folder / "built")) as archive:
        archive.extractall(folder, filter="data")
    return folder / NAME


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel, made of the sdist."""
    return build("wheel", sdist, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel alone into a new environment, which finds the other packages in the one of the tests."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(folder)
    python = folder / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "others.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    return folder / "bin"


def run_installed(installed: Path, folder: Path, *command: str, stdin: str = "") -> Result:
    """Run a program of the environment in `folder`, where no variable names the checkout."""
    env = {key: value for key, value in environment().items() if key != "PYTHONPATH"}
    program = [str(installed / command[0]), *command[1:]]
    done = subprocess.run(program, input=stdin, capture_output=True, text=True, cwd=folder, env=env, check=False)
    return Result(done.returncode, done.stdout, done.stderr)


def files(folder: Path) -> set[str]:
    """Return the names of the files under `folder` that are no caches."""
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in found if "__pycache__" not in path.parts}


def test_the_wheel_holds_the_package_and_the_recipes_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if not name.startswith(f"{NAME}.dist-info/")}
    assert wheel.name == f"{NAME}-py3-none-any.whl"
    assert held == {f"nmt/{name}" for name in files(ROOT / "nmt")} | {f"nmt/recipes/{p.name}" for p in RECIPES}
    assert {"nmt/py.typed", "nmt/tasks/words.toml", "nmt/experiments/report.html", "nmt/recipes/demo.toml"} <= held


def test_the_sdist_holds_what_the_tests_and_the_documentation_need(sdist: Path) -> None:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("not a clone")
    tracked = {name for name in done.stdout.split("\0") if (ROOT / name).is_file()}
    assert tracked <= files(sdist)


def test_the_wheel_works_away_from_the_checkout(installed: Path, tiny_model: Path, tmp_path: Path) -> None:
    assert run_installed(installed, tmp_path, "nmt", "--version") == Result(0, f"nmt {__version__}\n", "")
    listed = run_installed(installed, tmp_path, "nmt", "recipe", "list")
    assert {line.split()[0] for line in listed.lines[1:]} == {path.stem for path in RECIPES if path.suffix == ".toml"}
    program = "import nmt.runtime; print(nmt.__file__); print(nmt.runtime.code()['source'])"
    where, digest = run_installed(installed, tmp_path, "python", "-c", program).lines
    assert Path(where).is_relative_to(installed.parent)
    assert digest == code()["source"]
    said = run_installed(installed, tmp_path, "nmt", "translate", str(tiny_model), stdin="A small dog sleeps.\n\n")
    assert (said.code, len(said.lines)) == (0, 2), said.err
    assert said.lines[0]


def test_away_from_a_checkout_the_hint_names_the_distribution(installed: Path, tmp_path: Path) -> None:
    program = "from nmt.version import install_hint; print(install_hint('train'))"
    assert run_installed(installed, tmp_path, "python", "-c", program).out == 'pip install "nmt-toolkit[train]"\n'

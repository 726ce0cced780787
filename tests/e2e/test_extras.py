"""An install without the packages of training: what it does, and what it says of the rest."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Run, environment

from nmt.version import TRAINING

LINES = ["The woman sees the old house.", "", "Do you know the small dog?"]
WITHOUT = """\
import json, sys
from nmt.version import EXTRAS

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in EXTRAS and name != "ctranslate2":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
from nmt import cli
for arguments in json.loads(sys.stdin.read()):
    sys.argv = ["nmt", *arguments]
    try:
        cli.main()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    print(f"exit code {code}", file=sys.stderr)
"""
"""Run commands, each as `main` does, where no package of an extra but ctranslate2 can be imported."""


def run_without(commands: list[list[str]], folder: Path) -> tuple[str, list[str]]:
    """Run `commands` in `folder`; return what they wrote, and of each its messages and its exit code."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT],
        input=json.dumps(commands),
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment(),
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr.splitlines()


@pytest.fixture(scope="module")
def exported(tiny_model: Path, nmt_here: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of the tiny bundle that holds an export, with the lines to translate beside it."""
    folder = tmp_path_factory.mktemp("exported")
    bundle = shutil.copytree(tiny_model, folder / "model")
    (folder / "in.en").write_text("".join(f"{line}\n" for line in LINES), encoding="utf-8")
    assert nmt_here("export", bundle, "--to", "ctranslate2", "--sample", folder / "in.en").code == 0
    return bundle


def test_without_the_packages_of_training_an_export_translates_the_same(
    exported: Path, nmt_here: Run, tmp_path: Path
) -> None:
    source = exported.parent / "in.en"
    command = ["translate", str(exported), "--engine", "ctranslate2", "-i", str(source)]
    said, messages = run_without([[*command, "-o", "out.de"]], tmp_path)
    assert (said, messages[-1]) == ("", "exit code 0")
    assert (tmp_path / "out.de").read_text(encoding="utf-8") == nmt_here(*command).out


def test_a_command_that_needs_a_package_names_the_one_that_installs_it(tiny_model: Path, tmp_path: Path) -> None:
    bundle, run = str(tiny_model), str(tiny_model.parent)
    (tmp_path / "a.en").write_text("one\n", encoding="utf-8")
    (tmp_path / "b.de").write_text("eins\n", encoding="utf-8")
    commands = [
        ["init", "en", "de", "--train", "a.en", "b.de", "-o", "mine.toml"],
        *([name, "demo"] for name in ("doctor", "run", "reproduce", "prepare", "train")),
        ["translate", bundle],
        ["score", bundle, "--source", "a.en", "--target", "b.de"],
        ["evaluate", "--hypotheses", "b.de", "--reference", "b.de"],
        ["export", bundle, "--to", "int8", "-o", "int8"],
        ["compare", run, run],
        ["sweep", "demo", "--set", "seed=1,2"],
        ["plot", run, "-o", "curves.pdf"],
        ["report", run],
        ["inspect", "model", bundle],
        ["data", "inspect", "a.en", "b.de"],
        ["checkpoints", "list", run],
        ["serve", bundle],
    ]
    before = sorted(tmp_path.iterdir())
    said, messages = run_without(commands, tmp_path)
    assert (said, len(messages)) == ("", 2 * len(commands)), messages
    for command, line, code in zip(commands, messages[::2], messages[1::2], strict=True):
        assert re.match("nmt: (the package|the engine native needs a package|nmt serve needs a package) ", line), (
            command
        )
        extra = "serve" if command[0] == "serve" else "train"
        assert f' not installed (pip install -e ".[{extra}]"' in line, (command, line)
        assert code == "exit code 2", command
    assert (
        'nmt: the engine native needs a package that is not installed (pip install -e ".[train]", '
        "or take the engine ctranslate2, if the model has an export)"
    ) in messages
    assert sorted(tmp_path.iterdir()) == before


def test_help_the_version_recipes_and_tokenizers_need_no_package_of_training(tiny_model: Path, tmp_path: Path) -> None:
    commands = [["--version"], ["--help"], ["translate", "--help"], ["recipe", "list"], ["recipe", "explain", "model"]]
    said, messages = run_without([*commands, ["tokenizer", "show", str(tiny_model)]], tmp_path)
    assert messages == ["exit code 0"] * 6
    assert "demo" in said


def test_serving_imports_no_package_of_training(exported: Path) -> None:
    program = (
        "import sys, nmt.commands.serve, nmt.commands.translate, nmt.server.running\n"
        "from nmt import Translator\n"
        f"translator = Translator.load({str(exported)!r}, engine='ctranslate2')\n"
        f"print(len(translator.translate({LINES!r})))\n"
        f"print([name for name in {TRAINING!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, f"{len(LINES)}\n[]\n"), done.stderr

"""What a user sees first: help, fast and as in the golden files, and the version."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import GOLDEN, Run, environment

import nmt as package
from nmt import cli
from nmt.commands.group import LazyCommand

HELP = GOLDEN / "help"
QUICK = 0.5
"""Seconds in which help has to be there."""


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the words and the object of every command, groups included."""
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner.load() if isinstance(inner, LazyCommand) else inner, (*path, name))


BY_WORDS = dict(commands(cli.program))
COMMANDS = sorted(BY_WORDS)


def golden(words: tuple[str, ...]) -> Path:
    return HELP / f"{'-'.join(['nmt', *words])}.txt"


def tidy(text: str) -> str:
    """Return help without the spaces that fill its lines."""
    return "".join(f"{line.rstrip()}\n" for line in text.strip().splitlines())


def test_the_commands_are_these() -> None:
    assert [" ".join(words) for words in COMMANDS] == [
        *("", "checkpoints", "checkpoints average", "checkpoints list", "checkpoints verify"),
        *("data", "data clean", "data filters", "data funnel", "data inspect", "data synthesize", "doctor", "evaluate"),
        *("export", "init", "prepare", "recipe", "recipe explain"),
        *(
            "recipe list",
            "recipe show",
            "run",
            "score",
            "tokenizer",
            "tokenizer decode",
            "tokenizer encode",
            "tokenizer show",
        ),
        *("tokenizer train", "train", "translate"),
    ]


@pytest.mark.parametrize("words", COMMANDS, ids=["-".join(["nmt", *words]) for words in COMMANDS])
def test_help_is_as_in_the_golden_file(nmt_here: Run, words: tuple[str, ...]) -> None:
    said = nmt_here(*words, "--help")
    assert (said.code, said.err) == (0, "")
    assert nmt_here(*words, "-h") == said
    if os.environ.get("NMT_GOLDEN") == "rewrite":
        HELP.mkdir(parents=True, exist_ok=True)
        golden(words).write_text(tidy(said.out), encoding="utf-8", newline="\n")
    assert tidy(said.out) == golden(words).read_text(encoding="utf-8")


def test_there_is_no_golden_help_of_a_command_that_is_gone() -> None:
    assert sorted(path.name for path in HELP.iterdir()) == sorted(golden(words).name for words in COMMANDS)


@pytest.mark.parametrize("words", [(), ("recipe",), ("tokenizer",), ("data",), ("checkpoints",)])
def test_a_group_without_a_command_shows_its_help(nmt_here: Run, words: tuple[str, ...]) -> None:
    said = nmt_here(*words)
    assert (said.code, said.out, tidy(said.err)) == (2, "", tidy(nmt_here(*words, "--help").out))


def test_help_is_there_in_half_a_second() -> None:
    # Its own processor time, which another job on the machine does not lengthen as it does the clock's.
    count = "import os, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True); "
    count += "t = os.times(); print(t.children_user + t.children_system)"
    seconds = [
        float(
            subprocess.run(
                [sys.executable, "-c", count, sys.executable, "-m", "nmt", "--help"],
                capture_output=True,
                env=environment(),
                check=True,
            ).stdout
        )
        for _ in range(3)
    ]
    assert statistics.median(seconds) < QUICK, seconds


@pytest.mark.parametrize(
    "words", [["--help"], ["run", "--help"], ["--version"], ["recipe", "show", "demo"], ["run", "nosuch"]]
)
def test_what_needs_no_torch_imports_none(tmp_path: Path, words: list[str]) -> None:
    report = tmp_path / "modules.json"
    script = f"""
import json, pathlib, sys
sys.argv = ["nmt", *{words!r}]
from nmt.cli import main
try:
    main()
finally:
    pathlib.Path({str(report)!r}).write_text(json.dumps(sorted(sys.modules)))
"""
    subprocess.run([sys.executable, "-c", script], capture_output=True, env=environment(), cwd=tmp_path, check=False)
    modules = set(json.loads(report.read_text(encoding="utf-8")))
    assert "nmt.cli" in modules
    assert modules & {"torch", "datasets", "pyarrow", "sentencepiece", "sacrebleu", "safetensors"} == set()


def test_python_m_nmt_is_the_console_script(nmt: Run) -> None:
    script = Path(sys.executable).parent / "nmt"
    if not script.exists():
        pytest.skip(f"no console script beside {sys.executable}")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, env=environment(), check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"nmt {package.__version__}\n", "")
    assert nmt("--version") == (0, f"nmt {package.__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tranlsate"], "No such command 'tranlsate'"),
        (["recipe", "shw"], "No such command 'shw'"),
        (["run"], "Missing argument 'RECIPE'"),
        (["translate"], "Missing argument 'MODEL'"),
        (["--verbos", "run"], "No such option: --verbos"),
    ],
)
def test_a_command_line_that_cannot_be_is_one_line(nmt_here: Run, words: list[str], message: str) -> None:
    said = nmt_here(*words)
    assert (said.code, said.out, len(said.messages)) == (2, "", 1)
    assert said.err.startswith(f"nmt: {message}")

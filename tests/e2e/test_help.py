"""What a user sees first: help, fast and as in the golden files, and the version."""

import json
import os
import re
import shlex
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import GOLDEN, Run, environment
from rich.text import Text

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
        *("", "align", "cache", "cache list", "cache prune"),
        *("checkpoints", "checkpoints average", "checkpoints list", "checkpoints verify", "compare"),
        *(
            "data",
            "data added",
            "data clean",
            "data filters",
            "data funnel",
            "data inspect",
            "data synthesize",
            "doctor",
            "evaluate",
        ),
        *(
            "export",
            "import",
            "init",
            "inspect",
            "inspect attention",
            "inspect model",
            "inspect search",
            "key",
            "plot",
            "prepare",
        ),
        *("recipe", "recipe explain"),
        *(
            "recipe list",
            "recipe show",
            "report",
            "reproduce",
            "run",
            "score",
            "serve",
            "study",
            "study in-context-regression",
            "study length-generalization",
            "study softmax-regression",
            "sweep",
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


@pytest.mark.parametrize("words", [(), ("recipe",), ("tokenizer",), ("data",), ("checkpoints",), ("study",)])
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


SLOW = {"torch", "numpy", "datasets", "pyarrow", "sentencepiece", "sacrebleu", "safetensors", "matplotlib"}
"""Packages that no help and no completion may wait for."""


def test_no_help_imports_what_is_slow(tmp_path: Path) -> None:
    script = f"""
import contextlib, sys
from nmt.cli import program
for words in {[*map(list, COMMANDS)]!r}:
    with contextlib.redirect_stdout(None):
        program([*words, "--help"], prog_name="nmt", standalone_mode=False)
    print(words, {SLOW!r} & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment(), cwd=tmp_path, check=True
    )
    assert done.stdout == "".join(f"{list(words)} set()\n" for words in COMMANDS)


LEAVES = [words for words in COMMANDS if not hasattr(BY_WORDS[words], "commands")]


@pytest.mark.parametrize("words", LEAVES, ids="-".join)
def test_the_example_of_a_command_is_one_that_it_takes(words: tuple[str, ...]) -> None:
    command = BY_WORDS[words]
    title, _, example = command.epilog.partition(" ")
    line = re.split(" [<>] ", example)[0]
    program, *arguments = shlex.split(line)
    assert (title, program, tuple(arguments[: len(words)])) == ("Example:", "nmt", words)
    with command.make_context(words[-1], arguments[len(words) :]) as context:
        assert context.command is command


@pytest.mark.parametrize("words", COMMANDS, ids="-".join)
def test_no_help_loses_text_to_markup(words: tuple[str, ...]) -> None:
    command = BY_WORDS[words]
    for text in [command.help, command.epilog, *(getattr(param, "help", "") for param in command.params)]:
        written = (text or "").replace("[dim]", "").replace("[/dim]", "").replace("\\[", "[")
        assert Text.from_markup(text or "").plain == written


# Completion


def completions(line: str, tmp_path: Path) -> tuple[list[str], set[str]]:
    """Return what bash is offered at the end of `line`, and the slow packages that were imported for it."""
    words = line.split(" ")
    script = f"""
import sys
from nmt.cli import main
sys.argv = ["nmt"]
try:
    main()
finally:
    print(*{SLOW!r} & set(sys.modules), file=sys.stderr)
"""
    env = environment({"_NMT_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)})
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=env, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split(), set(done.stderr.split())


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("nmt ", [" ".join(words) for words in BY_WORDS if len(words) == 1]),
        ("nmt tra", ["train", "translate"]),
        ("nmt recipe ", ["list", "show", "explain"]),
        ("nmt data cl", ["clean"]),
        ("nmt run mu", ["multi30k-en-de", "multi30k-en-de-fast", "multi30k-en-de-muon", "multi30k-en-de-shallow"]),
        ("nmt run own.to", []),  # for bash to complete by files
        ("nmt run demo --w", ["--workers"]),
        ("nmt translate model --no-", ["--no-repeat-ngram", "--no-well-formed"]),
        ("nmt translate model --engine ", ["native", "ctranslate2"]),
        ("nmt evaluate --precision b", ["bfloat16"]),
        ("nmt recipe explain decoding.b", ["decoding.beam_size", "decoding.batch_tokens"]),
        ("nmt translate ", []),
    ],
)
def test_the_shell_completes(tmp_path: Path, line: str, offered: list[str]) -> None:
    assert completions(line, tmp_path) == (offered, set())


def test_the_shell_is_shown_how_to_complete(nmt: Run) -> None:
    # Otherwise typer asks which shell has started it: none.
    said = nmt("--show-completion", "bash", env={"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"})
    assert (said.code, said.err) == (0, "")
    assert "_NMT_COMPLETE=complete_bash" in said.out
    assert "complete -o default -F _nmt_completion nmt" in said.out


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

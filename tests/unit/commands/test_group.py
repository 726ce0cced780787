"""Commands that are imported when they are called, options of several values, and text for help."""

import subprocess
import sys

import pytest
import typer
from typer.main import get_command

from nmt import cli, console
from nmt.commands.group import LazyCommand, SeveralValues, prose


def parsed(*arguments: str) -> dict[str, object]:
    """Return the parameters of a command that are parsed from `arguments`."""
    app = typer.Typer(add_completion=False)

    @app.command(cls=SeveralValues)
    def command(
        name: str,
        file: list[str] = typer.Option([], "-f", "--file", metavar="FILE..."),  # noqa: B008
        tag: list[str] = typer.Option([], "--tag", metavar="TAG"),  # noqa: B008
        flag: bool = typer.Option(False, "--flag"),
    ) -> None:
        """Do nothing."""

    with get_command(app).make_context("command", list(arguments)) as context:
        return context.params


@pytest.mark.parametrize(
    ("arguments", "files"),
    [
        (["n"], []),
        (["n", "--file", "a"], ["a"]),
        (["n", "--file", "a", "b", "c"], ["a", "b", "c"]),
        (["n", "-f", "a", "b"], ["a", "b"]),
        (["--file", "a", "-", "--flag", "n"], ["a", "-"]),
        (["n", "--file", "a", "b", "--file", "c"], ["a", "b", "c"]),
        (["--file", "a", "--", "n"], ["a"]),
        (["--file=a", "n"], ["a"]),
        (["--file", "--file", "n"], ["--file"]),
    ],
)
def test_an_option_of_several_values_takes_all_up_to_the_next_option(arguments: list[str], files: list[str]) -> None:
    found = parsed(*arguments)
    assert (found["name"], list(found["file"] or [])) == ("n", files)  # type: ignore[call-overload]


def test_an_option_of_one_value_leaves_the_next_to_the_arguments() -> None:
    assert parsed("--tag", "a", "n", "--tag", "b") == {"name": "n", "file": [], "tag": ["a", "b"], "flag": False}


def test_a_command_is_imported_when_it_is_loaded() -> None:
    program = "import sys, nmt.cli; print([name for name in sys.modules if name.startswith('nmt.commands.')])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "['nmt.commands.group']\n"


def lazy() -> list[LazyCommand]:
    return [command for command in cli.program.commands.values() if isinstance(command, LazyCommand)]


@pytest.mark.parametrize("command", lazy(), ids=lambda command: str(command.name))
def test_the_summary_in_the_list_is_the_first_line_of_the_help(command: LazyCommand) -> None:
    assert command.short_help == (command.load().help or "").partition("\n")[0]


def test_every_command_of_the_list_is_lazy() -> None:
    assert len(lazy()) == len(cli.program.commands) == sum(map(len, cli.COMMANDS.values()))


@pytest.mark.parametrize("where", [["-v", "recipe", "list"], ["recipe", "-v", "list"], ["recipe", "list", "-v"]])
def test_verbose_may_stand_anywhere(monkeypatch: pytest.MonkeyPatch, where: list[str]) -> None:
    monkeypatch.setattr(console, "VERBOSE", False)
    monkeypatch.setattr(console, "table", lambda *_: None)
    cli.program(where, prog_name="nmt", standalone_mode=False)
    assert console.VERBOSE


def test_without_verbose_nothing_is_verbose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "VERBOSE", False)
    monkeypatch.setattr(console, "table", lambda *_: None)
    cli.program(["recipe", "list"], prog_name="nmt", standalone_mode=False)
    assert not console.VERBOSE


def test_prose_is_a_line_a_paragraph_without_markup() -> None:
    text = "Set a key\n    of [cleaning].\n\n    Or [A, 1] of\n    `x`."
    assert prose(text) == "Set a key of \\[cleaning].\n\nOr [A, 1] of `x`."

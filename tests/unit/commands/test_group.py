"""Commands that are imported when they are called, options of several values, and text for help."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
import typer
from typer.main import get_command

from nmt import cli, console
from nmt.commands.group import LazyCommand, SeveralValues, prose
from nmt.errors import UsageError


def parsed(*arguments: str) -> dict[str, object]:
    """Return the parameters of a command that are parsed from `arguments`."""
    app = typer.Typer(add_completion=False)

    @app.command(cls=SeveralValues)
    def command(
        name: str,
        file: list[str] = typer.Option([], "-f", "--file", metavar="FILE..."),  # noqa: B008
        tag: list[str] = typer.Option([], "--tag", metavar="TAG"),  # noqa: B008
        flag: bool = typer.Option(False, "--flag"),
        size: int = typer.Option(1, "-s", "--size"),
        case: bool = typer.Option(False, "--case/--no-case"),
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
    found = parsed("--tag", "a", "n", "--tag", "b")
    assert found == {"name": "n", "file": [], "tag": ["a", "b"], "flag": False, "size": 1, "case": False}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["n", "--size", "2", "--size", "3"], "--size is given 2 times (it takes one value)"),
        (["--size=2", "n", "-s3", "-s", "2"], "--size is given 3 times (it takes one value)"),
        (["n", "--case", "--no-case"], "--case and --no-case exclude each other"),
    ],
)
def test_an_option_of_one_value_is_given_once(arguments: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(*arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ([""], "name"),
        (["x", "--size", ""], "--size"),
        (["x", "--size="], "--size"),
        (["x", "-f", "a", ""], "--file"),
        (["x", "--tag", ""], "--tag"),
    ],
)
def test_an_empty_value_is_refused_by_its_name(arguments: list[str], name: str) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(*arguments)
    assert str(caught.value) == f"{name}: the value is empty"


def test_a_switch_may_be_repeated_and_what_follows_two_dashes_is_no_option() -> None:
    found = parsed("--flag", "--flag", "--no-case", "--no-case", "--size", "2", "--", "--size")
    assert (found["flag"], found["case"], found["size"], found["name"]) == (True, False, 2, "--size")


def commands() -> Iterator[tuple[str, SeveralValues]]:
    """Yield each command of the program by its name, with those of groups."""
    for name, lazy_command in cli.program.commands.items():
        loaded = lazy_command.load() if isinstance(lazy_command, LazyCommand) else lazy_command
        for inner, command in getattr(loaded, "commands", {"": loaded}).items():
            if isinstance(command, SeveralValues):
                yield f"{name} {inner}".strip(), command


def test_no_command_takes_the_last_of_two_values_in_silence() -> None:
    checked = 0
    for name, command in commands():
        for param in command.params:
            if (
                param.param_type_name == "option"
                and not getattr(param, "multiple", False)
                and not getattr(param, "is_flag", False)
            ):
                words = [param.opts[-1], "7"] * 2
                with pytest.raises(UsageError, match=f"^{param.opts[-1]} is given 2 times"):
                    command.make_context(name, words)
                checked += 1
    assert checked > 100


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

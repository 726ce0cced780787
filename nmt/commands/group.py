"""Commands and groups of commands: each is imported when it is called, and its help fits the terminal."""

from __future__ import annotations

import re
from collections import Counter
from importlib import import_module
from inspect import cleandoc
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from nmt import console
from nmt.errors import UsageError

if TYPE_CHECKING:
    from typer._click.core import Command, Context, Parameter

SEVERAL = "..."  # end of the metavar of an option that takes all values up to the next option


def without_types(params: list[Parameter]) -> list[Parameter]:
    """Let the help of flags show no type: typer writes `--verbose <bool>`."""
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""
    return params


class SeveralValues(TyperCommand):
    """A command whose options with a metavar such as `FILE...` take several values: `--reference A B`."""

    def get_params(self, ctx: Context) -> list[Parameter]:
        return without_types(super().get_params(ctx))

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Parse `args`, with `--reference A B` written as `--reference A --reference B`.

        Raises UsageError where an option of one value is given twice, of which the parser would take the last one in
        silence, and where a value is empty, which would be the current folder as a path.
        """
        greedy = {name for param in self.params if (param.metavar or "").endswith(SEVERAL) for name in param.opts}
        written: list[str] = []
        option = ""
        for index, argument in enumerate(args):
            if argument == "--":
                written += args[index:]
                break
            if argument.startswith("-") and argument != "-":
                option = argument if argument in greedy else ""
            elif option and written[-1] != option:
                written.append(option)
            written.append(argument)
        if not ctx.resilient_parsing:
            self.refuse_repeated_and_empty(ctx, written)
        return super().parse_args(ctx, written)

    def refuse_repeated_and_empty(self, ctx: Context, args: list[str]) -> None:
        """Raise UsageError for an option of one value given twice, both forms of a switch, or an empty value."""
        values, _, order = self.make_parser(ctx).parse_args(list(args))
        given = Counter(param.name for param in order)
        for param in self.params:
            value = values.get(param.name or "")
            if value == "" or (isinstance(value, list | tuple) and "" in value):
                name = param.opts[-1] if param.param_type_name == "option" else (param.metavar or param.name)
                raise UsageError(f"{name}: the value is empty")
            if given[param.name] < 2 or param.param_type_name != "option" or getattr(param, "multiple", False):
                continue
            forms = [name for name in (*param.opts, *param.secondary_opts) if name in args]
            if not getattr(param, "is_flag", False):
                raise UsageError(f"{param.opts[-1]} is given {given[param.name]} times", hint="it takes one value")
            if any(name in args for name in param.opts) and any(name in args for name in param.secondary_opts):
                raise UsageError(f"{' and '.join(forms)} exclude each other")


class LazyCommand(TyperCommand):
    """The name, the summary and the panel of a command or group whose module is imported when it is called."""

    def __init__(self, name: str, module: str, summary: str, panel: str) -> None:
        super().__init__(name, short_help=summary, rich_help_panel=panel)
        self.module = module

    def load(self) -> Command:
        """Import the module and return its command of this name, or the group of all its commands."""
        group = get_group(import_module(self.module).app)
        return group.commands.get(self.name or "", group)


class LazyGroup(TyperGroup):
    """A group that imports the module of a command when it is called, and shows its help where none is."""

    def get_params(self, ctx: Context) -> list[Parameter]:
        return without_types(super().get_params(ctx))

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Parse `args`; without any, show the help on standard error and exit with the code of a usage error."""
        if not args and not ctx.resilient_parsing:
            with console.results_on_stderr():
                ctx.get_help()
            ctx.exit(UsageError.exit_code)
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        """Return the name, the loaded command and its arguments."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.load() if isinstance(command, LazyCommand) else command, rest


def set_verbose(value: bool) -> None:
    console.VERBOSE |= value


Verbose = Annotated[
    bool, typer.Option("-v", "--verbose", callback=set_verbose, expose_value=False, help="Show details and samples.")
]


def common(verbose: Verbose = False) -> None:
    """Set what holds for every command of a group."""


def new_app(help: str, *, add_completion: bool = False) -> typer.Typer:
    """Return a group of commands, whose options are `-v` and `-h`."""
    return typer.Typer(
        callback=common,
        cls=LazyGroup,
        help=prose(help),
        add_completion=add_completion,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def prose(text: str) -> str:
    """Return `text` for help: one line a paragraph, so that the terminal wraps it, and `[key]` not taken for markup.

    >>> prose("Set a key of [cleaning].")
    'Set a key of \\\\[cleaning].'
    """
    paragraphs = (" ".join(paragraph.split()) for paragraph in cleandoc(text).split("\n\n"))
    return re.sub(r"(?<!\\)\[(?=[a-z#/@])", r"\\[", "\n\n".join(paragraphs))

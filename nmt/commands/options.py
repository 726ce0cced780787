"""The decorator that makes a command, with options made from sections of the configuration; shared options."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, BinaryIO, ParamSpec, Protocol, TypeVar, Union, cast, get_args, get_origin

import typer
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from typer.models import ParameterInfo

from nmt import console
from nmt.commands.group import SeveralValues, Verbose, prose
from nmt.config.section import Flag, Section, cut
from nmt.data.reading.streams import COMPRESSIONS, compressing, is_archive
from nmt.errors import UsageError, worded
from nmt.files import check_output, is_stream, replacing

P = ParamSpec("P")
S = TypeVar("S", bound=Section)

MOST_WORKERS = 1024
PICTURES = (".svg", ".png")  # endings of the files that a picture can be drawn to
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=MOST_WORKERS,
        help="Processes that prepare data, whose number changes nothing; by default a core each.",
    ),
]
Input = Annotated[Path | None, typer.Option("-i", "--input", help="Read this file instead of standard input.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        help="Write this file instead of standard output; compressed if it ends in .gz, .xz, .zst or .bz2.",
    ),
]

SkipBad = Annotated[
    bool,
    typer.Option(
        "--skip-bad", help="Leave out, and count, damaged units of .tmx, .xlf and .po; by default they are an error."
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        metavar="SOURCE,TARGET",
        help="Columns of the files of both sides, by name, or of .tsv without a header by number, from 1; by default "
        "those named after the languages or the sides, else the first two of .tsv.",
    ),
]


@dataclass(frozen=True)
class OptionsOf:
    """Marks a parameter of a command that is a section: its fields are the options of a panel of the help.

    The section is made of the options that were given, its `model_fields_set`.
    """

    panel: str
    only: tuple[str, ...] = ()  # the fields that are options; empty for all
    default: str = "{}"  # how the help writes the default of a field


class Body(Protocol):
    """The function of a command, called by the names of its parameters."""

    def __call__(self, **values: object) -> None: ...


def command(
    app: typer.Typer, example: str, name: str | None = None
) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Register a function as the command `name` of `app`, by default its own name, with an `example` in the help.

    A parameter that is a section and marked by `OptionsOf` becomes an option for each of its fields; every command
    has `-v`.
    """

    def register(function: Callable[P, None]) -> Callable[P, None]:
        text, epilog = prose(inspect.getdoc(function) or ""), f"Example: {prose(example)}"
        app.command(name, cls=SeveralValues, help=text, epilog=epilog)(with_options(function))
        return function

    return register


def with_options(function: Callable[P, None]) -> Body:
    """Return `function` with the options of sections in place of the sections, and with `-v`."""
    sections: dict[str, tuple[type[Section], OptionsOf]] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(function, eval_str=True).parameters.values():
        base, *marks = get_args(parameter.annotation) or [parameter.annotation]
        mark = next((mark for mark in marks if isinstance(mark, OptionsOf)), None)
        if mark is None:
            for info in marks:
                if isinstance(info, ParameterInfo):
                    info.help = prose(info.help or "")
            parameters.append(parameter.replace(kind=parameter.KEYWORD_ONLY))
        else:
            sections[parameter.name] = base, mark
            parameters += [option(base, key, mark) for key in mark.only or base.model_fields]
    verbose = inspect.Parameter("verbose", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Verbose)

    def run(**values: object) -> None:
        del values["verbose"]
        for parameter, (section, mark) in sections.items():
            keys = mark.only or section.model_fields
            given = {key: value for key in keys if (value := values.pop(key)) is not None}
            values[parameter] = filled(section, given)
        cast("Body", function)(**values)

    run.__name__ = function.__name__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in [*parameters, verbose]}
    vars(run)["__signature__"] = inspect.Signature([*parameters, verbose])
    return run


def option(section: type[Section], key: str, mark: OptionsOf) -> inspect.Parameter:
    """Return the option of a field: its name, type, bounds, default and docstring."""
    field = section.model_fields[key]
    kind, constraints = plain_type(field.annotation, field.metadata)
    flag = flag_of(field)
    default = field.get_default(call_default_factory=True)
    plain = default is True or default in (None, False, "", [])
    shown = "" if plain else f" [dim]\\[default: {mark.default.format(default)}][/dim]"
    name = option_name(section, key)
    info = typer.Option(
        f"{name}/--no-{name.removeprefix('--')}" if default is True else name,
        help=prose(described(section, key)) + shown,
        metavar=flag.metavar or ranged(kind, constraints),
        envvar=flag.environment,
        rich_help_panel=mark.panel,
    )
    return inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, info])


def flag_of(field: FieldInfo) -> Flag:
    """Return how a command line writes a field where that differs from its name."""
    return next((one for one in field.metadata if isinstance(one, Flag)), Flag())


def plain_type(annotation: object, constraints: Sequence[object] = ()) -> tuple[type, list[object]]:
    """Return the type of a field without None, and its constraints, wherever in the annotation they stand."""
    base, *others = get_args(annotation) or [annotation]
    if get_origin(annotation) is Annotated:
        return plain_type(base, [*constraints, *others])
    if get_origin(annotation) in (Union, UnionType):
        (kind,) = [one for one in (base, *others) if one is not NoneType]
        return plain_type(kind, constraints)
    return cast("type", annotation), [one for each in constraints for one in getattr(each, "metadata", [each])]


def ranged(kind: type, constraints: Sequence[object]) -> str | None:
    """Write the type and the bounds of a number as typer does, `<float range> [0<x<=1]`; None without bounds."""

    def limit(strict: str, loose: str, step: int) -> tuple[float, str] | None:
        for one in constraints:
            if (value := getattr(one, strict, None)) is not None:
                return (value + step, "=") if kind is int else (value, "")
            if (value := getattr(one, loose, None)) is not None:
                return value, "="
        return None

    low, high = limit("gt", "ge", 1), limit("lt", "le", -1)
    if low and high:
        bounds = f"{low[0]}<{low[1]}x<{high[1]}{high[0]}"
    elif low:
        bounds = f"x>{low[1]}{low[0]}"
    elif high:
        bounds = f"x<{high[1]}{high[0]}"
    else:
        return None
    return f"<{kind.__name__} range> [{bounds}]"


def option_name(section: type[Section], key: str) -> str:
    """Write a field as an option: `--beam-size`."""
    return flag_of(section.model_fields[key]).name or f"--{key.replace('_', '-')}"


def described(section: type[Section], key: str) -> str:
    """Return the docstring of a field, with other fields of the section written as options."""
    fields = section.model_fields
    text = fields[key].description or ""
    return re.sub(r"`(\w+)`", lambda found: option_name(section, found[1]) if found[1] in fields else found[0], text)


def with_options_named(section: type[Section], message: str) -> str:
    """Return a message of a section with its fields, where it gives their values, written as options."""
    fields = "|".join(section.model_fields)
    return re.sub(rf"\b({fields})(?= = )", lambda found: option_name(section, found[1]), message)


def filled(section: type[S], given: Mapping[str, object]) -> S:
    """Return the section with the values that were `given`, its defaults otherwise.

    Raises BadParameter where a value is out of bounds or values do not go together, and what the section itself raises.
    """
    try:
        return section.model_validate(given)
    except ValidationError as error:
        finding = error.errors()[0]
        if not finding["loc"]:
            raise typer.BadParameter(with_options_named(section, worded(finding["msg"]))) from None
        name = option_name(section, str(finding["loc"][0]))
        value = cut(str(finding["input"]))
        raise typer.BadParameter(f"{worded(finding['msg'])}, not {value}", param_hint=f"'{name}'") from None


def check_picture(path: Path) -> None:
    """Raise UsageError where `path` is not named as a picture, or cannot be written."""
    if path.suffix.lower() not in PICTURES:
        raise UsageError(f"-o {path}: not a picture", hint=f"name it {' or '.join(PICTURES)}")
    if not path.parent.is_dir():
        raise UsageError(f"-o {path}: no folder {path.parent}", hint="make it first")
    check_output(path)


@contextmanager
def writing(path: Path | None) -> Iterator[BinaryIO]:
    """Yield standard output, or a file that appears at `path` only when it is whole, compressed as its suffix says.

    Raises UsageError where `path` is named as an archive.
    """
    if path is None:
        console.end_with_pipe()
        yield console.stdout()
        return
    if is_archive(path.name):
        hint = f"a file is written plain, or compressed: {', '.join(COMPRESSIONS)}"
        raise UsageError(f"-o {path}: an archive cannot be written", hint=hint)
    with ExitStack() as stack:
        if is_stream(path):
            console.end_with_pipe()
            file = stack.enter_context(path.open("ab"))  # an open file goes on where it is
        else:
            check_output(path)
            file = stack.enter_context(stack.enter_context(replacing(path)).open("wb"))
        yield stack.enter_context(compressing(file, path.name))

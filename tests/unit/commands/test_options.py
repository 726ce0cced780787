"""Options made from the fields of a section: names, bounds, defaults and help are written once."""

import os
import subprocess
from pathlib import Path
from typing import Annotated, Literal

import pytest
import typer
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, create_model
from typer.core import TyperOption
from typer.main import get_command

from nmt import console
from nmt.commands.options import (
    OptionsOf,
    check_picture,
    command,
    filled,
    option,
    option_name,
    plain_type,
    ranged,
    with_options_named,
    writing,
)
from nmt.config.decoding import DecodingConfig, SamplingConfig
from nmt.config.section import Flag, Section
from nmt.config.tasks import TaskConfig
from nmt.data.reading.archives import read_lines
from nmt.errors import UsageError


class Settings(Section):
    """A section for these tests."""

    size: PositiveInt = 4
    """How large; see `ratio` and `nothing`."""
    ratio: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Of the [cleaning] section."""
    kind: Literal["plain", "fancy"] = "plain"
    """The kind."""
    names: Annotated[list[str], Field(default_factory=list), Flag("--name", "NAME")]
    """Names."""
    quick: bool = False
    """Be quick."""


def made(section: type[Section], mark: OptionsOf | None = None) -> tuple[typer.Typer, list[Section]]:
    """Return a program with the options of `section`, and the sections that its calls are given."""
    app = typer.Typer(add_completion=False, rich_markup_mode="rich")
    seen: list[Section] = []
    annotation = Annotated[section, mark or OptionsOf("Settings")]  # type: ignore[valid-type]

    def body(name: str, *, settings: Section) -> None:
        """Do nothing."""
        assert name == "name"
        seen.append(settings)

    body.__annotations__["settings"] = annotation
    command(app, "program")(body)
    return app, seen


def call(section: type[Section], *arguments: str, mark: OptionsOf | None = None) -> Section:
    """Return the section that a command gets from `arguments`."""
    app, seen = made(section, mark)
    get_command(app)(["name", *arguments], standalone_mode=False)
    return seen[0]


def help_of(section: type[Section], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the lines of the help of a command with the options of `section`."""
    monkeypatch.setenv("COLUMNS", "160")
    get_command(made(section)[0])(["--help"], standalone_mode=False)
    return [" ".join(line.strip("│ ").split()) for line in capsys.readouterr().out.splitlines()]


def test_a_field_is_an_option_with_its_bounds_default_and_docstring(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = help_of(Settings, capsys, monkeypatch)
    start = next(index for index, line in enumerate(lines) if "Settings" in line)
    assert lines[start + 1 : start + 6] == [
        "--size <int range> [x>=1] How large; see --ratio and `nothing`. [default: 4]",
        "--ratio <float range> [0<x<1] Of the [cleaning] section.",
        "--kind <plain|fancy> The kind. [default: plain]",
        "--name NAME Names.",
        "--quick Be quick.",
    ]
    assert any(line.startswith("--verbose -v Show details") for line in lines[:start])
    assert "Example: program" in lines


@pytest.mark.parametrize("base", [DecodingConfig, SamplingConfig])
def test_a_new_field_of_a_section_is_found_in_the_help_with_its_bounds(
    base: type[Section], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    field = (Annotated[float, Field(gt=0, le=3, description="Strength of a new knob.")], 1.5)
    section = create_model("Wider", __base__=base, new_knob=field)  # type: ignore[arg-type]
    lines = help_of(section, capsys, monkeypatch)
    assert "--new-knob <float range> [0<x<=3] Strength of a new knob. [default: 1.5]" in lines
    assert call(section, "--new-knob", "0.5").model_dump(exclude_unset=True) == {"new_knob": 0.5}
    with pytest.raises(typer.BadParameter, match="greater than 0, not 0"):
        call(section, "--new-knob", "0")


def test_a_command_knows_which_options_were_given() -> None:
    assert call(Settings).model_dump(exclude_unset=True) == {}
    found = call(Settings, "--size", "4", "--name", "a", "--name", "b", "--quick", "--kind", "fancy")
    given = {"size": 4, "names": ["a", "b"], "quick": True, "kind": "fancy"}
    assert found.model_dump(exclude_unset=True) == given
    assert found == Settings(**given)  # type: ignore[arg-type]


def test_only_some_fields_may_be_options() -> None:
    mark = OptionsOf("Settings", only=("size",))
    assert call(Settings, "--size", "7", mark=mark) == Settings(size=7, names=[])
    with pytest.raises(typer.TyperException, match="No such option: --quick"):
        call(Settings, "--quick", mark=mark)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--size", "0"], "Invalid value for '--size': must be greater than 0, not 0"),
        (["--ratio", "1"], "Invalid value for '--ratio': must be less than 1, not 1.0"),
        (["--ratio", "nan"], "Invalid value for '--ratio': must be a finite number, not nan"),
        (["--kind", "other"], "Invalid value for '--kind': "),
        (["--size", "many"], "Invalid value for '--size': "),
    ],
)
def test_a_value_out_of_bounds_is_named_with_its_option(arguments: list[str], message: str) -> None:
    with pytest.raises(typer.BadParameter) as error:
        call(Settings, *arguments)
    assert error.value.format_message().startswith(message)


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (PositiveInt, "<int range> [x>=1]"),
        (NonNegativeInt, "<int range> [x>=0]"),
        (PositiveFloat, "<float range> [x>0]"),
        (Annotated[int, Field(lt=5)], "<int range> [x<=4]"),
        (Annotated[float, Field(lt=5)], "<float range> [x<5]"),
        (Annotated[float, Field(ge=0, le=2)], "<float range> [0<=x<=2]"),
        (Annotated[float, Field(gt=0, lt=2)] | None, "<float range> [0<x<2]"),
        (int, None),
        (str | None, None),
    ],
)
def test_bounds_are_written_as_typer_does(annotation: object, text: str | None) -> None:
    assert ranged(*plain_type(annotation)) == text


def test_the_default_is_written_as_the_panel_says() -> None:
    app, _ = made(Settings, OptionsOf("Settings", default="MODEL's, or {}"))
    options = {one.name: one for one in get_command(app).params if isinstance(one, TyperOption)}
    assert str(options["size"].help).endswith("[dim]\\[default: MODEL's, or 4][/dim]")
    assert "default" not in str(options["ratio"].help)
    assert [one.rich_help_panel for one in options.values()] == [*["Settings"] * 5, None]


def test_names_of_options() -> None:
    assert option_name(DecodingConfig, "no_repeat_ngram") == "--no-repeat-ngram"
    assert option_name(Settings, "names") == "--name"
    assert option(Settings, "size", OptionsOf("")).default is None


def test_values_that_do_not_go_together_are_named_as_options() -> None:
    with pytest.raises(typer.BadParameter) as caught:
        filled(TaskConfig, {"task": "copy", "min_length": 5, "max_length": 4})
    assert caught.value.format_message() == "Invalid value: --min-length = 5 is more than --max-length = 4"
    assert with_options_named(TaskConfig, "task and min_length = 5") == "task and --min-length = 5"


def test_a_section_is_filled_with_what_was_given() -> None:
    assert filled(SamplingConfig, {"top_k": 3}).model_fields_set == {"top_k"}


def test_output_appears_at_its_path_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with writing(path) as file:
        file.write(b"text")
        assert not path.exists()
    assert path.read_bytes() == b"text"
    with pytest.raises(ZeroDivisionError), writing(path) as file:
        file.write(b"other" * (1 // 0))
    assert path.read_bytes() == b"text"


def test_output_goes_straight_to_a_device() -> None:
    with writing(Path("/dev/null")) as file:
        file.write(b"text")
    assert Path("/dev/null").is_char_device()


def test_output_goes_on_behind_what_an_open_file_holds(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        log.write(b"first\n")
        log.flush()
        with writing(Path(f"/proc/self/fd/{log.fileno()}")) as file:
            file.write(b"second\n")
    assert (tmp_path / "log").read_bytes() == b"first\nsecond\n"


def test_output_goes_to_a_pipe_with_a_name(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE) as reader:
        with writing(tmp_path / "pipe") as file:
            file.write(b"text")
        assert reader.communicate()[0] == b"text"


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".zst", ".bz2", ".GZ", ""])
def test_output_is_compressed_as_its_name_says(tmp_path: Path, suffix: str) -> None:
    contents = []
    for name in ("one", "two"):
        path = tmp_path / f"{name}.de{suffix}"
        with writing(path) as file:
            for number in range(500):
                file.write(f"Zeile {number}\n".encode())
                file.flush()
        assert list(read_lines(path)) == [f"Zeile {number}" for number in range(500)]
        contents.append(path.read_bytes())
    assert contents[0] == contents[1]
    assert (len(contents[0]) < 2500) == bool(suffix), "flushed lines are compressed together"


def test_an_output_named_as_an_archive_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match=r"x\.tar\.gz: an archive cannot be written \("),
        writing(tmp_path / "x.tar.gz"),
    ):
        pytest.fail("the block has begun")
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_output_is_found_before_the_block(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError), writing(tmp_path / "file" / "out"):
        pytest.fail("the block has begun")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    with writing(tmp_path / "new" / "out") as file:
        file.write(b"a")
    assert (tmp_path / "new" / "out").read_bytes() == b"a"


@pytest.mark.usefixtures("capfdbinary")
def test_output_without_a_path_is_standard_output() -> None:
    with writing(None) as file:
        assert file is console.stdout()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.pdf", "-o a.pdf: not a picture (name it .svg or .png)"),
        ("png", "-o png: not a picture (name it .svg or .png)"),
        ("no/a.PNG", "-o no/a.PNG: no folder no (make it first)"),
    ],
)
def test_a_picture_is_named_as_one_and_its_folder_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    check_picture(Path("a.PNG"))
    check_picture(Path("b.svg"))
    with pytest.raises(UsageError) as caught:
        check_picture(Path(name))
    assert str(caught.value) == message


class Surroundings(Section):
    """A section with fields that the environment may set."""

    quick: Annotated[bool, Flag(environment="PROGRAM_QUICK")] = False
    """Be quick."""
    size: Annotated[int, Flag(environment="PROGRAM_SIZE")] = 1
    """How large."""


def test_a_field_takes_its_value_from_the_environment_unless_the_option_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert call(Surroundings) == Surroundings()
    monkeypatch.setenv("PROGRAM_QUICK", "1")
    monkeypatch.setenv("PROGRAM_SIZE", "3")
    assert call(Surroundings) == Surroundings(quick=True, size=3)
    assert call(Surroundings, "--size", "5") == Surroundings(quick=True, size=5)
    monkeypatch.setenv("PROGRAM_QUICK", "0")
    assert call(Surroundings) == Surroundings(size=3)


def test_what_is_on_by_default_has_an_option_to_turn_it_off() -> None:
    class Pages(Section):
        """A section."""

        page: bool = True
        """Whether there is a page."""

    assert call(Pages) == Pages(page=True)
    assert call(Pages, "--page") == Pages(page=True)
    assert call(Pages, "--no-page") == Pages(page=False)

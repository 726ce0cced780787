"""A recipe for a table of corpora, a row of each direction: the work of `nmt init --table`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nmt.advice.recipe_writer import checked_output, write_recipe
from nmt.config.languages import MOST_DIRECTIONS, LanguagesConfig
from nmt.data.reading.archives import find_file, open_bytes
from nmt.data.reading.corpus import TEST_SET
from nmt.data.reading.named_files import Corpora, known_pair, merged, named_corpora, safe_name, split_columns
from nmt.data.reading.streams import decode_lines
from nmt.errors import DataError, UsageError

COLUMNS = ("source", "target", "train", "dev", "test")
"""The columns of the table: two codes, and files, with spaces between them. The last two may be missing or blank."""


@dataclass
class Direction:
    """The files of a direction."""

    languages: LanguagesConfig
    files: dict[str, list[str]] = field(default_factory=lambda: {split: [] for split in COLUMNS[2:]})


def initialize_table(
    table: Path,
    output: Path | None,
    name: str | None,
    force: bool,
    columns: str | None = None,
    *,
    skip_bad: bool = False,
) -> None:
    """Survey the corpora of `table`, write a recipe of their directions, and print a summary.

    Raises UsageError and DataError as `initialize` does, and where the table is none.
    """
    directions = read_table(table)
    name, output = checked_output(name, output, safe_name(table.stem), force=force)
    corpora: Corpora = {}
    held_out: tuple[Corpora, Corpora] = ({}, {})
    for direction, row in directions.items():
        found = {
            split: {
                key: config.model_copy(update={"direction": direction})
                for key, config in named_corpora(
                    files, row.languages, f"{table}: {direction}", split_columns(columns), skip_bad=skip_bad
                ).items()
            }
            for split, files in row.files.items()
        }
        corpora |= named(found["train"], direction)
        if dev := merged(found["dev"], f"{table}: {direction}"):
            held_out[0][f"devs.{direction}"] = dev
        held_out[1].update({f"test.{key}": config for key, config in named(found["test"], direction).items()})
    for split in ("dev", "test"):
        lacking = [direction for direction, row in directions.items() if not row.files[split]]
        if lacking and len(lacking) < len(directions):
            raise UsageError(
                f"{table}: {lacking[0]} has no {split} files, and others have some",
                hint="give some to each direction, or to none: then pairs of each are split off",
            )
    languages = LanguagesConfig.model_validate({"directions": [*directions]})
    write_recipe(name, output, languages, corpora, {**held_out[0], **held_out[1]}, columns)


def named(corpora: Corpora, direction: str) -> Corpora:
    """Return corpora under the name of their direction, with their own where there are several."""
    return {direction if len(corpora) == 1 else f"{direction}-{name}": config for name, config in corpora.items()}


def read_table(path: Path) -> dict[str, Direction]:
    """Return the directions of a table by name; names of files start at its folder.

    Raises DataError where it is no such table, UsageError where a code is that of no language.
    """
    with open_bytes(find_file(path)) as stream:
        lines = [*decode_lines(stream, str(path), are_texts=False)]
    (_, first), *rows = [(n, line.split("\t")) for n, line in enumerate(lines, 1) if line.strip()] or [(1, [])]
    header = [cell.strip() for cell in first]
    if missing := [column for column in COLUMNS[:3] if column not in header]:
        raise DataError(
            f"{path}: no column {missing[0]}",
            hint=f"the first row names the columns, with TAB between: {', '.join(COLUMNS)}",
        )
    if unknown := [column for column in header if column not in COLUMNS]:
        raise DataError(f"{path}: unknown column {unknown[0]!r}", hint=f"its columns are {', '.join(COLUMNS)}")
    if twice := [column for column in header if header.count(column) > 1]:
        hint = "a cell may hold several files, with spaces between"
        raise DataError(f"{path}: two columns {twice[0]!r}", hint=hint)
    directions: dict[str, Direction] = {}
    for number, row in rows:
        cells = dict(zip(header, [cell.strip() for cell in row], strict=False))
        if not cells.get("train") or len(row) > len(header):
            problem = "more cells than columns" if len(row) > len(header) else "no training files"
            raise DataError(f"{path}, row {number}: {problem}")
        pair = known_pair(cells.get("source", ""), cells.get("target", ""), f"{path}, row {number}").pair
        direction = "-".join(code.replace("-", "_") for code in pair)
        languages = LanguagesConfig.model_validate({"directions": [direction]}).of(direction)
        found = directions.setdefault(direction, Direction(languages))
        for split, files in found.files.items():
            files += located(cells.get(split, "").split(), path.parent)
    if not directions:
        raise DataError(f"{path}: no row of a direction")
    if len(directions) > MOST_DIRECTIONS:
        raise DataError(f"{path}: {len(directions)} directions, and one model has at most {MOST_DIRECTIONS}")
    return directions


def located(names: Sequence[str], folder: Path) -> list[str]:
    return [name if name.startswith(TEST_SET) else str(folder / name) for name in names]

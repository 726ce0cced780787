"""The commands `cache`: the prepared data that runs share."""

from datetime import datetime
from typing import Annotated

import typer

from nmt import console
from nmt.commands.group import new_app
from nmt.commands.options import command
from nmt.errors import UsageError
from nmt.pipeline.stage_cache import Entry, StageCache

app = new_app("The prepared data that runs share: list it, prune it.")


@command(app, "nmt cache list", "list")
def cache_list() -> None:
    """List the stages in the cache with the recipe and the time that each was made for, its size and its last use.

    The cache is the folder stages in $NMT_CACHE, or else in ~/.cache/nmt.
    """
    cache = StageCache.of_user()
    show(cache.entries())
    console.log(f"{cache.folder}: {sized(cache.entries())}")


@command(app, "nmt cache prune --older-than 30 --max-size 10", "prune")
def cache_prune(
    older_than: Annotated[
        int | None, typer.Option(metavar="DAYS", min=0, max=36500, help="Remove stages not used for so many days.")
    ] = None,
    max_size: Annotated[
        float | None,
        typer.Option(
            metavar="GB", min=0, max=1_000_000, help="Remove the longest unused until so many gigabytes are left."
        ),
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="Remove all stages.")] = False,
) -> None:
    """Remove stages from the cache, and say which. Runs keep their files, also those that are under way."""
    chosen = older_than is not None or max_size is not None
    if all and chosen:
        raise UsageError("--all removes every stage", hint="leave it out, or --older-than and --max-size")
    if not all and not chosen:
        raise UsageError("which stages?", hint="give --older-than DAYS, --max-size GB, or both, or --all")
    cache = StageCache.of_user()
    removed = cache.prune(days=older_than, size=0 if all else max_size and max_size * 1e9)
    show(removed)
    console.log(f"{cache.folder}: removed {sized(removed)}; left {sized(cache.entries())}")
    if linked := sum(entry.linked for entry in removed):
        console.log(f"of what was removed {megabytes(linked)} stay on the disk, in run folders")


def show(entries: list[Entry]) -> None:
    """Print a table of entries, if there are any."""
    rows = [
        [each.path.name, each.stage, each.recipe, megabytes(each.size), local(each.made), when(each.used)]
        for each in entries
    ]
    if rows:
        console.whole_table(["entry", "stage", "recipe", "size", "made", "last used"], rows)


def sized(entries: list[Entry]) -> str:
    return f"{len(entries):,} stages of {megabytes(sum(entry.size for entry in entries))}"


def megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


def local(made: str) -> str:
    """Write a recorded time in the local time zone; empty where there is none."""
    return when(datetime.fromisoformat(made).timestamp()) if made else ""


def when(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M}"

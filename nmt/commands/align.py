"""The command `align`: the words of two texts aligned."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nmt import console
from nmt.alignment.pharaoh import compare, read_reference, write_links
from nmt.alignment.words import Link
from nmt.commands.group import new_app
from nmt.commands.model_options import Inference, check_device, load_translator
from nmt.commands.options import Output, command, option_name, writing
from nmt.config.decoding import DecodingConfig
from nmt.config.inference import InferenceConfig
from nmt.data.pairs import is_blank
from nmt.data.reading.archives import find_file, open_bytes, read_lines
from nmt.data.reading.streams import decode_lines
from nmt.errors import DataError, UsageError

if TYPE_CHECKING:
    from nmt.alignment.symmetrization import Symmetrization

CHUNK = 2048  # pairs that a model aligns at once, to be batched by length
References = list[tuple[set[Link], set[Link]]]
"""The sure and the possible links of each pair."""
app = new_app("Align.")


@command(app, "nmt align text.en text.de > text.align")
def align(
    source: Annotated[
        Path,
        typer.Argument(metavar="SOURCE", help="Source text, plain or compressed; alone, pairs with a tab between."),
    ],
    target: Annotated[
        Path | None, typer.Argument(metavar="TARGET", help="Its translations, line by line.", show_default=False)
    ] = None,
    *,
    output: Output = None,
    model: Annotated[
        Path | None,
        typer.Option(metavar="MODEL", help="Align by the attention of this bundle instead, line by line."),
    ] = None,
    aligner: Annotated[
        Literal["nmt", "eflomal"],
        typer.Option(
            "--with", help="Learn from the pairs by nmt's own model, or by the program eflomal, if installed."
        ),
    ] = "nmt",
    method: Annotated[
        Literal["grow-diag-final-and", "intersection", "union"] | None,
        typer.Option(help="How to join the alignments of both directions; by default grow-diag-final-and."),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Compare with these links: 0-0 is sure, 0?1 possible; print the error rate."),
    ] = None,
    inference: Inference,
) -> None:
    """Align the words of SOURCE and TARGET: one line out for every pair, such as 0-0 1-2, a source and a target word.

    Words are separated by white space and counted from 0. Without --model all pairs are read, and a model of both
    directions is learned from them alone: the more pairs, the better. A pair with a blank side has an empty line, as
    has one with more than 200 words a side, or too many for MODEL.
    """
    if model is not None and (method is not None or aligner != "nmt"):
        raise UsageError(
            f"--{'method' if method else 'with'}: a model aligns by its attention", hint="leave out --model"
        )
    if model is not None:
        check_device(inference)
    elif given := inference.model_fields_set:
        option = option_name(InferenceConfig, next(key for key in InferenceConfig.model_fields if key in given))
        raise UsageError(f"{option} is for a model, and there is none", hint="add --model, or leave it out")
    with writing(output) as file:
        sources, targets = read_sides(source, target)
        known = read_references(reference, source, len(sources)) if reference else None
        if model is not None:
            links, too_long = by_model(model, inference, sources, targets)
        else:
            links, too_long = by_pairs(sources, targets, method, with_eflomal=aligner == "eflomal")
        for line in links:
            file.write(f"{write_links(line)}\n".encode())
    report(links, sources, targets, too_long)
    if known is not None:
        show_agreement(links, known)


def read_sides(source: Path, target: Path | None) -> tuple[list[str], list[str]]:
    """Return the lines of two files, or the columns of one. Raises DataError where they are not line by line."""
    if target is not None:
        sources, targets = (list(read_lines(path)) for path in (source, target))
        if len(sources) != len(targets):
            raise DataError(f"{source} has {len(sources):,} lines but {target} has {len(targets):,}")
        return sources, targets
    with open_bytes(find_file(source)) as stream:
        rows = [line.split("\t") for line in decode_lines(stream, str(source), are_texts=False)]
    for number, row in enumerate(rows, 1):
        if len(row) != 2:
            hint = "a line is SOURCE, a tab, TARGET; or name two files"
            raise DataError(f"{source}, line {number:,}: {len(row) - 1:,} tabs, where a pair has one", hint=hint)
    return [row[0] for row in rows], [row[1] for row in rows]


def by_pairs(
    sources: list[str], targets: list[str], method: Symmetrization | None, *, with_eflomal: bool
) -> tuple[list[list[Link]], int]:
    """Return the links that a model learned from the pairs finds, and the number of pairs that are too long for it."""
    from nmt.alignment.line_alignment import align_lines  # imports numpy

    return align_lines(sources, targets, method or "grow-diag-final-and", with_eflomal=with_eflomal)


def by_model(
    model: Path, inference: InferenceConfig, sources: list[str], targets: list[str]
) -> tuple[list[list[Link]], int]:
    """Return the links by the attention of `model`, and the number of pairs that are too long for it."""
    if "protect" not in inference.model_fields_set:
        inference = inference.model_copy(update={"protect": "none"})  # the words of placeholders cannot be aligned
    translator = load_translator([model], DecodingConfig(), inference)
    links: list[list[Link]] = []
    pairs = iter(zip(sources, targets, strict=True))
    with console.Progress("align", len(sources), unit="lines") as progress:
        while chunk := list(islice(pairs, CHUNK)):
            links += translator.align(*map(list, zip(*chunk, strict=True)))
            progress.update(len(links))
    return links, len(translator.report.unscored)


def read_references(path: Path, source: Path, count: int) -> References:
    """Return the sure and the possible links of each of `count` lines of `path`."""
    found = [read_reference(line, f"{path}:{number}") for number, line in enumerate(read_lines(path), 1)]
    if len(found) != count:
        raise DataError(f"{source} has {count:,} lines but {path} has {len(found):,}")
    return found


def report(links: Sequence[Sequence[Link]], sources: Sequence[str], targets: Sequence[str], too_long: int) -> None:
    """Log the number of pairs, and of those without links, with the reasons that are known."""
    blank = sum(is_blank(one) or is_blank(other) for one, other in zip(sources, targets, strict=True))
    without = sum(not line for line in links)
    console.log(
        f"align: {sum(map(len, links)):,} links of {len(links):,} pairs; {blank:,} have a blank side, {too_long:,} are "
        f"too long, and {without - blank - too_long:,} more have no links"
    )


def show_agreement(links: Sequence[Sequence[Link]], references: References) -> None:
    """Print how the links agree with the reference."""
    found = compare((line, *known) for line, known in zip(links, references, strict=True))
    console.log(
        f"align: AER {found.error_rate:.1%}, precision {found.precision:.1%}, recall {found.recall:.1%} of "
        f"{found.sure:,} sure links"
    )

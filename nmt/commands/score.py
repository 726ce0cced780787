"""The command `score`: a model's scores of given translations."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmt import console
from nmt.commands.group import new_app
from nmt.commands.line_output import Format
from nmt.commands.model_options import Inference, Models, Scoring, check_device, load_translator
from nmt.commands.options import Output, command, writing
from nmt.data.reading.archives import count_lines, find_file, read_lines
from nmt.data.reading.streams import UpToError
from nmt.errors import DataError

if TYPE_CHECKING:
    from nmt.inference.results import PairScore

CHUNK = 2048  # pairs read at once, to be batched by length
app = new_app("Score.")


@command(app, "nmt score runs/demo/model --source test.en --target test.de")
def score(
    models: Models,
    *,
    source: Annotated[Path, typer.Option(metavar="FILE", help="Source text, plain or gzip.")],
    target: Annotated[Path, typer.Option(metavar="FILE", help="Its translations, line by line, plain or gzip.")],
    output: Output = None,
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            help="text: the score. tsv: score, log-probability, pieces with the end of the sentence. jsonl: an object "
            "a line, with pieces and their scores.",
        ),
    ] = "text",
    scoring: Scoring,
    inference: Inference,
) -> None:
    """Score given translations with MODEL: one line out for every pair, in order.

    The score is that of `nmt translate`: the log-probability over the length penalty. A pair with a side that is
    blank, or too long for the model, has the score nan, in jsonl null. Several MODELs score as an ensemble.
    """
    check_device(inference)
    with writing(output) as file:
        (sources, total), (targets, other) = counted(source), counted(target)
        if total != other:
            raise DataError(f"{source} has {total:,} lines but {target} has {other:,}")
        translator = load_translator(models, scoring, inference)
        pairs = UpToError(zip(sources, targets, strict=True))
        with console.Progress("score", total, unit="lines") as progress:
            while chunk := list(islice(pairs, CHUNK)):
                for pair, found in zip(chunk, translator.score(*map(list, zip(*chunk, strict=True))), strict=True):
                    file.write(render(form, *pair, found).encode())
                progress.update(translator.report.lines)
        pairs.check()
    for warning in translator.report.warnings():
        console.warn(warning)


def counted(path: Path) -> tuple[Iterable[str], int]:
    """Return the lines of `path` and how many they are. A pipe, which can be read only once, is held in memory."""
    if find_file(path).is_file():
        return read_lines(path), count_lines(path)
    lines = list(read_lines(path))
    return lines, len(lines)


def render(form: Format, source: str, target: str, found: PairScore) -> str:
    """Write the score of a pair as one line."""
    if form == "text":
        return f"{found.score:.6f}\n"
    scored = not math.isnan(found.score)
    log_probability = sum(found.token_scores) if scored else math.nan
    if form == "tsv":
        return f"{found.score:.6f}\t{log_probability:.6f}\t{len(found.pieces) + 1}\n"
    values = {
        "source": source,
        "target": target,
        "score": round(found.score, 6) if scored else None,
        "log_probability": round(log_probability, 6) if scored else None,
        "pieces": found.pieces,
        "token_scores": [round(score, 6) for score in found.token_scores] if scored else None,
    }
    return json.dumps(values, ensure_ascii=False) + "\n"

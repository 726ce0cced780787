"""The command `learn`: a new bundle that has learned from corrections."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from nmt import console
from nmt.commands.group import new_app
from nmt.commands.options import OptionsOf, command
from nmt.config.learning import LearningConfig
from nmt.locks import holding_output

app = new_app("Learn from corrections.")


@command(app, "nmt learn runs/demo/model corrections.tsv -o corrected")
def learn(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="The bundle that was corrected; it stays as it is.")],
    corrections: Annotated[
        Path,
        typer.Argument(
            metavar="CORRECTIONS", help="A .tsv: source, what its translation should be, and maybe what it was."
        ),
    ],
    *,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="BUNDLE", help="The new bundle.")],
    settings: Annotated[LearningConfig, OptionsOf("Options")],
    json_output: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
) -> None:
    """Write a bundle that has learned from CORRECTIONS in seconds, with its scores beside those of MODEL.

    It is trained on general pairs too. If these lose more BLEU than --bound, nothing is written, with exit code 8.
    """
    from nmt.pipeline import learning  # start-up time

    began = time.monotonic()
    with holding_output(output):
        outcome = learning.learn(model, corrections, output, settings)
    count = outcome.corrections
    if json_output:
        facts = {**asdict(outcome), "learned": outcome.learned.model_dump()}
        console.json_out({**facts, "seconds": round(time.monotonic() - began, 1)})
    else:
        first, last = outcome.right
        rows = [["corrections", f"right, of {count:,}", f"{first:,}", f"{last:,}", ""]]
        for test, scores in outcome.after.items():
            for metric, new in scores.items():
                old = outcome.before[test][metric]
                figures = [console.figure(metric, one["score"]) for one in (old, new)]
                rows.append([test, console.metric_name(metric), *figures, new["signature"]])
        console.table(["text", "score", "before", "after", "signature"], rows)
    console.log(f"learn: written to {output} in {console.duration(time.monotonic() - began)}")

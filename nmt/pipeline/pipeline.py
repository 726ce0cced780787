"""All stages of a run in their order."""

import shlex

from nmt import console
from nmt.data.cleaning.corpus_text import read_text
from nmt.files import digest, read_json
from nmt.pipeline import bundle, evaluation, ids, text, tokenizer, training
from nmt.pipeline.manifest import Manifest
from nmt.pipeline.run import Run
from nmt.training.distributed import joined

STAGES = [text.STAGE, tokenizer.STAGE, ids.STAGE, training.STAGE, bundle.STAGE, evaluation.STAGE]
SAMPLES = 5
"""Translations shown at the end of a run."""


def run_stages(run: Run, last: str = "evaluate") -> None:
    """Run every stage up to `last` whose manifest does not hold. Raises NmtError.

    Under torchrun the first rank runs all stages, and every rank the training.
    """
    names = [stage.name for stage in STAGES]
    with joined() as run.ranks:
        console.QUIET = not run.ranks.is_main
        if run.ranks.is_main:
            run.begin()
        for stage in STAGES[: names.index(last) + 1]:
            if run.ranks.is_main:
                manifest = stage.due(run)
                if stage is training.STAGE:
                    run.ranks.any(manifest is not None)  # the other ranks wait for it
                stage.run(run, manifest)
            elif stage is training.STAGE and run.ranks.any(False)[0]:
                stage.make(run, Manifest(stage.name, {}))


def show_results(run: Run) -> None:
    """Print sample translations, the scores with their signatures, and the command to type next."""
    folder, languages = run.folder, run.recipe.languages
    first = evaluation.names_of_tests(run)[0]
    sources, references = read_text(folder.text, f"test.{first}")
    hypotheses = (folder.evaluation / f"{first}.{languages.target}").read_text(encoding="utf-8").split("\n")
    chosen = sorted(range(len(sources)), key=lambda index: digest(sources[index]))[:SAMPLES]
    console.out(f"Samples of {first}:")
    for index in sorted(chosen):
        console.out(f"  {languages.source}  {sources[index]}")
        console.out(f"  {languages.target}  {hypotheses[index]}")
        if hypotheses[index] != references[index]:
            console.out(f"  ref {references[index]}")
    console.out("")
    console.scores(read_json(folder.scores))
    console.out("")
    console.out(f"Next: echo {shlex.quote(sources[chosen[0]])} | nmt translate {shlex.quote(str(folder.bundle))}")

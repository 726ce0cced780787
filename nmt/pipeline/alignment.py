"""The stage `alignment`: the words of the cleaned training text aligned, where something is made from that."""

from nmt import console
from nmt.alignment.corpus_alignment import AlignmentCounts, write_alignment
from nmt.files import JsonObject
from nmt.pipeline.manifest import Manifest, making
from nmt.pipeline.run import Run
from nmt.pipeline.stage import Stage, digests_of


def inputs(run: Run) -> JsonObject:
    """Return the digests of the training text, and the tags, which are not aligned."""
    return {"tags": run.recipe.data.tags, "text": digests_of(run.folder.text, "train")}


def make(run: Run, manifest: Manifest) -> None:
    """Align the words of every training pair, by a model that is learned from them."""
    with making(run.folder.alignment, manifest) as scratch:
        manifest.counts = write_alignment(run.folder.text, run.recipe.data, scratch).to_json()


def say(_: Run, manifest: Manifest) -> None:
    """Log the counts of pairs and links, and of those that have none."""
    counts = AlignmentCounts(**(manifest.counts or {}))
    console.log(
        f"alignment: {counts.links:,} links of {counts.source_words:,} source and {counts.target_words:,} target "
        f"words, {counts.unaligned:,} pairs without any; {counts.translations:,} words in the dictionary"
    )
    if counts.too_long:
        console.log(f"alignment: pairs too long to be aligned: {counts.too_long:,}")


STAGE = Stage(
    "alignment",
    lambda run: run.folder.alignment,
    frozenset(),
    inputs,
    make,
    say,
    lambda _: {},
    lambda run: run.recipe.needs_alignment,
)

"""The stage `prepare`: the cleaned text encoded, and cleaned by pieces."""

from pathlib import Path

from nmt import console
from nmt.config.inference import TrainingLines
from nmt.data.cleaning.funnel import IdsCounts, show_funnel
from nmt.data.encoding.corpus_ids import IdsPlan, write_ids
from nmt.files import JsonObject
from nmt.pipeline import augmentation
from nmt.pipeline.manifest import Manifest, resuming
from nmt.pipeline.run import Run
from nmt.pipeline.stage import Stage, digests_of
from nmt.run_folder import RunFolder


def inputs(run: Run) -> JsonObject:
    """Return the digests of text and tokenizer, and whether the text is kept beside the ids."""
    return {
        "keep_text": run.recipe.tokenizer.sampling is not None,
        "text": digests_of(run.folder.text, "train", "dev"),
        "tokenizer": digests_of(run.folder.tokenizer),
        **augmentation.digests_for(run),
        **({"alignment": digests_of(folder)} if (folder := alignment_of(run)) else {}),
    }


def alignment_of(run: Run) -> Path | None:
    """Return the folder of aligned words; None where no attention is to be guided by them."""
    return run.folder.alignment if run.recipe.training.guided_alignment else None


def make(run: Run, manifest: Manifest) -> None:
    """Write memory-mapped ids."""
    recipe, longest = run.recipe, run.recipe.model.max_length
    keep_text = recipe.tokenizer.sampling is not None
    plan = IdsPlan(
        run.folder.text,
        run.folder.tokenizer,
        recipe.data,
        recipe.cleaning,
        longest,
        keep_text=keep_text,
        languages=recipe.languages,
        augmentation=augmentation.folder_of(run),
        alignment=alignment_of(run),
    )
    with resuming(run.folder.ids, manifest) as folder:
        manifest.counts = write_ids(plan, folder, workers=run.workers).to_json()


def say(run: Run, manifest: Manifest) -> None:
    """Log the counts of the filters by pieces and of the pieces, and warn of dev pairs that were cut."""
    counts = IdsCounts.from_json(manifest.counts or {})
    show_funnel("prepare", counts, run.recipe.data)
    train, units = counts.train, run.recipe.data.units
    console.log(
        f"prepare: {train.pairs:,} training {units}, {train.source:,} source and {train.target:,} target pieces"
    )
    if counts.dev_cut:
        console.warn(f"{counts.dev_cut} dev pairs are longer than model.max_length and were cut for the dev loss")


def training_lines(folder: RunFolder) -> TrainingLines | None:
    """Return the lengths of the training lines, counted by the stage; None where an older nmt ran it."""
    manifest = Manifest.read(folder.ids)
    lines = ((manifest and manifest.counts) or {}).get("training_lines")
    return lines and TrainingLines(**lines)


STAGE = Stage("prepare", lambda run: run.folder.ids, frozenset({"ids"}), inputs, make, say, lambda _: {})

"""The stage `augmentation`: pairs made from the cleaned training pairs, and added to them."""

from pathlib import Path

from nmt import console
from nmt.data.augmenting.corpus_augmentation import LEMMAS, AugmentationCounts, AugmentationPlan, write_augmentation
from nmt.data.lemmas import lemmatizer
from nmt.files import JsonObject
from nmt.pipeline.manifest import Manifest, resuming
from nmt.pipeline.run import Run
from nmt.pipeline.stage import Stage, digests_of


def is_wanted(run: Run) -> bool:
    """Return whether the recipe asks for additional pairs."""
    return bool(run.recipe.augmentation.rates)


def folder_of(run: Run) -> Path | None:
    """Return the folder of the additional pairs; None where the recipe asks for none."""
    return run.folder.augmentation if is_wanted(run) else None


def digests_for(run: Run) -> JsonObject:
    """Return the inputs of a stage that reads the additional pairs; none where there are none."""
    return {"augmentation": digests_of(folder)} if (folder := folder_of(run)) else {}


def inputs(run: Run) -> JsonObject:
    """Return the digests of the training text, the languages, and the limits of what is joined."""
    recipe = run.recipe
    limits = {name: limits_of(run, name) for name in recipe.data.train} if recipe.augmentation.join else None
    return {
        "text": digests_of(run.folder.text, "train"),
        "languages": recipe.languages.directions or list(recipe.languages.pair),
        "tags": {name: corpus.tags for name, corpus in recipe.data.train.items()},
        "symbols": recipe.tokenizer.user_defined_symbols,
        **({"limits": limits} if limits else {}),
        **({"placeholders": run.placeholders} if limits or recipe.augmentation.inline_tags else {}),
        **({"alignment": digests_of(run.folder.alignment)} if recipe.augmentation.needs_alignment else {}),
    }


def limits_of(run: Run, corpus: str) -> list[int | None]:
    """Return the most characters and pieces of a pair of `corpus`."""
    cleaning = run.recipe.data.cleaning_of(corpus, run.recipe.cleaning)
    return [cleaning.max_characters, cleaning.max_pieces, run.recipe.model.max_length]


def check_lemmas(run: Run) -> None:
    """Raise UsageError where terms are to have base forms, and there is no dictionary of a target language."""
    config = run.recipe.augmentation
    if config.terms and config.terms_lemmas:
        for corpus in run.recipe.data.train:
            lemmatizer(run.languages_of(corpus).target, LEMMAS)


def make(run: Run, manifest: Manifest) -> None:
    """Write the additional pairs of each shard of the training text."""
    recipe = run.recipe
    plan = AugmentationPlan(
        run.folder.text,
        recipe.augmentation,
        recipe.data,
        recipe.cleaning,
        recipe.languages,
        recipe.model.max_length,
        placeholders=run.placeholders,
        symbols=tuple(recipe.tokenizer.user_defined_symbols),
        alignment=run.folder.alignment if recipe.augmentation.needs_alignment else None,
    )
    with resuming(run.folder.augmentation, manifest) as folder:
        manifest.counts = write_augmentation(plan, folder, workers=run.workers).to_json()


def say(_: Run, manifest: Manifest) -> None:
    """Log the pairs of each kind, and warn of a kind that changes no pair; with -v, show some."""
    counts = AugmentationCounts.from_json(manifest.counts or {})
    for kind, made in counts.kinds.items():
        unfit = f"; {made.chosen - made.made:,} drawn ones have nothing to change" if made.made < made.chosen else ""
        console.log(f"augmentation: {kind} added {made.made:,} pairs{unfit}")
        if made.chosen and not made.made:
            console.warn(f"augmentation.{kind} changes none of the {made.chosen:,} pairs drawn for it: leave it out")
    for kind, samples in counts.samples.items():
        for before, after in samples:
            console.detail(f"  {kind}: {before[0][:100]!r} / {before[1][:100]!r}")
            console.detail(f"  {' ' * len(kind)}  {after[0][:100]!r} / {after[1][:100]!r}")


STAGE = Stage(
    "augmentation",
    lambda run: run.folder.augmentation,
    frozenset({"augmentation"}),
    inputs,
    make,
    say,
    lambda _: {},
    is_wanted,
)

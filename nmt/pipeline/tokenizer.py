"""The stage `tokenizer`: trained on the cleaned training text alone, or copied from the initial model."""

from nmt import console
from nmt.config.compatibility import RECIPE, changed_inputs, knobs_with
from nmt.config.recipe import Recipe
from nmt.config.symbols import TERM_MARKS
from nmt.config.tokenizer import TokenizerConfig
from nmt.data.cleaning.corpus_text import sides_of_train
from nmt.data.encoding import tokenizer_training
from nmt.files import JsonObject
from nmt.pipeline import augmentation
from nmt.pipeline.manifest import Manifest, making
from nmt.pipeline.run import Run
from nmt.pipeline.stage import Stage, digests_of


def inputs(run: Run) -> JsonObject:
    """Return the tags and the digests of the training text, or those of the initial model's tokenizer."""
    if run.initial:
        return {"init": run.initial.tokenizer_files, RECIPE: {}}
    return {
        "tags": run.recipe.data.tags,
        "text": digests_of(run.folder.text, "train"),
        **augmentation.digests_for(run),
        **marks_for(run.recipe),
    }


def marks_for(recipe: Recipe) -> JsonObject:
    """Return the marks of terms that the tokenizer is to have; none where no source has terms."""
    return {"marks": list(TERM_MARKS)} if recipe.augmentation.terms else {}


def config_of(recipe: Recipe) -> TokenizerConfig:
    """Return the settings of the tokenizer, with the marks of terms where sources have terms."""
    symbols = list(dict.fromkeys([*recipe.tokenizer.user_defined_symbols, *marks_for(recipe).get("marks", [])]))
    return recipe.tokenizer.model_copy(update={"user_defined_symbols": symbols})


def make(run: Run, manifest: Manifest) -> None:
    """Train SentencePiece, or copy the tokenizer of the initial model."""
    config = config_of(run.recipe)
    if run.initial:
        with making(run.folder.tokenizer, manifest) as scratch:
            run.initial.copy_tokenizer(scratch)
        return
    added = augmentation.folder_of(run)
    folders = [run.folder.text / "train", *([added] if added else [])]
    sides = sides_of_train(folders, run.recipe.data, run.recipe.languages)
    with making(run.folder.tokenizer, manifest) as scratch:
        manifest.counts = tokenizer_training.train(
            *sides, config, scratch, seed=run.recipe.training.seed, tags=run.recipe.data.tags
        )


def say(run: Run, _: Manifest) -> None:
    """Log the kind of the tokenizer, or its origin."""
    config = run.recipe.tokenizer
    if run.initial:
        console.log(
            f"tokenizer: copied from {run.initial.tokenizer}; the recipe's section [tokenizer] is not used"
            + (", except for sampling" if config.sampling else "")
        )
        return
    kind = f"{'joint' if config.joint else 'separate'} {config.model_type}"
    forms = f"{config.normalization} of the source, {config.target_normalization} of the target"
    if config.target_normalization is None:
        forms = config.normalization
    most = "" if config.hard_vocab_limit else "at most "
    console.log(f"tokenizer: {kind} of {most}{config.vocab_size:,} pieces, normalisation {forms}")


def origin(run: Run) -> JsonObject | None:
    """Return that the inputs are all that a trained tokenizer depends on; None for a copy, which is made at once."""
    return None if run.initial else {}


def has_own_settings(run: Run) -> bool:
    """Return whether the run folder has a tokenizer of the recipe's settings and tags, whatever its text."""
    made = Manifest.read(run.folder.tokenizer)
    if made is None:
        return False
    knobs = knobs_with(STAGE.effects, run.recipe)
    changed = changed_inputs(
        made.inputs, {RECIPE: knobs, "tags": run.recipe.data.tags, **marks_for(run.recipe)}, STAGE.effects
    )
    return {key.partition(".")[0] for key in changed} <= {"text", "augmentation"}


STAGE = Stage("tokenizer", lambda run: run.folder.tokenizer, frozenset({"tokenizer"}), inputs, make, say, origin)

"""The stage `train`: from ids to checkpoints."""

from nmt.config.curriculum import GuardConfig
from nmt.config.data import DEV, GUARD
from nmt.data.cleaning.corpus_text import read_text
from nmt.data.encoding.dataset import PreparedPairs
from nmt.data.encoding.tokenizer import Tokenizer
from nmt.devices import pick_device
from nmt.files import JsonObject, digest_file, digest_json
from nmt.pipeline.ids import training_lines
from nmt.pipeline.manifest import Manifest
from nmt.pipeline.run import Run
from nmt.pipeline.stage import Stage, digests_of
from nmt.training import forgetting
from nmt.training.checkpoint import MOMENTS, TrainingState
from nmt.training.distributed import joined_gpus
from nmt.training.loop import Trainer
from nmt.training.validation import DevSet, dev_parts


def inputs(run: Run) -> JsonObject:
    """Return the digests of the ids and of the initial weights."""
    return {"data": data_digest(run), "init": run.initial.weights if run.initial else None}


def data_digest(run: Run) -> str:
    return digest_json(digests_of(run.folder.ids))


def make(run: Run, manifest: Manifest) -> None:
    """Train, from the newest checkpoint if there is one; every rank does."""
    folder, recipe = run.folder, run.recipe
    folder.checkpoints.mkdir(parents=True, exist_ok=True)
    pairs = PreparedPairs(folder.ids / "train")
    with joined_gpus(run.ranks, pick_device(recipe.training.device)):
        tokenizer = Tokenizer.load(folder.tokenizer)
        guard = DevSet.of(*read_text(folder.text, GUARD), recipe, tokenizer) if recipe.data.guard else None
        dev = PreparedPairs(folder.ids / DEV)
        trainer = Trainer(
            recipe,
            tokenizer,
            pairs,
            DevSet(*read_text(folder.text, DEV), dev, dev_parts(recipe, dev.corpora)),
            folder,
            data=data_digest(run),
            lines=training_lines(folder),
            initial=run.initial,
            guard=guard,
            ranks=run.ranks,
        )
        state = trainer.run()
    if not run.ranks.is_main:
        return
    kept = [path for kind in ("step", "best") for path in folder.checkpoints.glob(f"{kind}-*/*.safetensors")]
    files = sorted(path for path in kept if path.name != MOMENTS)
    manifest.files = {str(path.relative_to(folder.checkpoints)): digest_file(path) for path in files}
    manifest.counts = {
        "steps": state.step,
        "best_step": state.best_step,
        "best": state.best,
        "corpora": recipe.data.shares(trainer.corpus_sizes),
        **({"stages": trainer.curriculum.taken(state)} if recipe.training.stages else {}),
        **({"guard": guard_counts(state, recipe.training.guard)} if recipe.training.guard else {}),
    }
    manifest.write(folder.checkpoints)


def guard_counts(state: TrainingState, guard: GuardConfig) -> JsonObject:
    """Return the scores of the guard before and at the end of a fine-tuning, and whether it ended it."""
    return {
        "metric": guard.metric,
        "bound": guard.bound,
        "start": state.guard_start,
        "end": state.guard_score,
        "stopped": forgetting.is_beyond(state, guard),
    }


STAGE = Stage("train", lambda run: run.folder.checkpoints, frozenset({"updates", "training", "decoding"}), inputs, make)

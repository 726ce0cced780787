"""All stages of a run in their order."""

import shlex
from collections.abc import Sequence

from nmt import console
from nmt.config.languages import tag_of
from nmt.data.cleaning.corpus_text import read_text
from nmt.devices import pick_device
from nmt.errors import ArtifactError, ForgottenError, StorageError
from nmt.files import digest, read_json, remove
from nmt.inference.engines.native import check_precision
from nmt.locks import holder_of, holding_folder
from nmt.pipeline import alignment, augmentation, bundle, evaluation, ids, synthetic, text, tokenizer, training
from nmt.pipeline.manifest import Manifest, work_folder
from nmt.pipeline.run import Run
from nmt.pipeline.stage import Stage
from nmt.training.checkpoint import step_of
from nmt.training.distributed import joined
from nmt.training.log import METRICS, import_summary_writer

STAGES = [
    synthetic.STAGE,
    text.STAGE,
    alignment.STAGE,
    augmentation.STAGE,
    tokenizer.STAGE,
    ids.STAGE,
    training.STAGE,
    bundle.STAGE,
    evaluation.STAGE,
]
SAMPLES = 5  # translations shown at the end of a run
GRAMMAR = (
    "This model knows only the grammar and the words of the built-in corpus: sentences about daily life, as main, "
    "subordinate and relative clauses and questions, with numbers, prices and times."
)
"""The range of a model that is trained on the built-in corpus."""


def run_stages(run: Run, last: str = "evaluate", *, dry_run: bool = False) -> None:
    """Run every stage up to `last` whose manifest does not hold, or say so in a `dry_run`. Raises NmtError.

    Under torchrun the first rank holds the run folder and runs all stages; the other ranks share the translation of
    synthetic pairs and the training. In a folder
    that cannot be written, a finished run is skipped stage by stage, and another one is a StorageError.
    """
    stages = stages_of(run, last)
    with joined() as run.ranks:
        console.QUIET = not run.ranks.is_main
        check_machine(run, last)
        if run.ranks.is_main and dry_run:
            show_plan(run, stages)
        elif run.ranks.is_main:
            with holding_folder(run.folder.path) as is_writable:
                run.begin(is_writable=is_writable)
                if is_writable:
                    remove_unwanted(run)
                for stage in stages:
                    run_stage(stage, run, is_writable=is_writable)
        elif not dry_run:
            if synthetic.STAGE in stages:
                synthetic.join(run)
            if training.STAGE in stages and run.ranks.any(False)[0]:
                training.STAGE.make(run, Manifest(training.STAGE.name, {}))


def stages_of(run: Run, last: str) -> list[Stage]:
    """Return the stages of `run` up to `last` that its recipe asks for."""
    names = [stage.name for stage in STAGES]
    return [stage for stage in STAGES[: names.index(last) + 1] if stage.is_wanted(run)]


def remove_unwanted(run: Run) -> None:
    """Remove the folders of stages that the recipe no longer asks for."""
    for stage in STAGES:
        if not stage.is_wanted(run) and stage.folder(run).exists():
            remove(work_folder(stage.folder(run)))
            remove(stage.folder(run))


def run_stage(stage: Stage, run: Run, *, is_writable: bool) -> None:
    """Run a stage if it is due, on the first rank. Raises StorageError where it is and cannot be written."""
    due = stage.due(run)
    if due is None:
        console.log(f"{stage.name}: skipped, its inputs have not changed")
    elif not is_writable:
        raise StorageError(
            f"{run.folder.path}: cannot be written, and its stage {stage.name} is not done",
            hint="make it writable, or take another --run-dir",
        )
    if stage is training.STAGE:
        run.ranks.any(due is not None)  # the other ranks wait for it
    if is_writable:
        if due is not None:
            run.drop_results(stage.name)
        stage.run(run, due)
        run.add_result(stage.name, stage.folder(run))
    if stage is synthetic.STAGE:
        run.ranks.any(False)  # the other ranks need not wait any longer


def show_plan(run: Run, stages: Sequence[Stage]) -> None:
    """Print of each of the first `stages` whether it would run, and why. Nothing is written, and no lock taken.

    Raises NmtError where the run would be refused.
    """
    if holder := holder_of(run.folder.path):
        console.warn(f"{run.folder.path}: in use by {holder}: the plan is that of this moment")
    run.begin(is_writable=False)
    before = ""  # the last stage that is sure to run: what the next ones are made from is not known yet
    for stage in stages:
        is_made = Manifest.read(stage.folder(run)) is not None
        try:
            due = stage.due(run)
        except ArtifactError:  # its inputs are missing, or being replaced by a run that is under way
            due, before = None, before or "an earlier stage"
        entry = stage.entry(run, due) if run.cache and due and not before else None
        unless = ""
        if before and run.cache and stage.origin(run) is not None:
            unless = f", unless the cache has it for the files that {before} makes"
        if before and not (due and is_made):
            if is_made:
                unless = f", unless {before} makes the same files as before"
            plan = f"runs, because {before} runs{unless}"
        elif due is None:
            plan = "skipped, its inputs have not changed"
        elif entry and run.cache and run.cache.holds(entry):
            run.folder.relocate(stage.folder(run), entry)
            plan = f"from the cache ({entry}){due.because}"
        else:
            plan = f"runs: {due.reason or 'not made yet'}{progress_of(stage, run)}{unless}"
        if plan.startswith("runs") and not unless:
            before = stage.name
        console.out(f"{stage.name}: {plan}")


def progress_of(stage: Stage, run: Run) -> str:
    """Say where the training goes on, if it has begun."""
    most = run.recipe.training.max_steps
    paths = [path for kind in ("step", "halt") for path in run.checkpoints.of_kind(kind)]
    return f"; goes on after step {max(map(step_of, paths)):,} of {most:,}" if stage is training.STAGE and paths else ""


def check_machine(run: Run, last: str) -> None:
    """Check that the machine has what later stages up to `last` need, before the first begins. Raises UsageError."""
    config, precision = run.recipe.training, run.recipe.decoding.precision
    due = [stage.name for stage in stages_of(run, last) if Manifest.read(stage.folder(run)) is None]
    if {"train", "evaluate"} & {*due}:
        check_precision(precision, pick_device(config.device))
    if "train" in due and config.tensorboard:
        import_summary_writer()
    if augmentation.STAGE.name in due:
        augmentation.check_lemmas(run)


def show_results(run: Run, seconds: float) -> None:
    """Print samples, scores with signatures, the best checkpoint, the `seconds` that all took, and the next command.

    Of another objective than translation there are no samples and scores.
    """
    is_translation = run.recipe.training.objective == "translation"
    sample, target = show_translations(run) if is_translation else ("", "")
    if best := best_checkpoint(run):
        console.heading("Best checkpoint:", f" {best}")
    console.heading("Total time:", f" {console.duration(seconds)}")
    if all(corpus.builtin for corpus in run.recipe.data.training_corpora.values()):
        console.out(GRAMMAR)
    model = shlex.quote(str(run.folder.bundle))
    to = f" --to {target}" if run.recipe.languages.directions else ""
    if is_translation:
        console.heading("Next:", f" echo {shlex.quote(sample)} | nmt translate {model}{to}")
    elif run.recipe.training.objective != "masked":
        console.heading("Next:", f" nmt run RECIPE --init-from {model}, a recipe that translates with such a model")


def show_translations(run: Run) -> tuple[str, str]:
    """Print samples and scores with signatures; return a sample source, and the language that it is translated into."""
    folder, first = run.folder, evaluation.names_of_tests(run)[0]
    languages = run.recipe.languages_of(f"test.{first}")
    sources, references = read_text(folder.text, f"test.{first}")
    hypotheses = (folder.evaluation / f"{first}.{languages.target}").read_text(encoding="utf-8").split("\n")
    chosen = sorted(range(len(sources)), key=lambda index: digest(sources[index]))[:SAMPLES]
    console.heading(f"Samples of {first}:")
    for index in sorted(chosen):
        console.out(f"  {languages.source}  {sources[index]}")
        console.out(f"  {languages.target}  {hypotheses[index]}")
        if hypotheses[index] != references[index]:
            console.out(f"  ref {references[index]}")
    console.out("")
    console.scores(read_json(folder.scores))
    console.out("")
    return sources[chosen[0]].removeprefix(f"{tag_of(languages.target)} "), languages.target


def best_checkpoint(run: Run) -> str:
    """Return the step, the score and the folder of the checkpoint that is best on dev; empty where there is none."""
    trained = Manifest.read(run.folder.checkpoints)
    counts = (trained and trained.counts) or {}
    if counts.get("best_step") is None:
        return ""
    metric, step = METRICS[run.recipe.training.best_metric], counts["best_step"]
    where = next((f", {path}" for path in run.checkpoints.of_kind("best") if step_of(path) == step), "")
    return f"step {step:,} of {counts['steps']:,}, dev {metric} {counts['best']:.2f}{where}"


def refuse_forgotten(run: Run) -> None:
    """Raise ForgottenError where the guard ended the training of a finished run."""
    counts = getattr(Manifest.read(run.folder.checkpoints), "counts", None) or {}
    if (guard := counts.get("guard")) and guard["stopped"]:
        raise ForgottenError(
            f"{run.folder.path}: the guard ended the training at step {counts['steps']:,}, at "
            f"{METRICS[guard['metric']]} {guard['end']:.2f} after {guard['start']:.2f} before; the bundle is that of "
            f"step {counts['best_step']:,}, within the bound"
        )

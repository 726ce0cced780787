"""A sweep: the variants of a recipe as ordinary runs, each with several seeds, side by side and resumable."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from nmt import console
from nmt.config.compatibility import knobs_with
from nmt.config.section import Effect
from nmt.config.toml import load_recipe
from nmt.cores import NUMBER, cores, threads
from nmt.devices import kind_of_device
from nmt.errors import RecipeError
from nmt.experiments.finished_run import FinishedRun
from nmt.experiments.jobs import Ended, Job, count_places, run_jobs
from nmt.experiments.variants import Variant
from nmt.files import digest_json, is_missing
from nmt.model.families import build_without_weights
from nmt.pipeline.lock import knobs_of, results_of
from nmt.pipeline.recipe_file import recorded_recipe
from nmt.pipeline.run import Run

VISIBLE = "CUDA_VISIBLE_DEVICES"
NO_REPORT = {"NMT_NO_REPORT": "1"}  # each would take seconds; `nmt report RUN` makes one later
PROCESS_MEMORY = 2**30  # bytes of a run on a CPU, besides those of its parameters
PARAMETER_MEMORY = 24  # bytes of a parameter: weight, gradient, two moments, and the copies for validation and output
PREPARED: tuple[tuple[Effect, ...], ...] = (
    ("synthetic", "text"),
    ("synthetic", "text", "augmentation", "tokenizer", "ids"),
)
"""Effects of the knobs that the text depends on, and all prepared data."""


@dataclass(frozen=True)
class SweepRun:
    """A run of a sweep: a variant with a seed."""

    variant: Variant
    seed: int
    overrides: tuple[str, ...]  # all that it changes of the recipe
    run: Run

    @property
    def name(self) -> str:
        """The name of the run folder."""
        return self.run.folder.path.name

    def is_finished(self) -> bool:
        """Return whether the run has scores, made from these data with these values of the knobs that matter."""
        lock, wanted = self.run.recorded() or {}, self.run.lock_of([])
        is_same = all(lock.get(key) == wanted.get(key) for key in ("data", "init"))
        is_scored = "evaluate" in results_of(lock)["results"] and not is_missing(self.run.folder.scores)
        return is_same and is_scored and knobs_of(recorded_recipe(self.run.folder.lock)) == knobs_of(self.run.recipe)


@dataclass(frozen=True)
class Sweep:
    """All runs of a sweep, in one folder."""

    recipe: str  # as the user named it
    folder: Path
    data_dir: Path | None
    runs: list[SweepRun]
    no_cache: bool = False  # whether each run prepares its data itself

    def job(self, command: str, one: SweepRun, workers: int) -> Job:
        """Return the command that makes a run, or prepares its data."""
        options = ["--run-dir", str(one.run.folder.path), "--workers", str(workers)]
        options += ["--no-cache"] if self.no_cache else []
        options += ["--data-dir", str(self.data_dir)] if self.data_dir else []
        options += [part for override in one.overrides for part in ("--set", override)]
        return Job(one.name, (command, self.recipe, *options), self.folder / "logs" / f"{one.name}.log")

    def finished(self) -> list[tuple[SweepRun, FinishedRun]]:
        """Return the runs that are finished, with what they made."""
        return [(one, FinishedRun.open(one.run.folder.path)) for one in self.runs if one.is_finished()]


def plan_sweep(
    recipe: str,
    common: Sequence[str],
    variants: Sequence[Variant],
    seeds: int,
    folder: Path,
    data_dir: Path | None,
    *,
    no_cache: bool = False,
) -> Sweep:
    """Return the sweep of `recipe` with as many consecutive `seeds` from training.seed, all runs checked.

    Raises RecipeError, which names the variant where it is not the recipe itself that is wrong.
    """
    first = load_recipe(recipe, common).recipe.training.seed
    runs = []
    for variant in variants:
        for seed in range(first, first + seeds):
            overrides = (*common, *variant.overrides, "sweep={}", f"training.seed={seed}")
            try:
                loaded = load_recipe(recipe, overrides)
            except RecipeError as error:
                raise RecipeError(f"variant {variant.name}: {error}") from None
            if (objective := loaded.recipe.training.objective) != "translation":
                message = f'variant {variant.name}: training.objective = "{objective}" has no scores to compare'
                raise RecipeError(message, hint="nmt run it, and nmt compare such runs")
            run = Run(loaded, data_dir=data_dir, run_dir=folder / f"{variant.folder}-seed{seed}")
            runs.append(SweepRun(variant, seed, overrides, run))
    return Sweep(recipe, folder, data_dir, runs, no_cache)


def run_sweep(sweep: Sweep, jobs: int | None) -> list[str]:
    """Make the runs that are not finished, `jobs` at once or as many as the machine can; return the failed ones.

    Text that several of them share is prepared by one of these first, and then tokenizers and ids; the others take them
    from the cache of stages.
    """
    due = [one for one in sweep.runs if not one.is_finished()]
    done = len(sweep.runs) - len(due)
    if not due:
        console.log(f"sweep: all {len(sweep.runs)} runs are finished")
        return []
    places = make_places(due, jobs)
    console.log(
        f"sweep: {len(sweep.runs)} runs, {done} finished; {len(places)} at once, threads of each: {places[0][NUMBER]}; "
        f"messages in {sweep.folder / 'logs'}"
    )
    try:
        return make_runs(sweep, due, places)
    except (KeyboardInterrupt, SystemExit):  # which a signal raises
        console.log("sweep: ended before its runs were; the same command continues it")
        raise


def make_runs(sweep: Sweep, due: Sequence[SweepRun], places: Sequence[Mapping[str, str]]) -> list[str]:
    """Make the runs that are `due`, as many at once as there are places; return the failed ones."""
    failed: list[str] = []
    workers, done = max(1, cores() // len(places)), len(sweep.runs) - len(due)
    named = {one.name: one for one in due}
    prepared: set[str] = set()
    for effects in () if sweep.no_cache else PREPARED:
        first = [one for one in sharing(due, effects) if one.name not in prepared]
        prepared |= {one.name for one in first}
        for _ in run_jobs([sweep.job("prepare", one, workers) for one in first], places):
            pass  # a failure is the run's too
    with console.Progress("sweep", len(sweep.runs), done=done, unit="runs") as progress:
        for ended in run_jobs([sweep.job("run", one, workers) for one in due], places):
            done += 1
            is_made, said = outcome(named[ended.job.name], ended)
            failed += [] if is_made else [f"{ended.job.name} {said}"]
            progress.say(f"{ended.job.name}: {said} ({done} of {len(sweep.runs)})")
            progress.update(done)
    return failed


def outcome(one: SweepRun, ended: Ended) -> tuple[bool, str]:
    """Return whether the run was made, and its scores or what went wrong."""
    if ended.code:
        return False, ended.failure
    if not one.is_finished():
        return False, "failed: the recipe or its data changed while it ran"
    scores = FinishedRun.open(one.run.folder.path).scores
    first = {test: next(iter(metrics.items())) for test, metrics in scores.items()}
    found = ", ".join(f"{test} {console.metric_name(name)} {each.score:.2f}" for test, (name, each) in first.items())
    return True, f"{console.duration(ended.seconds)}, {found}"


def sharing(due: Sequence[SweepRun], effects: Collection[Effect]) -> Iterator[SweepRun]:
    """Yield of all runs with the same knobs that have one of `effects` the first, if they are several."""
    groups: dict[str, list[SweepRun]] = {}
    for one in due:
        groups.setdefault(digest_json(knobs_with(effects, one.run.recipe)), []).append(one)
    yield from (group[0] for group in groups.values() if len(group) > 1)


def make_places(due: Sequence[SweepRun], jobs: int | None) -> list[Mapping[str, str]]:
    """Return the variables of the environment of each job at once: its GPU, and its share of the threads.

    There are at most as many as GPUs, or on a CPU as cores, and as the memory holds models of the largest size.
    """
    devices = {kind_of_device(one.run.recipe.training.device) for one in due}
    gpus: list[str] = []
    if "cuda" in devices:
        gpus = os.environ.get(VISIBLE, ",".join(map(str, range(torch.cuda.device_count())))).split(",")
    count = count_places(len(due), jobs, max(map(memory_of, due)), len(gpus))
    share = {NUMBER: str(max(1, threads() // count)), **NO_REPORT}
    return [{**share, VISIBLE: gpus[place]} if gpus else share for place in range(count)]


def memory_of(one: SweepRun) -> int:
    """Return about the bytes that a run takes on a CPU."""
    recipe = one.run.recipe
    model = build_without_weights(recipe.model, recipe.tokenizer.vocab_size, recipe.tokenizer.vocab_size)
    return PROCESS_MEMORY + PARAMETER_MEMORY * sum(weight.numel() for weight in model.weights().values())

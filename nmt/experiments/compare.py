"""Finished runs compared with the first of them: why their results differ, and from which stage and step on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from nmt.config.recipe import Recipe
from nmt.data.cleaning.funnel import IdsCounts, TextCounts, steps_of
from nmt.errors import ArtifactError, UsageError
from nmt.experiments.finished_run import FinishedRun
from nmt.files import Json, JsonObject
from nmt.pipeline.lock import InputDifference, Lock, Locked, LockedScore, Result, input_differences, same_bits
from nmt.run_folder import RunFolder

CURVES = {
    "train loss": ("train", "loss"),
    "dev loss": ("dev", "loss"),
    "dev BLEU": ("dev", "bleu"),
}
"""The curves that are shown: the kind of the log's events, and the key of the value."""
LEARNED = ("loss", "gradient_norm", "bleu", "chrf")  # values of events by which two trainings are told apart
ENVIRONMENT = ("code", "versions", "machine")


@dataclass(frozen=True)
class Compared:
    """A run, or a lock alone, under its name among those that are compared."""

    name: str
    path: Path
    lock: Lock
    recipe: Recipe
    scores: Mapping[str, Mapping[str, LockedScore]]  # by test set and metric, as recorded
    run: FinishedRun | None = None  # None for a lock alone, which has neither lines nor curves

    @classmethod
    def open(cls, path: Path) -> "Compared":
        """Open a run folder, or a lock. Raises ArtifactError where it has no scores, or is damaged."""
        if not path.is_file():
            run = FinishedRun.open(path)
            return cls(run.name, path, run.lock, run.recipe, run.scores, run)
        locked = Locked.read(path)
        if not locked.lock.scores:
            raise ArtifactError(f"{path}: a lock without scores", hint="name the run folder")
        return cls(str(path), path, locked.lock, locked.recipe, locked.lock.scores)

    @cached_property
    def results(self) -> Mapping[str, Result]:
        return self.run.results if self.run else self.lock.results

    @cached_property
    def events(self) -> dict[tuple[str, int], JsonObject]:
        """The events of the training by kind and step; of a step that a rollback repeated, the last one."""
        return {(str(event.get("kind")), event["step"]): event for event in (self.run.log if self.run else [])}


@dataclass(frozen=True)
class Training:
    """A training in figures; None stands for what is not recorded."""

    steps: int | None
    tokens: int | None  # target tokens, EOS included
    seconds: float | None  # of updates and of waiting for data: no validations, no checkpoints
    best_step: int | None
    best: float | None  # on dev, by `metric`
    metric: str


@dataclass(frozen=True)
class Reason:
    """Why a run differs from the baseline, and from where on."""

    inputs: list[str]  # the keys in which its lock differs that may change results
    stage: str | None  # the first stage with other bits
    is_known: bool  # whether any stage has a result in both
    step: int | None  # the first step in both logs with other values
    last_step: int | None  # the last step in both logs


@dataclass(frozen=True)
class Differences:
    """All that is compared but the scores; values are by the names of the runs."""

    runs: list[str]  # the baseline first
    inputs: list[InputDifference]  # with a value of each run, in their order
    commits: dict[str, str]  # of nmt's code, where they are recorded
    filters: dict[str, dict[str, int | None]]  # pairs by "CORPUS, STEP", where they differ
    bits: dict[str, dict[str, bool | None]]  # by stage: whether they are the baseline's; None where not recorded
    trainings: dict[str, Training]
    curves: dict[str, dict[str, dict[int, float]]]  # by curve, run and step, of the steps that all logs have
    reasons: dict[str, Reason]  # of all runs but the baseline
    said: list[str]


def open_runs(paths: Sequence[Path]) -> list[Compared]:
    """Open the runs to compare. Raises UsageError where they cannot be compared, ArtifactError as `Compared.open`."""
    if len(paths) < 2:
        raise UsageError("one run alone cannot be compared", hint="nmt compare RUN_A RUN_B")
    places = [(path.parent if path.is_file() else path).resolve() for path in paths]
    for index, path in enumerate(paths):
        if places[index] in places[:index]:
            raise UsageError(f"{path}: the same run twice", hint="name each run once")
    runs = [Compared.open(path) for path in paths]
    names = [run.name for run in runs]
    runs = [replace(run, name=str(run.path)) if names.count(run.name) > 1 else run for run in runs]
    base, *others = runs
    for run in others:
        if run.recipe.languages != base.recipe.languages:
            one, other = (f"{each.source} to {each.target}" for each in (run.recipe.languages, base.recipe.languages))
            raise UsageError(f"{run.name} translates {one}, {base.name} {other}", hint="compare runs of one pair")
    return runs


def compare_runs(runs: Sequence[Compared]) -> Differences:
    """Compare runs with the first one in all but their scores."""
    base, *others = runs
    names = [run.name for run in runs]
    inputs = input_differences(*((run.lock, run.recipe) for run in runs))
    stages = [stage for stage in RunFolder(base.path).stages if any(stage in run.results for run in runs)]
    same = {run.name: same_bits(base.results, run.results) for run in others}
    return Differences(
        runs=names,
        inputs=inputs,
        commits={run.name: commit for run in runs if (commit := run.lock.sessions[-1].code.get("commit"))},
        filters=_filters(runs),
        bits={stage: {name: bits.get(stage) for name, bits in same.items()} for stage in stages},
        trainings={run.name: training_of(run) for run in runs},
        curves=_curves([run for run in runs if run.run]),
        reasons={
            run.name: _reason(base, run, [found for found in inputs if is_reason(found, index)], same[run.name])
            for index, run in enumerate(others, 1)
        },
        said=_remarks(runs),
    )


def is_reason(found: InputDifference, index: int) -> bool:
    """Return whether an input of the run `index` differs from the baseline's so that its results may differ.

    Not where an older nmt did not record the value of one of them.
    """
    one, other = found.values[0], found.values[index]
    is_recorded = found.part in ("recipe", "data", "init", "versions") or (one and other)
    return bool(is_recorded) and one != other and (found.changes_results or found.part in ENVIRONMENT)


def _reason(base: Compared, run: Compared, inputs: Sequence[InputDifference], same: Mapping[str, bool]) -> Reason:
    common = sorted(base.events.keys() & run.events.keys(), key=lambda key: key[1])
    values = {
        key: [[events[key].get(name) for name in LEARNED] for events in (base.events, run.events)] for key in common
    }
    return Reason(
        inputs=[found.key for found in inputs],
        stage=next((stage for stage, is_same in same.items() if not is_same), None),
        is_known=bool(same),
        step=next((step for (kind, step), (one, other) in values.items() if one != other), None),
        last_step=common[-1][1] if common else None,
    )


def _filters(runs: Sequence[Compared]) -> dict[str, dict[str, int | None]]:
    """Return the pairs of each corpus and step of the funnel, where they differ; None where a run has no such step."""
    counts = {run.name: _funnel(run.results) for run in runs}
    steps = dict.fromkeys(step for each in counts.values() for step in each or {})
    rows = {step: {name: each.get(step) for name, each in counts.items() if each is not None} for step in steps}
    return {step: row for step, row in rows.items() if len(set(row.values())) > 1}


def _funnel(results: Mapping[str, Result]) -> dict[str, int] | None:
    """Return the pairs of each corpus and step of the funnel; None where the counts are not recorded."""
    text, ids = (results[stage].counts if stage in results else None for stage in ("text", "prepare"))
    try:
        steps = steps_of(TextCounts.from_json(text or {}), IdsCounts.from_json(ids) if ids else None)
    except (KeyError, TypeError):
        return None
    return {f"{corpus}, {step.name}": count for step in steps for corpus, count in step.corpora.items()}


def training_of(run: Compared) -> Training:
    """Return the figures of a training, from its result and its log."""
    counts = (run.results["train"].counts if "train" in run.results else None) or {}
    lines = [event for event in (run.run.log if run.run else []) if event.get("kind") == "train"]
    tokens, seconds = (
        sum(line[key] for line in lines) if lines and all(_is_number(line.get(key)) for line in lines) else None
        for key in ("tokens", "seconds")  # which an older nmt did not log
    )
    steps, best_step, best = (
        value if _is_number(value := counts.get(key)) else None for key in ("steps", "best_step", "best")
    )
    return Training(
        steps=steps,
        tokens=tokens,
        seconds=seconds,
        best_step=best_step,
        best=best if best_step is not None else None,
        metric=run.recipe.training.best_metric,
    )


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float)


def _curves(runs: Sequence[Compared]) -> dict[str, dict[str, dict[int, float]]]:
    """Return the curves of runs at the steps that all logs have, where there are any."""
    found = {}
    for curve, (kind, key) in CURVES.items():
        points = {
            run.name: {
                step: event[key]
                for (of, step), event in run.events.items()
                if of == kind and _is_number(event.get(key))
            }
            for run in runs
        }
        common = set.intersection(*map(set, points.values())) if len(points) > 1 else set()
        if common:
            found[curve] = {name: {step: each[step] for step in sorted(common)} for name, each in points.items()}
    return found


def _remarks(runs: Sequence[Compared]) -> list[str]:
    """Say what the locks do not hold."""
    said = [
        f"{run.name}: the run went on in {count} environments, of which the last one is compared"
        for run in runs
        if (count := len(run.lock.sessions)) > 1
    ]
    if old := [run.name for run in runs if not run.lock.sessions[-1].code]:
        whose = "all runs" if len(old) == len(runs) else ", ".join(old)
        said.append(f"{whose}: locked by an older nmt, which did not record its code")
    if alone := [run.name for run in runs if run.run is None]:
        said.append(f"{', '.join(alone)}: a lock alone has no translations; recorded scores are compared, untested")
    return said

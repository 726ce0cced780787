"""Finished runs compared with the first of them: why their results differ, and from which stage and step on."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from nmt.config.recipe import Recipe
from nmt.data.cleaning.funnel import IdsCounts, TextCounts, steps_of
from nmt.errors import ArtifactError, UsageError
from nmt.experiments.finished_run import FinishedRun
from nmt.files import Json, JsonObject, is_missing
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
        if not locked.lock.scores and locked.recipe.training.objective == "translation":
            raise ArtifactError(f"{path}: a lock without scores", hint="name the run folder")
        return cls(str(path), path, locked.lock, locked.recipe, locked.lock.scores)

    @cached_property
    def results(self) -> Mapping[str, Result]:
        return self.run.results if self.run else self.lock.results

    @cached_property
    def events(self) -> dict[tuple[str, int], JsonObject]:
        """The events of the training by kind and step; of a step that a rollback repeated, the last one."""
        return {(str(event.get("kind")), event["step"]): event for event in (self.run.log if self.run else [])}

    @cached_property
    def windows(self) -> dict[int, int]:
        """The step before that of each line of the training: its loss is the mean over the target tokens in between."""
        steps = sorted(step for kind, step in self.events if kind == "train")
        return dict(zip(steps, [0, *steps], strict=False))


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
    unrecorded: list[str] = field(default_factory=list)  # of code and device, what one of both locks lacks


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
            one, other = run.recipe.languages.title, base.recipe.languages.title
            raise UsageError(f"{run.name} translates {one}, {base.name} {other}", hint="compare runs of one pair")
    return runs


def compare_runs(runs: Sequence[Compared]) -> Differences:
    """Compare runs with the first one in all but their scores."""
    base, *others = runs
    names = [run.name for run in runs]
    inputs = input_differences(*((run.lock, run.recipe) for run in runs))
    stages = [stage for stage in RunFolder(base.path).stages if any(stage in run.results for run in runs)]
    same = {run.name: same_bits(base.results, run.results) for run in others}
    curves = _curves(runs)
    return Differences(
        runs=names,
        inputs=inputs,
        commits={run.name: commit for run in runs if (commit := run.lock.sessions[-1].code.get("commit"))},
        filters=_filters(runs),
        bits={stage: {name: bits.get(stage) for name, bits in same.items()} for stage in stages},
        trainings={run.name: training_of(run) for run in runs},
        curves=curves,
        reasons={
            run.name: _reason(base, run, [found for found in inputs if is_reason(found, index)], same[run.name])
            for index, run in enumerate(others, 1)
        },
        said=_remarks(runs, curves),
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
    now, before = run.lock.sessions[-1], base.lock.sessions[-1]
    return Reason(
        inputs=[found.key for found in inputs],
        stage=next((stage for stage, is_same in same.items() if not is_same), None),
        is_known=bool(same),
        step=next((step for kind, step in common if _learned_otherwise(base, run, kind, step)), None),
        last_step=common[-1][1] if common else None,
        unrecorded=[name for name in ("code", "device") if not (getattr(now, name) and getattr(before, name))],
    )


def _learned_otherwise(base: Compared, run: Compared, kind: str, step: int) -> bool:
    """Return whether an event of both logs has other values, of those that both have about the same updates."""
    one, other = (each.events[kind, step] for each in (base, run))
    is_same_window = kind != "train" or base.windows[step] == run.windows[step]
    names = [name for name in LEARNED if name in one and name in other and (is_same_window or name != "loss")]
    return any(one[name] != other[name] for name in names)


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
    metric = run.recipe.training.best_metric
    steps, best_step, best = (
        value if _is_number(value := counts.get(key)) else None for key in ("steps", "best_step", "best")
    )
    if best is None or best_step is None:
        best_step, best = _best_in_log(run, metric)
    return Training(
        steps=max(run.windows, default=None) if steps is None else steps,
        tokens=tokens,
        seconds=seconds,
        best_step=best_step,
        best=best,
        metric=metric,
    )


def _best_in_log(run: Compared, metric: str) -> tuple[int, float] | tuple[None, None]:
    """Return the step and value of the first of the best validations, which an older nmt recorded in the log alone."""
    found = [
        (step, event[metric])
        for (kind, step), event in sorted(run.events.items(), key=lambda pair: pair[0][1])
        if kind == "dev" and _is_number(event.get(metric))
    ]
    best = min if metric == "loss" else max
    return best(found, key=lambda pair: pair[1], default=(None, None))


def _is_number(value: Json) -> bool:
    return isinstance(value, int | float)


def _curves(runs: Sequence[Compared]) -> dict[str, dict[str, dict[int, float]]]:
    """Return the curves of the runs whose logs have them, at the steps that all of these have, where there are any."""
    trained = [set(run.windows) for run in runs if run.windows]
    shared = sorted(set.intersection(*trained)) if trained else []
    found = {}
    for curve, (kind, key) in CURVES.items():
        values = {run.name: _losses(run, shared) if kind == "train" else _points(run, kind, key) for run in runs}
        points = {name: each for name, each in values.items() if each}
        common = set.intersection(*map(set, points.values())) if len(points) > 1 else set()
        if common:
            found[curve] = {name: {step: each[step] for step in sorted(common)} for name, each in points.items()}
    return found


def _points(run: Compared, kind: str, key: str) -> dict[int, float]:
    """Return the values of `key` in the events of a kind, by step."""
    return {step: event[key] for (of, step), event in run.events.items() if of == kind and _is_number(event.get(key))}


def _losses(run: Compared, steps: Sequence[int]) -> dict[int, float]:
    """Return the mean train loss up to each of `steps`, which are lines of the log, since the one before.

    It is the mean over target tokens, or over updates where an older nmt did not log the tokens.
    """
    lines: dict[int, list[tuple[float, int]]] = {}
    has_tokens = _logs_tokens(run)
    for step, loss in _points(run, "train", "loss").items():
        if (place := bisect_left(steps, step)) < len(steps):
            weight = run.events["train", step]["tokens"] if has_tokens else step - run.windows[step]
            lines.setdefault(steps[place], []).append((loss, weight))
    return {
        step: each[0][0] if len(each) == 1 else sum(loss * weight for loss, weight in each) / sum(w for _, w in each)
        for step, each in lines.items()
    }


def _remarks(runs: Sequence[Compared], curves: Mapping[str, Mapping[str, Mapping[int, float]]]) -> list[str]:
    """Say what the locks and logs do not hold."""
    said = [
        f"{run.name}: the run went on in {count} environments, of which the last one is compared"
        for run in runs
        if (count := len(run.lock.sessions)) > 1
    ]
    if old := [run.name for run in runs if not run.lock.sessions[-1].code]:
        whose = "all runs" if len(old) == len(runs) else ", ".join(old)
        said.append(f"{whose}: locked by an older nmt, which did not record its code")
    said += _log_remarks([run for run in runs if run.run], curves.get("train loss", {}))
    if alone := [run.name for run in runs if run.run is None]:
        said.append(f"{', '.join(alone)}: a lock alone has no translations; recorded scores are compared, untested")
    return said


def _log_remarks(runs: Sequence[Compared], losses: Mapping[str, Mapping[int, float]]) -> list[str]:
    """Say which logs are missing, and of which train losses are means of other kinds, or of other updates."""
    said = []
    for run in runs:
        log = RunFolder(run.path).log
        if not run.windows:
            state = "missing" if is_missing(log) else "has no lines of a training"
            said.append(f"{log}: {state}: no curves of {run.name}")
        elif len(run.windows) > len(losses.get(run.name, run.windows)) and not _logs_tokens(run):
            said.append(
                f"{log}: has no tokens: its train losses are means over updates, which differ slightly from those over "
                "tokens"
            )
    if sum(bool(run.windows) for run in runs) > 1 and not losses:
        said.append("train loss: of no step in all logs, so that no two are about the same updates")
    return said


def _logs_tokens(run: Compared) -> bool:
    """Return whether each line of the training has its target tokens, which an older nmt did not log."""
    return all(_is_number(run.events["train", step].get("tokens")) for step in run.windows)

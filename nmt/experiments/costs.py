"""The costs of a run: speed, operations, memory and time; and how uncertain its BLEU is, for so few lines."""

import statistics
from collections.abc import Sequence

from nmt.data.encoding.dataset import PreparedPairs
from nmt.errors import NmtError
from nmt.evaluation import significance
from nmt.evaluation.significance import Interval
from nmt.experiments.facts import CLOSE, counts_of
from nmt.experiments.finished_run import FinishedRun
from nmt.files import Json, read_record
from nmt.inference.bundle import open_bundle
from nmt.model.families import build_without_weights
from nmt.model.size import operations_of_training

TRAINING = ("train tokens/s", "train GFLOP/s", "train MiB", "train s")
TESTS = ("lines/s", "s")  # of each test set, whose name stands in front
LEGEND = (
    "[ends] of BLEU's 95% interval by the bootstrap over the lines, of the first seed; all else is a mean over seeds\n"
    "Training: median target tokens and 10^9 operations a second; peak memory; time without validation\n"
    "Test sets: the translation alone. Times are those of the machine at that moment, with all that ran beside"
)


def columns_of(tests: Sequence[str]) -> list[str]:
    """Return the names of all costs, for runs with these test sets."""
    return [*TRAINING, *(f"{test} {name}" for test in tests for name in TESTS)]


def costs_of(run: FinishedRun) -> dict[str, float]:
    """Return the costs of a run by name, without those that an older nmt did not record."""
    speeds, memory, seconds = (_values(run, key) for key in ("tokens_per_second", "memory_mib", "seconds"))
    speed = statistics.median(speeds) if speeds else None
    each = operations_of_token(run) if speed is not None else None
    found: list[float | None] = [
        speed,
        None if speed is None or each is None else speed * each / 1e9,
        max(memory, default=None),
        sum(seconds) if seconds else None,
    ]
    times = read_record(run.folder.times) or {}
    for test in run.tests:
        time = times.get(test)
        lines, lasted = (_number(time.get(key)) if isinstance(time, dict) else None for key in ("lines", "seconds"))
        found += [lines / lasted if lines and lasted else None, lasted]
    return {name: value for name, value in zip(columns_of(run.tests), found, strict=True) if value is not None}


def operations_of_token(run: FinishedRun) -> float | None:
    """Return the mean operations of training for each target token; None where ids or bundle are gone.

    Corpora count by their weights in an epoch.
    """
    try:
        pairs = PreparedPairs(run.folder.ids / "train")
        tokenizer = open_bundle(run.folder.bundle).tokenizer
    except (NmtError, OSError):
        return None
    model = build_without_weights(run.recipe.model, tokenizer.source_size, tokenizer.target_size)
    with_source = run.recipe.training.source_loss > 0
    weights = run.recipe.data.weights({name: end - start for name, (start, end) in pairs.corpora.items()})
    total = tokens = 0.0
    for name, (start, end) in pairs.corpora.items():
        source, target = (side[start:end].astype(float) for side in (pairs.src_lengths, pairs.tgt_lengths))
        total += weights[name] * operations_of_training(model, source, target, with_source=with_source)
        tokens += weights[name] * float(target.sum())
    return total / tokens


def bleu_interval(run: FinishedRun, test: str) -> Interval | None:
    """Return the bootstrap of BLEU over the lines of a test set; None where they do not give the BLEU recorded."""
    recorded = run.scores[test].get("bleu")
    counted = counts_of(run, test, [], ("bleu",)) if recorded else None
    if recorded is None or counted is None:
        return None
    found = significance.compare({test: counted}, ("bleu",))[test]["bleu"]
    return found["interval"] if abs(found["score"] - recorded.score) <= CLOSE else None


def _values(run: FinishedRun, key: str) -> list[float]:
    """Return a value of all lines of the training's log; nothing where one of them lacks it."""
    values = [_number(event.get(key)) for event in run.log if event.get("kind") == "train"]
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) else []


def _number(value: Json) -> float | None:
    return value if isinstance(value, int | float) else None

"""Check a recipe before hours are spent on it: one finding a check, nothing written into the run folder.

Cheap checks are complete; the others use the first pairs of the data, or run for some seconds, and their findings say
so. The checks call the stages' own functions in a temporary folder, so that they see the same data as a run.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from nmt.advice import data_checks as data
from nmt.advice import training_checks as training
from nmt.advice.checkup import Checkup, Finding
from nmt.errors import NmtError, storage_error
from nmt.pipeline.run import Run


def examine(run: Run) -> Iterator[tuple[str, Finding]]:
    """Yield the name and the finding of each check, as soon as it is done.

    A check is skipped where a check that it needs failed or was skipped.
    """
    with tempfile.TemporaryDirectory(prefix="nmt-doctor-") as scratch:
        checkup, failed = Checkup(run, Path(scratch)), set[str]()
        for name, check, needs in CHECKS:
            if missing := [need for need in needs if need in failed]:
                finding = Finding("skipped", f"needs the check of {missing[0]}")
            else:
                try:
                    finding = check(checkup)
                except (NmtError, OSError) as error:
                    failure = storage_error(error) if isinstance(error, OSError) else error
                    finding = Finding("error", str(failure), error=failure)
            if finding.level in ("error", "skipped"):
                failed.add(name)
            yield name, finding


def check_folder(checkup: Checkup) -> Finding:
    """Check that the run folder belongs to no other recipe and has no checkpoints of other settings, and the lock."""
    run, folder = checkup.run, checkup.run.folder
    run.refuse_other_folder()
    if run.locked:
        run.locked.check(run.recipe, run.lock_of(run.next_sessions()))
    return Finding("OK", f"{folder.path} is {'of this recipe' if folder.lock.exists() else 'new'}")


CHECKS: list[tuple[str, Callable[[Checkup], Finding], tuple[str, ...]]] = [
    ("run folder", check_folder, ()),
    ("device", training.check_device, ()),
    ("compiler", training.check_compiler, ("device",)),
    ("tensorboard", training.check_tensorboard, ()),
    ("schedule", training.check_schedule, ()),
    ("export", training.check_export, ()),
    ("symbols", data.check_symbols, ()),
    ("synthetic", data.check_synthetic, ()),
    ("filters", data.check_filters, ()),
    ("downloads", data.check_downloads, ()),
    ("data", data.check_data, ("downloads",)),
    ("leakage", data.check_leakage, ("data",)),
    ("cleaning", data.check_cleaning, ("symbols", "filters", "data")),
    ("metric", data.check_metric, ("cleaning",)),
    ("vocabulary", data.check_vocabulary, ("run folder", "cleaning")),
    ("normal form", data.check_normal_form, ("vocabulary",)),
    ("shares", data.check_shares, ("vocabulary",)),
    ("sizes", training.check_sizes, ("vocabulary",)),
    ("batching", training.check_batching, ("device", "vocabulary")),
    ("memory", training.check_memory, ("batching",)),
    ("time", training.check_time, ("memory",)),
]
"""Name, function, and the checks that it needs, in the order in which they run."""

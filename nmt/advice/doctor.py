"""Look at a recipe before hours are spent on it: one finding a check, nothing written into the run folder.

What is cheap is done in full; what is not, on the first pairs of the data and for some seconds, and the finding
says so. The checks call the stages' own functions in a temporary folder, so that they see what the run would see.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from nmt.advice.case import Case, Finding
from nmt.advice.data_checks import (
    check_cleaning,
    check_data,
    check_downloads,
    check_filters,
    check_leakage,
    check_shares,
    check_symbols,
    check_vocabulary,
)
from nmt.advice.training_checks import (
    check_batching,
    check_compiler,
    check_device,
    check_export,
    check_memory,
    check_schedule,
    check_sizes,
    check_tensorboard,
    check_time,
)
from nmt.errors import NmtError
from nmt.pipeline.run import Run


def examine(pipeline: Run) -> Iterator[tuple[str, Finding]]:
    """Yield the name and the finding of each check, as soon as it is done.

    A check that needs one that failed is skipped, and so are those that need it.
    """
    with tempfile.TemporaryDirectory(prefix="nmt-doctor-") as scratch:
        case, failed = Case(pipeline, Path(scratch)), set[str]()
        for name, look, needs in CHECKS:
            if missing := [need for need in needs if need in failed]:
                finding = Finding("skipped", f"needs the check of {missing[0]}")
            else:
                try:
                    finding = look(case)
                except NmtError as error:
                    finding = Finding("error", str(error), error=error)
            if finding.level in ("error", "skipped"):
                failed.add(name)
            yield name, finding


def check_folder(case: Case) -> Finding:
    """Look whether the run folder can be used: no other recipe's, no checkpoints of other settings."""
    case.pipeline.refuse_other_folder()
    run = case.pipeline.folder
    return Finding("OK", f"{run.path} is {'of this recipe' if run.lock.exists() else 'new'}")


CHECKS: list[tuple[str, Callable[[Case], Finding], tuple[str, ...]]] = [
    ("run folder", check_folder, ()),
    ("device", check_device, ()),
    ("compiler", check_compiler, ("device",)),
    ("tensorboard", check_tensorboard, ()),
    ("schedule", check_schedule, ()),
    ("export", check_export, ()),
    ("symbols", check_symbols, ()),
    ("filters", check_filters, ()),
    ("downloads", check_downloads, ()),
    ("data", check_data, ("downloads",)),
    ("leakage", check_leakage, ("data",)),
    ("cleaning", check_cleaning, ("symbols", "filters", "data")),
    ("vocabulary", check_vocabulary, ("run folder", "cleaning")),
    ("shares", check_shares, ("vocabulary",)),
    ("sizes", check_sizes, ("vocabulary",)),
    ("batching", check_batching, ("device", "vocabulary")),
    ("memory", check_memory, ("batching",)),
    ("time", check_time, ("memory",)),
]
"""Name, function, and the checks that it needs, in the order in which they are made."""

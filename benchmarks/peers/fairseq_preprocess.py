"""fairseq-preprocess, which Python 3.11 refuses to import: a default of its data classes has to be hashable now.

FAIRSEQ-PYTHON fairseq_preprocess.py ARGUMENTS OF fairseq-preprocess
"""

import dataclasses
from importlib import import_module
from typing import Any

original = dataclasses.dataclass


def hashable(cls: Any = None, /, **options: Any) -> Any:
    """Make a data class of fairseq's hashable, others as they are."""

    def decorate(decorated: Any) -> Any:
        if decorated.__module__.startswith("fairseq"):
            options.setdefault("unsafe_hash", True)
        return original(decorated, **options)

    return decorate if cls is None else decorate(cls)


dataclasses.dataclass = hashable

import_module("fairseq_cli.preprocess").cli_main()

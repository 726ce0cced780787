"""Neural machine translation: from raw parallel text to a scored, shippable translator.

>>> from nmt import Translator                                    # doctest: +SKIP
>>> translator = Translator.load("runs/demo/model")               # doctest: +SKIP
>>> [translation.text for translation in translator.translate(["The curious chef knows us."])]  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING

from nmt.cores import WAITING, configure_openmp
from nmt.version import __version__

if TYPE_CHECKING:
    from nmt.config.decoding import SamplingConfig
    from nmt.config.inference import Options
    from nmt.data.reading.terms import Terms
    from nmt.inference.results import Candidate, PairScore, Translation
    from nmt.inference.translator import Translator

_HOMES = {
    **dict.fromkeys(("Candidate", "PairScore", "Translation"), "nmt.inference.results"),
    "Translator": "nmt.inference.translator",
    "Terms": "nmt.data.reading.terms",
    "Options": "nmt.config.inference",
    "SamplingConfig": "nmt.config.decoding",
}
"""Modules of the names of the Python API; a module is imported when one of its names is first used."""

_TOO_LATE = (
    "torch was imported before Translator: its threads spin while they wait, which makes them several times slower "
    f"beside other busy processes (import Translator first, or set GOMP_SPINCOUNT={WAITING['GOMP_SPINCOUNT']})"
)

__all__ = ["Candidate", "Options", "PairScore", "SamplingConfig", "Terms", "Translation", "Translator", "__version__"]


def __getattr__(name: str) -> object:
    """Import a name of the Python API; warn once where OpenMP cannot be configured any more."""
    if name in _HOMES:
        if not configure_openmp():
            import_module("nmt.console").warn(_TOO_LATE)
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

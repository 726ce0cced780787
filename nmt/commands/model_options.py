"""The options of the commands that load models, and how they load them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmt import console
from nmt.commands.options import OptionsOf
from nmt.config.decoding import DecodingConfig
from nmt.config.inference import InferenceConfig, TermsConfig
from nmt.data.reading.terms import Terms
from nmt.errors import UsageError

if TYPE_CHECKING:
    from nmt.inference.translator import Translator

Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A bundle: runs/NAME/model.")]
Models = Annotated[
    list[Path],
    typer.Argument(metavar="MODEL", help="A bundle: runs/NAME/model; several translate together."),
]
OF_MODEL = "MODEL's, or {}"  # how the help writes the default of a setting that the model's recipe may set
Search = Annotated[DecodingConfig, OptionsOf("Search", default=OF_MODEL)]
Scoring = Annotated[
    DecodingConfig, OptionsOf("Scoring", only=("length_penalty", "batch_tokens", "precision"), default=OF_MODEL)
]
Inference = Annotated[InferenceConfig, OptionsOf("Model and device")]

Glossary = Annotated[TermsConfig, OptionsOf("Terms")]


def read_terms(files: TermsConfig, inference: InferenceConfig) -> Terms | None:
    """Read the files of terms; None where there are none.

    Raises DataError, and UsageError where the engine knows no terms.
    """
    for option, is_given in (("mode", files.glossary_mode), ("forms", files.glossary_forms != "written")):
        if is_given and files.glossary is None:
            raise UsageError(f"--glossary-{option} is for --glossary, and there is none", hint="leave it out")
    if files.glossary is None and files.avoid is None:
        return None
    if inference.engine != "native" and (files.avoid is not None or files.glossary_mode == "hard"):
        option = "--avoid" if files.avoid is not None else "--glossary-mode hard"
        raise UsageError(f"the engine {inference.engine} has no {option}", hint="leave out --engine")
    glossary, avoid = (None if name is None else Path(name) for name in (files.glossary, files.avoid))
    return Terms.read(glossary, avoid, files.glossary_mode, files.glossary_forms)


def check_device(inference: InferenceConfig) -> None:
    """Check before the work that the device is there. Raises UsageError."""
    from nmt.inference.engines import loading  # start-up time

    loading.check_device(inference)


def load_translator(
    models: Sequence[Path], search: DecodingConfig, inference: InferenceConfig, terms: Terms | None = None
) -> Translator:
    """Load `models` with the settings of `search` that were given, in place of the first model's own."""
    from nmt.inference.translator import Translator  # start-up time

    given = inference.model_dump(exclude_unset=True)
    translator = Translator.load(*models, decoding=search.model_dump(exclude_unset=True), terms=terms, **given)
    if not translator.direction.is_trained:
        source, target = translator.direction.languages
        console.warn(f"the model was not trained to translate {source} to {target}: expect little of it (zero-shot)")
    return translator

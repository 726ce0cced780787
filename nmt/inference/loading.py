"""What a translator is made of, loaded from bundles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from nmt.config.decoding import DecodingConfig, InferencePrecision
from nmt.config.inference import InferenceConfig
from nmt.config.section import first_error
from nmt.data.directions import Direction, choose_direction
from nmt.data.encoding.tokenizer import Tokenizer
from nmt.data.placeholders import Protector, check_tags, protector_for
from nmt.data.reading.terms import Terms
from nmt.errors import UsageError
from nmt.inference.bundle import BundleConfig
from nmt.inference.confidence import Calibration, read_calibration
from nmt.inference.engines.loading import EnginePlan, open_bundles
from nmt.inference.engines.workers import Workers
from nmt.inference.protocol import Engine
from nmt.inference.terms import TermEncoder


@dataclass(frozen=True)
class Parts:
    """The parts of a translator of one bundle, or of several that translate together."""

    config: BundleConfig  # of the first bundle
    engine: Engine
    tokenizer: Tokenizer
    decoding: DecodingConfig
    max_length: int  # longest source in pieces, EOS included
    protector: Protector | None
    tags: tuple[str, ...]
    direction: Direction
    terms: TermEncoder | None
    has_terms: bool  # whether all models take terms from their source
    is_native: bool  # whether the engine is
    path: Path | None  # of the only bundle
    calibration: Calibration | None  # of the only bundle


def load_parts(
    paths: Sequence[Path],
    decoding: Mapping[str, object],
    precision: InferencePrecision | None,
    terms: Terms | None,
    settings: Mapping[str, object],
) -> Parts:
    """Load the bundles at `paths`, see `Translator.load`. Raises ArtifactError, UsageError."""
    if not paths:
        raise UsageError("no model to load")
    bundles = open_bundles(paths)
    config, tokenizer = bundles[0].config, bundles[0].tokenizer
    given = {**decoding, **({"precision": precision} if precision else {})}
    try:
        search = DecodingConfig.model_validate({**config.decoding.model_dump(), **given})
        inference = InferenceConfig.model_validate(settings, strict=False)
    except ValidationError as error:
        prefix = "decoding." if error.title == DecodingConfig.__name__ else ""
        raise UsageError(prefix + first_error(error)) from None
    if idle := search.idle_keys(given):
        raise UsageError(f"{idle[0]} is for mbr, which is 0", hint="give mbr, or leave it out")
    direction = choose_direction(config.languages, inference.from_, inference.to)
    check_tags(inference.tags, tokenizer.tags)
    is_own = "protect" not in inference.model_fields_set
    protector = protector_for(config.protect if is_own else inference.protect, tokenizer.placeholders)
    if "precision" in given and inference.engine != "native":
        raise UsageError("the precision of an export is its own", hint="nmt export has --quantization")
    if inference.engine != "native":
        bundles[0].check_float32()
    has_terms = all(bundle.config.has_terms for bundle in bundles)
    pair = direction.languages
    encoder = None if terms is None else TermEncoder(terms, tokenizer, is_for_terms=has_terms, languages=pair)
    if encoder is not None and encoder.binds and inference.engine != "native":
        problem = f"the engine {inference.engine} has no glossary and avoids no phrases"
        raise UsageError(problem, hint="take the engine native")
    plan = EnginePlan([bundle.path for bundle in bundles], inference, search.precision)
    only = bundles[0] if len(bundles) == 1 else None
    return Parts(
        config=config,
        engine=plan.load() if inference.devices == 1 else Workers(plan),
        tokenizer=tokenizer,
        decoding=search,
        max_length=min(bundle.config.model.max_length for bundle in bundles),
        protector=protector,
        tags=tuple(inference.tags),
        direction=direction,
        terms=encoder,
        has_terms=has_terms,
        is_native=inference.engine == "native",
        path=only.path if only else None,
        calibration=read_calibration(only) if only else None,
    )

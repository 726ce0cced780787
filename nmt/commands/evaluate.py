"""The command `evaluate`: scores of translations, made by a model or read from a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from nmt import console
from nmt.commands.group import new_app
from nmt.commands.model_options import Inference, Search, check_device, load_translator
from nmt.commands.options import OptionsOf, command, writing
from nmt.config.decoding import EvaluationConfig
from nmt.data.reading.archives import read_lines
from nmt.errors import DataError, UsageError
from nmt.files import check_output

app = new_app("Score translations.")
Metrics = Annotated[EvaluationConfig, OptionsOf("Metrics", default="MODEL's, or {}")]


@command(app, "nmt evaluate runs/demo/model --source test.en --reference test.de")
def evaluate(
    model: Annotated[
        Path | None,
        typer.Argument(
            metavar="MODEL", help="Translates --source; with --hypotheses, its settings of the metrics hold."
        ),
    ] = None,
    *,
    reference: Annotated[
        list[Path] | None, typer.Option(metavar="FILE...", help="References, one file a set; several may follow.")
    ] = None,
    hypotheses: Annotated[Path | None, typer.Option(metavar="FILE", help="Translations to score.")] = None,
    source: Annotated[Path | None, typer.Option(metavar="FILE", help="Text for MODEL to translate.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object with full precision.")] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Keep MODEL's translations here.")] = None,
    metrics: Metrics,
    search: Search,
    inference: Inference,
) -> None:
    """Score translations by BLEU, chrF and TER with their signatures: those of MODEL, or --hypotheses."""
    from nmt.evaluation.metrics import looks_tokenized, resolve_tokenizer, score  # start-up time
    from nmt.inference.bundle import open_bundle  # start-up time

    if not reference:
        raise UsageError("evaluate needs --reference FILE")
    check_device(inference)
    if output is not None:
        check_output(output)
    references = [list(read_lines(path)) for path in reference]
    if hypotheses is not None:
        if source or output or search.model_fields_set or inference.model_fields_set:
            raise UsageError("--hypotheses are scored as they are", hint="leave out the options for translating")
        translations = list(read_lines(hypotheses))
        bundle = open_bundle(model).config if model else None
    else:
        if model is None or source is None:
            raise UsageError("evaluate takes MODEL with --source, or --hypotheses")
        sources = read_sources(source, reference, references)
        translator = load_translator([model], search, inference)
        bundle = translator.bundle
        translations = translator.translate_all(sources)
        if output is not None:
            with writing(output) as file:
                file.write("".join(line + "\n" for line in translations).encode())
    own = bundle.evaluation if bundle else EvaluationConfig()
    config = own.model_copy(update=metrics.model_dump(exclude_unset=True))
    if looks_tokenized(translations):
        console.warn("the translations look tokenized: BLEU is meant for plain text")
    tokenize = resolve_tokenizer(config.tokenize, bundle.languages.target if bundle else None)
    order = config.chrf_word_order
    scores = score(translations, references, tokenize=tokenize, lowercase=config.lowercase, chrf_word_order=order)
    if as_json:
        console.json_out(scores)
    else:
        console.scores({(hypotheses or source or reference[0]).name: scores})


def read_sources(source: Path, names: Sequence[Path], references: Sequence[Sequence[str]]) -> list[str]:
    """Read `source`. Raises DataError where one of the references has another number of lines."""
    lines = list(read_lines(source))
    for name, reference in zip(names, references, strict=True):
        if len(reference) != len(lines):
            raise DataError(f"{source} has {len(lines):,} lines but {name} has {len(reference):,}")
    return lines

"""The command `evaluate`: scores of translations, made by a model or read from files."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmt import console
from nmt.commands import analysis_tables, score_tables
from nmt.commands.group import new_app
from nmt.commands.model_options import Glossary, Inference, Search, check_device, load_translator, read_terms
from nmt.commands.options import OptionsOf, command, writing
from nmt.config.analysis import AnalysisConfig
from nmt.config.decoding import EvaluationConfig
from nmt.data.languages import unknown_code
from nmt.errors import UsageError
from nmt.files import check_output

if TYPE_CHECKING:
    from nmt.commands.evaluation import Results
    from nmt.data.directions import Direction
    from nmt.evaluation.calibration import Reliability
    from nmt.evaluation.survival import Languages
    from nmt.inference.bundle import BundleConfig

app = new_app("Score translations.")
Metrics = Annotated[EvaluationConfig, OptionsOf("Metrics", default="MODEL's, or {}")]
Model = Annotated[
    Path | None,
    typer.Argument(metavar="MODEL", help="Translates --source; its settings of the metrics hold for --hypotheses."),
]
References = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE...", help="References, one file a set, or WMT's .sgm and .xml; several may follow."),
]
Hypotheses = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE...",
        help="Translations to score; each file, or system in .xml, by itself, and compared with the first.",
    ),
]
TargetLanguage = Annotated[
    str | None,
    typer.Option(metavar="CODE", help="Language of the references, which chooses BLEU's tokenizer; else MODEL's."),
]
Metric = StrEnum("Metric", ["bracket-f1", "strict-f1", "bleu", "chrf", "chrf++", "ter"])
Chosen = Annotated[
    list[Metric] | None,
    typer.Option(
        "--metrics",
        metavar="NAME...",
        help="Metrics to compute and test: bleu, chrf, chrf++, ter; of trees bracket-f1, strict-f1. By default bleu, "
        "chrf; of one system ter too, without a test; of trees bracket-f1, strict-f1, bleu, chrf.",
    ),
]
Source = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Text for MODEL to translate; of --hypotheses with --analysis.")
]
Depth = Annotated[AnalysisConfig, OptionsOf("In depth")]
NoSignificance = Annotated[bool, typer.Option("--no-significance", help="Compute no intervals and no differences.")]
AsLatex = Annotated[bool, typer.Option("--latex", help="Print a LaTeX table.")]


@command(app, "nmt evaluate runs/demo/model --source test.en --reference test.de")
def evaluate(
    model: Model = None,
    *,
    reference: References = None,
    hypotheses: Hypotheses = None,
    source: Source = None,
    target_language: TargetLanguage = None,
    chosen: Chosen = None,
    no_significance: NoSignificance = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object with full precision.")] = False,
    as_latex: AsLatex = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Keep MODEL's translations here.")] = None,
    settings: Metrics,
    depth: Depth,
    search: Search,
    files: Glossary,
    inference: Inference,
) -> None:
    """Score translations by BLEU, chrF and TER with their signatures: those of MODEL, or --hypotheses.

    Scores have 95% intervals. Several files of hypotheses are compared with the first: differences with intervals and
    two-sided p-values, by paired approximate randomization (ar) and bootstrap (bs). --json has an object for each.
    """
    from nmt.commands import evaluation  # start-up time
    from nmt.inference.bundle import open_bundle  # start-up time
    from nmt.inference.calibrating import Trust  # start-up time

    if not reference:
        raise UsageError("evaluate needs --reference FILE")
    check_printing(depth, as_json=as_json, as_latex=as_latex)
    check_language(target_language, settings)
    terms = read_terms(files, inference)
    check_device(inference)
    if output is not None:
        check_output(output)
    if hypotheses:
        are_for_translating = bool(output or terms or search.model_fields_set or inference.model_fields_set)
        check_untranslated(source, depth, are_for_translating=are_for_translating)
    elif model is None or source is None:
        raise UsageError("evaluate takes MODEL with --source, or --hypotheses")
    texts = evaluation.read_texts(source, reference, hypotheses or [])
    systems = [source.name] if source and not hypotheses else list(texts.systems)
    beside = evaluation.read_beside(depth, texts, systems, model, is_tested=not no_significance)
    bundle = open_bundle(model).config if model and hypotheses else None
    translate, count_pieces, trust, direction = None, None, None, None
    if model and source and not hypotheses:
        translator = load_translator([model], search, inference, terms)
        bundle, translate, direction = translator.bundle, translator.translate_all, translator.direction
        count_pieces = evaluation.piece_counter(translator.tokenizer)
        if depth.calibrate or depth.confidence:
            trust = Trust.of(model, translator, texts.sources, is_fitted=depth.calibrate)
        texts.systems[source.name] = translations = trust.translations if trust else translate(texts.sources)
        if output is not None:
            write_lines(output, translations)
    config, languages = settle(settings, bundle, direction, target_language)
    results = evaluation.score_systems(
        texts, beside, config, languages, depth, translate, chosen=chosen or [], count_pieces=count_pieces
    )
    reliability = trust.settle(texts.references, config) if trust else None
    show(results, reliability, as_json=as_json, as_latex=as_latex)


def check_printing(depth: AnalysisConfig, *, as_json: bool, as_latex: bool) -> None:
    """Raise UsageError where the ways of printing exclude each other."""
    if as_json and as_latex:
        raise UsageError("--json and --latex are two ways of printing", hint="give one of them")
    if (depth.analysis or depth.robustness or depth.confidence) and as_latex:
        hint = "leave out --analysis, --robustness and --confidence, or print --json"
        raise UsageError("--latex prints scores alone", hint=hint)


def check_untranslated(source: Path | None, depth: AnalysisConfig, *, are_for_translating: bool) -> None:
    """Raise UsageError where options do not go together with `--hypotheses`."""
    if are_for_translating or (source and not depth.analysis):
        raise UsageError("--hypotheses are scored as they are", hint="leave out the options for translating")
    wanted = (("robustness", depth.robustness), ("confidence", depth.confidence), ("calibrate", depth.calibrate))
    for option, is_given in wanted:
        if is_given:
            raise UsageError(f"--{option} has MODEL translate", hint="leave out --hypotheses")
    if depth.analysis and source is None:
        raise UsageError("--analysis needs the source of --hypotheses", hint="add --source FILE")


def settle(
    given: EvaluationConfig, bundle: BundleConfig | None, direction: Direction | None, target_language: str | None
) -> tuple[EvaluationConfig, Languages]:
    """Return the settings of the metrics, those of the model where none are given, and the languages.

    `direction` is the one in which the model translates.
    """
    own = bundle.evaluation if bundle else EvaluationConfig()
    update = given.model_dump(exclude_unset=True) | ({"tokenize": "auto"} if target_language else {})
    source, target = direction.languages if direction else (None, None)
    if bundle and not bundle.languages.directions:
        source, target = bundle.languages.pair
    return own.model_copy(update=update), (source, target_language or target)


def show(results: Results, reliability: Reliability | None, *, as_json: bool, as_latex: bool) -> None:
    """Print scores and analyses, after warnings of what is to be said of the texts."""
    for flaw in results.said:
        console.warn(flaw)
    if as_json:
        objects = {
            system: {
                **scores,
                **({"brackets": results.brackets[system]} if results.brackets else {}),
                **({"analysis": results.analyses[system]} if results.analyses else {}),
                **({"robustness": results.robustness} if results.robustness else {}),
                **({"confidence": reliability} if reliability else {}),
            }
            for system, scores in results.scores.items()
        }
        console.json_out(objects if len(objects) > 1 else next(iter(objects.values())))
    elif as_latex:
        console.out(score_tables.latex(results.scores))
    elif results.is_tested:
        score_tables.show(results.scores)
    else:
        console.scores(results.scores)
    if results.brackets and not (as_json or as_latex):
        score_tables.show_brackets(results.brackets)
    if not as_json:
        analysis_tables.show(results.analyses, results.robustness, reliability)


def write_lines(path: Path, lines: Sequence[str]) -> None:
    with writing(path) as file:
        file.write("".join(line + "\n" for line in lines).encode())


def check_language(code: str | None, metrics: EvaluationConfig) -> None:
    """Raise UsageError where `--target-language` is no code of a language, or idle beside `--tokenize`."""
    if code is None:
        return
    if "tokenize" in metrics.model_fields_set:
        raise UsageError("--target-language chooses BLEU's tokenizer, and --tokenize names it", hint="give one of them")
    if (near := unknown_code(code)) is not None:
        hint = f"did you mean {near}?" if near else "codes are as in ISO 639-1: en, de"
        raise UsageError(f"--target-language {code}: no language has this code", hint=hint)

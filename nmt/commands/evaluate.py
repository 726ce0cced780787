"""The command `evaluate`: scores of translations, made by a model or read from files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmt import console
from nmt.commands import score_tables
from nmt.commands.group import new_app
from nmt.commands.model_options import Inference, Search, check_device, load_translator
from nmt.commands.options import OptionsOf, command, writing
from nmt.config.decoding import EvaluationConfig
from nmt.data.languages import unknown_code
from nmt.data.reading.archives import read_lines
from nmt.data.reading.scored_texts import ScoredTexts, align_texts, holds_test_set
from nmt.errors import DataError, UsageError
from nmt.files import check_output

if TYPE_CHECKING:
    from nmt.evaluation.significance import TestedScores
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
Metric = StrEnum("Metric", ["bleu", "chrf", "ter"])
Chosen = Annotated[
    list[Metric] | None,
    typer.Option(
        "--metrics",
        metavar="NAME...",
        help="Metrics to compute and test: bleu, chrf, ter. By default all are computed, and bleu and chrf tested.",
    ),
]
NoSignificance = Annotated[bool, typer.Option("--no-significance", help="Compute no intervals and no differences.")]
AsLatex = Annotated[bool, typer.Option("--latex", help="Print a LaTeX table.")]


@command(app, "nmt evaluate runs/demo/model --source test.en --reference test.de")
def evaluate(
    model: Model = None,
    *,
    reference: References = None,
    hypotheses: Hypotheses = None,
    source: Annotated[Path | None, typer.Option(metavar="FILE", help="Text for MODEL to translate.")] = None,
    target_language: TargetLanguage = None,
    chosen: Chosen = None,
    no_significance: NoSignificance = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object with full precision.")] = False,
    as_latex: AsLatex = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Keep MODEL's translations here.")] = None,
    settings: Metrics,
    search: Search,
    inference: Inference,
) -> None:
    """Score translations by BLEU, chrF and TER with their signatures: those of MODEL, or --hypotheses.

    Scores have 95% intervals. Several files of hypotheses are compared with the first: differences with intervals and
    two-sided p-values, by paired approximate randomization (ar) and bootstrap (bs). --json has an object for each.
    """
    from nmt.evaluation import metrics, scoring, significance  # start-up time
    from nmt.inference.bundle import open_bundle  # start-up time

    if not reference:
        raise UsageError("evaluate needs --reference FILE")
    if as_json and as_latex:
        raise UsageError("--json and --latex are two ways of printing", hint="give one of them")
    seed = None if no_significance else significance.read_seed()
    check_language(target_language, settings)
    check_device(inference)
    if output is not None:
        check_output(output)
    if hypotheses:
        if source or output or search.model_fields_set or inference.model_fields_set:
            raise UsageError("--hypotheses are scored as they are", hint="leave out the options for translating")
        texts = read_texts(None, reference, hypotheses)
        bundle = open_bundle(model).config if model else None
    else:
        if model is None or source is None:
            raise UsageError("evaluate takes MODEL with --source, or --hypotheses")
        texts = read_texts(source, reference, [])
        translator = load_translator([model], search, inference)
        bundle = translator.bundle
        texts.systems[source.name] = translations = translator.translate_all(texts.sources)
        if output is not None:
            write_lines(output, translations)
    config, language = settle(settings, bundle, target_language)
    names = [name for name in metrics.METRICS if name in (chosen or [])]
    counted, said = scoring.count_systems(
        texts.systems,
        texts.references,
        language,
        tokenize=config.tokenize,
        lowercase=config.lowercase,
        chrf_word_order=config.chrf_word_order,
        metrics=names or metrics.METRICS,
    )
    tested = [] if no_significance else names or significance.TESTED
    show(significance.compare(counted, tested, seed), said, as_json=as_json, as_latex=as_latex, tested=bool(tested))


def settle(
    given: EvaluationConfig, bundle: BundleConfig | None, target_language: str | None
) -> tuple[EvaluationConfig, str | None]:
    """Return the settings of the metrics, those of the model where none are given, and the target language."""
    own = bundle.evaluation if bundle else EvaluationConfig()
    update = given.model_dump(exclude_unset=True) | ({"tokenize": "auto"} if target_language else {})
    return own.model_copy(update=update), target_language or (bundle.languages.target if bundle else None)


def show(
    scores: Mapping[str, TestedScores], said: Iterable[str], *, as_json: bool, as_latex: bool, tested: bool
) -> None:
    """Print scores, after warnings of what is to be said of them."""
    for flaw in said:
        console.warn(flaw)
    if as_json:
        console.json_out(scores if len(scores) > 1 else next(iter(scores.values())))
    elif as_latex:
        console.out(score_tables.latex(scores))
    elif tested:
        score_tables.show(scores)
    else:
        console.scores(scores)


def write_lines(path: Path, lines: Sequence[str]) -> None:
    with writing(path) as file:
        file.write("".join(line + "\n" for line in lines).encode())


def read_texts(source: Path | None, references: Sequence[Path], hypotheses: Sequence[Path]) -> ScoredTexts:
    """Read the texts of an evaluation: test sets by document and segment, other files line by line."""
    if any(map(holds_test_set, [*references, *hypotheses, *([source] if source else [])])):
        texts = align_texts(source, references, hypotheses)
        for remark in texts.remarks:
            console.log(f"evaluate: {remark}")
        return texts
    lines = [list(read_lines(path)) for path in references]
    systems = read_systems(hypotheses, references, lines) if hypotheses else {}
    return ScoredTexts(read_lines_of(source, references, lines) if source else [], lines, systems)


def check_language(code: str | None, metrics: EvaluationConfig) -> None:
    """Raise UsageError where `--target-language` is no code of a language, or idle beside `--tokenize`."""
    if code is None:
        return
    if "tokenize" in metrics.model_fields_set:
        raise UsageError("--target-language chooses BLEU's tokenizer, and --tokenize names it", hint="give one of them")
    if (near := unknown_code(code)) is not None:
        hint = f"did you mean {near}?" if near else "codes are as in ISO 639-1: en, de"
        raise UsageError(f"--target-language {code}: no language has this code", hint=hint)


def read_systems(
    names: Sequence[Path], reference: Sequence[Path], references: Sequence[Sequence[str]]
) -> dict[str, list[str]]:
    """Read files of translations, by their names: whole ones where there are several files.

    Raises UsageError where one is named twice, DataError where one has another number of lines than the references.
    """
    if len(names) == 1:
        return {names[0].name: list(read_lines(names[0]))}
    if twice := [str(name) for name in names if names.count(name) > 1]:
        raise UsageError(f"--hypotheses: {twice[0]} is named twice")
    return {str(name): read_lines_of(name, reference, references) for name in names}


def read_lines_of(path: Path, names: Sequence[Path], references: Sequence[Sequence[str]]) -> list[str]:
    """Read the lines of `path`. Raises DataError where one of the references has another number of lines."""
    lines = list(read_lines(path))
    for name, reference in zip(names, references, strict=True):
        if len(reference) != len(lines):
            raise DataError(f"{path} has {len(lines):,} lines but {name} has {len(reference):,}")
    return lines

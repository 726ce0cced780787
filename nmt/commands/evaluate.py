"""The command `evaluate`: scores of translations, made by a model or read from files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmt import console
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
    from nmt.evaluation.metrics import Scores

app = new_app("Score translations.")
Metrics = Annotated[EvaluationConfig, OptionsOf("Metrics", default="MODEL's, or {}")]


@command(app, "nmt evaluate runs/demo/model --source test.en --reference test.de")
def evaluate(
    model: Annotated[
        Path | None,
        typer.Argument(metavar="MODEL", help="Translates --source; its settings of the metrics hold for --hypotheses."),
    ] = None,
    *,
    reference: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE...", help="References, one file a set, or WMT's .sgm and .xml; several may follow."),
    ] = None,
    hypotheses: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE...", help="Translations to score; each file, or system in .xml, by itself."),
    ] = None,
    source: Annotated[Path | None, typer.Option(metavar="FILE", help="Text for MODEL to translate.")] = None,
    target_language: Annotated[
        str | None,
        typer.Option(metavar="CODE", help="Language of the references, which chooses BLEU's tokenizer; else MODEL's."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object with full precision.")] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Keep MODEL's translations here.")] = None,
    metrics: Metrics,
    search: Search,
    inference: Inference,
) -> None:
    """Score translations by BLEU, chrF and TER with their signatures: those of MODEL, or --hypotheses.

    Of several files of hypotheses, --json prints an object of their scores by file.
    """
    from nmt.inference.bundle import open_bundle  # start-up time

    if not reference:
        raise UsageError("evaluate needs --reference FILE")
    check_language(target_language, metrics)
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
    own = bundle.evaluation if bundle else EvaluationConfig()
    given = metrics.model_dump(exclude_unset=True) | ({"tokenize": "auto"} if target_language else {})
    language = target_language or (bundle.languages.target if bundle else None)
    scores = score_systems(texts.systems, texts.references, own.model_copy(update=given), language)
    show(scores, as_json=as_json)


def show(scores: Mapping[str, Scores], *, as_json: bool) -> None:
    if as_json:
        console.json_out(scores if len(scores) > 1 else next(iter(scores.values())))
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


def score_systems(
    systems: Mapping[str, Sequence[str]],
    references: Sequence[Sequence[str]],
    config: EvaluationConfig,
    language: str | None,
) -> dict[str, Scores]:
    """Score the translations of each system; warn of flaws of the references and of the translations."""
    from nmt.evaluation import metrics, scoring  # start-up time

    tokenize, said = scoring.choose_tokenizer(config.tokenize, language, references)
    for name, lines in systems.items():
        said += [f"{name}: {flaw}" if len(systems) > 1 else flaw for flaw in scoring.flaws_of(lines)]
    for flaw in said:
        console.warn(flaw)
    case, order = config.lowercase, config.chrf_word_order
    return {
        name: metrics.score(lines, references, tokenize=tokenize, lowercase=case, chrf_word_order=order)
        for name, lines in systems.items()
    }


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

"""The work of the command `evaluate`: it reads texts, counts and tests their scores, and analyzes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from nmt import console
from nmt.config.analysis import AnalysisConfig
from nmt.config.decoding import EvaluationConfig
from nmt.data.cleaning.corpus_text import iterate_text
from nmt.data.encoding.tokenizer import Tokenizer
from nmt.data.pairs import is_blank
from nmt.data.reading.archives import read_lines
from nmt.data.reading.line_scores import read_line_scores
from nmt.data.reading.scored_texts import ScoredTexts, align_texts, holds_test_set
from nmt.errors import DataError, UsageError
from nmt.evaluation.analysis import Analysis, Texts, analyze, count_words
from nmt.evaluation.calibration import check_lines
from nmt.evaluation.line_scores import LineScores, match_systems, split_name
from nmt.evaluation.metrics import ALL_METRICS, BRACKETS, METRICS, TEXT_METRICS, MetricName, with_brackets
from nmt.evaluation.robustness import PieceCounter, Robustness, compare_writings
from nmt.evaluation.scoring import choose_tokenizer, count_systems, figures_of_brackets
from nmt.evaluation.significance import TESTED, Counted, TestedScore, compare, read_seed
from nmt.evaluation.survival import Languages
from nmt.run_folder import RunFolder

Translate = Callable[[Sequence[str]], list[str]]
UNKNOWN = "unknown"  # the label of lines without one


@dataclass(frozen=True)
class Beside:
    """What is known of the lines beside the texts."""

    scores: dict[str, dict[str, LineScores]]  # by system and metric
    labels: dict[str, list[str]]  # by kind
    training_words: Mapping[str, int] | None
    is_tested: bool  # whether differences are tested
    seed: int | None  # of the tests


@dataclass(frozen=True)
class Results:
    """The scores of each system by metric, analyses and robustness if wanted, and what is to be said of the texts."""

    scores: dict[str, dict[str, TestedScore]]
    brackets: dict[str, dict[str, float]]  # what EVALB prints of each system, where the references are trees
    analyses: dict[str, Analysis]
    robustness: Robustness | None
    said: list[str]
    is_tested: bool


def score_systems(
    texts: ScoredTexts,
    beside: Beside,
    config: EvaluationConfig,
    languages: Languages,
    depth: AnalysisConfig,
    translate: Translate | None,
    *,
    chosen: Sequence[str],
    count_pieces: PieceCounter | None = None,
) -> Results:
    """Score the systems by the `chosen` metrics, or else the usual ones, test their differences, and analyze them.

    `translate` and `count_pieces` are the model's, None where given translations are scored.
    """
    names = choose_metrics(chosen, texts, depth)
    counted, said = count_systems(
        texts.systems,
        texts.references,
        languages[1],
        tokenize=config.tokenize,
        lowercase=config.lowercase,
        chrf_word_order=config.chrf_word_order,
        metrics=names,
    )
    merged: dict[str, dict[str, Counted]] = {
        system: dict[str, Counted](statistics.items()) | beside.scores[system] for system, statistics in counted.items()
    }
    tested = [*(chosen or [*BRACKETS, *TESTED]), *next(iter(beside.scores.values()))] if beside.is_tested else []
    analyses = {
        system: analyze(
            Texts(texts.sources, lines, texts.references, languages, beside.labels),
            counted[system],
            beside.training_words,
        )
        for system, lines in texts.systems.items()
        if depth.analysis
    }
    robustness = None
    if depth.robustness and translate:
        robustness = compare_writings(
            Texts(texts.sources, next(iter(texts.systems.values())), texts.references, languages),
            partial(_say_and_translate, translate),
            tokenize=choose_tokenizer(config.tokenize, languages[1], texts.references)[0],
            lowercase=config.lowercase,
            chrf_word_order=config.chrf_word_order,
            count_pieces=count_pieces,
        )
    brackets = {system: each for system, found in counted.items() if (each := figures_of_brackets(found))}
    return Results(compare(merged, tested, beside.seed), brackets, analyses, robustness, said, beside.is_tested)


def choose_metrics(chosen: Sequence[str], texts: ScoredTexts, depth: AnalysisConfig) -> Sequence[MetricName]:
    """Return the `chosen` metrics with those that an analysis needs, or else the usual ones of the texts."""
    if chosen:
        return [name for name in ALL_METRICS if name in chosen or (depth.analysis and name in TESTED)]
    usual = TEXT_METRICS if depth.analysis else METRICS if len(texts.systems) == 1 else TESTED
    return with_brackets(usual, texts.references)


def piece_counter(tokenizer: Tokenizer) -> PieceCounter | None:
    """Return what counts the pieces of sources and translations; None where these are trees."""
    if tokenizer.target.trees:
        return None

    def count(sources: Sequence[str], translations: Sequence[str]) -> list[tuple[int, int]]:
        rows = zip(tokenizer.source.encode(sources), tokenizer.target.encode(translations), strict=True)
        return [(len(source), len(target)) for source, target in rows]

    return count


def _say_and_translate(translate: Translate, name: str, sources: Sequence[str]) -> list[str]:
    """Translate `sources` after a message of how they are written: the warnings that follow are about them."""
    console.log(f"evaluate: {name}")
    return translate(sources)


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


def read_beside(
    depth: AnalysisConfig, texts: ScoredTexts, systems: Sequence[str], model: Path | None, *, is_tested: bool
) -> Beside:
    """Read the files of `depth` and the seed; `systems` are the names of those that are scored.

    Raises DataError and UsageError, before a model translates anything.
    """
    if depth.calibrate:
        check_lines(sum(not is_blank(line) for line in texts.sources))
    return Beside(
        read_scores(depth.scores, systems, len(texts.references[0])),
        read_labels(depth.labels, texts),
        training_words(depth.training_source, model) if depth.analysis else None,
        is_tested,
        read_seed() if is_tested else None,
    )


def read_labels(paths: Sequence[str], texts: ScoredTexts) -> dict[str, list[str]]:
    """Return the labels of the lines by their kind: the domains of the test set, and each file by its name."""
    kinds = {"domain": texts.domains} if texts.domains else {}
    kinds |= {Path(path).name: [label.strip() for label in read_lines(Path(path))] for path in paths}
    total = len(texts.references[0])
    for kind, labels in kinds.items():
        if len(labels) != total:
            raise DataError(f"--labels {kind}: {len(labels):,} labels of {total:,} lines")
    return {kind: [label or UNKNOWN for label in labels] for kind, labels in kinds.items()}


def read_scores(given: Sequence[str], systems: Sequence[str], lines: int) -> dict[str, dict[str, LineScores]]:
    """Read the scores of the lines of each system by metric. Raises UsageError and DataError."""
    files: dict[str, list[str]] = {}
    for text in given:
        name, path = split_name(text)
        files.setdefault(name, []).append(path)
    found: dict[str, dict[str, LineScores]] = {system: {} for system in systems}
    for name, paths in files.items():
        if twice := [path for path in paths if paths.count(path) > 1]:
            raise UsageError(f"--scores {name}={twice[0]} is given twice")
        read = {path: read_line_scores(Path(path)) for path in paths}
        for system, scores in match_systems(name, read, systems, lines).items():
            found[system][name] = scores
    return found


def training_words(paths: Sequence[str], model: Path | None) -> Mapping[str, int] | None:
    """Count the words of the training sources: of files, or else in the run folder of `model`; None without either."""
    if paths:
        return count_words(line for path in paths for line in read_lines(Path(path)))
    if model is None or not (folder := RunFolder(model.resolve().parent).text / "train").is_dir():
        return None
    return count_words(source for source, _ in iterate_text(folder.parent, folder.name))

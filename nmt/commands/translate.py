"""The command `translate`: text in, text out, line by line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Literal, Self

import typer
from pydantic import Field, PositiveInt, model_validator

from nmt import console
from nmt.commands.group import new_app
from nmt.commands.line_input import Reader, open_input, read_beside
from nmt.commands.line_output import Format, render
from nmt.commands.model_options import (
    Glossary,
    Inference,
    Models,
    Search,
    check_device,
    load_translator,
    read_terms,
)
from nmt.commands.options import Input, OptionsOf, Output, command, option_name, writing
from nmt.config.decoding import DecodingConfig, SamplingConfig
from nmt.config.inference import InferenceConfig, Options
from nmt.config.model import Layers
from nmt.config.section import Section
from nmt.data.reading.archives import count_lines
from nmt.documents.formats import DocumentKind
from nmt.errors import UsageError
from nmt.files import is_stream

if TYPE_CHECKING:
    from nmt.commands.line_parts import SharedOutput
    from nmt.inference.report import Report
    from nmt.inference.results import Translation
    from nmt.inference.translator import Translator

MAX_WAIT = 50
"""Milliseconds that a line waits for more to share its batch: unnoticed by a human, long for a program that writes."""
app = new_app("Translate.")


class OutputConfig(Section):
    """The output for each line."""

    format: Literal[Format, DocumentKind] | None = None
    """Lines as text: the best translation, the default for one hypothesis; tsv: line number, score, text, the default
    for more; jsonl: an object a line, with pieces and their scores. Any other is a document, whose text is translated
    in place; csv is also for tables with tabs."""
    column: str | None = None
    """Column of a csv to translate: its name, or its number from 1 where there is no header; by default the one named
    as the source."""
    n_best: Annotated[PositiveInt, Field(le=1000)] = 1
    """Number of hypotheses, or samples, for each line."""
    alignment: bool = False
    """Write the word alignment: pairs of source and target positions, from 0."""
    alignment_layer: Layers | None = None
    """Decoder layer whose attention gives the alignment; by default the last but one."""
    check: bool = False
    """Compare numbers, addresses, tags and placeholders of each translation with those of its line; count, at the end,
    the lines that lack or invent some, and with tsv and jsonl say which."""

    repair: bool = False
    """Check, and search again where a check fails: what is missing is asked for, what is invented avoided. A
    translation that passes then replaces the first."""
    confidence: bool = False
    """Write the confidence in each translation: the chrF to expect of it, 0 to 100. MODEL needs a calibration, see
    `nmt evaluate --calibrate`."""
    min_confidence: Annotated[float, Field(ge=0, le=100)] | None = None
    """Least confidence; translations of less are counted at the end, and treated as `below` says."""
    below: Literal["mark", "withhold"] = "mark"
    """Translations of less than the least confidence: mark them, by `[?] ` before the text or by a key of jsonl, or
    withhold them, which leaves a blank text."""

    @property
    def document(self) -> DocumentKind | None:
        """The format of the document; None for lines."""
        if self.format is None or self.format == "text" or self.format == "tsv" or self.format == "jsonl":
            return None
        return self.format

    @property
    def withholds(self) -> bool:
        return self.below == "withhold"

    @property
    def form(self) -> Format:
        """The form of lines."""
        if self.format == "text" or self.format == "tsv" or self.format == "jsonl":
            return self.format
        return "text" if self.n_best == 1 else "tsv"

    @model_validator(mode="after")
    def exclude(self) -> Self:
        """Raise UsageError where options exclude each other."""
        of_lines = {"n-best": self.n_best > 1, "alignment": self.alignment, "check": self.check}
        of_lines |= {
            "repair": self.repair,
            "confidence": self.confidence,
            "min-confidence": self.min_confidence is not None,
        }
        if self.document and any(of_lines.values()):
            option = "--" + next(name for name, is_given in of_lines.items() if is_given)
            raise UsageError(f"{option} is for lines, and --format {self.document} for a document")
        if self.column is not None and self.format != "csv":
            raise UsageError("--column is a table's", hint="add --format csv")
        if self.form == "text" and self.n_best > 1:
            raise UsageError(f"--format text has one translation a line, not {self.n_best}", hint="take tsv or jsonl")
        if self.below == "withhold" and self.min_confidence is None:
            raise UsageError("--below is for translations of little confidence", hint="add --min-confidence")
        if self.alignment_layer is not None and not self.alignment:
            raise UsageError("--alignment-layer says which layer --alignment takes", hint="add --alignment")
        return self


Sampling = Annotated[SamplingConfig, OptionsOf("Sampling (with --sample)")]


@command(app, "nmt translate runs/demo/model < in.en > out.de")
def translate(
    models: Models,
    *,
    input: Input = None,
    output: Output = None,
    prefix: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Beginnings of the translations, one a line.")
    ] = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="Draw translations at random, in place of a search.")
    ] = False,
    errors: Annotated[
        Literal["strict", "replace"],
        typer.Option(help="For bytes that are not UTF-8: stop, or replace them by U+FFFD."),
    ] = "strict",
    max_wait_ms: Annotated[
        float, typer.Option(min=0, max=60_000, help="Milliseconds a piped line waits for others to share its batch.")
    ] = MAX_WAIT,
    written: Annotated[OutputConfig, OptionsOf("Output")],
    search: Search,
    sampling: Sampling,
    files: Glossary,
    inference: Inference,
) -> None:
    """Translate raw text with MODEL: one line out for every line in, in order, as soon as it is done.

    Lines are taken in chunks, of 32 at first and of 2,048 in the end, to be batched by length; of a pipe what comes
    within --max-wait-ms; on a terminal each is answered at once. Several MODELs are an ensemble. With --format html,
    for example, the text inside a document is translated in place.
    """
    # Everything else is checked before the model, which takes seconds to load.
    check(sample, search, sampling, inference)
    check_repair(written, sample, prefix, inference)
    load = partial(load_translator, models, search, inference, read_terms(files, inference))
    if kind := written.document:
        check_document(kind, prefix, sample, errors)
        translate_document(kind, input, output, written.column, load)
        return
    options = wanted(written, sampling if sample else None)
    with open_output(output, input, inference) as (file, shared):
        reader = open_input(input, errors, max_wait_ms / 1000)
        prefixes = read_beside(prefix, reader, input) if prefix else None
        translator = load()
        check_model(translator, options)
        announce(reader)
        is_live = console.is_live() and not console.QUIET
        # A pipe can be read once only; and only a terminal shows the progress.
        total = count_lines(input) if input and input.is_file() and is_live else None
        with console.Progress("translate", total, unit="lines", shown=is_live and not reader.interactive) as progress:
            if shared is None:
                translator.report.replaced = reader.replaced
                translations = translator.stream(reader.lines, options, prefixes=prefixes, ready=reader.ready)
                write_lines(file, written, translations, progress)
                report = translator.report
            else:
                begin(shared, translator, models, inference, written, options)
                report = shared.translate(
                    translator, reader, prefixes, options, written.form, progress.update, is_withheld=written.withholds
                )
    conclude(report, written)


def announce(reader: Reader) -> None:
    """Say on a terminal that lines may be typed."""
    if reader.interactive and console.is_live():
        console.log("ready: type a line, Ctrl-D ends")


def begin(
    shared: SharedOutput,
    translator: Translator,
    models: Sequence[Path],
    inference: InferenceConfig,
    written: OutputConfig,
    options: Options,
) -> None:
    """Let the ranks agree on all that the translations depend on."""
    settings = {"search": translator.decoding, "sampling": options.sampling, "output": written}
    shared.begin(models, inference, settings, translator.terms.terms if translator.terms else None)


def conclude(report: Report, written: OutputConfig) -> None:
    """Say what is to be said of the lines and of their translations."""
    for warning in [*report.warnings(), *report.unused]:
        console.warn(warning)
    if (written.check or written.repair) and not report.failed:
        console.log(f"translate: lines that pass all checks: {report.lines:,} of {report.lines:,}")


def wanted(written: OutputConfig, sampling: SamplingConfig | None) -> Options:
    """Return the results that the output shows."""
    return Options(
        n_best=written.n_best,
        sampling=sampling,
        token_scores=written.form == "jsonl",
        alignment=written.alignment,
        alignment_layer=written.alignment_layer,
        check=written.check or written.repair,
        repair=written.repair,
        confidence=written.confidence or written.min_confidence is not None,
        min_confidence=written.min_confidence or 0.0,
    )


@contextmanager
def open_output(
    output: Path | None, input: Path | None, inference: InferenceConfig
) -> Iterator[tuple[BinaryIO, SharedOutput | None]]:
    """Open the output; where torchrun started several ranks, they share it.

    Raises UsageError where ranks cannot share `input`, `output`, or the machine.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1" or "TORCHELASTIC_RUN_ID" not in os.environ:
        with writing(output) as file:
            yield file, None
        return
    if input is None or output is None or is_stream(input) or is_stream(output):
        raise UsageError("several ranks share files alone", hint="name them: -i FILE -o FILE")
    if inference.devices > 1:
        raise UsageError("--devices and torchrun exclude each other", hint="start more ranks: --nproc-per-node")
    from nmt.commands.line_parts import sharing  # imports torch

    with sharing(output) as shared:
        yield shared.file, shared


def write_lines(
    file: BinaryIO, written: OutputConfig, translations: Iterable[Translation], progress: console.Progress
) -> None:
    """Write each of `translations` as soon as it is there."""
    for number, translation in enumerate(translations, start=1):
        file.write(render(written.form, number, translation, is_withheld=written.withholds).encode())
        file.flush()
        progress.update(number)
        if translation.checks:
            console.detail(f"line {number}: {translation.candidates[0].failures}")


def check_model(translator: Translator, options: Options) -> None:
    """Raise UsageError where the model cannot give what `options` ask for."""
    if options.check:
        translator.reader.check_text()
    if options.confidence:
        calibration = translator.check_calibration()
        if calibration.precision != translator.decoding.precision:
            own = translator.decoding.precision
            console.log(f"translate: the confidence was calibrated in {calibration.precision}, and this is {own}")
    if options.alignment and translator.protector is not None:
        raise UsageError("--alignment and placeholders exclude each other", hint="add --protect none")
    if options.alignment:
        next(iter(translator.engine.attention([], options.alignment_layer)), None)
    beam, mbr = translator.decoding.beam_size, translator.decoding.mbr
    if mbr and options.n_best > mbr:
        raise UsageError(f"--n-best {options.n_best} is more than the {mbr} hypotheses of --mbr", hint="raise --mbr")
    if options.sampling is None and not mbr and options.n_best > beam:
        raise UsageError(f"--n-best {options.n_best} is more than the beam of {beam}", hint="raise --beam-size")


def translate_document(
    kind: DocumentKind, input: Path | None, output: Path | None, column: str | None, load: Callable[[], Translator]
) -> None:
    from nmt.commands.document_output import translate_file  # start-up time

    translate_file(kind, input, output, column, load)


def check_document(kind: DocumentKind, prefix: Path | None, sample: bool, errors: str) -> None:
    """Raise UsageError where an option is for lines alone."""
    for option, is_given in (("--prefix", prefix), ("--sample", sample), ("--errors", errors != "strict")):
        if is_given:
            raise UsageError(f"{option} is for lines, and --format {kind} for a document")


def check_repair(written: OutputConfig, sample: bool, prefix: Path | None, inference: InferenceConfig) -> None:
    """Raise UsageError where an option excludes a repair."""
    if not written.repair:
        return
    if sample or prefix:
        option = "--sample" if sample else "--prefix"
        raise UsageError(f"--repair and {option} exclude each other", hint="leave one of them out")
    if inference.engine != "native":
        raise UsageError(f"the engine {inference.engine} has no --repair", hint="leave out --engine")


def check(sample: bool, search: DecodingConfig, sampling: SamplingConfig, inference: InferenceConfig) -> None:
    """Raise UsageError where options exclude each other, whatever the model, or the device is not there."""
    if sample and search.model_fields_set & {"beam_size", "length_penalty"}:
        raise UsageError("--beam-size and --length-penalty are for the search, not for --sample")
    if sample and "mbr_temperature" in search.model_fields_set:
        raise UsageError("--mbr-temperature: with --sample the hypotheses have its --temperature", hint="leave it out")
    given = sampling.model_fields_set
    names = [option_name(SamplingConfig, key) for key in SamplingConfig.model_fields if key in given]
    if names and not sample:
        raise UsageError(f"{', '.join(names)}: for translations drawn at random", hint="add --sample")
    if inference.engine != "native" and (sample or (search.mbr and search.mbr_from == "sampling")):
        option, hint = ("--sample", "") if sample else ("--mbr of samples", ", or take --mbr-from n_best")
        raise UsageError(f"the engine {inference.engine} has no {option}", hint=f"leave out --engine{hint}")
    check_device(inference)

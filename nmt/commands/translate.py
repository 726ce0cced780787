"""The command `translate`: text in, text out, line by line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from nmt import console
from nmt.commands.group import new_app
from nmt.commands.line_input import open_input, read_beside
from nmt.commands.line_output import Format, render
from nmt.commands.model_options import Inference, Models, Search, load_translator
from nmt.commands.options import Input, OptionsOf, Output, command, writing, written
from nmt.config.decoding import DecodingConfig, SamplingConfig
from nmt.data.reading.archives import count_lines
from nmt.errors import UsageError

MAX_WAIT = 50
"""Milliseconds that a line waits for more to share its batch: unnoticed by a human, long for a program that writes."""

app = new_app("Translate.")

Sampling = Annotated[SamplingConfig, OptionsOf("Sampling (with --sample)")]


@command(app, "nmt translate runs/demo/model < in.en > out.de")
def translate(
    models: Models,
    *,
    input: Input = None,
    output: Output = None,
    form: Annotated[
        Format | None,
        typer.Option(
            "--format",
            help="text: the best translation. tsv: line number, score, text; the default where --n-best is more than "
            "1. jsonl: an object a line, with pieces and their scores.",
        ),
    ] = None,
    n_best: Annotated[int, typer.Option(min=1, help="Number of hypotheses, or samples, to write for each line.")] = 1,
    alignment: Annotated[
        bool,
        typer.Option("--alignment", help="Write the word alignment: pairs of source and target positions, from 0."),
    ] = False,
    alignment_layer: Annotated[
        int | None,
        typer.Option(min=1, help="Decoder layer whose attention gives the alignment; by default the last but one."),
    ] = None,
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
    search: Search,
    sampling: Sampling,
    inference: Inference,
) -> None:
    """Translate raw text with MODEL: one line out for every line in, in order, as soon as it is done.

    Lines are taken in chunks, of 32 at first and of 2,048 in the end, to be batched by length; of a pipe what comes
    within --max-wait-ms; on a terminal each is answered at once. Several MODELs translate as an ensemble.
    """
    # Everything else is checked before the model, which takes seconds to load.
    check_sampling(sample, search, sampling)
    if form is None:
        form = "text" if n_best == 1 else "tsv"
    if form == "text" and n_best > 1:
        raise UsageError(f"--format text has one translation a line, not {n_best}", hint="take tsv or jsonl")
    if alignment_layer is not None and not alignment:
        raise UsageError("--alignment-layer says which layer --alignment takes", hint="add --alignment")
    if inference.engine != "native" and (sample or alignment):
        raise UsageError(
            f"the engine {inference.engine} has no --{'sample' if sample else 'alignment'}", hint="leave out --engine"
        )
    from nmt.inference.translator import Options  # start-up time

    reader = open_input(input, errors, max_wait_ms / 1000)
    prefixes = read_beside(prefix, reader, input) if prefix else None
    with writing(output) as file:
        translator = load_translator(models, search, inference)
        if alignment and translator.protector is not None:
            raise UsageError("--alignment and placeholders exclude each other", hint="add --protect none")
        if not sample and n_best > translator.decoding.beam_size:
            raise UsageError(
                f"--n-best {n_best} is more than the beam of {translator.decoding.beam_size}", hint="raise --beam-size"
            )
        if reader.interactive and console.is_live():
            console.log("ready: type a line, Ctrl-D ends")
        options = Options(n_best, sampling if sample else None, form == "jsonl", alignment, alignment_layer)
        translator.report.replaced = reader.replaced
        found = translator.stream(reader.lines, options, prefixes=prefixes, ready=reader.ready)
        # A pipe can be read once only; and only a terminal shows how far it is.
        total = count_lines(input) if input and input.is_file() and console.is_live() else None
        title = "" if reader.interactive else "translate"
        with console.Progress(title, total, unit="lines", shown=not reader.interactive) as progress:
            for number, translation in enumerate(found, start=1):
                file.write(render(form, number, translation).encode())
                file.flush()
                progress.update(number)
    for warning in translator.report.warnings(translator.max_length - 1):
        console.warn(warning)


def check_sampling(sample: bool, search: DecodingConfig, sampling: SamplingConfig) -> None:
    """Raise UsageError where options of the search and of sampling are mixed."""
    if sample and search.model_fields_set & {"beam_size", "length_penalty"}:
        raise UsageError("--beam-size and --length-penalty are for the search, not for --sample")
    if not sample and (
        names := [
            written(SamplingConfig, key) for key in SamplingConfig.model_fields if key in sampling.model_fields_set
        ]
    ):
        raise UsageError(f"{', '.join(names)}: for translations drawn at random", hint="add --sample")

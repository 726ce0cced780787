"""The command `translate`: text in, text out, line by line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nmt import console
from nmt.commands.line_output import Format, render
from nmt.commands.options import (
    BatchTokens,
    BeamSize,
    Device,
    Devices,
    EngineOption,
    ExportName,
    Flags,
    Input,
    LengthPenalty,
    MaxExtraLength,
    MaxLengthRatio,
    MinLength,
    Models,
    NoRepeatNgram,
    Output,
    PrecisionName,
    Protect,
    Tags,
    Threads,
    from_flags,
    load_translator,
    writing,
)
from nmt.errors import UsageError

if TYPE_CHECKING:
    from nmt.config.decoding import SamplingConfig

MAX_WAIT = 50
"""Milliseconds that a line waits for more to share its batch: unnoticed by a human, long for a program that writes."""


def translate(
    models: Models,
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
    n_best: Annotated[int, typer.Option(min=1, help="Hypotheses, or samples, to write of each line.")] = 1,
    alignment: Annotated[
        bool, typer.Option("--alignment", help="Write which words belong together: pairs of places, from 0.")
    ] = False,
    alignment_layer: Annotated[
        int | None, typer.Option(min=1, help="Decoder layer whose attention tells; by default the last but one.")
    ] = None,
    prefix: Annotated[
        Path | None, typer.Option(metavar="FILE", help="How each translation begins, line by line.")
    ] = None,
    tag: Tags = None,
    protect: Protect = None,
    beam_size: BeamSize = None,
    length_penalty: LengthPenalty = None,
    max_extra_length: MaxExtraLength = None,
    max_length_ratio: MaxLengthRatio = None,
    min_length: MinLength = None,
    no_repeat_ngram: NoRepeatNgram = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="Draw translations at random, in place of a search.")
    ] = False,
    top_k: Annotated[int | None, typer.Option(min=0, help="Draw among so many pieces; 0 is all.")] = None,
    top_p: Annotated[
        float | None, typer.Option(min=0, max=1, help="Draw among the likeliest pieces of this probability in all.")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(min=0, help="Under 1 likely pieces become likelier, over 1 less so.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="What is drawn depends on this and the line alone.")] = None,
    errors: Annotated[
        Literal["strict", "replace"], typer.Option(help="Bytes that are not UTF-8 end it, or become U+FFFD.")
    ] = "strict",
    max_wait_ms: Annotated[
        float, typer.Option(min=0, max=60_000, help="Milliseconds a piped line waits for others to share its batch.")
    ] = MAX_WAIT,
    batch_tokens: BatchTokens = None,
    engine: EngineOption = "native",
    export: ExportName = None,
    device: Device = "auto",
    devices: Devices = 1,
    precision: PrecisionName = "float32",
    threads: Threads = None,
) -> None:
    """Translate raw text with MODEL: one line out for every line in, in order, as soon as it is done.

    Lines are taken in chunks, of 32 at first and of 2,048 in the end, to be batched by length; of a pipe what comes
    within --max-wait-ms; on a terminal each is answered at once. Several MODELs translate as an ensemble.
    """
    flags = {
        "beam_size": beam_size,
        "length_penalty": length_penalty,
        "max_extra_length": max_extra_length,
        "max_length_ratio": max_length_ratio,
        "min_length": min_length,
        "no_repeat_ngram": no_repeat_ngram,
        "batch_tokens": batch_tokens,
    }
    # All that can be wrong but the model is looked at before it, for loading it takes seconds.
    sampling = how_to_sample(sample, flags, {"top_k": top_k, "top_p": top_p, "temperature": temperature, "seed": seed})
    if form is None:
        form = "text" if n_best == 1 else "tsv"
    if form == "text" and n_best > 1:
        raise UsageError(f"--format text has one translation a line, not {n_best}", hint="take tsv or jsonl")
    if alignment_layer is not None and not alignment:
        raise UsageError("--alignment-layer says which layer --alignment takes", hint="add --alignment")
    if engine != "native" and (sample or alignment):
        raise UsageError(
            f"the engine {engine} has no --{'sample' if sample else 'alignment'}", hint="leave out --engine"
        )
    from nmt.commands.line_input import open_input, read_beside
    from nmt.data.reading.archives import count_lines
    from nmt.inference.translator import Options

    reader = open_input(input, errors, max_wait_ms / 1000)
    prefixes = read_beside(prefix, reader, input) if prefix else None
    with writing(output) as file:
        translator = load_translator(
            models,
            flags,
            engine=engine,
            export=export,
            device=device,
            devices=devices,
            precision=precision,
            threads=threads,
            tags=tag,
            protect=protect,
        )
        if alignment and translator.protector is not None:
            raise UsageError("--alignment and placeholders exclude each other", hint="add --protect none")
        if sampling is None and n_best > translator.decoding.beam_size:
            raise UsageError(
                f"--n-best {n_best} is more than the beam of {translator.decoding.beam_size}", hint="raise --beam-size"
            )
        options = Options(n_best, sampling, form == "jsonl", alignment, alignment_layer)
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


def how_to_sample(sample: bool, search: Flags, draw: Flags) -> SamplingConfig | None:
    """Return how to draw, where that is asked for. Raises UsageError where flags cannot be, or not together."""
    from nmt.config.decoding import DecodingConfig, SamplingConfig

    from_flags(DecodingConfig, search)
    if sample:
        if any(search[key] is not None for key in ("beam_size", "length_penalty")):
            raise UsageError("--beam-size and --length-penalty are for the search, not for --sample")
        return from_flags(SamplingConfig, draw)
    if names := [f"--{key.replace('_', '-')}" for key, value in draw.items() if value is not None]:
        raise UsageError(f"{', '.join(names)}: for translations drawn at random", hint="add --sample")
    return None

"""The commands: parse, call, print. What needs torch is imported inside them."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Literal, NoReturn

import typer

import nmt
from nmt import console
from nmt.errors import DataError, NmtError, StorageError, UsageError
from nmt.options import (
    BatchTokens,
    BeamSize,
    DataDir,
    Device,
    InitFrom,
    Input,
    LengthPenalty,
    MaxExtraLength,
    Model,
    Output,
    Overrides,
    PrecisionName,
    RecipeName,
    RunDir,
    Threads,
    open_pipeline,
)
from nmt.tools import checkpoints_app, data_app, recipe_app, tokenizer_app

if TYPE_CHECKING:
    from nmt.inference.bundle import BundleConfig
    from nmt.inference.translator import Translator

app = typer.Typer(
    name="nmt",
    help="Neural machine translation: from raw parallel text to a scored, shippable translator.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(recipe_app, name="recipe")
app.add_typer(tokenizer_app, name="tokenizer")
app.add_typer(data_app, name="data")
app.add_typer(checkpoints_app, name="checkpoints")

INTERRUPTED = 130
"""What the command line returns after Ctrl-C."""

STORAGE_ERRORS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.EPERM),
    *(errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG),
}
"""What a full or forbidding disk says, and one with a file where a folder is to be, or the other way round."""


def show_version(value: bool) -> None:
    """Print the version and leave."""
    if value:
        console.out(f"nmt {nmt.__version__}")
        raise typer.Exit


@app.callback()
def common(
    *,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show details and samples.")] = False,
    version: Annotated[  # noqa: ARG001 - its callback has done the work
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Set what holds for every command."""
    console.VERBOSE = verbose


@app.command()
def run(
    recipe: RecipeName,
    data_dir: DataDir = None,
    run_dir: RunDir = None,
    overrides: Overrides = None,
    init_from: InitFrom = None,
) -> None:
    """Do all that RECIPE says: tokenizer, data, training, model folder, scores. Continues where it stopped."""
    pipeline = open_pipeline(recipe, data_dir, run_dir, overrides, init_from)
    pipeline.run_through()
    if pipeline.ranks.is_main:
        pipeline.show_results()


@app.command()
def doctor(
    recipe: RecipeName,
    data_dir: DataDir = None,
    run_dir: RunDir = None,
    overrides: Overrides = None,
    init_from: InitFrom = None,
) -> None:
    """Look at RECIPE, its data and this machine before a run. Writes nothing."""
    from nmt.doctor import examine

    pipeline = open_pipeline(recipe, data_dir, run_dir, overrides, init_from)
    errors: list[tuple[str, NmtError]] = []
    for check, finding in examine(pipeline):
        console.out(f"{finding.level:<8} {check}: {finding}")
        if finding.error is not None:
            errors.append((check, finding.error))
    if errors:
        check, error = errors[0]
        raise type(error)(f"{recipe}: checks that found an error: {len(errors)}, the first is {check}")


@app.command()
def prepare(
    recipe: RecipeName,
    data_dir: DataDir = None,
    run_dir: RunDir = None,
    overrides: Overrides = None,
    init_from: InitFrom = None,
) -> None:
    """Read, clean, split and encode the data of RECIPE, training the tokenizer if there is none."""
    open_pipeline(recipe, data_dir, run_dir, overrides, init_from).run_through("prepare")


@app.command()
def train(
    recipe: RecipeName,
    data_dir: DataDir = None,
    run_dir: RunDir = None,
    overrides: Overrides = None,
    init_from: InitFrom = None,
) -> None:
    """Train the model of RECIPE, resuming if a checkpoint exists, and write its model folder."""
    open_pipeline(recipe, data_dir, run_dir, overrides, init_from).run_through("bundle")


@app.command()
def translate(
    model: Model,
    input: Input = None,
    output: Output = None,
    beam_size: BeamSize = None,
    length_penalty: LengthPenalty = None,
    max_extra_length: MaxExtraLength = None,
    batch_tokens: BatchTokens = None,
    n_best: Annotated[
        int, typer.Option(min=1, help="Write so many hypotheses a line, as line number, score and text, tab-separated.")
    ] = 1,
    device: Device = "auto",
    precision: PrecisionName = "float32",
    threads: Threads = None,
) -> None:
    """Translate raw text with MODEL: one line out for every line in, in order, as soon as it is done.

    Lines are taken in chunks, of 32 at first and of 2,048 in the end, to be batched by length; on a terminal
    each is answered at once.
    """
    from nmt.data.corpus import count_lines, decode_lines, read_lines

    lines = read_lines(input) if input else decode_lines(console.stdin(), "standard input")
    interactive = input is None and console.stdin().isatty()
    flags = {
        "beam_size": beam_size,
        "length_penalty": length_penalty,
        "max_extra_length": max_extra_length,
        "batch_tokens": batch_tokens,
    }
    translator = load_translator(model, flags, device, precision, threads)
    if n_best > translator.decoding.beam_size:
        raise UsageError(
            f"--n-best {n_best} is more than the beam of {translator.decoding.beam_size}", hint="raise --beam-size"
        )
    # A pipe can be read once only; and only a terminal shows how far it is.
    total = count_lines(input) if input and input.is_file() and console.is_live() else None
    title = "translate" if not interactive else ""
    with writing(output) as file, console.Progress(title, total, unit="lines", shown=not interactive) as progress:
        for number, translation in enumerate(translator.stream(lines, n_best, interactive=interactive), start=1):
            if n_best == 1:
                file.write(translation.text.encode() + b"\n")
            else:
                for score, text in translation.n_best[:n_best]:
                    file.write(f"{number}\t{score:.6f}\t{text}\n".encode())
            file.flush()
            progress.update(number)
    for warning in translator.report.warnings(translator.max_length - 1):
        console.warn(warning)


def read_config(model: Path) -> BundleConfig:
    """Read what MODEL says of itself."""
    from nmt.inference.bundle import open_bundle

    return open_bundle(model).config


def load_translator(
    model: Path,
    flags: Mapping[str, float | None],
    device: str,
    precision: Literal["float32", "bfloat16"],
    threads: int | None,
) -> Translator:
    """Load MODEL with the flags that were given in place of its own decoding settings."""
    from nmt import runtime
    from nmt.inference.translator import Translator

    runtime.keep_freed_memory()
    runtime.set_threads(threads)
    given = {key: value for key, value in flags.items() if value is not None}
    return Translator.load(model, decoding=given, device=device, precision=precision)


@contextmanager
def writing(path: Path | None) -> Iterator[BinaryIO]:
    """Yield standard output, or a file that appears at `path` only when it is whole."""
    if path is None:
        console.end_with_pipe()
        yield console.stdout()
    elif path.exists() and not path.is_file():  # a device or a pipe
        with path.open("wb") as file:
            yield file
    else:
        from nmt.files import replacing

        with replacing(path) as scratch, scratch.open("wb") as file:
            yield file
            file.flush()


@app.command()
def evaluate(
    model: Annotated[
        Path | None, typer.Argument(metavar="MODEL", help="Translates --source; with --hypotheses, says how to score.")
    ] = None,
    reference: Annotated[
        list[Path] | None, typer.Option(metavar="FILE...", help="References, one file a set; several may follow.")
    ] = None,
    hypotheses: Annotated[Path | None, typer.Option(metavar="FILE", help="Translations to score.")] = None,
    source: Annotated[Path | None, typer.Option(metavar="FILE", help="Text for MODEL to translate.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object with full precision.")] = False,
    tokenize: Annotated[
        str | None, typer.Option(help="BLEU's tokenizer; by default MODEL's own, or 13a with --hypotheses.")
    ] = None,
    lowercase: Annotated[bool | None, typer.Option("--lowercase", help="Score without case.")] = None,
    chrf_word_order: Annotated[int | None, typer.Option(min=0, help="2 is chrF2++.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Keep MODEL's translations here.")] = None,
    beam_size: BeamSize = None,
    length_penalty: LengthPenalty = None,
    max_extra_length: MaxExtraLength = None,
    batch_tokens: BatchTokens = None,
    device: Device = "auto",
    precision: PrecisionName = "float32",
    threads: Threads = None,
) -> None:
    """Score translations by BLEU, chrF and TER with their signatures: those of MODEL, or --hypotheses."""
    from nmt.config import EvaluationConfig
    from nmt.data.corpus import read_lines
    from nmt.evaluation.metrics import looks_tokenized, resolve_tokenizer, score

    flags = {
        "beam_size": beam_size,
        "length_penalty": length_penalty,
        "max_extra_length": max_extra_length,
        "batch_tokens": batch_tokens,
    }
    if not reference:
        raise UsageError("evaluate needs --reference FILE")
    references = [list(read_lines(path)) for path in reference]
    if hypotheses is not None:
        asked = [*flags.values(), source, output, threads]
        if any(value is not None for value in asked) or (device, precision) != ("auto", "float32"):
            raise UsageError("--hypotheses are scored as they are", hint="leave out the options for translating")
        found = list(read_lines(hypotheses))
        bundle = read_config(model) if model else None
    else:
        if model is None or source is None:
            raise UsageError("evaluate takes MODEL with --source, or --hypotheses")
        sources = list(read_lines(source))
        for path, lines in zip(reference, references, strict=True):
            if len(lines) != len(sources):
                raise DataError(f"{source} has {len(sources):,} lines but {path} has {len(lines):,}")
        translator = load_translator(model, flags, device, precision, threads)
        bundle = translator.bundle
        found = translator.translate_all(sources)
        if output is not None:
            with writing(output) as file:
                file.write("".join(line + "\n" for line in found).encode())
    config = bundle.evaluation if bundle else EvaluationConfig()
    if looks_tokenized(found):
        console.warn("the translations look tokenized: BLEU is meant for plain text")
    scores = score(
        found,
        references,
        tokenize=resolve_tokenizer(tokenize or config.tokenize, bundle.languages.target if bundle else None),
        lowercase=config.lowercase if lowercase is None else lowercase,
        chrf_word_order=config.chrf_word_order if chrf_word_order is None else chrf_word_order,
    )
    if as_json:
        console.json_out(scores)
    else:
        console.scores({(hypotheses or source or reference[0]).name: scores})


def spread(arguments: list[str]) -> list[str]:
    """Write `--reference A B` as `--reference A --reference B`, and -v first, as the parser wants them."""
    verbose = [argument for argument in arguments if argument in ("-v", "--verbose")]
    rest = [argument for argument in arguments if argument not in verbose]
    if "evaluate" not in rest:
        return verbose[:1] + rest
    spread: list[str] = []
    open_option = False
    for argument in rest:
        if argument.startswith("-") and argument != "-":
            open_option = argument == "--reference"
        elif open_option and spread[-1] != "--reference":
            spread.append("--reference")
        spread.append(argument)
    return verbose[:1] + spread


def main() -> None:
    """Run the command line; expected failures end in one line and their exit code."""
    try:
        code = app(args=spread(sys.argv[1:]), prog_name="nmt", standalone_mode=False)
    except NmtError as error:
        fail(str(error), error.exit_code)
    except typer.TyperException as error:
        message = error.format_message()
        if message.startswith("Usage:"):  # a group without a command: its help, as it is
            console.log(message)
            sys.exit(UsageError.exit_code)
        fail(message, UsageError.exit_code)
    except OSError as error:
        if error.errno not in STORAGE_ERRORS:
            raise
        fail(f"{error.filename or 'output'}: {error.strerror}", StorageError.exit_code)
    if code == INTERRUPTED:
        fail("interrupted", code)
    sys.exit(code)


def fail(message: str, code: int) -> NoReturn:
    """Say what failed, in one line, and leave with `code`."""
    console.fail("nmt: " + " ".join(message.split("\n")))
    sys.exit(code)

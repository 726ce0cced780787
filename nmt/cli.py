"""The commands: parse, call, print. What needs torch is imported inside them."""

from __future__ import annotations

import errno
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from nmt import console
from nmt.commands.export import export
from nmt.commands.options import (
    BatchTokens,
    BeamSize,
    DataDir,
    Device,
    Devices,
    EngineOption,
    ExportName,
    InitFrom,
    LengthPenalty,
    MaxExtraLength,
    MaxLengthRatio,
    MinLength,
    NoRepeatNgram,
    Overrides,
    PrecisionName,
    Protect,
    RecipeName,
    RunDir,
    Tags,
    Threads,
    Workers,
    from_flags,
    load_translator,
    open_pipeline,
    writing,
)
from nmt.commands.score import score
from nmt.commands.tools import checkpoints_app, data_app, recipe_app, tokenizer_app
from nmt.commands.translate import translate
from nmt.errors import DataError, NmtError, StorageError, UsageError
from nmt.version import __version__

if TYPE_CHECKING:
    from nmt.inference.bundle import BundleConfig

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
TERMINATED = 143
"""What it returns after SIGTERM; a training saves before."""

MANY = {"evaluate": ("--reference",), "init": ("--train", "--dev", "--test"), "data": ("--against",)}
"""Options of commands that take several values."""

STORAGE_ERRORS = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS, errno.EPERM),
    *(errno.EEXIST, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG),
}
"""What a full or forbidding disk says, and one with a file where a folder is to be, or the other way round."""


def show_version(value: bool) -> None:
    """Print the version and leave."""
    if value:
        console.out(f"nmt {__version__}")
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
    workers: Workers = None,
) -> None:
    """Do all that RECIPE says: tokenizer, data, training, model folder, scores. Continues where it stopped."""
    from nmt.pipeline.pipeline import run_stages, show_results

    run_ = open_pipeline(recipe, data_dir, run_dir, overrides, init_from, workers)
    run_stages(run_)
    if run_.ranks.is_main:
        show_results(run_)


@app.command()
def doctor(
    recipe: RecipeName,
    data_dir: DataDir = None,
    run_dir: RunDir = None,
    overrides: Overrides = None,
    init_from: InitFrom = None,
) -> None:
    """Look at RECIPE, its data and this machine before a run. Writes nothing."""
    from nmt.advice.doctor import examine

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
def init(
    source: Annotated[str, typer.Argument(metavar="SRC", help="Code of the source language, such as en.")],
    target: Annotated[str, typer.Argument(metavar="TGT", help="Code of the target language, such as de.")],
    train: Annotated[
        list[str],
        typer.Option(
            metavar="FILE...",
            help="Files of both sides, or two of one side each, NAME.SRC and NAME.TGT; several may follow.",
        ),
    ],
    dev: Annotated[
        list[str] | None, typer.Option(metavar="FILE...", help="The same for validation; by default split off.")
    ] = None,
    test: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE...", help="The same for tests, or sacrebleu:SET; by default split off."),
    ] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The recipe; by default NAME.toml.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the recipe; by default that of -o, or SRC-TGT.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the recipe.")] = False,
) -> None:
    """Look at your own data, and write a recipe for it that says why each value was chosen."""
    from nmt.advice.recipe_writer import initialize

    initialize(source, target, train, dev or [], test or [], output, name, force)


@app.command()
def prepare(
    recipe: RecipeName,
    data_dir: DataDir = None,
    run_dir: RunDir = None,
    overrides: Overrides = None,
    init_from: InitFrom = None,
    workers: Workers = None,
) -> None:
    """Read, clean, split and encode the data of RECIPE, training the tokenizer if there is none."""
    from nmt.pipeline.pipeline import run_stages

    run_stages(open_pipeline(recipe, data_dir, run_dir, overrides, init_from, workers), "prepare")


@app.command()
def train(
    recipe: RecipeName,
    data_dir: DataDir = None,
    run_dir: RunDir = None,
    overrides: Overrides = None,
    init_from: InitFrom = None,
) -> None:
    """Train the model of RECIPE, resuming if a checkpoint exists, and write its model folder."""
    from nmt.pipeline.pipeline import run_stages

    run_stages(open_pipeline(recipe, data_dir, run_dir, overrides, init_from), "bundle")


app.command()(translate)
app.command()(score)
app.command()(export)


def read_config(model: Path) -> BundleConfig:
    """Read what MODEL says of itself."""
    from nmt.inference.bundle import open_bundle

    return open_bundle(model).config


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
    tag: Tags = None,
    protect: Protect = None,
    beam_size: BeamSize = None,
    length_penalty: LengthPenalty = None,
    max_extra_length: MaxExtraLength = None,
    max_length_ratio: MaxLengthRatio = None,
    min_length: MinLength = None,
    no_repeat_ngram: NoRepeatNgram = None,
    batch_tokens: BatchTokens = None,
    engine: EngineOption = "native",
    export: ExportName = None,
    device: Device = "auto",
    devices: Devices = 1,
    precision: PrecisionName = "float32",
    threads: Threads = None,
) -> None:
    """Score translations by BLEU, chrF and TER with their signatures: those of MODEL, or --hypotheses."""
    from nmt.config.decoding import DecodingConfig, EvaluationConfig
    from nmt.data.reading.archives import read_lines
    from nmt.evaluation.metrics import looks_tokenized, resolve_tokenizer, score

    flags = {
        "beam_size": beam_size,
        "length_penalty": length_penalty,
        "max_extra_length": max_extra_length,
        "max_length_ratio": max_length_ratio,
        "min_length": min_length,
        "no_repeat_ngram": no_repeat_ngram,
        "batch_tokens": batch_tokens,
    }
    from_flags(DecodingConfig, flags)
    if not reference:
        raise UsageError("evaluate needs --reference FILE")
    references = [list(read_lines(path)) for path in reference]
    if hypotheses is not None:
        asked = [*flags.values(), source, output, threads, export, tag, protect]
        chosen = (engine, device, devices, precision)
        if any(value is not None for value in asked) or chosen != ("native", "auto", 1, "float32"):
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
        translator = load_translator(
            [model],
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
    many = MANY.get(rest[0], ()) if rest else ()
    spread: list[str] = []
    option = ""
    for argument in rest:
        if argument.startswith("-") and argument != "-":
            option = argument if argument in many else ""
        elif option and spread[-1] != option:
            spread.append(option)
        spread.append(argument)
    return verbose[:1] + spread


def main() -> None:
    """Run the command line; expected failures end in one line and their exit code."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:  # what is half done is then cleared away, as after Ctrl-C
        signal.signal(signal.SIGTERM, lambda *_: end("terminated", TERMINATED))
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
        exec("")  # under `python -m`, Python ends by the signal if Ctrl-C broke off such a call and no other follows
        end("interrupted", code)
    sys.exit(code)


def end(how: str, code: int) -> NoReturn:
    """Say how the program ended, and leave with `code`, even if Ctrl-C is pressed once more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    fail(how, code)


def fail(message: str, code: int) -> NoReturn:
    """Say what failed, in one line, and leave with `code`."""
    console.fail("nmt: " + " ".join(message.split("\n")))
    sys.exit(code)

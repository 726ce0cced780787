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
from nmt.errors import ArtifactError, DataError, NmtError, StorageError, UsageError

if TYPE_CHECKING:
    from nmt.files import RunFolder
    from nmt.inference.bundle import BundleConfig
    from nmt.inference.translator import Translator
    from nmt.pipeline import Pipeline
    from nmt.training.checkpoint import Checkpoints

app = typer.Typer(
    name="nmt",
    help="Neural machine translation: from raw parallel text to a scored, shippable translator.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
recipe_app = typer.Typer(help="Look at recipes and at the reference of their keys.", no_args_is_help=True)
tokenizer_app = typer.Typer(help="Train and use SentencePiece tokenizers.", no_args_is_help=True)
data_app = typer.Typer(help="Make data.", no_args_is_help=True)
checkpoints_app = typer.Typer(help="List, verify and average the checkpoints of a run.", no_args_is_help=True)
app.add_typer(recipe_app, name="recipe")
app.add_typer(tokenizer_app, name="tokenizer")
app.add_typer(data_app, name="data")
app.add_typer(checkpoints_app, name="checkpoints")

RecipeName = Annotated[str, typer.Argument(metavar="RECIPE", help="A TOML file, or the name of one in recipes/.")]
DataDir = Annotated[
    Path | None, typer.Option(help="Where the recipe's relative file names lie; by default beside the recipe.")
]
RunDir = Annotated[Path | None, typer.Option(help="The run folder; by default runs/NAME.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override section.key of the recipe.")
]
InitFrom = Annotated[
    Path | None,
    typer.Option(metavar="MODEL", help="Fine-tune this model folder or checkpoint: sets training.init_from."),
]
Model = Annotated[Path, typer.Argument(metavar="MODEL", help="A model folder: runs/NAME/model.")]
RunOrFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run folder, runs/NAME, or the folder checkpoints in it.")
]
Input = Annotated[Path | None, typer.Option("-i", "--input", help="Read this file instead of standard input.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="Write this file instead of standard output.")]
BeamSize = Annotated[int | None, typer.Option(min=1, help="Hypotheses kept for each sentence; 1 is greedy.")]
LengthPenalty = Annotated[float | None, typer.Option(min=0, max=2, help="Alpha of Wu et al. 2016, eq. 14.")]
MaxExtraLength = Annotated[int | None, typer.Option(min=0, help="Pieces a hypothesis may have more than its source.")]
BatchTokens = Annotated[int | None, typer.Option(min=1, help="Padded source tokens decoded at once.")]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="Where to compute.")]
PrecisionName = Annotated[Literal["float32", "bfloat16"], typer.Option(help="float32 is exact, bfloat16 faster.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads of torch; by default one a core.")]
SideName = Annotated[Literal["source", "target"], typer.Option(help="Which tokenizer, where they are separate.")]


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


def open_pipeline(
    recipe: str,
    data_dir: Path | None,
    run_dir: Path | None,
    overrides: list[str] | None,
    init_from: Path | None = None,
) -> Pipeline:
    """Load `recipe` and bind it to its folders."""
    from nmt.recipe import load_recipe, to_toml

    given = [f"training.init_from={to_toml(str(init_from.absolute()))}"] if init_from else []
    loaded = load_recipe(recipe, [*(overrides or []), *given])
    if data_dir is not None and not data_dir.is_dir():
        raise UsageError(f"--data-dir {data_dir}: no such folder")
    from nmt.pipeline import Pipeline

    return Pipeline(loaded, data_dir=data_dir, run_dir=run_dir)


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


@recipe_app.command("list")
def recipe_list() -> None:
    """List the recipes that come with nmt."""
    from nmt.recipe import LIBRARY, load_recipe

    recipes = [load_recipe(str(path)).recipe for path in sorted(LIBRARY.glob("*.toml"))]
    console.table(["recipe", "what it is"], [[recipe.name, recipe.description] for recipe in recipes])


@recipe_app.command("show")
def recipe_show(recipe: RecipeName, overrides: Overrides = None) -> None:
    """Print every key of RECIPE, defaults included, as TOML."""
    from nmt.recipe import load_recipe, resolved_toml

    console.out(resolved_toml(load_recipe(recipe, overrides or []).recipe))


@recipe_app.command("explain")
def recipe_explain(
    key: Annotated[str | None, typer.Argument(metavar="KEY", help="A key or a section; by default all.")] = None,
) -> None:
    """Print the reference of the recipe's keys: type, default and meaning."""
    from nmt.recipe import explain

    console.out("\n\n".join(f"{knob.key} ({knob.type}) = {knob.default}\n    {knob.text}" for knob in explain(key)))


@tokenizer_app.command("train")
def tokenizer_train(
    recipe: RecipeName,
    data_dir: DataDir = None,
    run_dir: RunDir = None,
    overrides: Overrides = None,
    init_from: InitFrom = None,
) -> None:
    """Train the tokenizer of RECIPE on its cleaned training text."""
    open_pipeline(recipe, data_dir, run_dir, overrides, init_from).run_through("tokenizer")


@tokenizer_app.command("encode")
def tokenizer_encode(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model folder or a tokenizer folder.")],
    side: SideName = "source",
    ids: Annotated[bool, typer.Option("--ids", help="Write ids instead of pieces.")] = False,
) -> None:
    """Read text, write its pieces, separated by spaces."""
    from nmt.data.corpus import decode_lines
    from nmt.data.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(model)
    chosen = tokenizer.source if side == "source" else tokenizer.target
    console.end_with_pipe()
    for line in decode_lines(console.stdin(), "standard input"):
        (row,) = chosen.encode([line]) if ids else chosen.encode_pieces([line])
        console.out(" ".join(map(str, row)))


@tokenizer_app.command("decode")
def tokenizer_decode(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model folder or a tokenizer folder.")],
    side: SideName = "target",
    ids: Annotated[bool, typer.Option("--ids", help="Read ids instead of pieces.")] = False,
) -> None:
    """Read pieces, separated by spaces, write text."""
    from nmt.data.corpus import decode_lines
    from nmt.data.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(model)
    chosen = tokenizer.source if side == "source" else tokenizer.target
    console.end_with_pipe()
    for number, line in enumerate(decode_lines(console.stdin(), "standard input"), start=1):
        row = line.split(" ") if line else []
        (text,) = chosen.decode([chosen.parse_ids(row, number)]) if ids else chosen.decode_pieces([row])
        console.out(text)


@tokenizer_app.command("show")
def tokenizer_show(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A model folder or a tokenizer folder.")],
) -> None:
    """Show sizes and normalisation; decode(encode(line)) is the line under that normalisation."""
    from nmt.data.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(model)
    console.out(f"vocabularies: {'joint' if tokenizer.joint else 'separate'}")
    console.out(f"pieces: source {tokenizer.source_size:,}, target {tokenizer.target_size:,}")
    console.out(f"normalisation: {tokenizer.normalization}")


def open_checkpoints(path: Path) -> tuple[RunFolder, Checkpoints]:
    """Return the run folder at `path`, or around it, and its checkpoints. Raises ArtifactError where it has none."""
    from nmt.files import RunFolder
    from nmt.training.checkpoint import Checkpoints

    run = RunFolder(path)
    store = Checkpoints(run.checkpoints, keep=1)
    if not run.checkpoints.is_dir():
        run, store = RunFolder(path.absolute().parent), Checkpoints(path, keep=1)
    if not store.all_paths():
        raise ArtifactError(f"{path}: no checkpoint in it", hint="take a run folder, runs/NAME, that was trained")
    return run, store


@checkpoints_app.command("list")
def checkpoints_list(run: RunOrFolder) -> None:
    """List the checkpoints of RUN with step, epoch, size and dev score, each verified by its digests."""
    found = open_checkpoints(run)[1].survey()
    states = [finding.state for finding in found if finding.state]
    dev = {step: f"{state.metric} {value:.4g}" for state in states for value, step in state.ranked}
    rows = [
        [
            finding.path.name,
            f"{finding.step:,}",
            f"{finding.state.epoch:,}" if finding.state else "",
            f"{finding.size / 1e6:,.1f} MB",
            dev.get(finding.step, ""),
            finding.verdict,
        ]
        for finding in found
    ]
    console.table(["checkpoint", "step", "epoch", "size", "dev", "state"], rows)


@checkpoints_app.command("verify")
def checkpoints_verify(run: RunOrFolder) -> None:
    """Verify every checkpoint of RUN by its digests, a line each; exit 4 where one is damaged."""
    found = open_checkpoints(run)[1].survey()
    for finding in found:
        console.out(f"{finding.path.name}: {finding.verdict}")
    if damage := [finding.damage for finding in found if finding.damage]:
        raise ArtifactError(f"{len(damage)} of {len(found)} checkpoints are damaged, first {damage[0]}")


@checkpoints_app.command("average")
def checkpoints_average(
    run: RunOrFolder,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="The new model folder.")],
    last: Annotated[int | None, typer.Option(min=1, help="Average so many of the newest checkpoints.")] = None,
    best: Annotated[int | None, typer.Option(min=1, help="Average so many of the best on dev.")] = None,
) -> None:
    """Write a model folder with the mean of other checkpoints of RUN; by default those that its recipe names."""
    from nmt.pipeline import average_run

    if last and best:
        raise UsageError("--last and --best exclude each other")
    folder, store = open_checkpoints(run)
    names = average_run(folder, store.folder, output, count=last or best, of="best" if best else "last")
    console.log(f"averaged {', '.join(names)}: {output}")


@data_app.command("synthesize")
def data_synthesize(
    folder: Annotated[Path, typer.Argument(help="Where to write SPLIT.en and SPLIT.de.")],
    split: Annotated[Literal["train", "dev", "test", "unseen"], typer.Option(help="Which split to draw.")] = "train",
    pairs: Annotated[int, typer.Option(min=1, help="How many pairs.")] = 100_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw.")] = 1,
) -> None:
    """Write pairs of the built-in English-German grammar as two files, line by line translations."""
    from nmt.data.synthetic import generate
    from nmt.files import replacing

    source, target = folder / f"{split}.en", folder / f"{split}.de"
    with replacing(source) as left, replacing(target) as right, left.open("wb") as en, right.open("wb") as de:
        for english, german in generate(split, pairs, seed):
            en.write(english.encode() + b"\n")
            de.write(german.encode() + b"\n")
        en.flush()
        de.flush()
    console.log(f"wrote {pairs:,} pairs to {source} and {target}")


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

"""The program: its commands, each imported when it is called, and its expected failures."""

import re
import signal
import sys
from typing import Annotated, NoReturn

import typer
from typer.main import get_command

from nmt import console, startup
from nmt.commands.group import LazyCommand, LazyGroup, Verbose, new_app
from nmt.errors import NmtError, UsageError, explain, storage_error, worded
from nmt.startup import ENDINGS, handle_endings
from nmt.version import __version__, missing_package

INTERRUPTED = 130  # what the command line returns after Ctrl-C
LONGEST = 4000  # characters of the line of a failure
COMMANDS = {
    "From data to a model": {
        "init": "Survey your own data, and write a recipe for it that says why each value was chosen.",
        "doctor": "Check RECIPE, its data and this machine before a run. Writes nothing.",
        "run": "Run all stages of RECIPE: tokenizer, data, training, bundle, scores. Continues where it stopped.",
        "reproduce": "Run RECIPE, or score a model of it, and compare BLEU with the expected scores: PASS or FAIL.",
        "import": "Make a bundle of a public Marian model, such as OPUS-MT's, that translates as in transformers.",
        "prepare": "Read, clean, split and encode the data of RECIPE, training the tokenizer if there is none.",
        "train": "Train the model of RECIPE, resuming if a checkpoint exists, and write its bundle.",
    },
    "From a model to translations": {
        "translate": "Translate raw text with MODEL: one line out for every line in, in order, as soon as it is done.",
        "score": "Score given translations with MODEL: one line out for every pair, in order.",
        "align": "Align the words of SOURCE and TARGET: one line out for every pair, such as 0-0 1-2, a source and a "
        "target word.",
        "evaluate": "Score translations by BLEU, chrF and TER with their signatures: those of MODEL, or --hypotheses.",
        "serve": "Serve each MODEL over HTTP, with a page for people and the interface of LibreTranslate for programs.",
        "key": "Make an API key for `nmt serve`: print it, this once, and add its hash to FILE.",
        "export": "Write MODEL for another engine or program, to MODEL/exports, or as a new bundle in int8.",
    },
    "From runs to numbers": {
        "compare": "Say why runs differ from the first one, from which stage and step on, and whether it matters.",
        "sweep": "Run variants of RECIPE, each with several seeds, and compare their scores in a table and a plot.",
        "study": "Run a study: many small trainings, and a table of what papers say beside what was measured.",
        "plot": "Draw the curves of runs for a paper: together, and distinct by colour, by dashes and by markers.",
        "report": "Write the report of RUN as one HTML file: scores, curves, data, translations, the lock.",
    },
    "Parts": {
        "inspect": "Show how a model translates a line, and what it is made of.",
        "recipe": "Show recipes and the reference of their keys.",
        "data": "Inspect parallel text, clean it, make some.",
        "tokenizer": "Train and use SentencePiece tokenizers.",
        "checkpoints": "List, verify and average the checkpoints of a run.",
        "cache": "The prepared data that runs share: list it, prune it.",
    },
}
"""The first sentence of each command's help, by the panels of `nmt --help`."""
MODULES = {"prepare": "run", "train": "run", "import": "import_"}
"""Modules of `nmt.commands` that are not called as the command."""
app = new_app(
    "Neural machine translation: from raw parallel text to a scored, shippable translator.", add_completion=True
)


def show_version(value: bool) -> None:
    if value:
        console.out(f"nmt {__version__}")
        raise typer.Exit


@app.callback()
def common(
    *,
    verbose: Verbose = False,
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Set what holds for every command."""


def with_commands(app: typer.Typer) -> LazyGroup:
    """Return the group of `app` with all commands."""
    group = get_command(app)
    assert isinstance(group, LazyGroup)
    for panel, summaries in COMMANDS.items():
        for name, summary in summaries.items():
            group.add_command(LazyCommand(name, f"nmt.commands.{MODULES.get(name, name)}", summary, panel))
    return group


program = with_commands(app)


def main() -> None:
    """Run the command line; expected failures end in one line and their exit code."""
    handle_endings(lambda number, _: end(number))  # what is half done is then cleared away, as after Ctrl-C
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = program(prog_name="nmt", standalone_mode=False)
        console.flush()
    except NmtError as error:
        fail(str(error), error.exit_code)
    except typer.TyperException as error:
        fail(worded(error.format_message()), UsageError.exit_code)
    except UnicodeEncodeError as error:
        if not re.search("[\udc80-\udcff]", error.object):  # as Python decodes other bytes in names of files
            raise
        console.trace()
        fail(f"{error.object}: not UTF-8, which names of files have to be here", UsageError.exit_code)
    except ModuleNotFoundError as error:
        if not (line := missing_package(error)):
            raise
        console.trace()
        fail(line, UsageError.exit_code)
    except (MemoryError, RuntimeError) as error:
        if not (line := explain(error)):
            raise
        console.trace()
        fail(line, UsageError.exit_code)
    except OSError as error:
        console.trace()
        failure = storage_error(error)
        fail(str(failure), failure.exit_code)
    if code == INTERRUPTED:
        exec("")  # under `python -m`, Python ends by the signal if Ctrl-C broke off such a call and no other follows
        end(signal.SIGINT)
    leave(code)


def end(number: int) -> NoReturn:
    """Say which signal ended the program, and leave, even if another one comes."""
    handle_endings(signal.SIG_IGN)
    console.fail(ENDINGS[signal.Signals(number)])
    startup.EXIT_CODE = 128 + number
    sys.exit(startup.EXIT_CODE)


def fail(message: str, code: int) -> NoReturn:
    """Say what failed, in one line of a length that can be read, and leave with `code`.

    The console writes control characters, which names and values of other people may hold, as escapes.
    """
    line = " ".join(message.split("\n"))
    console.fail(line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}...")
    leave(code)


def leave(code: int) -> NoReturn:
    """Leave with `code`; a signal that comes while Python shuts down leaves no trace."""
    handle_endings(signal.SIG_DFL)
    startup.EXIT_CODE = code
    sys.exit(code)

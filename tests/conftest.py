"""The command as a user types it, and one tiny run that the tests share."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

# Before torch is imported: the runs that are compared here have to compute with as many threads.
os.environ["OMP_NUM_THREADS"] = "1"
# A test that a stage runs must not find it in the user's cache; the tests of the cache have one of their own.
os.environ["NMT_NO_CACHE"] = "1"

import pytest
from filelock import FileLock

from nmt import cli, console
from nmt.cores import configure_openmp
from nmt.startup import ENDINGS
from nmt.tasks.grammar import generate

configure_openmp()  # as the program does
# A shell lets what it starts in the background ignore Ctrl-C, and so would the commands that are interrupted here.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):  # which `nohup` ignores
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"

TINY = """\
name = "tiny"
description = "Seconds on one core"

[languages]
source = "en"
target = "de"

[data.train]
builtin = "train"
pairs = 800

[data.dev]
builtin = "dev"
pairs = 10

[data.test.test]
builtin = "test"
pairs = 20

[cleaning]
max_pieces = 62

[tokenizer]
vocab_size = 400

[model]
d_model = 32
heads = 2
ffn = 64
encoder_layers = 1
decoder_layers = 1
dropout = 0.1
norm = "pre"
max_length = 64

[batching]
tokens_per_step = 1000

[optimizer]
learning_rate = 1e-2
warmup_steps = 20

[training]
max_steps = 200
checkpoint_every = 50
average_checkpoints = 2
validate_every = 100
log_every = 1
"""
"""Trains in three seconds to translations that are wrong, but not all the same."""


class Result(NamedTuple):
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What stands on standard output, line by line; a line ends at a line feed alone."""
        assert self.out.endswith("\n") or not self.out
        return self.out.split("\n")[:-1]

    @property
    def messages(self) -> list[str]:
        """What stands on standard error, line by line."""
        return self.err.split("\n")[:-1]

    @property
    def surprises(self) -> list[str]:
        """The messages, but for those that translations look wrong: those of a tiny model do."""
        return [message for message in self.messages if not message.startswith("nmt: warning: translations that ")]


class Run(Protocol):
    """Run `nmt` with arguments and standard input."""

    def __call__(
        self,
        *arguments: str | Path,
        stdin: bytes = b"",
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Result: ...


def command(*arguments: str | Path) -> list[str]:
    """Return the command line of `nmt`."""
    return [sys.executable, "-m", "nmt", *map(str, arguments)]


def environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what a command finds in its environment: this process's own, without what changes its output."""
    kept = {key: value for key, value in os.environ.items() if key not in {"FORCE_COLOR", "PYTHONWARNINGS"}}
    return {**kept, "COLUMNS": "100", "NO_COLOR": "1", "NMT_NO_REPORT": "1", **(env or {})}


@pytest.fixture(scope="session")
def nmt(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run the command in a process of its own, which takes two seconds where torch is needed."""
    elsewhere = tmp_path_factory.mktemp("cwd")

    def run(
        *arguments: str | Path,
        stdin: bytes = b"",
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Result:
        done = subprocess.run(
            command(*arguments),
            input=stdin,
            capture_output=True,
            cwd=cwd or elsewhere,
            env=environment(env),
            timeout=300,
            check=False,
        )
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    return run


@pytest.fixture(autouse=True)
def pipes_end_no_process() -> Iterator[None]:
    """Take back what output to a pipe sets: later tests of sockets in this process would die of one that is closed."""
    yield
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)


@contextmanager
def as_it_was() -> Iterator[None]:
    """Put back what a command changes of this process."""
    streams = sys.argv, sys.stdin, sys.stdout, sys.stderr
    environ, verbose = os.environ.copy(), console.VERBOSE
    handlers = {number: signal.getsignal(number) for number in (signal.SIGPIPE, *ENDINGS)}
    try:
        yield
    finally:
        sys.argv, sys.stdin, sys.stdout, sys.stderr = streams
        os.environ.clear()
        os.environ.update(environ)
        console.VERBOSE = verbose
        for number, handler in handlers.items():
            signal.signal(number, handler)


@pytest.fixture(scope="session")
def nmt_here(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run the command in this process: the same code from `main` on, without the two seconds.

    Whatever `main` lets pass but SystemExit would be a traceback to the user; here it fails the test.
    """
    elsewhere = tmp_path_factory.mktemp("cwd")

    def run(
        *arguments: str | Path,
        stdin: bytes = b"",
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Result:
        out, err = io.BytesIO(), io.BytesIO()
        code: object = 0
        with as_it_was(), chdir(cwd or elsewhere):
            os.environ.update(environment(env))
            sys.argv = ["nmt", *map(str, arguments)]
            sys.stdin = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
            sys.stdout = stdout = io.TextIOWrapper(out, encoding="utf-8", newline="\n")
            sys.stderr = stderr = io.TextIOWrapper(err, encoding="utf-8", newline="\n")
            try:
                cli.main()
            except SystemExit as end:
                code = end.code or 0
            stdout.flush()
            stderr.flush()
        assert isinstance(code, int), code
        return Result(code, out.getvalue().decode(), err.getvalue().decode())

    return run


@dataclass(frozen=True)
class TinyRun:
    """A run from the first to the last stage. Shared: look at it, copy it, never change it."""

    recipe: Path
    folder: Path
    said: Result
    """What `nmt run` said."""

    @property
    def model(self) -> Path:
        """The bundle."""
        return self.folder / "model"

    def copy(self, folder: Path) -> Path:
        """Copy the run folder to `folder`."""
        return shutil.copytree(self.folder, folder)

    def copy_model(self, folder: Path) -> Path:
        """Copy the bundle alone to `folder`."""
        return shutil.copytree(self.model, folder)


@pytest.fixture(scope="session")
def tiny(nmt: Run, tmp_path_factory: pytest.TempPathFactory) -> TinyRun:
    """Run the tiny recipe as a user does: in its folder, without an option; once for all workers of a test run."""
    own = tmp_path_factory.getbasetemp()
    home = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "tiny"
    with FileLock(f"{home}.lock"):
        if not (home / "said.json").exists():
            home.mkdir()
            (home / "tiny.toml").write_text(TINY, encoding="utf-8")
            said = nmt("run", "tiny.toml", cwd=home)
            assert said.code == 0, said.err
            (home / "said.json").write_text(json.dumps(said), encoding="utf-8")
        said = Result(*json.loads((home / "said.json").read_text(encoding="utf-8")))
    return TinyRun(home / "tiny.toml", home / "runs" / "tiny", said)


@pytest.fixture(scope="session")
def tiny_model(tiny: TinyRun) -> Path:
    """Return the bundle of the tiny run. Shared: never change it."""
    return tiny.model


@pytest.fixture(scope="session")
def int8_model(tiny_model: Path, nmt_here: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bundle of the tiny run in int8. Shared: never change it."""
    folder, sample = tmp_path_factory.mktemp("int8") / "model", tmp_path_factory.mktemp("sample") / "sample.en"
    sample.write_text("".join(f"{source}\n" for source, _ in generate("test", 40, 3)), encoding="utf-8")
    assert nmt_here("export", tiny_model, "--to", "int8", "-o", folder, "--sample", sample).code == 0
    return folder


@pytest.fixture(scope="session")
def data() -> Path:
    """Return the folder of the real corpora: NMT_TEST_DATA, or what lies beside the checkout."""
    folder = Path(os.environ.get("NMT_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "multi30k").is_dir():
        pytest.skip(f"needs real corpora: no {folder / 'multi30k'}; set NMT_TEST_DATA")
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    """Return the content of every file under `folder`, by its name there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}

"""Child processes: new interpreters that answer calls of this one by a pipe, one call after the other.

A child is no fork, which the threads of loaded libraries would not survive, nor a process of `multiprocessing`, which
would run the caller's script again. It leaves Ctrl-C and SIGHUP to its parent, and ends with the parent, however that
ends.
"""

import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from typing import BinaryIO, Concatenate, Generic, ParamSpec, Self, TypeVar

from nmt.cores import configure_openmp
from nmt.errors import NmtError

Context = TypeVar("Context")
P = ParamSpec("P")
EXIT_SECONDS = 1  # time that a dying child has for an exit code of its own


class ChildDiedError(Exception):
    """A child that ended before it answered; the message says how: `killed by SIGKILL`, or `exit code 1`."""


@dataclass(frozen=True)
class Answer:
    """The outcome of a call."""

    value: object = None
    error: Exception | None = None

    def result(self) -> object:
        """Return what the function returned. Raises what it raised, with the traceback of the child as a note."""
        if self.error is not None:
            raise self.error
        return self.value


class Child(Generic[Context]):
    """A child process, with the object that all its calls share; use it as a context manager, or call `end`."""

    def __init__(
        self,
        context: Context,
        *,
        environment: Mapping[str, str] | None = None,
        files: Sequence[int] = (),
        quiet: bool = False,
    ) -> None:
        """Start the process and send it `context`, which is pickled.

        `environment` holds further variables, `files` the open files that it keeps under their numbers; a `quiet` one
        writes nothing to standard error.
        """
        self.pipe, theirs = Pipe()
        self.pending = 0  # calls without an answer so far
        with theirs, blocked(signal.SIGINT, signal.SIGHUP):  # the child inherits the mask
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-c", "from nmt.processes import serve; serve()"],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL if quiet else None,
                pass_fds=files,
                env=inherited(environment or {}),
            )
        self._send(context)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def call(self, work: Callable[Concatenate[Context, P], object], *arguments: P.args, **keywords: P.kwargs) -> None:
        """Have the child call an importable function: work(context, *arguments, **keywords), all picklable."""
        self.pending += 1
        self._send((work, arguments, keywords))

    def _send(self, message: object) -> None:
        """Send a message. The death of a child is no error here but where its answer is received."""
        with blocked(signal.SIGPIPE), suppress(OSError):
            self.pipe.send(message)

    def is_ready(self, seconds: float = 0) -> bool:
        """Wait at most some `seconds`; return whether `receive` would return or raise at once."""
        return self.pipe.poll(seconds)

    def receive(self) -> Answer:
        """Return the answer to the earliest pending call. Raises ChildDiedError, after `end`."""
        try:
            answer: Answer = self.pipe.recv()
        except (EOFError, OSError):
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(EXIT_SECONDS)
            raise ChildDiedError(self.end()) from None
        self.pending -= 1
        return answer

    def end(self) -> str:
        """Kill the process if it still runs; return how it ended."""
        self.process.kill()
        self.pipe.close()
        code = self.process.wait()
        return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def inherited(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a child: that of this process, with further variables, and its path of modules."""
    return {**os.environ, **environment, "PYTHONPATH": os.pathsep.join(sys.path)}


def start_command(arguments: Sequence[str], log: BinaryIO, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the program `nmt` in a child, which prints to `log`; `environment` holds further variables.

    The child ends with this process, however that ends; signals of the terminal reach this process alone.
    """
    program = "from nmt.processes import end_with_parent; end_with_parent(); from nmt.__main__ import main; main()"
    return subprocess.Popen(
        [sys.executable, "-P", "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=subprocess.STDOUT,
        env=inherited(environment),
        start_new_session=True,
    )


def end_with_parent() -> None:
    """End this process as soon as standard input, a pipe that nobody writes to, is closed at its other end."""

    def listen() -> None:
        os.read(0, 1)
        os._exit(1)

    threading.Thread(target=listen, daemon=True).start()


def wait_for(children: Sequence[Child[Context]]) -> list[Child[Context]]:
    """Wait until some of `children` are ready; return those."""
    ready = wait([child.pipe for child in children])
    return [child for child in children if child.pipe in ready]


def end_all(children: list[Child[Context]]) -> None:
    """End all of `children`; meanwhile Ctrl-C, which is raised in the main thread alone, is ignored."""
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if is_main else None
    try:
        while children:
            children.pop().end()
    finally:
        if is_main:
            signal.signal(signal.SIGINT, before)


@contextmanager
def blocked(*numbers: signal.Signals) -> Iterator[None]:
    """Block signals in the block. A SIGPIPE of the block is dropped; other signals come when the block has ended."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        if signal.SIGPIPE in numbers and signal.SIGPIPE not in before and signal.SIGPIPE in signal.sigpending():
            signal.sigwait({signal.SIGPIPE})
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def serve() -> None:
    """Run a child: answer the calls that come by standard input, a socket, until the parent ends."""
    configure_openmp()
    pipe = Connection(0)
    messages: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def listen() -> None:
        """Read calls while others are computed, so that the parent need not wait, and its end is noticed at once."""
        try:
            while True:
                messages.put(pipe.recv_bytes())
        finally:
            os._exit(1)

    threading.Thread(target=listen, daemon=True).start()
    context = pickle.loads(messages.get())
    while True:
        pipe.send_bytes(answer(context, messages.get()))


def answer(context: object, call: bytes) -> bytes:
    """Return the pickled answer to a pickled call."""
    try:
        work, arguments, keywords = pickle.loads(call)
        return pickle.dumps(Answer(work(context, *arguments, **keywords)))
    except NmtError as error:
        return pickle.dumps(Answer(error=error))
    except Exception as error:
        trace = traceback.format_exc()
        try:
            error.add_note(f"in a child process:\n{trace}")
            message = pickle.dumps(Answer(error=error))
            pickle.loads(message)  # an exception may refuse its own arguments
        except Exception:
            return pickle.dumps(Answer(error=RuntimeError(f"in a child process:\n{trace}")))
        return message

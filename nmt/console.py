"""The only module that prints: results on standard output, all else on standard error."""

from __future__ import annotations

import logging
import os
import re
import shutil
import signal
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, redirect_stdout, suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, BinaryIO, Literal, Self, TextIO, TypeVar

from nmt import strict_json
from nmt.errors import UsageError

if TYPE_CHECKING:
    from nmt.terminal import LiveLines

CONTROLS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters but tabs and line feeds, and those that change the direction of writing."""
Metric = TypeVar("Metric", bound=str)
METRICS = {
    **{"bracket-f1": "bracket F1", "strict-f1": "strict F1"},
    **{"bleu": "BLEU", "chrf": "chrF", "chrf++": "chrF++", "ter": "TER"},
}
"""Names of metrics in tables and messages."""
Style = Literal["bold", "dim", "red", "green", "yellow"]
STYLES: dict[Style, int] = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33}  # the codes of ANSI terminals
QUIET = False  # print nothing but errors; set in all ranks of a job but the first
VERBOSE = False  # show samples and details; set by `-v`
_RECORDS: list[list[str]] = []  # the lists of `recording`


def plain(text: str) -> str:
    """Return `text` with escapes for the characters that a terminal obeys: a name of a file may hold any of them.

    >>> plain("a\\x1b[2Jb")
    'a\\\\x1b[2Jb'
    """
    return text if text.isprintable() else CONTROLS.sub(lambda found: repr(found[0])[1:-1], text)


def out(text: str) -> None:
    """Print a result, with escapes for control characters."""
    text_out(plain(text))


def text_out(text: str) -> None:
    """Print a line of text as it is; a byte of a file's name that is not UTF-8 is written as an escape."""
    file = stdout()
    end_with_pipe()
    file.write(f"{text}\n".encode(errors="backslashreplace"))
    file.flush()


def stdin() -> BinaryIO:
    """Return standard input, as bytes. Raises UsageError where it is closed."""
    if sys.stdin is None:
        raise UsageError("standard input is closed")
    return sys.stdin.buffer


def stdout() -> BinaryIO:
    """Return standard output, as bytes. Raises UsageError where it is closed."""
    if sys.stdout is None:
        raise UsageError("standard output is closed")
    return sys.stdout.buffer


def paint(text: str, style: Style, file: TextIO | None) -> str:
    """Return `text` in `style` where `file` is a terminal, unless the environment sets NO_COLOR (no-color.org)."""
    is_plain = not is_terminal(file) or os.environ.get("NO_COLOR")
    return text if is_plain else f"\x1b[{STYLES[style]}m{text}\x1b[0m"


def is_terminal(file: TextIO | None) -> bool:
    """Return whether `file` is a terminal that obeys ANSI codes."""
    return file is not None and file.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


def results_on_stderr() -> AbstractContextManager[TextIO]:
    """Send what the block prints on standard output to standard error."""
    return redirect_stdout(sys.stderr)


def log(text: str) -> None:
    """Print a message, unless this process is to be quiet."""
    if not QUIET:
        _write_message(plain(text))


def fail(text: str) -> None:
    _write_message(f"{paint('nmt:', 'red', sys.stderr)} {plain(text)}")


def warn(text: str) -> None:
    for warnings in _RECORDS:
        warnings.append(text)
    if not QUIET:
        _write_message(f"{paint('nmt: warning:', 'yellow', sys.stderr)} {plain(text)}")


@contextmanager
def recording() -> Iterator[list[str]]:
    """Yield the list of the warnings that the block prints, which grows with each."""
    warnings: list[str] = []
    _RECORDS.append(warnings)
    try:
        yield warnings
    finally:
        _RECORDS.pop()


class _Warnings(logging.Handler):
    """Prints the messages of other packages' loggers as warnings of one line."""

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0] if record.exc_info else None
        warn(" ".join(record.getMessage().split()) + (f" ({kind.__name__})" if kind else ""))


def capture_logging() -> None:
    """Print errors that other packages log as warnings of one line."""
    logging.getLogger().addHandler(_Warnings(logging.ERROR))


def _write_message(text: str) -> None:
    """Write to standard error, if it takes anything: a message that cannot be written ends no work."""
    if sys.stderr is not None:
        try:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()
        except OSError:
            _abandon(sys.stderr)


def _abandon(file: TextIO) -> None:
    """Send what `file` still holds to the null device, so that Python does not fail on it once more at exit."""
    with suppress(OSError), Path(os.devnull).open("wb") as null:
        os.dup2(null.fileno(), file.fileno())


def flush() -> None:
    """Write the results that the buffer of standard output still holds. Raises OSError where it takes none."""
    if sys.stdout is not None:
        try:
            sys.stdout.flush()
        except OSError:
            _abandon(sys.stdout)
            raise


def trace() -> None:
    """Print the trace of the exception that is handled; only `-v` shows it."""
    detail(traceback.format_exc().rstrip())


def heading(text: str, rest: str = "", style: Style = "bold") -> None:
    """Print a result that begins with a heading, and the `rest` of it."""
    text_out(paint(plain(text), style, sys.stdout) + plain(rest))


def marked(lead: str, parts: Iterable[tuple[bool, str]]) -> None:
    """Print `lead` and then a text in parts, on a terminal those in bold that another text lacks, which are False."""
    words = [plain(part) if is_shared else paint(plain(part), "bold", sys.stdout) for is_shared, part in parts]
    text_out(plain(lead) + "".join(words))


def detail(text: str) -> None:
    """Print a message that only `-v` shows."""
    if VERBOSE:
        log(text)


def json_out(value: object) -> None:
    """Print a value as JSON, NaN and infinity as null, with escapes for the characters that a terminal obeys."""
    text_out(CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", strict_json.dumps(value)))


def _terminal() -> ModuleType:
    from nmt import terminal  # start-up time

    return terminal


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table for people, as wide as its content needs."""
    _print_table(headers, rows, shutil.get_terminal_size().columns if stdout().isatty() else 200)


def _print_table(headers: Sequence[str], rows: Iterable[Sequence[str]], width: int) -> None:
    head, *lines = _terminal().draw_table(headers, rows, width).split("\n")
    heading(head, "".join(f"\n{line}" for line in lines))


def scores(tests: Mapping[str, Mapping[Metric, Mapping[str, object]]]) -> None:
    """Print the scores of each test set, each with its signature, which no width cuts.

    Where a line does not fit on the terminal, the signatures follow in a table of their own.
    """
    headers = ["test", "metric", "score", "signature"]
    rows = [
        [test, METRICS[metric], f"{value['score']:.2f}", str(value["signature"])]
        for test, metrics in tests.items()
        for metric, value in metrics.items()
    ]
    if not stdout().isatty() or _width([headers, *rows]) <= shutil.get_terminal_size().columns:
        whole_table(headers, rows)
    else:
        whole_table(headers[:3], [row[:3] for row in rows])
        out("")
        whole_table([headers[1], headers[3]], list(dict.fromkeys((row[1], row[3]) for row in rows)))


def metric_name(metric: str) -> str:
    """Return how a metric is written; one that was computed elsewhere is written by its name and version."""
    return METRICS.get(metric, metric)


def figure(metric: str, value: object, sign: str = "") -> str:
    """Write a score with two decimals; those of other metrics, many of which end at 1, with four."""
    return f"{value:{sign}.{2 if metric in METRICS else 4}f}"


def whole_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table whose cells no width cuts."""
    _print_table(headers, rows, _width([headers, *rows]))


def _width(rows: Sequence[Sequence[str]]) -> int:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return sum(widths) + 2 * len(widths)


def end_with_pipe() -> None:
    """Let this process end at once and in silence, as other filters do, when the reader of its output has gone."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def is_live() -> bool:
    """Return whether standard error is a terminal that can redraw its lines."""
    return is_terminal(sys.stderr)


class Progress:
    """A live line on a terminal, with rows of facts below it; elsewhere plain lines, by `log`."""

    def __init__(self, title: str, total: int | None, *, done: int = 0, unit: str = "", shown: bool = True) -> None:
        self._live: LiveLines | None = None
        if shown and is_live():
            self._live = _terminal().LiveLines(plain(title), total, done, unit)

    def update(self, done: int, note: str | None = None) -> None:
        """Set what is done, in units of the live line; a `note` stays until the next one."""
        if self._live is not None:
            self._live.update(done, note)

    def show(self, rows: Iterable[tuple[str, str]]) -> None:
        """Show `rows` of a label and its facts below the live line, in place of those before."""
        if self._live is not None:
            self._live.rows = list(rows)

    def log(self, text: str) -> None:
        """Print a line where there is no live one to show it."""
        if self._live is None:
            log(text)

    def say(self, text: str) -> None:
        """Print a line that stays."""
        if self._live is not None:
            self._live.print(text)
        else:
            log(text)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()


def duration(seconds: float) -> str:
    """Write a duration in its two largest units: 42s, 3m 05s, 2h 07m.

    >>> duration(185)
    '3m 05s'
    """
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds}s"
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes}m {seconds:02}s" if minutes < 60 else f"{minutes // 60}h {minutes % 60:02}m"

"""The only module that prints: results on standard output, all else on standard error."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, redirect_stdout
from typing import Any, BinaryIO, TextIO

from nmt.errors import UsageError

QUIET = False
"""Say nothing but errors; set in all but the first of several processes that train together."""
VERBOSE = False
"""Show samples and details; set by `-v`."""


def out(text: str) -> None:
    """Print a result."""
    file = stdout()
    end_with_pipe()
    file.write(f"{text}\n".encode())
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


def results_on_stderr() -> AbstractContextManager[TextIO]:
    """Send what the block prints on standard output to standard error."""
    return redirect_stdout(sys.stderr)


def log(text: str) -> None:
    """Say what happens."""
    if not QUIET:
        fail(text)


def fail(text: str) -> None:
    """Say what failed, always."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def warn(text: str) -> None:
    """Say what may surprise."""
    log(f"nmt: warning: {text}")


def detail(text: str) -> None:
    """Say what only `-v` shows."""
    if VERBOSE:
        log(text)


def json_out(value: Any) -> None:
    """Print a result for programs."""
    out(json.dumps(value, ensure_ascii=False))


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table for people, as wide as its content needs."""
    from rich.console import Console
    from rich.table import Table

    grid = Table(*headers, box=None, pad_edge=False)
    for row in rows:
        grid.add_row(*row)
    text = io.StringIO()
    width = shutil.get_terminal_size().columns if stdout().isatty() else 200
    Console(file=text, width=width, highlight=False, markup=False).print(grid)
    out("\n".join(line.rstrip() for line in text.getvalue().rstrip().split("\n")))


def scores(found: Mapping[str, Mapping[Any, Mapping[str, Any]]]) -> None:
    """Print the scores of each test, each with its signature."""
    names = {"bleu": "BLEU", "chrf": "chrF", "ter": "TER"}
    rows = [
        [test, names[metric], f"{value['score']:.2f}", value["signature"]]
        for test, metrics in found.items()
        for metric, value in metrics.items()
    ]
    table(["test", "metric", "score", "signature"], rows)


def end_with_pipe() -> None:
    """End at once and in silence, as other filters do, when whoever reads our output has gone."""
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)


def is_live() -> bool:
    """Tell whether somebody watches a terminal that can redraw its lines."""
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown")


class Progress:
    """A live line on a terminal, with rows of facts below it; elsewhere plain lines, by `log`."""

    def __init__(self, title: str, total: int | None, *, done: int = 0, unit: str = "", shown: bool = True) -> None:
        self._live: Any = None
        self._rows: list[tuple[str, str]] = []
        if shown and is_live():
            from rich import progress
            from rich.console import Console
            from rich.live import Live

            self._bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(bar_width=24),
                progress.TextColumn("{task.completed:,}" + (f" of {total:,}" if total else "") + f" {unit}"),
                progress.TextColumn("{task.fields[note]}"),
            )
            self._task = self._bar.add_task(title, total=total, completed=done, note="")
            self._live = Live(console=Console(stderr=True), transient=True, get_renderable=self._render)

    def _render(self) -> Any:
        """Draw the line and the rows, each cut to the width of the terminal: no wrapping, no flicker."""
        from rich.console import Group
        from rich.text import Text

        rows = self._rows
        width = max((len(label) for label, _ in rows), default=0)
        lines = [Text(f"{label:<{width}}  {value}", no_wrap=True, overflow="ellipsis") for label, value in rows]
        return Group(self._bar, *lines)

    def update(self, done: int, note: str | None = None) -> None:
        """Move the live line to `done` units; a `note` stays until the next one."""
        if self._live is not None:
            fields: dict[str, Any] = {} if note is None else {"note": note}
            self._bar.update(self._task, completed=done, **fields)

    def show(self, rows: Iterable[tuple[str, str]]) -> None:
        """Show `rows` of a label and its facts below the live line, in place of those before."""
        self._rows = list(rows)

    def log(self, text: str) -> None:
        """Print a line where there is no live one to show it."""
        if self._live is None:
            log(text)

    def say(self, text: str) -> None:
        """Print a line that stays."""
        if self._live is not None:
            self._live.console.print(text, markup=False, highlight=False)
        else:
            log(text)

    def __enter__(self) -> Progress:
        if self._live is not None:
            self._live.start(refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()


def duration(seconds: float) -> str:
    """Write a span as people do: 42s, 3m 05s, 2h 07m.

    >>> duration(185)
    '3m 05s'
    """
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds}s"
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes}m {seconds:02}s" if minutes < 60 else f"{minutes // 60}h {minutes % 60:02}m"

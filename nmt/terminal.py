"""Drawing by rich: tables, and live lines on a terminal. `console` alone imports it, where something is drawn."""

import io
from collections.abc import Iterable, Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

BAR = 24  # width of the bar of a live line


def draw_table(headers: Sequence[str], rows: Iterable[Sequence[str]], width: int) -> str:
    """Return a table at most `width` wide, as wide as its content needs."""
    grid = Table(*headers, box=None, pad_edge=False)
    for row in rows:
        grid.add_row(*row)
    text = io.StringIO()
    Console(file=text, width=width, highlight=False, markup=False).print(grid)
    return "\n".join(line.rstrip() for line in text.getvalue().rstrip().split("\n"))


class LiveLines:
    """A line with a bar on standard error, redrawn in place, and rows of facts below it."""

    def __init__(self, title: str, total: int | None, done: int, unit: str) -> None:
        self.rows: list[tuple[str, str]] = []
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=BAR),
            TextColumn("{task.completed:,}" + (f" of {total:,}" if total else "") + f" {unit}"),
            TextColumn("{task.fields[note]}"),
        )
        self._task = self._bar.add_task(title, total=total, completed=done, note="")
        self._live = Live(console=Console(stderr=True), transient=True, get_renderable=self._render)

    def _render(self) -> Group:
        """Draw the line and the rows, each cut to the width of the terminal: no wrapping, no flicker."""
        width = max((len(label) for label, _ in self.rows), default=0)
        lines = [Text(f"{label:<{width}}  {value}", no_wrap=True, overflow="ellipsis") for label, value in self.rows]
        return Group(self._bar, *lines)

    def update(self, done: int, note: str | None) -> None:
        """Set what is done, and the note after it, which None leaves as it is."""
        if note is None:
            self._bar.update(self._task, completed=done)
        else:
            self._bar.update(self._task, completed=done, note=note)

    def print(self, text: str) -> None:
        """Print a line that stays, above the live ones."""
        self._live.console.print(text, markup=False, highlight=False)

    def start(self) -> None:
        self._live.start(refresh=True)

    def stop(self) -> None:
        self._live.stop()

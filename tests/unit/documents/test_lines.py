"""A translator as that of the lines of documents."""

from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from nmt.config.inference import Options
from nmt.documents.lines import LineTranslator
from nmt.errors import UsageError
from nmt.inference.report import Report


class FakeTranslator:
    """Counts its lines, and notes the options; its engine has alignments or not."""

    def __init__(self, *, aligns: bool = True, placeholders: int = 0) -> None:
        self.protector = SimpleNamespace(count=placeholders) if placeholders else None
        self.aligns, self.engine, self.report = aligns, self, Report()
        self.asked: list[Options] = []

    def attention(self, batches: Iterable[object], layer: int | None) -> Iterator[object]:
        assert (list(batches), layer) == ([], None)
        if not self.aligns:
            raise UsageError("none here")
        return iter(())

    def stream(self, lines: Iterable[str], options: Options) -> Iterator[str]:
        self.asked.append(options)
        for line in lines:
            self.report.lines += 1
            yield line


@pytest.mark.parametrize(
    ("settings", "can_align", "placeholders"),
    [({}, True, 0), ({"aligns": False}, False, 0), ({"placeholders": 3}, False, 3)],
)
def test_lines_are_aligned_where_they_can_be(settings: dict[str, Any], can_align: bool, placeholders: int) -> None:
    fake: Any = FakeTranslator(**settings)
    done: list[int] = []
    lines: Any = LineTranslator(fake, done.append)
    assert lines.placeholders == placeholders
    assert lines(["a", "b"], alignment=True) == ["a", "b"]
    assert lines(["c"], alignment=False) == ["c"]
    assert fake.asked == [Options(alignment=can_align), Options(alignment=False)]
    assert done == [1, 2, 3]

"""Two texts aligned by what their pairs teach."""

import shutil
from pathlib import Path

import pytest

from nmt.alignment import line_alignment
from nmt.alignment.line_alignment import align_lines, run_eflomal
from nmt.alignment.statistical import LONGEST
from nmt.alignment.words import Link
from nmt.errors import DataError, UsageError

SOURCES = ["A house.", "the house", "a dog", "the dog.", "", "A house and a dog.", "w " * (LONGEST + 1)]
TARGETS = ["Ein Haus.", "das Haus", "ein Hund", "das Hund.", "leer", "Ein Haus und ein Hund.", "w"]


def test_lines_are_aligned_by_words_between_spaces() -> None:
    found, too_long = align_lines(SOURCES, TARGETS, "grow-diag-final-and")
    assert found == [
        *([(0, 0), (1, 1)] for _ in range(4)),
        [],  # blank
        [(i, i) for i in range(5)],
        [],  # too long
    ]
    assert too_long == 1


def test_a_method_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    def run(*given: object) -> list[list[Link]]:
        seen.append(given)
        return [[(0, 0)]]

    monkeypatch.setattr(line_alignment, "run_eflomal", run)
    assert align_lines(["A.", ""], ["B.", "b"], "union", with_eflomal=True) == ([[(0, 0)], []], 0)
    assert seen == [([["a", "."]], [["b", "."]], "union")]


def program(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    path = folder / "eflomal-align"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda _: str(path))


def test_both_directions_of_eflomal_are_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, 'printf "0-0 1-1\\n" > "$6"; printf "0-0 1-0\\n" > "$8"')
    assert run_eflomal([["a", "b"]], [["c", "d"]], "intersection") == [[(0, 0)]]
    assert run_eflomal([["a", "b"]], [["c", "d"]], "union") == [[(0, 0), (1, 0), (1, 1)]]
    assert run_eflomal([], [], "union") == []


def test_an_eflomal_that_writes_no_links_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path, monkeypatch, 'echo 0:0 > "$6"; echo 0-0 > "$8"')
    with pytest.raises(DataError, match=r"^eflomal-align: '0:0' is no link of two words"):
        run_eflomal([["a"]], [["b"]], "union")
    program(tmp_path, monkeypatch, f"echo {'x' * 300} >&2; exit 9")
    with pytest.raises(UsageError, match=rf"^eflomal-align ended with 9: {'x' * 200}$"):
        run_eflomal([["a"]], [["b"]], "union")

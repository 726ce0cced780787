"""`nmt align`: one line out for every pair, by the pairs alone, by a model, and by eflomal."""

import os
import stat
from pathlib import Path

import pytest
from conftest import Run

from nmt.alignment.pharaoh import read_links, write_links
from nmt.tasks.grammar import generate_aligned

PAIRS = list(generate_aligned("train", 300))


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Return a source and a target, with a pair that has no source at the end."""
    return [
        write(tmp_path / f"text.{side}", [*(pair[side] for pair, _, _ in PAIRS), ("", "Leer.")[side]])
        for side in range(2)
    ]


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    lines = []
    for _, sure, possible in PAIRS:
        more = [f"{i}?{j}" for i, j in sorted(possible - sure)]
        lines.append(" ".join([write_links(sure), *more]))
    return write(tmp_path / "reference", [*lines, ""])


def test_pairs_are_aligned_by_what_they_teach(nmt_here: Run, files: list[Path], reference: Path) -> None:
    said = nmt_here("align", *files, "--reference", reference)
    assert said.code == 0
    assert len(said.lines) == len(PAIRS) + 1
    assert said.lines[-1] == ""
    for line, ((english, german), _, _) in zip(said.lines, PAIRS, strict=False):
        links = read_links(line)
        assert links
        assert all(i < len(english.split()) and j < len(german.split()) for i, j in links)
    counts, agreement = said.messages
    total = sum(len(line.split()) for line in said.lines)
    assert (
        counts == f"align: {total:,} links of 301 pairs; 1 have a blank side, 0 are too long, and 0 more have no links"
    )
    sure = sum(len(links) for _, links, _ in PAIRS)
    assert agreement.startswith("align: AER ")
    assert agreement.endswith(f" of {sure:,} sure links")
    assert float(agreement.split("AER ")[1].split("%")[0]) < 15


def test_pairs_that_are_left_out_are_counted_with_the_reason(nmt_here: Run, tiny_model: Path, tmp_path: Path) -> None:
    sources = ["a house", "\u200b", "w " * 201, "a dog"]
    files = [write(tmp_path / "en", sources), write(tmp_path / "de", ["ein Haus", "blank", "w", "ein Hund"])]
    for more in ((), ("--model", tiny_model)):
        said = nmt_here("align", *files, *more)
        assert said.messages[-1].endswith(" of 4 pairs; 1 have a blank side, 1 are too long, and 0 more have no links")
        assert [bool(line) for line in said.lines] == [True, False, False, True]


def test_pairs_in_one_file_are_aligned_alike(nmt_here: Run, files: list[Path], tmp_path: Path) -> None:
    sides = [path.read_text(encoding="utf-8").splitlines() for path in files]
    pairs = write(tmp_path / "pairs.tsv", ["\t".join(pair) for pair in zip(*sides, strict=True)])
    assert nmt_here("align", pairs) == nmt_here("align", *files)
    said = nmt_here("align", write(tmp_path / "bad.tsv", ["a\tb", "a b", "a\tb"]))
    hint = "(a line is SOURCE, a tab, TARGET; or name two files)"
    assert (said.code, said.out, said.err) == (
        3, "", f"nmt: {tmp_path / 'bad.tsv'}, line 2: 0 tabs, where a pair has one {hint}\n"
    )  # fmt: skip


def test_methods_differ(nmt_here: Run, files: list[Path], tmp_path: Path) -> None:
    sizes = []
    for method in ("intersection", "union"):
        assert nmt_here("align", *files, "--method", method, "-o", tmp_path / method).code == 0
        sizes.append(len((tmp_path / method).read_text(encoding="utf-8").split()))
    assert sizes[0] < sizes[1]


def test_a_model_aligns_by_its_attention_whatever_the_other_lines(
    nmt_here: Run, tiny_model: Path, files: list[Path], tmp_path: Path
) -> None:
    together = nmt_here("align", "--model", tiny_model, *files)
    assert (together.code, len(together.lines), together.lines[-1]) == (0, 301, "")
    one = [write(tmp_path / f"one.{side}", [PAIRS[7][0][side]]) for side in range(2)]
    assert nmt_here("align", "--model", tiny_model, *one).lines == [together.lines[7]]
    german = PAIRS[7][0][1].split()
    assert [j for _, j in sorted(read_links(together.lines[7]), key=lambda link: link[1])] == [*range(len(german))]


def test_what_cannot_be_aligned_is_one_line(nmt_here: Run, tiny_model: Path, files: list[Path], tmp_path: Path) -> None:
    source, target = files
    short = write(tmp_path / "short", ["a"])
    wrong = write(tmp_path / "wrong", ["0:0"])
    cases: list[tuple[list[str | Path], int, str]] = [
        ([source, short], 3, f"nmt: {source} has 301 lines but {short} has 1"),
        ([source, target, "--reference", short], 3, f"nmt: {short}:1: 'a' is no link of two words (write it as i-j"),
        ([short, short, "--reference", wrong], 3, f"nmt: {wrong}:1: '0:0' is no link of two words (write it as i-j"),
        ([source, target, "--model", tiny_model, "--method", "union"], 2, "nmt: --method: a model aligns by its"),
        ([source, target, "--model", tiny_model, "--with", "eflomal"], 2, "nmt: --with: a model aligns by its"),
        ([source, target, "--to", "de"], 2, "nmt: --to is for a model, and there is none (add --model, or leave it"),
    ]
    for arguments, code, message in cases:
        said = nmt_here("align", *arguments)
        assert (said.code, said.out, len(said.messages)) == (code, "", 1)
        assert said.err.startswith(message)


def eflomal(folder: Path, script: str) -> dict[str, str]:
    """Write a program of that name; return the environment that finds it."""
    program = folder / "bin" / "eflomal-align"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}


def test_eflomal_gets_words_and_its_links_are_joined(nmt: Run, tmp_path: Path) -> None:
    files = [write(tmp_path / "s", ["A house.", "", "A b"]), write(tmp_path / "t", ["Ein Haus.", "x", "C d"])]
    script = f'cp "$2" {tmp_path}/given; printf "0-0 1-1 2-2\\n0-0\\n" > "$6"; printf "1-1 2-2\\n0-0 1-0\\n" > "$8"'
    said = nmt("align", *files, "--with", "eflomal", env=eflomal(tmp_path, script))
    assert (tmp_path / "given").read_text(encoding="utf-8") == "a house .\na b\n"
    assert (said.code, said.out) == (0, "0-0 1-1\n\n0-0 1-0\n")


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo 'no such model' >&2; exit 3", "nmt: eflomal-align ended with 3: no such model"),
        ("exit 1", "nmt: eflomal-align ended with 1: it said nothing"),
        ('echo 0-0 > "$6"; echo > "$8"; echo >> "$8"', "nmt: eflomal-align wrote 1 lines for 1 pairs"),
        ("true", "nmt: eflomal-align wrote 0 lines for 1 pairs"),
    ],
)
def test_an_eflomal_that_fails_is_one_line(nmt: Run, tmp_path: Path, script: str, message: str) -> None:
    file = write(tmp_path / "s", ["a"])
    said = nmt("align", file, file, "--with", "eflomal", env=eflomal(tmp_path, script))
    assert (said.code, said.out, said.err) == (2, "", f"{message}\n")


def test_without_eflomal_it_is_said_how_to_get_it(nmt: Run, tmp_path: Path) -> None:
    file = write(tmp_path / "s", ["a"])
    said = nmt("align", file, file, "--with", "eflomal", env={"PATH": str(tmp_path)})
    message = "nmt: eflomal-align: not found (pip install eflomal, or leave out --with)\n"
    assert (said.code, said.out, said.err) == (2, "", message)

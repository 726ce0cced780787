"""Alignment of two texts line by line, of words between white space, by the pairs alone."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from nmt.alignment.pharaoh import read_links
from nmt.alignment.statistical import LONGEST, Aligner, Words
from nmt.alignment.symmetrization import Symmetrization, symmetrize
from nmt.alignment.words import Link, folded_words, spaced_links
from nmt.data.pairs import is_blank
from nmt.errors import UsageError

EFLOMAL = "eflomal-align"
SHOWN = 200  # characters of what the program says


def align_lines(
    sources: Sequence[str], targets: Sequence[str], method: Symmetrization, *, with_eflomal: bool = False
) -> tuple[list[list[Link]], int]:
    """Return the links of each pair of lines, between words that white space separates, and how many are too long.

    They are found by `Aligner`, or by the separate program eflomal (Östling & Tiedemann 2016). A pair has none where a
    side is blank or has more than LONGEST words. Raises UsageError where the program is missing or fails.
    """
    words = [(folded_words(source), folded_words(target)) for source, target in zip(sources, targets, strict=True)]
    blank = [is_blank(source) or is_blank(target) for source, target in zip(sources, targets, strict=True)]
    shown = [index for index, is_hidden in enumerate(blank) if not is_hidden]
    kept = [index for index in shown if max(map(len, words[index])) <= LONGEST]
    firsts, seconds = ([words[index][side] for index in kept] for side in range(2))
    if with_eflomal:
        found = run_eflomal(firsts, seconds, method)
    else:
        found = Aligner(firsts, seconds).align(firsts, seconds, method)
    links: list[list[Link]] = [[] for _ in words]
    for index, of_words in zip(kept, found, strict=True):
        links[index] = spaced_links(of_words, sources[index], targets[index])
    return links, len(shown) - len(kept)


def run_eflomal(sources: Sequence[Words], targets: Sequence[Words], method: Symmetrization) -> list[list[Link]]:
    """Return the links that the program `eflomal-align` finds. Raises UsageError where it is missing or fails."""
    program = shutil.which(EFLOMAL)
    if program is None:
        raise UsageError(f"{EFLOMAL}: not found", hint="pip install eflomal, or leave out --with")
    if not sources:
        return []
    with TemporaryDirectory() as folder:
        names = [Path(folder) / name for name in ("source", "target", "forward", "backward")]
        for path, lines in zip(names, (sources, targets), strict=False):
            path.write_text("".join(f"{' '.join(line)}\n" for line in lines), encoding="utf-8", newline="\n")
        given = [part for option, path in zip("stfr", names, strict=True) for part in (f"-{option}", str(path))]
        pipe = subprocess.PIPE
        with subprocess.Popen([program, *given], stdout=pipe, stderr=pipe, text=True, errors="replace") as process:
            _, messages = process.communicate()
        if code := process.returncode:
            said = [line for line in messages.split("\n") if line.strip()] or ["it said nothing"]
            raise UsageError(f"{EFLOMAL} ended with {code}: {said[-1][:SHOWN]}")
        directions = [_read(path) for path in names[2:]]
    if any(len(lines) != len(sources) for lines in directions):
        raise UsageError(f"{EFLOMAL} wrote {len(directions[0]):,} lines for {len(sources):,} pairs")
    return [symmetrize(forward, backward, method) for forward, backward in zip(*directions, strict=True)]


def _read(path: Path) -> list[list[Link]]:
    if not path.exists():
        return []
    return [read_links(line, EFLOMAL) for line in path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]]

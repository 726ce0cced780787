"""Time translating with a glossary beside translating the same lines without, and count the terms that are held.

    python benchmarks/glossary.py --model BUNDLE --source FILE --reference FILE [--beam-size 5] [--precision int8]

The terms of a line are one or two words of its reference, by turns, that the translation without a glossary lacks: so
each line has to be translated otherwise. Both ways take turns, `rounds` times; figures are medians of the processor's
time.
"""

from __future__ import annotations

import argparse
import random
import re
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nmt import Terms, Translation, Translator  # before torch, see docs/python.md
from nmt.data.reading.archives import read_lines
from nmt.data.terms import Finder
from nmt.inference.terms import TermEncoder, Wanted

if TYPE_CHECKING:
    from nmt.inference.terms import Target

SHORTEST = 4
"""Characters of the shortest word that is a term."""


class TermsOfLines(TermEncoder):
    """Terms that each line has for itself."""

    def __init__(self, translator: Translator, terms: Mapping[str, Sequence[str]]) -> None:
        words = dict.fromkeys(word for several in terms.values() for word in several)
        super().__init__(Terms.of(dict(zip(words, words, strict=True))), translator.tokenizer)
        found = super().wanted
        targets: dict[str, Target] = {word: one.counts[0][0] for word in words if (one := found(word)).counts}
        self.of_line = {
            line: Wanted(tuple((targets[word], 1) for word in several if word in targets))
            for line, several in terms.items()
        }

    def wanted(self, text: str) -> Wanted:
        return self.of_line.get(text, Wanted())


def lacking(reference: str, translation: str, count: int, draw: random.Random) -> list[str]:
    """Draw up to `count` words of `reference` that `translation` lacks in any case."""
    held = Finder(re.findall(r"\w+", translation.lower()))
    words = dict.fromkeys(re.findall(r"[^\W\d_]+", reference))
    chosen = [word for word in words if len(word) >= SHORTEST and not held.count(word.lower())]
    return draw.sample(chosen, min(count, len(chosen)))


def timed(translator: Translator, lines: Sequence[str]) -> tuple[float, list[Translation]]:
    """Translate `lines`; return the seconds of the processor, too."""
    begun = time.process_time()
    found = translator.translate(lines)
    return time.process_time() - begun, found


def measure(translator: Translator, lines: Sequence[str], references: Sequence[str], rounds: int) -> None:
    from sacrebleu import corpus_bleu

    _, plain = timed(translator, lines)
    draw = random.Random(1)
    terms = {
        line: lacking(reference, one.text, 1 + number % 2, draw)
        for number, (line, reference, one) in enumerate(zip(lines, references, plain, strict=True))
    }
    bound = translator.with_terms(None)
    bound.terms = TermsOfLines(translator, terms)
    seconds: tuple[list[float], list[float]] = [], []
    for _ in range(rounds):
        for way, each in zip((translator, bound), seconds, strict=True):
            took, found = timed(way, lines)
            each.append(took)
    wanted = sum(len(one.counts) for one in map(bound.terms.wanted, lines))
    missing = sum(len(one.candidates[0].unmet or []) for one in found)
    before, after = map(statistics.median, seconds)
    scores = [corpus_bleu([one.text for one in way], [references]).score for way in (plain, found)]
    print(f"lines {len(lines):,}, terms {wanted:,}, held {wanted - missing:,}")
    print(f"without: {before:.2f} s, BLEU {scores[0]:.2f}; with: {after:.2f} s, BLEU {scores[1]:.2f}")
    print(f"times the time: {after / before:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--lines", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--beam-size", type=int, default=5)
    parser.add_argument("--precision", default="float32")
    of = parser.parse_args()
    lines, references = (list(read_lines(path))[: of.lines] for path in (of.source, of.reference))
    decoding = {"beam_size": of.beam_size, "precision": of.precision}
    measure(Translator.load(of.model, device="cpu", threads=1, decoding=decoding), lines, references, of.rounds)


if __name__ == "__main__":
    main()

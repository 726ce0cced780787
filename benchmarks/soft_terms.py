"""Measure a model for terms on words that its training text does not have.

    python benchmarks/soft_terms.py prepare --source FILE --target FILE --output FOLDER
    python benchmarks/soft_terms.py measure --model BUNDLE --folder FOLDER [--baseline BUNDLE --source FILE ...]

`prepare` draws words of the target, takes the pairs with them out of the training pairs, and writes to FOLDER what is
left (train.src, train.tgt), and of the pairs taken out as many as wanted (terms.src, terms.tgt), each with its terms
(terms.txt: number of the line, source, target): drawn words, and the source words that are aligned with them.

`measure` translates these lines without a glossary, and with their terms soft and hard, by turns. A term counts in
the form of the reference, and in any form: a word with the same beginning, three quarters of its letters. Of other
lines, --source and --reference, it compares BLEU with that of --baseline, a model trained alike without terms.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

from nmt import Terms, Translator  # before torch, see docs/python.md
from nmt.alignment.statistical import Aligner
from nmt.alignment.symmetrization import symmetrize
from nmt.alignment.words import folded_words
from nmt.data.augmenting.aligned_pair import AlignedPair
from nmt.data.reading.archives import read_lines
from nmt.data.terms import Finder, SourceFinder, cased
from nmt.files import write_text
from nmt.inference.terms import Target, TermEncoder, Wanted

SHORTEST = 4  # characters of the shortest word that is drawn
FEWEST, MOST = 3, 40  # pairs that have a word that is drawn
SAME = 0.75  # share of the letters by which two words begin alike that are forms of one


class Term(NamedTuple):
    """A term of a line."""

    source: str
    target: str


def prepare(source: Path, target: Path, folder: Path, wanted: int, seed: int) -> None:
    """Write the training pairs without the drawn words, and `wanted` pairs with them."""
    pairs = list(zip(read_lines(source), read_lines(target), strict=True))
    words = [folded_words(line) for _, line in pairs]
    counts = Counter(word for line in words for word in set(line))
    types = [word for word, n in counts.items() if FEWEST <= n <= MOST and word.isalpha() and len(word) >= SHORTEST]
    random.Random(seed).shuffle(types)
    aligner = Aligner([folded_words(line) for line, _ in pairs], words)
    having: dict[str, list[int]] = {}
    for index, line in enumerate(words):
        for word in set(line):
            having.setdefault(word, []).append(index)
    drawn: set[str] = set()
    lines: dict[int, list[Term]] = {}
    taken: set[int] = set()
    for word in types:
        if len(lines) >= wanted:
            break
        drawn.add(word)
        taken.update(having[word])
        links = aligner.directions([folded_words(pairs[i][0]) for i in having[word]], [words[i] for i in having[word]])
        for index, directions in zip(having[word], links, strict=True):
            aligned = AlignedPair(pairs[index], symmetrize(*directions, "intersection"))
            found = [(i, j) for i, j in aligned.single_links if words[index][j] == word]
            terms = [Term(aligned.word(0, i), aligned.word(1, j)) for i, j in found]
            if len(terms) == 1 and len(SourceFinder([terms[0].source]).find(pairs[index][0])) == 1:
                lines.setdefault(index, []).extend(terms)
    chosen = sorted(lines)[:wanted]
    folder.mkdir(parents=True, exist_ok=True)
    kept = [pair for index, pair in enumerate(pairs) if index not in taken]
    for side, name in enumerate(("src", "tgt")):
        write_text(folder / f"train.{name}", "".join(f"{pair[side]}\n" for pair in kept))
        write_text(folder / f"terms.{name}", "".join(f"{pairs[index][side]}\n" for index in chosen))
    rows = (f"{at}\t{term.source}\t{term.target}\n" for at, index in enumerate(chosen, 1) for term in lines[index])
    write_text(folder / "terms.txt", "".join(rows))
    print(f"words {len(drawn):,}, pairs left {len(kept):,} of {len(pairs):,}, lines with terms {len(chosen):,}")


class TermsOfLines(TermEncoder):
    """Terms that each line has for itself."""

    def __init__(
        self, translator: Translator, lines: Mapping[str, Sequence[Term]], mode: Literal["soft", "hard"]
    ) -> None:
        words = dict.fromkeys(term.target for terms in lines.values() for term in terms)
        terms = replace(Terms.of(dict(zip(words, words, strict=True))), mode=mode)
        super().__init__(terms, translator.tokenizer, is_for_terms=translator.has_terms)
        found = super().wanted
        self.targets: dict[str, Target] = {word: one.counts[0][0] for word in words if (one := found(word)).counts}
        normal = translator.tokenizer.source.normalize
        self.of_line = {normal(line): several for line, several in lines.items()}

    def wanted(self, text: str) -> Wanted:
        terms = self.of_line.get(self.tokenizer.source.normalize(text), ())
        return Wanted(tuple((self.targets[term.target], 1) for term in terms if term.target in self.targets))

    def places(self, text: str) -> list[tuple[int, int, str]]:
        of_source = {term.source: term.target for term in self.of_line.get(text, ())}
        found = SourceFinder([*of_source]).find(text)
        return [(start, start + len(source), of_source[source]) for start, source in found]


def share(texts: Sequence[str], terms: Sequence[Sequence[Term]], *, in_any_form: bool) -> float:
    """Return the share of the terms, in per cent, that stand in their line of `texts`."""
    held = [
        has_form(text, term.target) if in_any_form else Finder([term.target, cased(term.target)]).count(text) > 0
        for text, several in zip(texts, terms, strict=True)
        for term in several
    ]
    return 100 * statistics.mean(held)


def has_form(text: str, word: str) -> bool:
    beginning = word.casefold()[: max(3, round(SAME * len(word)))]
    return any(one.startswith(beginning) for one in folded_words(text))


def measure(
    model: Path, folder: Path, rounds: int, plain: tuple[list[str], list[str]] | None, baseline: Path | None, beam: int
) -> None:
    from sacrebleu import corpus_bleu

    sources, references = (list(read_lines(folder / f"terms.{name}")) for name in ("src", "tgt"))
    terms: list[list[Term]] = [[] for _ in sources]
    for row in read_lines(folder / "terms.txt"):
        number, source, target = row.split("\t")
        terms[int(number) - 1].append(Term(source, target))
    translator = Translator.load(model, device="cpu", threads=1, decoding={"beam_size": beam})
    of_lines = dict(zip(sources, terms, strict=True))
    ways = {"without": translator, "soft": translator.with_terms(None), "hard": translator.with_terms(None)}
    ways["soft"].terms = TermsOfLines(translator, of_lines, "soft")
    ways["hard"].terms = TermsOfLines(translator, of_lines, "hard")
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    texts: dict[str, list[str]] = {}
    for _ in range(rounds):
        for name, way in ways.items():
            begun = time.process_time()
            texts[name] = [one.text for one in way.translate(sources)]
            seconds[name].append(time.process_time() - begun)
    print(f"lines {len(sources):,}, terms {sum(map(len, terms)):,}, beam {beam}")
    first = statistics.median(seconds["without"])
    for name, found in texts.items():
        took = statistics.median(seconds[name])
        forms = [share(found, terms, in_any_form=any_form) for any_form in (False, True)]
        score = corpus_bleu(found, [references]).score
        print(f"{name}: form of the reference {forms[0]:.1f}%, any form {forms[1]:.1f}%, BLEU {score:.2f}, ", end="")
        print(f"{took:.2f} s, {took / first:.2f} times")
    if plain is None:
        return
    lines, refs = plain
    for path in (model, *([baseline] if baseline else [])):
        own = Translator.load(path, device="cpu", threads=1, decoding={"beam_size": beam})
        score = corpus_bleu([one.text for one in own.translate(lines)], [refs]).score
        print(f"{path}: BLEU of {len(lines):,} lines without terms {score:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", choices=["prepare", "measure"])
    parser.add_argument("--source", type=Path)
    parser.add_argument("--target", "--reference", type=Path)
    parser.add_argument("--output", "--folder", type=Path, required=True)
    parser.add_argument("--sentences", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--baseline", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--beam-size", type=int, default=5)
    of = parser.parse_args()
    if of.work == "prepare":
        prepare(of.source, of.target, of.output, of.sentences, of.seed)
        return
    plain = (list(read_lines(of.source)), list(read_lines(of.target))) if of.source else None
    measure(of.model, of.output, of.rounds, plain, of.baseline, of.beam_size)


if __name__ == "__main__":
    main()

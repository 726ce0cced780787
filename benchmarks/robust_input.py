"""Measure how a model translates text that is written otherwise, single words, and paragraphs.

    python benchmarks/robust_input.py MODEL SOURCE REFERENCE [--lines 1000] [--threads 1] [--json FILE]

The figures of `nmt evaluate --robustness` in chrF, and those of paragraphs: neighbouring lines of SOURCE joined by 2 to
8, and translated whole, as MODEL cuts them by itself, and sentence by sentence, each scored by BLEU beside the joined
references. SOURCE should have the lines of documents in their order. Several test sets are given as SOURCE,SOURCE.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from nmt.commands.evaluation import piece_counter
from nmt.data.augmenting.joining import Joiner
from nmt.data.pairs import Pair
from nmt.data.reading.archives import read_lines
from nmt.evaluation.analysis import Texts
from nmt.evaluation.metrics import score
from nmt.evaluation.robustness import compare_writings
from nmt.evaluation.scoring import choose_tokenizer
from nmt.inference.translator import Translator

FEWEST, MOST = 2, 8  # lines of a paragraph
MODES = {"whole": "fill", "as the model cuts": "auto", "by sentence": "sentence"}
"""How paragraphs are cut: the values of `decoding.segments`."""


def paragraphs(pairs: Sequence[Pair], languages: tuple[str, str], seed: int = 1) -> list[Pair]:
    """Return neighbouring pairs joined by 2 to 8, each at most once; a line without a mark ends a joined one."""
    rng, joiner = random.Random(seed), Joiner(languages, max_characters=2000, max_pieces=1000)
    return [joined for chunk in _chunks(pairs, rng) if (joined := joiner.join(chunk))]


def _chunks(pairs: Sequence[Pair], rng: random.Random) -> Iterator[Sequence[Pair]]:
    start = 0
    while start < len(pairs):
        size = rng.randint(FEWEST, MOST)
        yield pairs[start : start + size]
        start += size


def measure(model: Path, pairs: Sequence[Pair], threads: int) -> dict[str, object]:
    """Return the figures of a model."""
    started = time.process_time()
    translator = Translator.load(model, threads=threads)
    bundle = translator.bundle
    assert bundle is not None
    sources, references = [source for source, _ in pairs], [target for _, target in pairs]
    tokenize = choose_tokenizer(bundle.evaluation.tokenize, bundle.languages.target, [references])[0]
    found = compare_writings(
        Texts(sources, translator.translate_all(sources), [references], bundle.languages.pair),
        lambda _, lines: translator.translate_all(lines),
        tokenize=tokenize,
        lowercase=False,
        chrf_word_order=bundle.evaluation.chrf_word_order,
        count_pieces=piece_counter(translator.tokenizer),
    )
    joined = paragraphs(pairs, bundle.languages.pair)
    scores = {}
    for name, segments in MODES.items():
        by = Translator.load(model, threads=threads, decoding={"segments": segments})
        lines = by.translate_all([source for source, _ in joined])
        scores[name] = score(lines, [[target for _, target in joined]], tokenize=tokenize)["bleu"]["score"]
    return {
        "chrf": {
            variant["name"]: [variant["plain"]["chrf"]["score"], variant["scores"]["chrf"]["score"]]
            for variant in found["variants"]
        },
        "single_words": found["single_words"],
        "paragraphs": {"lines": len(joined), **scores},
        "seconds": round(time.process_time() - started, 1),
    }


def show(figures: dict[str, object]) -> None:
    """Print the figures as tables of Markdown."""
    match figures:
        case {"chrf": dict(chrf), "single_words": dict(words), "paragraphs": dict(paragraphs_)}:
            print("| written | plain chrF | so written | difference |\n|---|---|---|---|")
            for name, (plain, other) in chrf.items():
                print(f"| {name} | {plain:.2f} | {other:.2f} | {other - plain:+.2f} |")
            repeated = words["flaws"]["repeated"]
            print(f"\nof {words['words']:,} single words {words['over_long']:,} over 3x pieces, {repeated:,} repeated")
            whole, sentence = paragraphs_["whole"], paragraphs_["by sentence"]
            print(
                f"\n{paragraphs_['lines']:,} paragraphs: BLEU whole {whole:.2f}, by sentence {sentence:.2f}, ", end=""
            )
            print(f"difference {whole - sentence:+.2f}, as the model cuts {paragraphs_['as the model cuts']:.2f}")


def main() -> None:
    """Measure a model and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("source")
    parser.add_argument("reference")
    parser.add_argument("--lines", type=int, default=1000, help="lines of each file")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    sides = [
        [line for name in names.split(",") for line in islice(read_lines(Path(name)), given.lines)]
        for names in (given.source, given.reference)
    ]
    figures = measure(given.model, list(zip(*sides, strict=True)), given.threads)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    show(figures)


if __name__ == "__main__":
    main()

"""Generate the built-in corpus: English-German pairs of a seeded grammar, without any download.

Their translation poses the problems of real translation: gender, case and agreement; verbs that come second, last or
in two parts; antecedents of "it"; numbers and times in another notation. A sentence is drawn once and written in both
languages, and its German follows from its English alone.
"""

import random
from collections.abc import Iterator
from hashlib import blake2b
from itertools import count, islice
from typing import Literal

from nmt.tasks.grammar_marks import EnDe, Links, links_of, plain
from nmt.tasks.grammar_sentences import Writer

Split = Literal["train", "dev", "test", "unseen"]

VERSION = (
    "61c210e3c05c86395c0c8f3be623f5e2a968e3687610c55d8f1db2c28a288ada",
    "19d9fa2be45f39e7b44d6088e2911e165a48545a5e22d2f0a1b72b2e04e7501a",
    "71ecd078622fc8ce7a29f0573cc09595c5852969be1c23fb06cddee519019ca1",
    "fcf6ef9785483c77ba96944a42b2dd2a5c5777b17f089648b0ca23d5b257cbbf",
)
"""Version of the sentences, part of the fingerprint of a built-in corpus: change it whenever they change.

Format: the SHA-256 of the grammar's four files when the sentences last changed.
"""

LONGEST = 24  # words of the longest source, the unseen set aside
LONGEST_UNSEEN = 28


def _unseen(rng: random.Random, *, marked: bool) -> Iterator[EnDe]:
    """Alternate sentences with held-out combinations and longer sentences without any."""
    novel, known = Writer(rng, novel=True, marked=marked), Writer(rng, marked=marked)
    while True:
        while True:
            novel.draw.fresh = False
            pair = novel.sentence()
            if novel.draw.fresh and pair[0].count(" ") < LONGEST:
                break
        yield pair
        pair = known.sentence(known.long)
        while not LONGEST <= pair[0].count(" ") < LONGEST_UNSEEN:
            pair = known.sentence(known.long)
        yield pair


def _seen(rng: random.Random, rng_of_long: random.Random, *, marked: bool) -> Iterator[EnDe]:
    """Draw sentences of every kind; one in eight is of the kind that is longer in the unseen set."""
    usual, longer = Writer(rng, marked=marked), Writer(rng_of_long, marked=marked)
    for number in count():
        writer, draw = (longer, longer.long) if number % 8 == 0 else (usual, None)
        pair = writer.sentence(draw)
        while pair[0].count(" ") >= LONGEST:
            pair = writer.sentence(draw)
        yield pair


def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


def _distinct(split: Split, seed: int, *, marked: bool = False) -> Iterator[EnDe]:
    rng, rng_of_long = (random.Random(_digest(f"{name} {seed}")) for name in (split, f"long {split}"))
    seen: set[int] = set()
    drawn = _unseen(rng, marked=marked) if split == "unseen" else _seen(rng, rng_of_long, marked=marked)
    for pair in drawn:
        digest = _digest(plain(pair[0]))
        if digest not in seen and (split == "unseen" or _SHARES.get(digest % 16, "train") == split):
            seen.add(digest)
            yield pair


_SHARES = {0: "dev", 1: "test"}  # sixteenths of all sentences, by the digest of the source, that are not for training


def generate(split: Split, pairs: int, seed: int = 1) -> Iterator[EnDe]:
    """Yield `pairs` distinct (English, German) pairs of `split`, the same for the same seed.

    A smaller number of pairs is a prefix of a larger one. "train", "dev" and "test" share no source, whatever the
    seeds. Every other pair of "unseen" combines an adjective or verb with a noun as the other splits never do
    (`held_out`); the rest are longer than `LONGEST` words.
    """
    return islice(_distinct(split, seed), pairs)


def generate_aligned(split: Split, pairs: int, seed: int = 1) -> Iterator[tuple[EnDe, Links, Links]]:
    """Yield the pairs of `generate`, each with its sure links, and its possible links, the sure ones among them.

    A link is of an English and a German word, counted from 0 between spaces, punctuation marks being part of them.
    """
    for pair in islice(_distinct(split, seed, marked=True), pairs):
        yield (plain(pair[0]), plain(pair[1])), *links_of(pair)

"""The aligner learns which words translate which, and where."""

import os
import random
import subprocess
import sys

import numpy as np
import pytest

from nmt.alignment import statistical
from nmt.alignment.statistical import LONGEST, Aligner, Words
from nmt.alignment.words import Link

Pairs = tuple[list[Words], list[Words], list[list[Link]]]


def made_up(count: int, *, seed: int = 1, words: int = 40, blocks: int = 1) -> Pairs:
    """Return sentences of a made-up language, their translations word by word in two swapped parts, and the links."""
    rng = random.Random(seed)
    sources: list[Words] = []
    targets: list[Words] = []
    links: list[list[Link]] = []
    for _ in range(count):
        source = [rng.randrange(words) for _ in range(rng.randint(2, 9))]
        cut = rng.randrange(len(source)) if blocks == 2 else 0
        order = [*range(cut, len(source)), *range(cut)]
        sources.append([f"s{word}" for word in source])
        targets.append([f"t{source[place]}" for place in order] + ["end"])
        links.append(sorted((place, j) for j, place in enumerate(order)))
    return sources, targets, links


def share(found: list[list[Link]], links: list[list[Link]]) -> float:
    return sum(one == other for one, other in zip(found, links, strict=True)) / len(links)


def test_words_are_linked_with_their_translations_and_others_with_none() -> None:
    sources, targets, links = made_up(600)
    found = Aligner(sources, targets).align(sources, targets)
    assert share(found, links) > 0.98


def test_the_places_of_words_tell_repeated_words_apart() -> None:
    sources, targets, links = made_up(600, words=6, blocks=2)
    aligner = Aligner(sources, targets)
    assert share(aligner.align(sources, targets), links) > 0.6
    near = aligner._directions[0].jumps[statistical.FARTHEST - 3 : statistical.FARTHEST + 4]
    assert near.argmax() == 3 + 1  # to the next word


def test_each_method_joins_the_same_directions() -> None:
    sources, targets, _ = made_up(50)
    aligner = Aligner(sources, targets)
    fewest, most = (aligner.align(sources, targets, method) for method in ("intersection", "union"))
    for (one, other), few, many in zip(aligner.directions(sources, targets), fewest, most, strict=True):
        assert few == sorted({*one} & {*other})
        assert many == sorted({*one} | {*other})
        assert len({j for _, j in one}) == len(one)
        assert len({i for i, _ in other}) == len(other)


def test_lines_that_were_not_learned_from_are_aligned_too() -> None:
    sources, targets, _ = made_up(600)
    aligner = Aligner(sources, targets)
    others = made_up(100, seed=2)
    assert share(aligner.align(*others[:2]), others[2]) > 0.95
    assert aligner.align([["s1", "new", "s2"]], [["t1", "unheard", "t2"]]) == [[(0, 0), (1, 1), (2, 2)]]
    assert aligner.align([], []) == []


def test_empty_and_long_lines_have_no_links_and_are_not_learned_from() -> None:
    long, longest = ["s1"] * (LONGEST + 1), ["s1"] * LONGEST
    sources, targets = [["s1"], [], ["s1"], long, ["s1"], longest], [["t1"], ["t1"], [], ["t1"], long, ["t1"]]
    aligner = Aligner(sources, targets)
    assert aligner.pairs == 2
    found = aligner.align(sources, targets)
    assert (found[0], found[1:5]) == ([(0, 0)], [[], [], [], []])
    assert Aligner([], []).align([["a"]], [["b"]]) == [[(0, 0)]]
    assert Aligner([[]], [["a"]]).pairs == 0


def test_groups_of_other_sizes_give_the_same_links(monkeypatch: pytest.MonkeyPatch) -> None:
    sources, targets, _ = made_up(200, words=15, blocks=2)
    usual = Aligner(sources, targets).align(sources, targets)
    for name, value in (("CELLS", 100), ("STEP", 1), ("MERGED", 50)):
        with monkeypatch.context() as patch:
            patch.setattr(statistical, name, value)
            assert share(Aligner(sources, targets).align(sources, targets), usual) > 0.97  # ties may differ


def test_posteriors_are_those_of_all_paths() -> None:
    """Compare with the sum over every sequence of places."""
    rng = np.random.default_rng(1)
    steps, size = 3, 2
    direction = statistical._Direction(1, 5)
    direction.is_lexical = False
    direction.jumps = rng.random(statistical.JUMPS).astype(np.float32)
    direction.empty = rng.random(6).astype(np.float32)
    emissions = rng.random((steps, 1, size)).astype(np.float32)
    words = np.array([[3, 0, 4]], np.int32)
    expected = np.zeros((steps, size))
    moves = np.zeros(statistical.JUMPS)

    def walk(step: int, place: int, probability: float, path: list[int]) -> float:
        if step == steps:
            for index, each in enumerate(path):
                if each >= 0:
                    expected[index, each] += probability
            return probability
        none = statistical.EMPTY * direction.empty[words[0, step]]
        total = walk(step + 1, place, probability * none, [*path, -1])
        weights = direction.jumps[np.arange(size) - place + statistical.FARTHEST]
        for next_, weight in enumerate(weights / weights.sum()):
            factor = (1 - statistical.EMPTY) * weight * emissions[step, 0, next_]
            there = walk(step + 1, next_, probability * factor, [*path, next_])
            moves[next_ - place + statistical.FARTHEST] += there
            total += there
        return total

    total = walk(0, -1, 1.0, [])
    counted = np.zeros((2, statistical.JUMPS))
    given = np.array([[0, 1]], np.int32)
    found = direction.posteriors(emissions, given, words, counted)
    np.testing.assert_allclose(found[:, 0], expected / total, rtol=1e-5)
    np.testing.assert_allclose(counted[0], moves / total, rtol=1e-5)
    assert counted[0].sum() == pytest.approx(found.sum(), rel=1e-5)


def test_the_links_do_not_depend_on_the_number_of_threads() -> None:
    program = (
        "from nmt.alignment.statistical import Aligner; import hashlib, random; rng = random.Random(3);"
        "s = [[str(rng.randrange(300)) for _ in range(rng.randint(1, 40))] for _ in range(300)];"
        "t = [[str(int(w) * 7 % 300) for w in reversed(line)] for line in s]; a = Aligner(s, t);"
        "print(hashlib.sha256(b''.join(d.words.tobytes() for d in a._directions)).hexdigest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "OPENBLAS_NUM_THREADS": threads, "OMP_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2", "4")
    }
    assert len(found) == 1
    assert found != {""}

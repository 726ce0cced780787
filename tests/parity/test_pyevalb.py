"""Our counts of brackets against PYEVALB's, on trees without what PYEVALB knows nothing of: see docs/parsing.md."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from nmt.evaluation.brackets import Brackets, count_brackets
from nmt.tasks.trees import Tree, read_tree

PACKAGES = ["PYEVALB==0.1.3", "pytablewriter==1.2.1"]
COUNT = """\
import json, sys
from PYEVALB import parser, scorer

rows = []
for reference, hypothesis in json.load(sys.stdin):
    try:
        found = scorer.Scorer().score_trees(*map(parser.create_from_bracket_string, (reference, hypothesis)))
    except scorer.ScoreException:
        rows.append(None)
    else:
        names = ("matched_brackets", "test_brackets", "gold_brackets", "cross_brackets", "words", "correct_tags")
        rows.append([getattr(found, name) for name in names])
json.dump(rows, sys.stdout)
"""
Counts = list[int] | None
# Counted by PYEVALB 0.1.3: brackets matched, of the hypothesis, of the reference, crossing; words, correct tags.
RECORDED: list[tuple[str, str, Counts]] = [
    ("(S (A (P x)) (B (Q y) (A (R z) (T w))))", "(S (A (P x)) (B (Q y) (A (R z) (T w))))", [4, 4, 4, 0, 4, 4]),
    ("(S (A (P x)) (B (Q y) (A (R z) (T w))))", "(S (A (P x)) (B (Q y) (C (R z) (U w))))", [3, 4, 4, 0, 4, 3]),
    ("(S (A (P x)) (B (Q y) (A (R z) (T w))))", "(S (C (P x) (Q y)) (A (R z) (T w)))", [2, 3, 4, 1, 4, 4]),
    ("(S (A (P x)) (B (Q y) (A (R z) (T w))))", "(S (A (P x)) (B (Q y) (A (R z) (T v))))", None),
    ("(S (A (P x)) (B (Q y) (A (R z) (T w))))", "(S (A (P x)) (B (Q y) (R z)))", None),
    ("(S (A (P a) (P b)) (B (P c) (P d)))", "(S (P a) (B (A (C (P b) (P c)) (P d))))", [1, 4, 3, 3, 4, 4]),
]


def counted(reference: str, hypothesis: str) -> Counts:
    found = count_brackets(hypothesis, Brackets.of(read_tree(reference)))
    figures = [found.matched, found.found, found.wanted, found.crossing, found.words, found.correct_tags]
    return figures if found.scored else None


@pytest.mark.parametrize(("reference", "hypothesis", "expected"), RECORDED)
def test_counts_equal_recorded_ones_of_pyevalb(reference: str, hypothesis: str, expected: Counts) -> None:
    assert counted(reference, hypothesis) == expected


def drawn(rng: random.Random, leaves: list[Tree]) -> Tree:
    """Draw a tree over `leaves`, with no two brackets of one label over the same words."""
    if len(leaves) == 1:
        return Tree(rng.choice("ABC"), tuple(leaves)) if rng.random() < 0.3 else leaves[0]
    at = sorted({rng.randrange(1, len(leaves)) for _ in range(rng.choice([1, 1, 2]))})
    parts = zip([0, *at], [*at, len(leaves)], strict=True)
    tree = Tree(rng.choice("ABC"), tuple(drawn(rng, leaves[start:end]) for start, end in parts))
    return Tree("D", (tree,)) if rng.random() < 0.1 else tree


def with_changes(rng: random.Random, leaves: list[Tree]) -> list[Tree]:
    """Change some tags, seldom a word, and seldom leave a word out."""
    changed = [Tree(rng.choice("PQ"), word=leaf.word) if rng.random() < 0.2 else leaf for leaf in leaves]
    if rng.random() < 0.1:
        changed[rng.randrange(len(changed))] = Tree("P", word="other")
    return changed[1:] if rng.random() < 0.1 and len(changed) > 2 else changed


@pytest.mark.slow
def test_counts_equal_those_of_pyevalb_in_an_environment_of_its_own(tmp_path: Path) -> None:
    rng = random.Random(1)
    pairs = [(reference, hypothesis) for reference, hypothesis, _ in RECORDED]
    for _ in range(2000):
        leaves = [Tree(rng.choice("PQRT"), word=rng.choice("xyz")) for _ in range(rng.randint(2, 12))]
        pairs.append((str(drawn(rng, leaves)), str(drawn(rng, with_changes(rng, leaves)))))
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    subprocess.run([python, "-m", "pip", "-q", "install", *PACKAGES], check=True)
    done = subprocess.run([python, "-c", COUNT], input=json.dumps(pairs), capture_output=True, text=True, check=True)
    found: list[Counts] = json.loads(done.stdout)
    assert found[: len(RECORDED)] == [expected for *_, expected in RECORDED]
    assert None in found[len(RECORDED) :]
    assert [counted(reference, hypothesis) for reference, hypothesis in pairs] == found

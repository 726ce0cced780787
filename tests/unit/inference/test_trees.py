"""Which pieces may follow the beginning of a tree."""

import random

import pytest
import torch
from torch import Tensor

from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID
from nmt.data.encoding.trees import TreePieces, TreeSymbols
from nmt.inference.protocol import least_tree
from nmt.inference.trees import LONGEST_CHAIN, TreeConstraint
from nmt.tasks.trees import read_tree

PIECES = TreePieces(TreeSymbols(("NP", "S"), ("DT", "NN")), 4, 1)
NP, S, CLOSE, DT, NN = range(4, 9)
A, B, C = 9, 10, 11
SIZE = 12
LETTERS = {A: "a", B: "b", C: "c"}
Words = tuple[tuple[int, ...], ...]


def allowed(words: Words, history: list[int], limit: int = 99, *, beside: Words = ((A,) * 5,) * 5) -> set[int]:
    """Return the pieces that may follow `history`; check that those `beside` it, of another row, change nothing."""
    constraint = TreeConstraint(PIECES, [beside, words], torch.tensor([99, limit]))
    logits = torch.arange(1.0, SIZE + 1).repeat(2, 2, 1)
    constraint.apply(logits, torch.tensor([[[BOS_ID, *history]] * 2] * 2), slice(0, 2))
    may: Tensor = logits[1, 0] > -torch.inf
    assert torch.equal(logits[1, 0][may], torch.arange(1.0, SIZE + 1)[may])
    constraint.keep_sentences(torch.tensor([1]))
    alone = torch.arange(1.0, SIZE + 1).repeat(1, 1, 1)
    constraint.apply(alone, torch.tensor([[[BOS_ID, *history]]]), slice(0, 1))
    assert torch.equal(alone[0, 0], logits[1, 0])
    return set(may.nonzero()[:, 0].tolist())


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([], {A}),
        ([A], {B}),
        ([A, B], {NP, S}),
        ([A, B, S], {NP, S, DT, NN}),
        ([A, B, S, DT], {C}),
        ([A, B, S, NP, DT], {C}),
        ([A, B, S, DT, C], {NP, S, DT, NN}),
        ([A, B, S, NP, DT, C], {NP, S, DT, NN, CLOSE}),
        ([A, B, S, NP, DT, C, CLOSE], {NP, S, DT, NN}),
        ([A, B, S, NP, DT, C, CLOSE, NP], {NP, S, DT, NN}),
        ([A, B, S, DT, C, NN], {CLOSE}),
        ([A, B, S, NP, DT, C, NN], {CLOSE}),
        ([A, B, S, NP, DT, C, NN, CLOSE], {CLOSE}),
        ([A, B, S, NP, DT, C, NN, CLOSE, CLOSE], {EOS_ID}),
        ([A, B, *[S] * (LONGEST_CHAIN - 1)], {NP, S, DT, NN}),
        ([A, B, *[S] * LONGEST_CHAIN], {DT, NN}),
    ],
)
def test_the_pieces_that_may_follow(history: list[int], expected: set[int]) -> None:
    assert allowed(((A, B), (C,)), history) == expected


def test_a_bracket_opens_only_where_all_that_follows_has_room() -> None:
    words: Words = ((A, B), (C,))
    assert least_tree(words) == 7
    assert allowed(words, [A, B], 8) == {NP, S}
    assert allowed(words, [A, B, S], 8) == {DT, NN}
    assert allowed(words, [A, B, S], 9) == {DT, NN}
    assert allowed(words, [A, B, S], 10) == {DT, NN, NP, S}


@pytest.mark.parametrize("seed", range(30))
def test_every_hypothesis_ends_as_a_tree_over_the_words(seed: int) -> None:
    rng = random.Random(seed)
    words: Words = tuple(tuple(rng.choices([A, B, C], k=rng.randint(1, 3))) for _ in range(rng.randint(1, 6)))
    limit = least_tree(words) + 1 + rng.choice([0, 1, 2, 7, 60])
    history: list[int] = []
    while EOS_ID not in history:
        # Brackets are preferred, so that the limit counts.
        may = allowed(words, history, limit)
        history.append(rng.choice(sorted(may & {NP, S}) or sorted(may)))
    assert len(history) <= limit
    [text] = PIECES.decode([history[:-1]], lambda rows: ["".join(LETTERS[index] for index in row) for row in rows])
    assert read_tree(text).words() == ["".join(LETTERS[index] for index in word) for word in words]

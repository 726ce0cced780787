"""Which pieces may follow a hypothesis."""

import pytest
import torch
from torch import Tensor

from nmt.config.decoding import DecodingConfig
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, PAD_ID
from nmt.inference.constraints import Constraints, pad
from nmt.inference.protocol import ANYWHERE, Need, Row

CPU = torch.device("cpu")
SIZE = 8
FREE = set(range(SIZE)) - {PAD_ID, BOS_ID}


def constraints(*rows: Row, longest: int = 99, **settings: float) -> Constraints:
    decoding = DecodingConfig.model_validate({"max_extra_length": 9, **settings})
    return Constraints(decoding, rows or [Row([4])], longest, CPU)


def allowed(of: Constraints, *histories: list[int]) -> list[set[int]]:
    """Return the pieces that may follow the only hypothesis of each sentence; check that their logits stay."""
    logits = torch.arange(1.0, SIZE + 1).repeat(len(histories), 1, 1)
    rows = torch.tensor([[[BOS_ID, *history]] for history in histories])
    of.apply(logits, logits.logsumexp(-1), rows, slice(0, len(histories)))
    may: Tensor = logits > -torch.inf
    assert torch.equal(logits[may], torch.arange(1.0, SIZE + 1).expand_as(logits)[may])
    return [set(row[0].nonzero()[:, 0].tolist()) for row in may]


def test_padding_and_bos_never_follow() -> None:
    assert allowed(constraints(), [5]) == [FREE]


def test_a_hypothesis_ends_at_the_limit_of_its_row() -> None:
    of = constraints(Row([4]), Row([4, 4]), max_extra_length=1)  # 3 and 4 pieces with EOS
    assert allowed(of, [5], [5]) == [FREE, FREE]
    assert allowed(of, [5, 5], [5, 5]) == [{EOS_ID}, FREE]
    assert allowed(of, [5, 5, 5], [5, 5, 5])[1] == {EOS_ID}
    assert allowed(constraints(longest=2), [5]) == [{EOS_ID}]
    assert allowed(constraints(longest=1), []) == [{EOS_ID}]


def test_the_forbidden_pieces_of_a_row_never_follow() -> None:
    of = constraints(Row([4], forbidden=frozenset({5, 7})), Row([4]))
    assert allowed(of, [4], [4]) == [FREE - {5, 7}, FREE]
    assert allowed(constraints(Row([4], [6], frozenset({6}))), []) == [{6}]
    of.keep_sentences(torch.tensor([1, 0]))
    assert allowed(of, [4, 4], [4, 4]) == [FREE, FREE - {5, 7}]


@pytest.mark.parametrize(("length", "may_end"), [(0, False), (1, False), (2, True)])
def test_a_hypothesis_has_the_least_length(length: int, may_end: bool) -> None:
    assert allowed(constraints(min_length=2), [5] * length) == [FREE if may_end else FREE - {EOS_ID}]


def test_the_limit_outweighs_the_least_length() -> None:
    assert allowed(constraints(min_length=9, max_extra_length=0), [5]) == [{EOS_ID}]


def test_each_row_begins_with_its_prefix() -> None:
    of = constraints(Row([4], [6, 7]), Row([4], [5]), Row([4]))
    assert allowed(of, [], [], []) == [{6}, {5}, FREE]
    assert allowed(of, [6], [5], [5]) == [{7}, FREE, FREE]
    assert allowed(of, [6, 7], [5, 5], [5, 5]) == [FREE, FREE, FREE]


@pytest.mark.parametrize(
    ("size", "history", "banned"),
    [
        (1, [], set()),
        (1, [5], {5}),
        (1, [5, 6], {5, 6}),
        (2, [5], set()),
        (2, [5, 6, 5], {6}),
        (2, [5, 5], {5}),
        (2, [5, 6], set()),
        (3, [5, 6, 7, 5, 6], {7}),
        (3, [5, 6, 7, 5], set()),
    ],
)
def test_no_ngram_is_repeated(size: int, history: list[int], banned: set[int]) -> None:
    assert allowed(constraints(no_repeat_ngram=size), history) == [FREE - banned]


def test_bos_is_no_part_of_an_ngram() -> None:
    assert allowed(constraints(no_repeat_ngram=2), [BOS_ID, 5, BOS_ID]) == [FREE - {5}]
    assert allowed(constraints(no_repeat_ngram=2), [5, BOS_ID]) == [FREE]


def test_a_forced_piece_is_allowed_though_it_repeats() -> None:
    assert allowed(constraints(Row([4], [5, 5]), no_repeat_ngram=1), [5]) == [{5}]


def test_the_constraints_stay_with_their_sentences() -> None:
    of = constraints(Row([4], [6]), Row([4], [5]), Row([4], [7]))
    of.keep_sentences(torch.tensor([2, 0]))
    assert allowed(of, [], []) == [{7}, {6}]
    assert of.limits.tolist() == [11, 11]


def test_each_hypothesis_of_a_sentence_has_its_own_history() -> None:
    logits = torch.zeros(1, 2, SIZE)
    histories = torch.tensor([[[BOS_ID, 5], [BOS_ID, 6]]])
    constraints(no_repeat_ngram=1).apply(logits, logits.logsumexp(-1), histories, slice(0, 1))
    assert [row.isinf().nonzero()[:, 0].tolist() for row in logits[0]] == [
        sorted({PAD_ID, BOS_ID, 5}),
        sorted({PAD_ID, BOS_ID, 6}),
    ]


def test_rows_are_padded_at_the_right() -> None:
    assert pad([[5, 6], [], [7]], CPU).tolist() == [[5, 6], [PAD_ID, PAD_ID], [7, PAD_ID]]
    assert pad([[], []], CPU).shape == (2, 0)
    assert pad([[]], CPU).dtype == torch.long


@pytest.mark.parametrize(("beam_size", "certain", "expected"), [(1, 9.0, {7}), (1, 0.0, None), (4, 9.0, None)])
def test_greedy_search_goes_on_with_a_term_where_it_would_end(
    beam_size: int, certain: float, expected: set[int] | None
) -> None:
    row = Row([4], needs=(Need(1, (((7,), ANYWHERE),)),))
    decoding = DecodingConfig(max_extra_length=9, beam_size=beam_size)
    of = Constraints(decoding, [row], 99, CPU, edges=bytes(SIZE))
    logits = torch.zeros(1, 1, SIZE)
    logits[..., EOS_ID] = certain  # EOS has 0.999 of the probability, or as much as any piece
    of.apply(logits, logits.logsumexp(-1), torch.tensor([[[BOS_ID, 5]]]), slice(0, 1))
    may = set((logits[0, 0] > -torch.inf).nonzero()[:, 0].tolist())
    assert may == (expected or set(range(SIZE)) - {PAD_ID, BOS_ID, EOS_ID})

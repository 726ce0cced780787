"""The constraint of terms, on histories that are written down."""

import torch

from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID, PAD_ID
from nmt.inference.protocol import ANYWHERE, BEGINS, ENDS, JOINED, JOINS, NOWHERE, OPENS, SENTENCE_START, Need, Row
from nmt.inference.term_constraint import Avoided, TermConstraint, distinct

A, B, C, GOING, MARK, STOP = range(4, 10)
SIZE = 10
EDGES = torch.zeros(SIZE, dtype=torch.uint8)
for _piece, _bits in {A: ENDS, B: ENDS, C: ENDS, GOING: BEGINS | ENDS, MARK: JOINS, STOP: OPENS}.items():
    EDGES[_piece] = _bits
ALL = slice(0, 1)


def constraint(*needs: Need, limit: int = 30) -> TermConstraint:
    return TermConstraint([Row([4], needs=needs)], torch.tensor([limit]), EDGES)


def need(*pieces: int, count: int = 1, place: int = ANYWHERE) -> Need:
    return Need(count, ((pieces, place),))


def histories(row: list[int]) -> torch.Tensor:
    return torch.tensor([[[BOS_ID, *row]]])


def met(of: TermConstraint, *rows: list[int]) -> list[list[int]]:
    return [of.met(of.progress(histories(row), ALL), None, ALL)[0, 0].tolist() for row in rows]


def following(of: TermConstraint, *row: int) -> set[int]:
    return set(of.follow(histories([*row]), ALL).flatten().tolist()) - {PAD_ID}


def allowed(of: TermConstraint, *row: int, is_over: bool = False) -> set[int]:
    """Return the pieces that may follow a history, after which the model would end if it `is_over`."""
    logits = torch.zeros(1, 1, SIZE)
    next_pieces = of.follow(histories([*row]), ALL)
    of.apply(logits, next_pieces, logits.gather(2, next_pieces), torch.tensor([[is_over]]), len(row) + 1, ALL)
    return set((logits[0, 0] > -torch.inf).nonzero()[:, 0].tolist()) - {PAD_ID, BOS_ID}


def test_a_term_is_held_where_no_word_goes_on() -> None:
    of = constraint(need(A, B, count=2))
    assert met(of, [A, B, C], [A, B, GOING], [C, A, B], [A, C, B]) == [[1], [0], [1], [0]]
    assert met(of, [A, B, A, B], [A, B, A, A]) == [[2], [1]]
    assert met(constraint(need(A)), [A, A, A]) == [[1]]  # no more than wanted


def test_a_spelling_that_goes_on_with_a_word_is_none() -> None:
    of = constraint(Need(1, (((A,), ANYWHERE), ((GOING, B), JOINED))))
    assert met(of, [GOING, B], [MARK, GOING, B], [C, GOING, B]) == [[1], [1], [0]]


def test_two_spellings_at_one_place_count_once() -> None:
    of = constraint(Need(2, (((MARK, B), ANYWHERE), ((B,), JOINED))))
    assert met(of, [MARK, B, C], [MARK, B, B, C]) == [[1], [2]]


def test_the_next_pieces_go_on_with_a_term_and_begin_it() -> None:
    of = constraint(need(A, B, C), need(C))
    assert following(of) == {A, C}
    assert following(of, A) == {A, B, C}
    assert following(of, A, B) == {A, C}
    assert following(of, A, B, C) == set()  # which holds both
    assert following(of, C) == {A}
    assert following(constraint(need(A, count=2)), A) == {A}


def test_a_place_says_where_a_term_is_begun() -> None:
    spellings = (((A, B), ANYWHERE), ((B, C), JOINED), ((C, A), SENTENCE_START), ((GOING, C), NOWHERE))
    of = constraint(Need(1, spellings))
    assert following(of) == {A, C}
    assert following(of, MARK) == {A, B}
    assert following(of, STOP) == {A, C}
    assert following(of, MARK, GOING) == {A, C}  # the model itself began it


def test_a_hypothesis_ends_only_with_all_terms() -> None:
    of = constraint(need(A, B))
    assert EOS_ID not in allowed(of)
    assert EOS_ID not in allowed(of, A)
    assert EOS_ID in allowed(of, A, B)
    assert EOS_ID not in allowed(of, A, B, GOING)
    assert EOS_ID not in allowed(constraint(need(A, count=2)), A)


def test_in_the_end_there_is_room_for_the_terms_alone() -> None:
    of = constraint(need(A, B), limit=4)  # three pieces and EOS
    assert C in allowed(of)
    assert allowed(of, C) == {A}
    assert allowed(of, C, A) == {B}
    assert allowed(of, A) >= {A, B}
    assert C not in allowed(of, A)
    assert GOING not in allowed(of, A, B)  # the term would be none
    assert allowed(of, A, B) >= {C, EOS_ID}


def test_what_would_end_without_a_term_goes_on_with_its_next_piece() -> None:
    of = constraint(need(A, B), need(C))
    assert allowed(of, A, is_over=True) == {A, B, C}  # it goes on, begins again, or another one begins
    assert EOS_ID in allowed(of, A, B, C, is_over=True)
    inside = constraint(need(GOING, B))
    assert allowed(inside, A, is_over=True) == allowed(inside, A) >= {C}  # no term can begin within a word


def test_pieces_of_a_term_outweigh_other_constraints() -> None:
    of, logits = constraint(need(A, B)), torch.full((1, 1, SIZE), -torch.inf)
    next_pieces = of.follow(histories([A]), ALL)
    of.apply(logits, next_pieces, torch.ones(next_pieces.shape), torch.tensor([[False]]), 2, ALL)
    assert logits[0, 0, [A, B]].tolist() == [1.0, 1.0]
    assert logits[0, 0, PAD_ID] == -torch.inf


def test_a_bank_counts_the_pieces_of_terms() -> None:
    of = constraint(need(A, B, C), need(C))
    assert of.goal(ALL).tolist() == [4]

    def banks(*row: int) -> list[int]:
        of.follow(histories([*row]), ALL)
        return of.banks(torch.tensor([[[A, B, C, GOING]]]), ALL)[0, 0].tolist()

    assert banks() == [1, 0, 1, 0]
    assert banks(A) == [1, 2, 1, 0]
    assert banks(A, B) == [1, 0, 3, 0]
    assert banks(A, B, C) == [4, 4, 4, 0]
    of.follow(histories([A, B]), ALL)
    found = sorted(zip(of.following[0, 0].tolist(), of.banks_of_terms(ALL)[0, 0].tolist(), strict=True))
    assert [(piece, bank) for piece, bank in found if piece != PAD_ID] == [(A, 1), (C, 1), (C, 3)]


def test_a_longer_spelling_counts_by_its_share() -> None:
    of = constraint(Need(1, (((A,), ANYWHERE), ((B, C), ANYWHERE))))
    of.follow(histories([]), ALL)
    assert of.banks(torch.tensor([[[A, B, C]]]), ALL)[0, 0].tolist() == [2, 1, 0]


def choose(width: int, totals: list[float], pieces: list[int]) -> list[int]:
    """Return the pieces chosen after an empty history, where the terms A and B are wanted."""
    of = constraint(need(A), need(B))
    next_pieces = of.follow(histories([]), ALL)
    every = torch.tensor([[totals]]), torch.tensor([[pieces]])
    _, parents, chosen, has_all = of.choose(every, torch.full(next_pieces.shape, -torch.inf), width, ALL)
    assert not parents.any()
    assert not has_all.any()
    return chosen[0].tolist()


def test_each_bank_has_its_share_of_the_beam() -> None:
    assert choose(2, [-1.0, -2.0, -50.0, -60.0], [C, MARK, A, B])[:2] == [C, A]
    assert choose(4, [-1.0, -2.0, -3.0, -50.0, -60.0], [C, MARK, STOP, A, B])[:4] == [C, MARK, A, B]
    assert choose(2, [-1.0, -2.0, -3.0], [C, MARK, STOP])[:3] == [C, MARK, STOP]  # no other bank has any


def test_hypotheses_that_are_further_come_first_at_equal_totals() -> None:
    assert choose(1, [-1.0, -1.0], [C, A])[:2] == [A, C]


def test_a_piece_counts_once_and_not_where_it_is_there_already() -> None:
    found = distinct(torch.tensor([[[A, B, A, PAD_ID]]]), torch.tensor([[[B, C]]]))
    assert found.tolist() == [[[True, False, False, False]]]


def test_the_last_piece_of_a_phrase_is_forbidden() -> None:
    def forbidden(*row: int, of: Avoided) -> set[int]:
        logits = torch.zeros(1, 1, SIZE)
        of.apply(logits, histories([*row]), ALL)
        return set((logits[0, 0] == -torch.inf).nonzero()[:, 0].tolist()) - {PAD_ID}

    of = Avoided([((A, B), (C,), (GOING, A)), ((B,),)], EDGES)
    assert forbidden(of=of) == {C}
    assert forbidden(A, of=of) == {B, C}
    assert forbidden(C, of=of) == {C}
    assert forbidden(A, GOING, of=of) == {C}  # it goes on with another word
    assert forbidden(MARK, GOING, of=of) == {C, A}
    of.keep_sentences(torch.tensor([1]))
    assert forbidden(A, of=of) == {B}

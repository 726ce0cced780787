"""Terms in the search: every hypothesis holds them, alone or in any batch, at any beam size."""

from collections.abc import Sequence
from functools import partial
from itertools import pairwise, product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from random_models import ALPHAS, SEEDS, SENTENCES, V, few, forced_scores, make_model

from nmt.config.decoding import DecodingConfig
from nmt.config.model import ModelConfig
from nmt.data.encoding.tokenizer import BOS_ID
from nmt.inference import search as searching
from nmt.inference.protocol import ANYWHERE, BEGINS, ENDS, JOINED, JOINS, NOWHERE, Hypothesis, Need, Request, Row
from nmt.model.families import build

PIECES = st.integers(4, V - 1)
EDGES = st.lists(st.integers(0, 15), min_size=V, max_size=V).map(lambda bits: bytes([0, 0, JOINS, 0, *bits[4:]]))


def decided(pieces: Sequence[int], edges: bytes) -> list[int]:
    """Return pieces that may be put anywhere: the first goes on with no word."""
    return [*pieces] if not edges[pieces[0]] & BEGINS else []


@st.composite
def rows(draw: st.DrawFn, edges: bytes) -> list[Row]:
    found = []
    for ids in draw(SENTENCES):
        needs = []
        for _ in range(draw(st.integers(0, 2))):
            pieces = draw(st.lists(PIECES, min_size=1, max_size=3))
            others = draw(st.lists(st.lists(PIECES, min_size=1, max_size=3), max_size=2))
            if decided(pieces, edges):
                spellings = {tuple(pieces): ANYWHERE, **{tuple(one): JOINED for one in others if one != pieces}}
                needs.append(Need(draw(st.integers(1, 2)), tuple(spellings.items())))
        found.append(Row(ids or [4], needs=tuple(needs)))
    return found


def divides(before: int, after: int, edges: bytes) -> bool:
    return not (edges[before] & ENDS and edges[after] & BEGINS)


def held(ids: Sequence[int], need: Need, edges: bytes) -> int:
    """Count the places where a spelling of `need` ends in `ids` as a word."""
    ends = set()
    for pieces, _ in need.spellings:
        for start in range(len(ids) - len(pieces) + 1):
            end = start + len(pieces)
            begins = start == 0 or divides(ids[start - 1], ids[start], edges)
            if (
                tuple(ids[start:end]) == pieces
                and begins
                and (end == len(ids) or divides(ids[end - 1], ids[end], edges))
            ):
                ends.add(end)
    return len(ends)


def run(model: object, of: Sequence[Row], edges: bytes, n_best: int = 1, **settings: float) -> list[list[Hypothesis]]:
    decoding = DecodingConfig.model_validate({"max_extra_length": 14, **settings})
    return searching.search([model], of, Request(decoding, n_best, edges=edges))  # type: ignore[list-item]


@few
@given(st.data(), SEEDS, EDGES, ALPHAS, st.integers(1, 6))
def test_every_hypothesis_holds_the_terms_and_has_the_score_of_the_model(
    data: st.DataObject, seed: int, edges: bytes, alpha: float, beam: int
) -> None:
    model, of = make_model(seed), data.draw(rows(edges))
    n_best = data.draw(st.integers(1, beam))
    results = run(model, of, edges, n_best, beam_size=beam, length_penalty=alpha)
    for row, hypotheses in zip(of, results, strict=True):
        room = row.limit(DecodingConfig(max_extra_length=14), 16) - 1
        if sum(need.count * need.room for need in row.needs) > room:
            continue
        assert hypotheses
        assert len({tuple(one.ids) for one in hypotheses}) == len(hypotheses)
        for one in hypotheses:
            assert all(held(one.ids, need, edges) >= need.count for need in row.needs)
        scores = forced_scores(model, row.ids, [one.ids for one in hypotheses], alpha)
        assert [one.score for one in hypotheses] == pytest.approx(scores, abs=1e-5)
        assert all(first.score >= second.score for first, second in pairwise(hypotheses))


@few
@given(st.data(), SEEDS, EDGES, st.integers(1, 5))
def test_a_row_with_terms_does_not_depend_on_its_batch(data: st.DataObject, seed: int, edges: bytes, beam: int) -> None:
    model, of = make_model(seed), data.draw(rows(edges))
    together = run(model, of, edges, beam_size=beam)
    alone = [run(model, [row], edges, beam_size=beam)[0] for row in of]
    assert [[one.ids for one in found] for found in together] == [[one.ids for one in found] for found in alone]


@pytest.mark.parametrize("beam", [1, 4])
@pytest.mark.parametrize("seed", range(6))
def test_a_finished_row_that_waits_in_a_large_batch_stays_as_it_is(beam: int, seed: int) -> None:
    model, need = make_model(seed, end_bias=1.0), Need(1, (((6, 7), ANYWHERE),))
    of = [Row([4 + first, 4 + second], needs=(need,)) for first in range(7) for second in range(7)]
    together = run(model, of, bytes(V), beam_size=beam, length_penalty=1.0)
    alone = [run(model, [row], bytes(V), beam_size=beam, length_penalty=1.0)[0] for row in of]
    assert [[one.ids for one in found] for found in together] == [[one.ids for one in found] for found in alone]


def count(steps: list[int], histories: torch.Tensor, *_: object) -> None:
    steps.append(histories.size(-1))


def test_greedy_search_ends_with_its_first_hypothesis_that_holds_all_terms() -> None:
    row, waited = Row([4, 5], needs=(Need(1, (((6, 7), ANYWHERE),)),)), {1: 0, 3: 0}
    for seed, beam in product(range(20), waited):
        steps: list[int] = []
        request = Request(DecodingConfig(beam_size=beam, max_extra_length=14, length_penalty=2.0), 1, edges=bytes(V))
        model = make_model(seed)
        ((found,),) = searching.search([model], [row], request, partial(count, steps))
        waited[beam] += len(steps) - len(found.ids) - 1
    assert waited[1] == 0 < waited[3]


@few
@given(SEEDS, SENTENCES, st.integers(1, 5), ALPHAS)
def test_rows_without_terms_are_translated_as_ever_beside_others(
    seed: int, sentences: list[list[int]], beam: int, alpha: float
) -> None:
    model, edges, free = make_model(seed), bytes(V), [Row(ids or [4]) for ids in sentences]
    bound = Row([5], needs=(Need(1, (((6, 7), ANYWHERE),)),))
    found = run(model, [bound, *free], edges, beam_size=beam, length_penalty=alpha)[1:]
    assert found == run(model, free, edges, beam_size=beam, length_penalty=alpha)


@few
@given(SEEDS, st.integers(0, 3))
def test_terms_outweigh_the_ban_on_repetition_and_stand_in_the_least_room(seed: int, extra: int) -> None:
    needs = (Need(2, (((6, 7), ANYWHERE),)), Need(1, (((8,), ANYWHERE),)))
    (row,) = [Row([4, 5], needs=needs)]
    (found,) = run(make_model(seed), [row], bytes(V), beam_size=2, no_repeat_ngram=1, max_extra_length=3 + extra)
    assert all(held(one.ids, need, bytes(V)) >= need.count for need in needs for one in found)
    assert found
    assert all(len(one.ids) <= 5 + extra for one in found)


@few
@given(SEEDS, st.integers(1, 4))
def test_a_prefix_is_kept_and_its_terms_count(seed: int, beam: int) -> None:
    need = Need(1, (((6, 7), ANYWHERE),))
    rows = [Row([4], [6, 7], needs=(need,)), Row([4], [9], needs=(need,))]
    (first, *_), (second, *_) = run(make_model(seed, end_bias=9.0), rows, bytes(V), beam_size=beam)
    assert first.ids[:2] == [6, 7]
    assert held(first.ids, need, bytes(V)) == 1
    assert second.ids[0] == 9
    assert held(second.ids, need, bytes(V)) == 1


@few
@given(SEEDS, st.integers(1, 4), st.lists(st.lists(PIECES, min_size=1, max_size=2), min_size=1, max_size=3), EDGES)
def test_no_hypothesis_holds_a_phrase_to_avoid(seed: int, beam: int, phrases: list[list[int]], edges: bytes) -> None:
    avoided = tuple(map(tuple, phrases))
    for found in run(make_model(seed), [Row([4, 5], avoided=avoided), Row([6])], edges, beam_size=beam)[:1]:
        for phrase, one in product(avoided, found):
            ids = [BOS_ID, *one.ids]
            starts = [at for at in range(1, len(ids)) if tuple(ids[at : at + len(phrase)]) == phrase]
            assert not any(divides(ids[at - 1], ids[at], edges) for at in starts)


def test_a_spelling_is_put_only_where_its_place_is() -> None:
    edges = bytes([0, 0, 0, 0, *[0] * 5, JOINS, 0, 0])
    for place in (JOINED, NOWHERE):
        need = Need(1, (((6,), ANYWHERE), ((10, 11), place)))
        for seed in range(20):
            (found,) = run(make_model(seed, sharpness=0.1), [Row([4], needs=(need,))], edges, beam_size=4)
            assert held(found[0].ids, need, edges) >= 1


@pytest.mark.parametrize("architecture", ["decoder-only", "prefix-lm"])
@pytest.mark.parametrize("beam", [1, 4])
def test_models_of_one_sequence_hold_terms_alone_and_in_a_batch(architecture: str, beam: int) -> None:
    torch.manual_seed(1)
    shape = {"d_model": 8, "heads": 2, "ffn": 12, "decoder_layers": 2, "max_length": 40, "tied_embeddings": "all"}
    model = build(ModelConfig.model_validate({**shape, "architecture": architecture}), V, V).double().eval()
    phrase, word, clause = (Need(count, ((ids, ANYWHERE),)) for count, ids in ((1, (6, 7)), (2, (8,)), (1, (9, 4, 5))))
    of = [Row([4, 5, 6], needs=(phrase, word)), Row([7]), Row([9] * 7, needs=(clause,))]
    found = run(model, of, bytes(V), beam_size=beam)
    assert all(
        held(one.ids, need, bytes(V)) >= need.count
        for row, (one, *_) in zip(of, found, strict=True)
        for need in row.needs
    )
    alone = [run(model, [row], bytes(V), beam_size=beam)[0] for row in of]
    assert [[one.ids for one in each] for each in found] == [[one.ids for one in each] for each in alone]

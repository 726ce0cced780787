"""The trace of a search says what the search did, and the search does the same with it."""

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from table_model import TEMPTING, A, B, C, Table

from nmt.config.decoding import DecodingConfig, SamplingConfig
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID
from nmt.inference.protocol import Request, Row
from nmt.inference.search import search
from nmt.inference.trace import Extension, Tracer

MODEL: Any = Table({**TEMPTING, C: {C: 0.9, EOS_ID: 0.1}})


def request(n_best: int = 1, sampling: SamplingConfig | None = None, **decoding: float) -> Request:
    settings = DecodingConfig.model_validate({"length_penalty": 0.0, "max_extra_length": 3, **decoding})
    return Request(settings, n_best, sampling)


def traced(rows: list[Row], wanted: Request, model: Any = MODEL) -> tuple[list[list[list[Extension]]], Any]:
    """Return the steps of each row, and what the search found, which is the same without an observer."""
    tracer = Tracer()
    found = search([model], rows, wanted, tracer)
    assert found == search([model], rows, wanted)
    return [tracer.steps[index] for index in range(len(rows))], found


def brief(step: list[Extension]) -> list[tuple[list[int], str, float]]:
    return [(one.ids, one.fate, round(math.exp(one.total), 4)) for one in step]


def test_every_candidate_of_a_beam_has_its_fate() -> None:
    ((first, second, *_),), _ = traced([Row([A])], request(beam_size=2))
    assert brief(first)[:2] == [([A], "kept", 0.6), ([B], "kept", 0.4)]
    assert [one.fate for one in first[2:]] == ["dropped", "dropped"]
    assert brief(second)[:2] == [([B, EOS_ID], "finished", 0.36), ([A, EOS_ID], "finished", 0.24)]
    assert sorted(brief(second)[2:]) == [([A, A], "kept", 0.18), ([A, B], "kept", 0.18)]
    assert [round(math.exp(one.log_prob), 4) for one in second] == [0.9, 0.4, 0.3, 0.3]
    assert [one.score == one.total for one in second] == [True, True, False, False]


def test_an_end_outside_the_beam_or_worse_than_those_that_are_finished_is_dropped() -> None:
    table: Any = Table({BOS_ID: {A: 0.5, B: 0.3, EOS_ID: 0.2}, A: {EOS_ID: 0.9, A: 0.1}, B: {EOS_ID: 0.6, B: 0.4}})
    (steps,), _ = traced([Row([A])], request(beam_size=2, n_best=2), table)
    ends = {tuple(one.ids): one.fate for step in steps for one in step if one.ids[-1] == EOS_ID}
    assert ends[(EOS_ID,)] == "dropped"  # the third of two
    assert (ends[(A, EOS_ID)], ends[(B, EOS_ID)]) == ("finished", "finished")
    assert all(one.score is None for step in steps for one in step if one.fate != "finished")


@pytest.mark.parametrize("beam_size", [1, 2, 3, 9])
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_what_is_kept_is_what_the_next_step_extends_and_the_best_that_finished_is_the_result(
    beam_size: int, alpha: float
) -> None:
    rows = [Row([A], [C]), Row([A]), Row([A, A], [C])]
    traces, found = traced(rows, request(beam_size=beam_size, length_penalty=alpha))
    for steps, (best, *_) in zip(traces, found, strict=True):
        assert [len(one.ids) for step in steps for one in step] == [n for n, step in enumerate(steps, 1) for _ in step]
        for step, following in pairwise(steps):
            kept = {tuple(one.ids): one.total for one in step if one.fate == "kept"}
            assert len(kept) <= beam_size
            assert {tuple(one.ids[:-1]) for one in following} <= kept.keys()
            for one in following:
                assert one.total == pytest.approx(kept[tuple(one.ids[:-1])] + one.log_prob, abs=1e-6)
        finished = {tuple(one.ids): one.score for step in steps for one in step if one.fate == "finished"}
        assert max(score for score in finished.values() if score is not None) == pytest.approx(best.score)
        assert finished[(*best.ids, EOS_ID)] == pytest.approx(best.score)
        assert all(one.total > -math.inf for step in steps for one in step)


def test_samples_are_traced_each_until_it_ends() -> None:
    (steps,), (found,) = traced([Row([A])], request(n_best=4, sampling=SamplingConfig(seed=3)))
    finished = [tuple(one.ids) for step in steps for one in step if one.fate == "finished"]
    assert sorted(set(finished)) == sorted({(*one.ids, EOS_ID) for one in found})
    assert all(EOS_ID not in one.ids[:-1] for step in steps for one in step)


def test_the_trace_is_in_python_numbers_and_holds_no_tensor() -> None:
    (steps,), _ = traced([Row([A])], request(beam_size=2))
    for one in steps[0]:
        assert not any(isinstance(value, torch.Tensor) for value in vars(one).values())

"""What CTranslate2 is asked for, by kind of model."""

from types import SimpleNamespace
from typing import Any

import pytest

from nmt.config.decoding import DecodingConfig
from nmt.data.encoding.tokenizer import BOS_ID, EOS_ID
from nmt.errors import UsageError
from nmt.inference.engines.ctranslate2_models import PATIENCE, Decoder, EncoderDecoder, Settings
from nmt.inference.protocol import Row

PIECES = [f"p{index}" for index in range(20)]
BEGIN = [PIECES[EOS_ID], PIECES[BOS_ID]]


class Recorder:
    """Stands for a `Generator` or a `Translator`: keeps the calls, and answers each row with its last piece."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[list[str]], dict[str, Any]]] = []

    def generate_batch(self, rows: list[list[str]], *others: object, **options: Any) -> list[Any]:
        self.calls.append((rows, {**options, "prefixes": [*others]}))
        found = [[row[-1], "end"] for row in rows]
        answers = [SimpleNamespace(sequences=[each], hypotheses=[each], scores=[-1.0]) for each in found]
        return [SimpleNamespace(result=lambda answer=answer: answer) for answer in answers]

    translate_batch = generate_batch

    def score_batch(self, rows: list[list[str]], *_: object, **options: Any) -> list[Any]:
        self.calls.append((rows, options))
        answers = [SimpleNamespace(log_probs=[float(at) for at in range(len(row) - 1)]) for row in rows]
        return [SimpleNamespace(result=lambda answer=answer: answer) for answer in answers]


def settings(limits: list[int], *, quick: bool = True, banned: list[str] | None = None, **decoding: int) -> Settings:
    return Settings(limits, DecodingConfig.model_validate(decoding), quick, banned or [])


def decoder() -> tuple[Decoder, Recorder]:
    recorder: Any = Recorder()
    return Decoder(recorder, PIECES, PIECES), recorder


def test_rows_of_one_length_are_one_call_and_come_back_in_order() -> None:
    model, recorder = decoder()
    rows = [Row([4, 5]), Row([6]), Row([7, 8]), Row([9, 10], [11])]
    found = model.search(rows, settings([9, 5, 9, 9], min_length=3))()
    assert [prompts for prompts, _ in recorder.calls] == [
        [["p4", "p5", *BEGIN], ["p7", "p8", *BEGIN]],
        [["p6", *BEGIN]],
        [["p9", "p10", *BEGIN, "p11"]],
    ]
    assert [(call["max_length"], call["min_length"]) for _, call in recorder.calls] == [(8, 3), (4, 3), (7, 2)]
    assert not any(call["include_prompt_in_result"] for _, call in recorder.calls)
    assert [pieces for ((pieces, _),) in found] == [[BEGIN[1], "end"]] * 3 + [["p11", "p11", "end"]]


def test_rows_of_one_length_and_other_limits_are_apart() -> None:
    model, recorder = decoder()
    model.search([Row([4, 5]), Row([6, 7])], settings([9, 8]))()
    assert [call["max_length"] for _, call in recorder.calls] == [8, 7]


def test_a_prefix_that_fills_the_limit_is_all_there_is() -> None:
    model, recorder = decoder()
    assert model.search([Row([4], [5, 6])], settings([3]))() == [[(["p5", "p6"], 0.0)]]
    assert not recorder.calls


def test_the_scores_are_those_of_the_target() -> None:
    model, recorder = decoder()
    assert model.score([([4, 5], [6]), ([7], [])])() == [[3.0, 4.0], [2.0]]
    end = PIECES[EOS_ID]
    assert recorder.calls[0][0] == [["p4", "p5", *BEGIN, "p6", end], ["p7", *BEGIN, end]]
    assert recorder.calls[0][1]["max_input_length"] == 0


def test_the_n_grams_of_a_prefix_are_refused_in_a_decoder_alone() -> None:
    model, recorder = decoder()
    with pytest.raises(UsageError) as caught:
        model.search([Row([4], [5])], settings([9], no_repeat_ngram=2))
    assert str(caught.value) == (
        "in a decoder alone CTranslate2 does not see the n-grams of a prefix "
        "(leave out no_repeat_ngram, or the engine ctranslate2)"
    )
    assert not recorder.calls
    model.search([Row([4])], settings([9], no_repeat_ngram=2))
    assert recorder.calls[0][1]["no_repeat_ngram_size"] == 2


def test_an_encoder_and_a_decoder_take_the_largest_limit_for_all() -> None:
    recorder: Any = Recorder()
    model = EncoderDecoder(recorder, PIECES, [*PIECES[::-1]])
    model.search([Row([4]), Row([5], [6])], settings([9, 4], min_length=12))()
    ((rows, call),) = recorder.calls
    assert (rows, call["prefixes"]) == ([["p4"], ["p5"]], [[[], ["p13"]]])
    assert (call["max_decoding_length"], call["min_decoding_length"], call["max_input_length"]) == (8, 8, 0)
    model.search([Row([4])], settings([9]))()
    assert recorder.calls[1][1]["prefixes"] == [None]


def test_a_search_that_is_not_quick_waits_for_more_hypotheses() -> None:
    quick, whole = settings([9], beam_size=5).options(), settings([9], quick=False, beam_size=5, banned=["x"]).options()
    assert (quick["patience"], quick["num_hypotheses"], quick["suppress_sequences"]) == (1, 1, None)
    assert (whole["patience"], whole["num_hypotheses"]) == (PATIENCE, 5 * PATIENCE)
    assert whole["suppress_sequences"] == [["x"]]

"""Minimum Bayes risk: sacreBLEU's chrF of all pairs at once, and the hypothesis most like all others."""

import random
from pathlib import Path

import numpy as np
import pytest
from sacrebleu import CHRF

from nmt.config.decoding import DecodingConfig, SamplingConfig
from nmt.config.inference import Options
from nmt.errors import UsageError
from nmt.inference.mbr import choose, expected_utilities, pairwise_chrf, request_of
from nmt.inference.protocol import Hypothesis
from nmt.inference.translator import Translator
from nmt.tasks.grammar import generate

ODD = [
    "",
    "a",
    "ab",
    " a\u00a0 b ",
    "aaaaaaaa",
    "ein Hund schl\u00e4ft.",
    "\u72d7\u72d7\u72d7 \U0001f986",
    "e\u0301 \u0065",
]


def drawn(count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices("ab cd", k=rng.randrange(12))) for _ in range(count)]


@pytest.mark.parametrize("texts", [ODD, drawn(20, 1), [target for _, target in generate("test", 12, 3)], ["x"], [""]])
def test_chrf_of_all_pairs_is_that_of_sacrebleu(texts: list[str]) -> None:
    metric = CHRF()
    expected = [[metric.sentence_score(text, [reference]).score for reference in texts] for text in texts]
    assert np.allclose(pairwise_chrf(texts), expected, rtol=0, atol=1e-9)


def test_a_text_that_was_drawn_twice_counts_twice() -> None:
    texts = ["ein Hund", "eine Katze", "ein Hund", "der Hund"]
    assert expected_utilities(texts) == pytest.approx(pairwise_chrf(texts).mean(1))
    assert expected_utilities(texts)[0] == expected_utilities(texts)[2]


def test_what_is_most_like_all_others_comes_first_and_each_text_once(tiny_model: Path) -> None:
    tokenizer = Translator.load(tiny_model, device="cpu").tokenizer.target
    texts = ["ein Hund", "der Hund schläft", "der Hund", "der Hund", "der Hund", "Katzen"]
    hypotheses = [Hypothesis(ids, -float(number)) for number, ids in enumerate(tokenizer.encode(texts))]
    utilities = expected_utilities(texts)
    best = sorted(set(texts), key=lambda text: -utilities[texts.index(text)])
    assert best[0] == "der Hund"
    assert choose(hypotheses, tokenizer, 9) == [hypotheses[texts.index(text)] for text in best]
    assert choose(hypotheses, tokenizer, 2) == [hypotheses[texts.index(text)] for text in best[:2]]
    equal = [Hypothesis(ids, 0.0) for ids in tokenizer.encode(["abc", "xyz"])]
    assert choose(equal, tokenizer, 1) == equal[:1], "of equals the first"


def test_the_search_gives_the_hypotheses_to_choose_among() -> None:
    plain = request_of(DecodingConfig(), Options(n_best=3), None)
    assert (plain.n_best, plain.sampling) == (3, None)
    drawn = request_of(DecodingConfig(mbr=32, mbr_temperature=0.5), Options(n_best=3), None)
    assert (drawn.n_best, drawn.sampling) == (32, SamplingConfig(temperature=0.5))
    own = SamplingConfig(top_k=5, seed=9)
    assert request_of(DecodingConfig(mbr=8, mbr_from="n_best"), Options(sampling=own), None).sampling == own
    best = request_of(DecodingConfig(mbr=4, mbr_from="n_best"), Options(), None)
    assert (best.n_best, best.sampling) == (4, None)
    assert request_of(DecodingConfig(beam_size=2), Options(n_best=9, sampling=own), None).n_best == 9


@pytest.mark.parametrize(
    ("decoding", "count", "message"),
    [
        ({}, 5, "n_best = 5 must be 1 to the beam size, 4"),
        ({}, 0, "n_best = 0 must be 1 to the beam size, 4"),
        ({"mbr": 8}, 9, "n_best = 9 must be 1 to those of mbr, 8"),
        (
            {"mbr": 8, "mbr_from": "n_best"},
            1,
            "mbr of the 8 best needs a beam of as many, not 4 (raise beam_size, or take mbr_from = sampling)",
        ),
    ],
)
def test_more_than_there_will_be_is_refused(decoding: dict[str, object], count: int, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        request_of(DecodingConfig.model_validate(decoding), Options(n_best=count), None)
    assert str(caught.value) == message

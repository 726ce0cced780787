"""A line is translated in any company as alone: batches, order, chunks, threads."""

import gzip
import os
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from precisions import precisions

from nmt.config.decoding import InferencePrecision
from nmt.config.inference import Options
from nmt.inference.report import Report
from nmt.inference.results import Translation
from nmt.inference.translator import Translator
from nmt.tasks.grammar import generate

TIE = 1e-5
"""Two hypotheses whose scores differ by less are tied: which one wins is up to the last bits of a matrix product."""


@pytest.fixture(scope="module")
def loaded(tiny_model: Path) -> Translator:
    return Translator.load(tiny_model, device="cpu")


@pytest.fixture
def translator(loaded: Translator) -> Translator:
    """Return the tiny model with an empty report."""
    loaded.report = Report()
    return loaded


@pytest.fixture(scope="module")
def lines() -> list[str]:
    return [source for source, _ in generate("test", 30, 3)]


def real_lines(path: Path, count: int) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().split("\n")[:count]


def ties(first: Sequence[Translation], second: Sequence[Translation]) -> int:
    """Count the lines whose translations differ by a tie; fail where they differ by more."""
    assert len(first) == len(second)
    count = 0
    for one, other in zip(first, second, strict=True):
        # The sum of many log-probabilities has the rounding of its size.
        assert one.score == pytest.approx(other.score, abs=TIE, rel=1e-6), (one, other)
        count += one.text != other.text
    return count


def alone(translator: Translator, lines: Sequence[str]) -> list[Translation]:
    return [translator.translate([line])[0] for line in lines]


@pytest.fixture(scope="module")
def single(loaded: Translator, lines: list[str]) -> list[Translation]:
    """Translate each line by itself."""
    return alone(loaded, lines)


@pytest.mark.parametrize("batch_tokens", [100, 777, 10**6])
def test_a_line_is_translated_alone_as_in_batches_of_any_size(
    tiny_model: Path, single: list[Translation], lines: list[str], batch_tokens: int
) -> None:
    together = Translator.load(tiny_model, device="cpu", decoding={"batch_tokens": batch_tokens})
    found = together.translate(lines)
    assert len({translation.text for translation in found}) > len(lines) / 4, "the model says the same to everything"
    assert ties(single, found) <= 1


@pytest.mark.parametrize("beam_size", [1, 7])
def test_a_line_is_translated_alone_as_in_a_batch_by_beams_of_any_width(
    tiny_model: Path, lines: list[str], beam_size: int
) -> None:
    translator = Translator.load(tiny_model, device="cpu", decoding={"beam_size": beam_size})
    some = lines[::3]
    assert ties(alone(translator, some), translator.translate(some)) <= 1


def test_the_order_of_the_lines_changes_nothing(
    translator: Translator, single: list[Translation], lines: list[str]
) -> None:
    order = random.Random(1).sample(range(len(lines)), len(lines))
    shuffled = translator.translate([lines[index] for index in order])
    assert ties([single[index] for index in order], shuffled) <= 1


def test_a_stream_gives_what_single_calls_give(
    translator: Translator, single: list[Translation], lines: list[str]
) -> None:
    assert ties(single, list(translator.stream(lines))) <= 1


def test_the_n_best_of_a_line_are_the_same_alone_and_in_a_batch(translator: Translator, lines: list[str]) -> None:
    some = lines[::4]
    for one, line in zip(translator.translate(some, Options(n_best=3)), some, strict=True):
        (other,) = translator.translate([line], Options(n_best=3))
        scores = [candidate.score for candidate in one.candidates]
        assert scores == pytest.approx([candidate.score for candidate in other.candidates], abs=TIE)
        assert len(scores) == 3
        assert (one.score, one.text) == (scores[0], one.candidates[0].text)
        assert sorted(scores, reverse=True) == scores


def test_real_lines_are_translated_alone_as_in_batches(tiny_model: Path, translator: Translator, data: Path) -> None:
    found = real_lines(data / "multi30k" / "test_2016_flickr.en.gz", 60)
    together = Translator.load(tiny_model, device="cpu", decoding={"batch_tokens": 600})
    assert ties(alone(translator, found), together.translate(found)) <= 1


@pytest.mark.slow
@precisions
def test_a_thousand_real_lines_are_translated_by_a_real_model_alone_as_in_any_batch_order_and_number_of_threads(
    data: Path, precision: InferencePrecision
) -> None:
    if "NMT_TEST_MODEL" not in os.environ:
        pytest.skip("needs a trained model: set NMT_TEST_MODEL to its folder")
    found = real_lines(data / "multi30k" / "test_2016_flickr.en.gz", 1000)
    translator = Translator.load(os.environ["NMT_TEST_MODEL"], device="cpu", precision=precision)
    expected = alone(translator, found)
    again = {}
    for tokens in (64, 500, 4096, 10**6):
        translator.decoding = translator.decoding.model_copy(update={"batch_tokens": tokens})
        again[f"batches of {tokens} tokens"] = translator.translate(found)
    again["chunks"] = list(translator.stream(found))
    order = random.Random(1).sample(range(1000), 1000)
    shuffled = translator.translate([found[index] for index in order])
    again["another order"] = [shuffled[order.index(index)] for index in range(1000)]
    with threads(2):
        again["two threads"] = translator.translate(found)
    tied = {how: ties(expected, translations) for how, translations in again.items()}
    print(f"{precision}: of 1000 lines differ, all by exact ties: {tied}")
    assert max(tied.values()) <= 5
    if precision == "int8":
        assert all(translations == expected for translations in again.values())


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch use `count` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def test_two_threads_translate_as_one(translator: Translator, single: list[Translation], lines: list[str]) -> None:
    with threads(2):
        assert ties(single[:4], translator.translate(lines[:4])) == 0

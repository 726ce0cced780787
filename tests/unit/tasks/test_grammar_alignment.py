"""The built-in grammar says which of its words translate each other, and the aligner finds nearly all of them."""

import pytest

from nmt.alignment.pharaoh import compare
from nmt.alignment.statistical import Aligner
from nmt.alignment.words import folded_words, spaced_links
from nmt.tasks.grammar import Split, generate, generate_aligned


@pytest.mark.parametrize("split", ["train", "unseen"])
def test_the_aligned_pairs_are_those_of_the_corpus(split: Split) -> None:
    assert [pair for pair, _, _ in generate_aligned(split, 400)] == list(generate(split, 400))


def test_links_are_of_words_and_nearly_every_word_has_one() -> None:
    words = linked = 0
    for (english, german), sure, possible in generate_aligned("train", 500, seed=7):
        sizes = len(english.split(" ")), len(german.split(" "))
        assert sure <= possible
        assert all(0 <= i < sizes[0] and 0 <= j < sizes[1] for i, j in possible)
        words += sum(sizes)
        linked += len({i for i, _ in possible}) + len({j for _, j in possible})
    assert linked > 0.98 * words


@pytest.mark.parametrize(
    ("source", "sure", "possible"),
    [
        ("He looked at my nice baby at 7:40 p.m.", "looked=angesehen. at=um my=mein", "looked=hat at=angesehen."),
        ("A nervous actress did not miss an excursion.", "did=hat not=keinen an=keinen miss=verpasst.", "miss=hat"),
        ("There is a gray ball in the cinema.", "There=Es is=gibt in=im the=im gray=grauen", ""),
        ("David cancels the exam although it is not bad.", "cancels=sagt it=sie not=nicht", "cancels=ab,"),
        ("The egg was too good on September 6 and they fall asleep.", "on=am 6=6. September=September", "fall=ein."),
    ],
)
def test_links_of_some_sentences(source: str, sure: str, possible: str) -> None:
    aligned = (each for each in generate_aligned("unseen", 201) if each[0][0] == source)
    (english, german), found, more = next(aligned)
    words = english.split(" "), german.split(" ")
    assert {f"{words[0][i]}={words[1][j]}" for i, j in found} >= set(sure.split())
    assert {f"{words[0][i]}={words[1][j]}" for i, j in more - found} >= set(possible.split())


def test_the_statistical_aligner_finds_the_links_of_the_grammar() -> None:
    pairs = list(generate_aligned("train", 1500))
    lines = [pair for pair, _, _ in pairs]
    english, german = ([folded_words(pair[side]) for pair in lines] for side in range(2))
    found = Aligner(english, german).align(english, german)
    agreement = compare(
        (spaced_links(links, *pair), sure, possible) for links, (pair, sure, possible) in zip(found, pairs, strict=True)
    )
    assert agreement.error_rate < 0.05
    assert agreement.precision > 0.97

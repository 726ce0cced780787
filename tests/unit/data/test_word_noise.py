"""Noise in the words of a line: shares, distances, and what it depends on."""

import pytest

from nmt.config.synthetic import WordNoiseConfig
from nmt.data.word_noise import with_noise

LINES = [" ".join(f"w{line}.{word}" for word in range(20)) for line in range(200)]
NONE = {"drop": 0.0, "blank": 0.0, "shuffle": 0}


def noised(**config: float) -> list[list[str]]:
    return [with_noise(line, WordNoiseConfig.model_validate({**NONE, **config})).split(" ") for line in LINES]


def test_without_noise_a_line_has_its_words_with_single_spaces() -> None:
    assert noised() == [line.split() for line in LINES]
    assert with_noise(" a \t b", WordNoiseConfig.model_validate(NONE)) == "a b"


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_a_share_of_the_words_is_dropped_and_the_rest_keep_their_order(rate: float) -> None:
    found = noised(drop=rate)
    assert sum(map(len, found)) == pytest.approx(4000 * (1 - rate), rel=0.05)
    for line, words in zip(LINES, found, strict=True):
        assert words == [word for word in line.split() if word in words]


def test_a_share_of_the_words_becomes_the_symbol_in_their_place() -> None:
    found = noised(blank=0.1)
    assert sum(words.count("<blank>") for words in found) == pytest.approx(400, rel=0.15)
    for line, words in zip(LINES, found, strict=True):
        assert all(word in ("<blank>", own) for word, own in zip(words, line.split(), strict=True))
    assert with_noise("a", WordNoiseConfig(drop=0.0, blank=0.999999, symbol="_")) == "_"


@pytest.mark.parametrize("shuffle", [1, 3])
def test_words_move_by_at_most_the_distance(shuffle: int) -> None:
    distances = [
        abs(line.split().index(word) - place)
        for line, words in zip(LINES, noised(shuffle=shuffle), strict=True)
        for place, word in enumerate(words)
    ]
    assert max(distances) == shuffle
    assert 0 < sum(map(bool, distances)) < len(distances)


def test_the_noise_depends_on_line_and_seed_alone_and_one_word_stays() -> None:
    config = WordNoiseConfig()
    assert with_noise(LINES[0], config) == with_noise(LINES[0], config) != LINES[0]
    assert with_noise(LINES[0], config) != with_noise(LINES[0], WordNoiseConfig(seed=2))
    assert with_noise("one two", WordNoiseConfig(drop=0.999999, blank=0.0)) == "one"

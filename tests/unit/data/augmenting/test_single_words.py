"""Single words from the dictionary."""

import random
from collections import Counter

from nmt.alignment.corpus_alignment import Translation
from nmt.data.augmenting.aligned_pair import AlignedPair
from nmt.data.augmenting.single_words import WordPicker

PICKER = WordPicker(
    [
        Translation("the", "die", 0.3, 10_000),
        Translation("house", "Haus", 0.9, 100),
        Translation("stands", "steht", 0.29, 50),
        Translation("rare", "selten", 0.9, 5),
    ]
)


def test_a_word_has_its_translation_in_the_dictionary_and_rare_ones_are_picked_more_often() -> None:
    aligned = AlignedPair(("the house stands", "das Haus steht"))
    picked = Counter(PICKER.pick(aligned, random.Random(seed)) for seed in range(1100))
    assert set(picked) == {("the", "die"), ("house", "Haus")}
    assert 50 < picked["the", "die"] < 150


def test_a_source_without_a_sure_word_makes_no_pair() -> None:
    assert PICKER.pick(AlignedPair(("it stands", "es steht")), random.Random(1)) is None
    assert PICKER.pick(AlignedPair(("The", "Die")), random.Random(1)) is None

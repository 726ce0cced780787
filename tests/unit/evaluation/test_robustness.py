"""Sources that are written otherwise, and the scores of their translations."""

from collections.abc import Sequence

import pytest

from nmt.data.augmenting.final_marks import without_final_mark
from nmt.evaluation.analysis import Texts
from nmt.evaluation.metrics import score
from nmt.evaluation.robustness import (
    Robustness,
    compare_writings,
    judge_words,
    single_words,
    with_typos,
)

LATIN = frozenset({"LATIN"})


LINE = "several children walk towards another playground"


def test_a_tenth_of_the_long_words_have_typing_errors_and_the_same_ones_each_time() -> None:
    typed = with_typos(LINE)
    assert (typed, typed == LINE) == (with_typos(LINE), False)
    assert len({with_typos(LINE, seed) for seed in range(20)}) > 10
    for seed in range(200):
        words = with_typos(LINE, seed).split()
        wrong = [(new, old) for new, old in zip(words, LINE.split(), strict=True) if new != old]
        assert len(wrong) <= 1
        for new, old in wrong:
            assert new[0] == old[0]
            assert abs(len(new) - len(old)) <= 1
    long = " ".join([LINE] * 5)
    changed = sum(new != old for new, old in zip(with_typos(long).split(), long.split(), strict=True))
    assert 1 <= changed <= 3


def test_there_are_four_kinds_of_typing_errors_and_short_words_have_none() -> None:
    found = {with_typos("abcd", seed) for seed in range(200)}
    assert {"acbd", "abbcd", "acd", "abd", "aacd"} <= found
    assert not found & {"bacd", "bcd"}
    assert with_typos("a dog is 12345 at") == "a dog is 12345 at"
    assert with_typos("") == ""


def test_single_words_are_those_of_the_sources_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    assert single_words(["A dog, a cat", "a 5th dog: 17"]) == ["A", "dog", "a", "cat", "5th"]
    monkeypatch.setattr("nmt.evaluation.robustness.MOST_WORDS", 2)
    assert single_words(["A dog, a cat"]) == ["A", "dog"]


def test_translations_of_words_are_judged() -> None:
    words = ["dog", "cat", "cow", "Oslo", "pig", "hen"]
    hypotheses = ["ein Hund ist da", "", "muh muh muh", "Oslo", "\u0441", "eine Henne"]
    found = judge_words(words, hypotheses, LATIN)
    assert found == {
        "words": 6, "long": 1, "over_long": None, "flaws": {"copied": 1, "empty": 1, "repeated": 1, "wrong_script": 1},
    }  # fmt: skip


def test_words_are_over_long_from_three_times_their_pieces_on() -> None:
    def count(sources: Sequence[str], translations: Sequence[str]) -> list[tuple[int, int]]:
        return [(len(source), len(text)) for source, text in zip(sources, translations, strict=True)]

    found = judge_words(["ab", "ab", "a"], ["cccccc", "ccccccc", "cccc"], LATIN, count)
    assert found["over_long"] == 2


SOURCES = ["See the small dog now.", "the old cat sleeps here!"]
REFERENCES = [["sieh den kleinen Hund jetzt.", "die alte Katze schl\u00e4ft hier!"]]


class Echo:
    """Translates a source that is written as the test set has it; others are left as they are."""

    def __init__(self) -> None:
        self.asked: dict[str, Sequence[str]] = {}

    def __call__(self, name: str, sources: Sequence[str]) -> list[str]:
        self.asked[name] = sources
        known = dict(zip([*map(without_final_mark, SOURCES)], REFERENCES[0], strict=True))
        return [known.get(source, source) for source in sources]


def compared(texts: Texts, translate: Echo, *, lowercase: bool = False) -> Robustness:
    return compare_writings(texts, translate, tokenize="13a", lowercase=lowercase, chrf_word_order=0)


def test_each_way_of_writing_is_scored_beside_the_plain_one() -> None:
    echo, plain = Echo(), [REFERENCES[0][0].upper(), REFERENCES[0][1]]
    found = compared(Texts(SOURCES, plain, REFERENCES, ("en", "de")), echo)
    assert echo.asked["capitals"] == [source.upper() for source in SOURCES]
    assert echo.asked["title case"][0] == "See The Small Dog Now."
    assert echo.asked["typos"] == [with_typos(source) for source in SOURCES]
    assert echo.asked["no final mark"] == ["See the small dog now", "the old cat sleeps here"]
    assert list(echo.asked)[5:] == ["single words"]
    capitals, _, _, typos, final = found["variants"]
    assert [variant["changed"] for variant in found["variants"]] == [2, 2, 1, 2, 2]
    assert round(capitals["plain"]["bleu"]["score"], 9) == 100
    assert "case:lc" in capitals["scores"]["bleu"]["signature"].split("|")
    assert capitals["scores"] == score(
        echo.asked["capitals"], REFERENCES, lowercase=True, metrics=("bleu", "chrf")
    )  # fmt: skip
    assert typos["plain"] == score(plain, REFERENCES, metrics=("bleu", "chrf"))
    assert "case:mixed" in typos["scores"]["chrf"]["signature"].split("|")
    # Without their marks, hypotheses and references are equal.
    assert round(final["scores"]["bleu"]["score"], 9) == 100
    assert final["plain"]["bleu"]["score"] < 100
    assert found["single_words"]["words"] == 9
    assert found["single_words"]["flaws"]["copied"] == 9


def test_capitals_are_those_of_the_languages_and_compared_as_such() -> None:
    asked: dict[str, Sequence[str]] = {}

    def translate(name: str, sources: Sequence[str]) -> list[str]:
        asked[name] = sources
        return ["DIE STRASSE IST LANG." if name == "capitals" else source for source in sources]

    texts = Texts(["yol iyi"], ["x"], [["die Straße ist lang."]], ("tr", "de"))
    found = compare_writings(texts, translate, tokenize="13a", lowercase=False, chrf_word_order=0)
    assert asked["capitals"] == ["YOL İYİ"]
    assert round(found["variants"][0]["scores"]["chrf"]["score"], 6) == 100


def test_a_way_of_writing_that_changes_nothing_is_left_out() -> None:
    texts = Texts(["\u72d7", "\u732b"], ["a", "b"], [["a", "b"]], ("zh", "en"))
    assert compared(texts, Echo(), lowercase=True)["variants"] == []

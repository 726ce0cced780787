"""Groups of lines, flaws of hypotheses, and brevity."""

import json
import random
from itertools import compress

import pytest
from sacrebleu import BLEU

from nmt.errors import DataError
from nmt.evaluation.analysis import (
    Analysis,
    Flaw,
    FlawName,
    Group,
    Texts,
    analyze,
    bucket,
    buckets,
    count_words,
    find_flaws,
    scripts_in,
    words_in,
)
from nmt.evaluation.checks import count_checks
from nmt.evaluation.metrics import TEXT_METRICS, Statistics, count, score
from nmt.evaluation.survival import count_survivors


def counted(texts: Texts) -> Statistics:
    systems = {"": texts.hypotheses}
    return count(
        systems, texts.references, tokenize="13a", lowercase=False, chrf_word_order=0, metrics=TEXT_METRICS
    )[""]  # fmt: skip


def analysis_of(texts: Texts, training: list[str] | None = None) -> Analysis:
    return analyze(texts, counted(texts), None if training is None else count_words(training))


def sentences(lines: int) -> Texts:
    """Return sources of 0 to 70 words, and hypotheses that differ from their references in some words."""
    rng = random.Random(3)
    words = ["one", "two", "three", "four", "five"]
    sources = [" ".join(rng.choices(words, k=rng.choice([0, 3, 8, 15, 25, 35, 50, 70]))) for _ in range(lines)]
    references = [f"{line} and so on ." for line in sources]
    hypotheses = [" ".join(word for word in line.split() if rng.random() < 0.8) for line in references]
    return Texts(sources, hypotheses, [references], ("en", "en"), {"domain": rng.choices(["news", "chat"], k=lines)})


@pytest.fixture(scope="module")
def texts() -> Texts:
    return sentences(120)


@pytest.fixture(scope="module")
def analysis(texts: Texts) -> Analysis:
    return analysis_of(texts, ["one two two", "Two two three"] + ["three"] * 9 + ["four"] * 200)


def test_groups_divide_the_lines(analysis: Analysis) -> None:
    domain = analysis["by_label"]["domain"]
    for groups in (analysis["by_length"], analysis["by_frequency"], domain):
        assert sum(group["lines"] for group in groups) == analysis["lines"] == 120
    assert [group["name"] for group in analysis["by_length"]] == buckets((1, 6, 11, 21, 31, 41, 61))
    assert domain[0]["lines"] > domain[1]["lines"]


def test_a_group_has_the_score_of_its_lines_alone(texts: Texts, analysis: Analysis) -> None:
    chosen = [label == "chat" for label in texts.labels["domain"]]
    lines = [list(compress(side, chosen)) for side in (texts.hypotheses, texts.references[0])]
    group = next(group for group in analysis["by_label"]["domain"] if group["name"] == "chat")
    assert group["scores"] == score(lines[0], [lines[1]], metrics=("bleu", "chrf"))
    bleu = BLEU().corpus_score(lines[0], [lines[1]])
    assert (group["lines"], group["length_ratio"]) == (len(lines[0]), bleu.ratio)


def test_brevity_is_that_of_sacrebleu(texts: Texts, analysis: Analysis) -> None:
    bleu = BLEU().corpus_score(texts.hypotheses, texts.references)
    brevity = analysis["brevity"]
    assert brevity == {
        "hypotheses": bleu.sys_len, "references": bleu.ref_len, "ratio": bleu.ratio, "penalty": bleu.bp,
    }  # fmt: skip
    assert 0 < brevity["penalty"] < 1
    longer = analysis_of(Texts(["a"], ["a b c"], [["a b"]]))["brevity"]
    assert longer == {"hypotheses": 3, "references": 2, "ratio": 1.5, "penalty": 1.0}
    assert analysis_of(Texts(["a"], [""], [["a b"]]))["brevity"]["penalty"] == 0


def test_every_score_has_its_signature_and_all_of_it_is_json(texts: Texts, analysis: Analysis) -> None:
    assert json.loads(json.dumps(analysis)) == analysis
    assert list(analysis["scores"]) == list(TEXT_METRICS)
    assert analysis["scores"]["chrf++"] == score(texts.hypotheses, texts.references, chrf_word_order=2)["chrf"]
    groups = [*analysis["by_length"], *analysis["by_frequency"], *analysis["by_label"]["domain"]]
    for group in groups:
        assert [found["signature"] for found in group["scores"].values()] == [
            analysis["scores"][name]["signature"] for name in ("bleu", "chrf")
        ]
    found = count_survivors(texts.sources, texts.hypotheses, texts.references, texts.languages)
    assert analysis["survival"] == found
    assert analysis["checks"] == count_checks(texts.sources, texts.hypotheses, texts.references, texts.languages)


def names(groups: list[Group]) -> dict[str, int]:
    return {group["name"]: group["lines"] for group in groups}


def test_the_rarest_word_of_a_source_decides() -> None:
    sources = ["THREE three", "one three", "Two", "four Four", "four six", "1,500 ...", "two 5 three", "five"]
    training = ["one two two two three"] + ["three"] * 9 + ["four"] * 200 + ["five"] * 1000
    texts = Texts(sources, sources, [sources])
    expected = {"0": 1, "1": 1, "2-9": 2, "10-99": 1, "100-999": 1, "1000+": 1, "no words": 1}
    assert names(analysis_of(texts, training)["by_frequency"]) == expected
    assert analysis_of(texts)["by_frequency"] == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Don't stop\u2014it's 9,5 o\u2019clock!", ["Don't", "stop", "it's", "9", "5", "o\u2019clock"]),
        ("\u6211\u8981 C\u8bed\u8a00", ["\u6211", "\u8981", "C", "\u8bed", "\u8a00"]),
        ("\u0939\u093f\u0928\u094d\u0926\u0940 x", ["\u0939\u093f\u0928\u094d\u0926\u0940", "x"]),
        ("", []),
    ],
)
def test_words_are_letters_where_a_script_has_no_spaces(line: str, words: list[str]) -> None:
    assert words_in(line) == words


def test_groups_of_numbers() -> None:
    assert [bucket(number, (1, 6)) for number in (0, 1, 5, 6, 99)] == ["0", "1-5", "1-5", "6+", "6+"]


def test_sides_of_other_lengths_are_refused() -> None:
    texts = Texts(["a", "b"], ["a"], [["a"]])
    with pytest.raises(DataError, match=r"^2 sources but 1 lines beside them$"):
        analyze(texts, counted(texts))


def flaw(name: FlawName, source: str, hypothesis: str, *references: str, target: str | None = "de") -> bool:
    """Return whether the one hypothesis has a flaw."""
    texts = Texts([source], [hypothesis], [[each] for each in references or ("nichts",)], (None, target))
    return find_flaws(texts)[name]["lines"] == [1]


def test_copied_and_empty() -> None:
    assert flaw("copied", "a dog ", " a dog")
    assert not flaw("copied", "a dog", "A dog")
    assert not flaw("copied", "OK", "OK", "OK")
    assert flaw("empty", "a", " \u200b")
    assert not flaw("empty", " ", "")
    assert not flaw("copied", " ", " ")


@pytest.mark.parametrize(
    ("source", "hypothesis", "is_flaw"),
    [
        ("so", "sehr sehr", False),
        ("so", "sehr, sehr, SEHR", True),
        ("no no no", "nein nein nein", False),
        ("no no no", "nein nein nein nein", True),
        ("in it", "in einem Brunnen in einem Brunnen", True),
        ("in it", "in einem Brunnen, in einem Tal", False),
        ("in it in it", "in einem Tal in einem Tal", False),
        ("in it", "der der die der das", False),
        ("word", "Stateateateate", True),
        ("word", "Staatsstaat", False),
        ("word", "hahaha", False),
        ("word", "hahahaha", True),
        ("10,000,000,000", "10000000000", False),
        ("aaaaah", "aaaaah", False),
        ("so", "\u7814\u7a76\u7814\u7a76", False),
        ("so", "\u7814\u7a76\u7814\u7a76\u7814\u7a76", True),
    ],
)
def test_repeated(source: str, hypothesis: str, is_flaw: bool) -> None:
    assert flaw("repeated", source, hypothesis) == is_flaw


def test_what_a_reference_does_too_is_no_flaw() -> None:
    assert not flaw("repeated", "so", "sehr sehr sehr", "sehr", "ja ja ja")
    texts = Texts(["OK", "a", "b"], ["OK", "a", "c"], [["OK", "x", "b"]])
    assert find_flaws(texts)["copied"] == Flaw(count=1, share=1 / 3, lines=[2], references=2)


@pytest.mark.parametrize(
    ("source", "hypothesis", "reference", "target", "is_flaw"),
    [
        ("a dog", "\u0441\u043e\u0431\u0430\u043a\u0430", "ein Hund", "de", True),
        ("a dog", "ein H\u0443nd", "ein Hund", "de", True),  # a Cyrillic letter
        ("a dog", "ein \u03b1-Hund", "ein \u03b1-Hund", "de", False),
        ("a dog", "ein \u00c4ffchen \u2013 ja", "ein Hund", "de", False),
        ("my USB dog", "\u043c\u043e\u044f USB \u0441\u043e\u0431\u0430\u043a\u0430", "\u043e\u043d", "ru", False),
        ("\u72d7", "\u043c\u043e\u044f USB \u0441\u043e\u0431\u0430\u043a\u0430", "\u043e\u043d", "ru", True),
        ("my dog", "my dog", "\u043c\u043e\u044f", "ru", True),
        ("my dog", "my dog", "\u043c\u043e\u044f", None, True),
        ("my dog", "123 !", "\u043c\u043e\u044f", "ru", False),
        ("my dog", "my dog \u043c\u043e\u044f", "\u043c\u043e\u044f", "ru", True),
        ("my dog", "dog \u043c\u043e\u044f", "\u043c\u043e\u044f", "ru", False),
        ("my dog", "\u043c\u043e\u044f", "abcdefgh\u043c", None, False),
        ("\u72d7", "dog\u72d7", "dog", "en", True),
    ],
)
def test_wrong_script(source: str, hypothesis: str, reference: str, target: str | None, is_flaw: bool) -> None:
    assert flaw("wrong_script", source, hypothesis, reference, target=target) == is_flaw


def test_scripts_of_an_unknown_language_have_a_tenth_of_its_letters() -> None:
    assert scripts_in(["abcdefgh\u043c", "ijkl 123"]) == {"LATIN"}
    assert scripts_in(["abcdefgh", "\u043c 123"]) == {"LATIN", "CYRILLIC"}


def test_a_very_long_repetition_takes_no_time() -> None:
    assert flaw("repeated", "a", "one two " * 5000)

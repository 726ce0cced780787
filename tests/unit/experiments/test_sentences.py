"""Best and worst lines, and the words in which a translation differs from its reference."""

import pytest

from nmt.evaluation.metrics import count
from nmt.experiments.finished_run import TestLines as Lines
from nmt.experiments.sentences import LONGEST, SHOWN, as_text, cut, differing_parts, extremes
from nmt.files import JsonObject


def found(references: list[str], hypotheses: list[str]) -> JsonObject:
    lines = Lines([f"source {number}" for number in range(len(references))], references, hypotheses)
    counted = count(
        {"": hypotheses},
        [references],
        tokenize="13a",
        lowercase=False,
        chrf_word_order=0,
        metrics=("bleu", "chrf"),
    )
    return extremes(lines, counted[""], spaced=True)


def test_the_best_and_the_worst_lines_come_first_and_of_equal_ones_the_longest() -> None:
    references = ["a b c d e", "the quick brown fox", "one two three four", "x y", "a longer line of six words"]
    hypotheses = ["a b c d e", "the quick red fox", "nothing at all", "qq", "a longer line of six words"]
    result = found(references, hypotheses)
    assert result["equal_to_reference"] == 2
    assert [line["line"] for line in result["best"]] == [5, 1, 2]
    assert [line["line"] for line in result["worst"]] == [4, 3, 2]
    assert (result["best"][0]["chrf"], result["best"][0]["bleu"]) == (100, pytest.approx(100))
    assert result["best"][2]["hypothesis"] == [(True, "the quick "), (False, "red"), (True, " fox")]
    assert result["best"][2]["reference"] == [(True, "the quick "), (False, "brown"), (True, " fox")]
    assert result["best"][2]["source"] == "source 1"


def test_of_many_lines_few_are_shown() -> None:
    references = [f"line number {number}" for number in range(50)]
    result = found(references, references)
    assert (len(result["best"]), len(result["worst"])) == (SHOWN, SHOWN)


@pytest.mark.parametrize(("spaced", "part"), [(True, "貓在睡"), (False, "貓")])
def test_words_are_compared_or_characters_where_there_are_no_spaces(spaced: bool, part: str) -> None:
    left, right = differing_parts("貓在睡", "狗在睡", spaced=spaced)
    assert left[0] == (False, part)
    assert (as_text(left), as_text(right)) == ("貓在睡", "狗在睡")


@pytest.mark.parametrize("lines", [("", ""), ("", "a b"), ("a  b, c", "a b; c"), ("أنا هنا", "أنت هنا")])
def test_the_parts_are_the_lines(lines: tuple[str, str]) -> None:
    assert tuple(map(as_text, differing_parts(*lines))) == lines


def test_a_long_line_is_cut() -> None:
    assert cut("x" * LONGEST) == "x" * LONGEST
    assert cut("x" * (LONGEST + 1)) == "x" * LONGEST + " ..."

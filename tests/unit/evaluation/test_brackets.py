"""The counts of brackets: `LINES` and `FIGURES` are what EVALB itself, in the version of January 2006, made of them."""

from typing import NamedTuple

import pytest

from nmt.errors import DataError
from nmt.evaluation.brackets import (
    CONVENTIONS,
    DELETED,
    BracketCounts,
    Brackets,
    are_trees,
    count_brackets,
    read_references,
    sum_of,
)
from nmt.tasks.trees import read_tree


class Line(NamedTuple):
    """A reference, a hypothesis, and what EVALB prints of them with COLLINS.prm."""

    reference: str
    hypothesis: str
    status: int  # 0 is scored, 1 an error, 2 skipped
    matched: int = 0
    wanted: int = 0
    found: int = 0
    crossing: int = 0
    words: int = 0
    tags: int = 0


CAT = "(S (NP (DT the) (NN cat)) (VP (VBD sat) (PP (IN on) (NP (DT a) (NN mat)))) (. .))"
LINES = {
    "equal": Line(CAT, CAT, 0, 5, 5, 5, 0, 6, 6),
    "another label": Line(CAT, CAT.replace("(PP", "(ADJP"), 0, 4, 5, 5, 0, 6, 6),
    "another tag": Line(CAT, CAT.replace("NN cat", "NNS cat"), 0, 5, 5, 5, 0, 6, 5),
    "a crossing bracket": Line(
        CAT, "(S (NP (DT the) (NN cat) (VBD sat)) (PP (IN on) (NP (DT a) (NN mat))) (. .))", 0, 3, 5, 4, 1, 6, 6
    ),
    "function tags": Line(CAT.replace("(NP", "(NP-SBJ=1"), CAT.replace("(S", "(S-TPC"), 0, 5, 5, 5, 0, 6, 6),
    "TOP anywhere": Line(f"(TOP {CAT})", CAT.replace("(NP (DT a)", "(NP (TOP (DT a))"), 0, 5, 5, 5, 0, 6, 6),
    "punctuation elsewhere": Line(CAT, f"(S (X {CAT[3:-8]}) (. .)))".replace("(X (NP", "(S (NP"), 0, 5, 5, 6, 0, 6, 6),
    "a full stop with another tag": Line(CAT, CAT.replace("(. .)", "(NN .)"), 1),
    "a word with the tag of a comma": Line(CAT, CAT.replace("(NN cat)", "(, cat)"), 1),
    "two tags of punctuation": Line(CAT, CAT.replace("(. .)", "(: .)"), 0, 5, 5, 5, 0, 6, 6),
    "a question mark of another tag": Line("(S (VB go) (: ?))", "(S (VB go) (. ?))", 0, 1, 1, 1, 0, 1, 1),
    "another word": Line(CAT, CAT.replace("mat", "hat"), 1),
    "a word in upper case": Line(CAT, CAT.replace("mat", "Mat"), 1),
    "a word less": Line(CAT, CAT.replace("(DT a) ", ""), 1),
    "an empty parse": Line(CAT, "", 2),
    "punctuation alone": Line(CAT, "(S (. .))", 2),
    "a trace": Line("(S (NP (-NONE- *)) (VP (VB go)))", "(S (VP (VB go)))", 0, 2, 2, 2, 0, 1, 1),
    "a bracket of punctuation alone": Line("(S (PRN (, ,)) (VB go))", "(S (VB go))", 0, 1, 1, 1, 0, 1, 1),
    "ADVP and PRT": Line("(S (ADVP (RB up)))", "(S (PRT (RB up)))", 0, 2, 2, 2, 0, 1, 1),
    "ADVP and PRT as tags": Line("(S (PRT up) (VB go))", "(S (ADVP up) (VB go))", 0, 1, 1, 1, 0, 2, 2),
    "PRT twice": Line("(S (PRT (RB up)))", "(S (ADVP (PRT (RB up))))", 0, 2, 2, 3, 0, 1, 1),
    "NP in NP": Line("(NP (NP (NN cat)))", "(NP (NP (NN cat)))", 0, 2, 2, 2, 0, 1, 1),
    "NP in NP less": Line("(NP (NP (NN cat)))", "(NP (NN cat))", 0, 1, 2, 1, 0, 1, 1),
    "NP in NP more": Line("(NP (NP (NN cat)))", "(NP (NP (NP (NN cat))))", 0, 2, 2, 3, 0, 1, 1),
    "three crossing": Line(
        "(S (A (X a) (X b)) (B (X c) (X d)))",
        "(S (X a) (A (B (C (X b) (X c)))) (X d))",
        *(0, 1, 3, 4, 3, 4, 4),
    ),
    "several trees": Line("(S (NP (NN cat)) (VP (VB go)))", "(NP (NN cat)) (VP (VB go))", 0, 2, 3, 2, 0, 2, 2),
}
FIGURES = {
    "recall": 88.52,
    "precision": 87.10,
    "f1": 87.80,
    "complete_match": 57.89,
    "average_crossing": 0.21,
    "no_crossing": 89.47,
    "two_or_less_crossing": 94.74,
    "tagging_accuracy": 98.44,
    "lines": 26,
    "scored": 19,
    "skipped": 2,
}


def counted(line: Line) -> BracketCounts:
    [reference] = read_references([line.reference])
    return count_brackets(line.hypothesis, reference)


@pytest.mark.parametrize("name", LINES)
def test_a_line_is_counted_as_evalb_counts_it(name: str) -> None:
    line = LINES[name]
    counts = counted(line)
    status = 0 if counts.scored else 2 if counts.skipped else 1
    found = (counts.matched, counts.wanted, counts.found, counts.crossing, counts.words, counts.correct_tags)
    assert (status, *found) == line[2:]


def test_the_figures_are_those_that_evalb_prints() -> None:
    figures = sum_of([counted(line) for line in LINES.values()]).figures()
    assert {name: round(figures[name], 2) for name in FIGURES} == FIGURES
    assert figures["mismatched"] == 5


def test_a_line_that_is_left_out_matches_nothing_in_the_strict_figures() -> None:
    of_equal, of_dropped = (counted(LINES[name]) for name in ("equal", "a full stop with another tag"))
    assert of_dropped == BracketCounts(strict_wanted=5, mismatched=1)
    assert counted(LINES["an empty parse"]) == BracketCounts(strict_wanted=5, skipped=1)
    figures = sum_of([of_equal, of_equal, of_dropped]).figures()
    assert (figures["recall"], figures["precision"], figures["f1"]) == (100, 100, 100)
    assert figures["strict_recall"] == pytest.approx(100 * 2 / 3)
    assert figures["strict_precision"] == 100
    assert figures["strict_f1"] == pytest.approx(80)


@pytest.mark.parametrize("text", [CAT[:-1], CAT + ")", "the cat", "(S the (NN cat))", "(S)", "(NN a b)"])
def test_a_hypothesis_that_is_no_tree_is_ill_formed(text: str) -> None:
    [reference] = read_references([CAT])
    assert count_brackets(text, reference) == BracketCounts(strict_wanted=5, ill_formed=1)


def test_several_trees_are_scored_as_evalb_does_but_are_ill_formed_and_match_nothing_in_the_strict_figures() -> None:
    counts = counted(LINES["several trees"])
    assert (counts.scored, counts.ill_formed) == (1, 1)
    assert (counts.strict_matched, counts.strict_found, counts.strict_wanted) == (0, 0, 3)
    [reference] = read_references([CAT])
    assert count_brackets("(. .) (. .)", reference) == BracketCounts(strict_wanted=5, skipped=1, ill_formed=1)
    assert count_brackets("(S (NN a)) (. .)", reference) == BracketCounts(strict_wanted=5, mismatched=1, ill_formed=1)


@pytest.mark.parametrize("root", ["(ROOT {})", "({})", "(S1 {})", "(ROOT (S1 {}))", "( (TOP {}))"])
def test_an_outermost_root_is_no_bracket(root: str) -> None:
    bare, rooted = (Brackets.of(read_tree(text)) for text in (CAT, root.format(f" {CAT}" if root == "({})" else CAT)))
    assert bare == rooted


def test_a_root_within_is_a_bracket() -> None:
    assert Brackets.of(read_tree("(S (ROOT (NN a)) (NN b))")).brackets == {("S", 0, 2): 1, ("ROOT", 0, 1): 1}
    assert Brackets.of(read_tree("(ROOT (ROOT (NN a)) (NN b))")).brackets == {("ROOT", 0, 1): 1}


def test_the_tags_that_are_deleted_are_those_of_collins() -> None:
    assert {"TOP", "-NONE-", ",", ":", "``", "''", "."} == DELETED
    assert CONVENTIONS == "evalb:COLLINS|root:no"


def test_a_reference_has_to_be_a_tree() -> None:
    with pytest.raises(DataError) as caught:
        read_references([CAT, "(S"])
    assert str(caught.value).startswith("line 2 of the reference is no tree: it does not close: 1 open at its end")
    for lines in ([""], ["(NN a) (NN b)"]):
        with pytest.raises(DataError, match="line 1 of the reference is no tree: one tree should be in it"):
            read_references(lines)


def test_lines_are_trees_if_nearly_each_is_one() -> None:
    assert are_trees([CAT, "(NN a)"])
    assert are_trees([*[CAT] * 9, "(S"])
    assert not are_trees([*[CAT] * 8, "(S"])
    assert not any(map(are_trees, [[], [CAT, ""], [CAT, "(NN a) (NN b)"], ["the cat", CAT], ["(S"]]))


def test_what_one_score_leaves_out_is_said() -> None:
    equal, dropped = (counted(LINES[name]) for name in ("equal", "another word"))
    assert sum_of([equal]).left_out() is None
    assert sum_of([equal, dropped, counted(LINES["an empty parse"]), counted(LINES["several trees"])]).left_out() == (
        "bracket F1 is of 2 of 4 lines, strict F1 of all: ill-formed 1, with other words 1, empty 1"
    )
    assert counted(LINES["several trees"]).left_out() is not None


def test_nothing_to_divide_by_is_no_error() -> None:
    assert set(list(BracketCounts().figures().values())[:11]) == {0.0}

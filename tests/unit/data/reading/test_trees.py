from collections import Counter

import pytest

from nmt.data.reading.trees import read_trees
from nmt.errors import DataError

PRETTY = """
( (S
    (NP-SBJ (DT the) (NN cat) )
    (VP (VBD sat)
\t(NP (-NONE- *T*-1) ))
    (. .) ))
( (NP (NN end) ))

(ROOT (S (NP (-NONE- *))))
"""


def read(*lines: str) -> tuple[list[tuple[str, str]], dict[str, int]]:
    anomalies = Counter[str]()
    return list(read_trees(lines, "a.ptb", anomalies)), dict(anomalies)


def error_of(*lines: str) -> str:
    with pytest.raises(DataError) as caught:
        read(*lines)
    return str(caught.value)


def test_a_line_is_the_words_and_the_simplified_tree() -> None:
    pairs, anomalies = read("(ROOT (S (NP-SBJ (DT the) (NN cat)) (. .)))", "(S (-LRB- -LRB-) (VB go))")
    assert pairs == [("the cat .", "(S (NP (DT the) (NN cat)) (. .))"), ("( go", "(S (-LRB- -LRB-) (VB go))")]
    assert anomalies == {"outermost brackets": 1, "function tags": 1}


def test_a_tree_may_go_on_in_indented_lines() -> None:
    pairs, anomalies = read(*PRETTY.split("\n"))
    assert pairs == [("the cat sat .", "(S (NP (DT the) (NN cat)) (VP (VBD sat)) (. .))"), ("end", "(NP (NN end))")]
    assert anomalies == {
        "blank lines": 3,
        "outermost brackets": 2,
        "function tags": 1,
        "empty elements": 2,
        "trees without words": 1,
    }


def test_whole_trees_may_be_indented() -> None:
    assert len(read("(NP (NN a))", "  (NP (NN b))", "  (NP (NN c))")[0]) == 3


def test_what_is_no_tree_is_named_by_its_first_line() -> None:
    assert error_of("(NP (NN a))", "(S (NN b)", "(S (NN c))") == (
        "a.ptb:2: no tree: it does not close: 1 open at its end, the last is '(S' at character 1 (a tree is brackets "
        "with tags, (S (NP (DT the) (NN cat)) (VP (VBD sat))), whose further lines begin with spaces)"
    )
    assert error_of("", "(S", "  (NN b)", "", "  (NN c)").startswith("a.ptb:2: no tree: it does not close: 1 open")
    assert error_of("(S", "  (NN b)))", "(NP (NN a))").startswith("a.ptb:1: no tree: it closes more often")
    assert error_of("(NP (NN a)) (NP (NN b))").startswith("a.ptb:1: no tree: 2 trees, where one should be (")
    assert error_of("the cat").startswith("a.ptb:1: no tree: 'the' is in no bracket, at character 1 (")


def test_the_trees_before_a_wrong_one_are_read() -> None:
    pairs = read_trees(["(NP (NN a))", "(NP"], "a.ptb", Counter())
    assert next(pairs) == ("a", "(NP (NN a))")
    with pytest.raises(DataError, match=r"a\.ptb:2: no tree"):
        next(pairs)
